"""Images whose values are not those of a CT at a tube voltage are refused, or scored with a warning."""

from pathlib import Path
from typing import Any

import pytest

from ctacal.dicom.choose import choose_series
from ctacal.errors import Code
from tests.dicom_series import ct_series, enhanced_ct, refusal_of, study_of, uid, write

DERIVED = ["DERIVED", "PRIMARY", "AXIAL"]


def notes_of(folder: Path) -> list[Code]:
    return [note.code for note in choose_series(study_of(folder)).notes]


@pytest.mark.parametrize(
    "kind",
    [
        "VNC", "MAT_REMOVED", "MAT_SPECIFIC", "MAT_FRACTIONAL", "MAT_MODIFIED", "MAT_VALUE_BASED", "MONO_E", "VMI",
        "MONOENERGETIC", "EFF_ATOMIC_NUM", "ELECTRON_DENSITY", "MIP", "MIP THIN", "MINIP", "MAXIMUM", "MINIMUM",
        "SUBTRACTION", "STD_DEVIATION", "DIVISION", "IODINE", "IODINE MAP", "VIRTUAL_NON_CONT", "CALCIUM_SUPPRESS",
        "PERFUSION_MAP", "CBV", "SCREEN SAVE", "CURVED",
    ],
)  # fmt: skip
@pytest.mark.parametrize("before", [DERIVED, ["DERIVED", "SECONDARY"]], ids=["value 4", "value 3"])
def test_computed_images_are_refused_by_image_type(tmp_path: Path, before: list[str], kind: str) -> None:
    assert refusal_of(write(tmp_path, ct_series(ImageType=[*before, kind]))) is Code.DERIVED_IMAGE


@pytest.mark.parametrize("unit", ["MGML", "mg/ml", "Z_EFF", "ED", "EDW", "HU_MOD", "PCT", "OD"])
def test_other_units_are_refused(tmp_path: Path, unit: str) -> None:
    assert refusal_of(write(tmp_path, ct_series(RescaleType=unit))) is Code.DERIVED_IMAGE


def test_another_unit_in_a_single_image_is_refused(tmp_path: Path) -> None:
    series = ct_series()
    series[9].RescaleType = "MGML"
    assert refusal_of(write(tmp_path, series)) is Code.DERIVED_IMAGE


@pytest.mark.parametrize("unit", [None, "", "HU", "US", "HU ", "Hounsfield", "UNSPECIFIED", "H.U.", "uH", "null"])
def test_hounsfield_units_by_any_name_are_read(tmp_path: Path, unit: str | None) -> None:
    assert notes_of(write(tmp_path, ct_series(RescaleType=unit))) == []


def test_a_unit_that_nobody_defined_is_noted(tmp_path: Path) -> None:
    assert notes_of(write(tmp_path, ct_series(RescaleType="GREY"))) == [Code.COMPUTED_IMAGE]


@pytest.mark.parametrize(
    "words", ["Maximum intensity projection", "MIP 10 mm", "Virtual Non Contrast", "Monoenergetic 40 keV", "Iodine map"]
)
def test_computed_images_are_refused_by_derivation(tmp_path: Path, words: str) -> None:
    assert refusal_of(write(tmp_path, ct_series(DerivationDescription=words))) is Code.DERIVED_IMAGE


@pytest.mark.parametrize(
    "attributes",
    [
        {"DerivationDescription": "JPEG 2000, maximum error 2"},
        {"ImageType": [*DERIVED, "CT_SOM5 SPI DUAL"]},
        {"ImageType": ["DERIVED", "PRIMARY", "MPR"]},
        {"ImageType": ["DERIVED", "SECONDARY", "AXIAL", "CSA RESAMPLED"]},
        {"ImageType": ["ORIGINAL", "PRIMARY", "AXIAL", "HELIX"]},
        {"StudyDescription": "Myocardial perfusion SPECT/CT I-131 iodine"},
        {"SeriesDescription": "CTAC average patient"},
        {"SeriesDescription": "CTAC Avg Pt"},
    ],
)
def test_ordinary_images_have_no_note(tmp_path: Path, attributes: dict[str, Any]) -> None:
    assert notes_of(write(tmp_path, ct_series(**attributes))) == []


@pytest.mark.parametrize(
    "attributes",
    [
        {"ImageType": [*DERIVED, "AVERAGE"]},
        {"ImageType": [*DERIVED, "MEAN"]},
        {"ImageType": ["DERIVED", "SECONDARY", "REFORMATTED", "AVERAGE"]},
        {"ImageType": [*DERIVED, "ENERGY_PROP_WTD"]},
        {"ImageType": [*DERIVED, "DE_MIX"]},
        {"ImageType": [*DERIVED, "VMI"], "SeriesDescription": "CTAC 70 keV"},
        {"SeriesDescription": "CTAC cine AVERAGE"},
        {"SeriesDescription": "CTAC VNC"},
        {"SeriesDescription": "CTAC MIP 10mm"},
        {"SeriesDescription": "CTAC MonoE 40keV"},
        {"MultienergyCTAcquisition": "YES"},
    ],
    ids=str,
)
def test_averages_blends_and_words_are_scored_with_a_note(tmp_path: Path, attributes: dict[str, Any]) -> None:
    assert notes_of(write(tmp_path, ct_series(**attributes))) == [Code.COMPUTED_IMAGE]


@pytest.mark.parametrize("words", ["MonoE 40 keV", "Mono+ 190", "spectral"])
def test_one_photon_energy_far_from_120_kvp_or_unknown_is_refused(tmp_path: Path, words: str) -> None:
    folder = write(tmp_path, ct_series(ImageType=[*DERIVED, "VMI"], SeriesDescription=words))
    assert refusal_of(folder) is Code.DERIVED_IMAGE


def test_the_ct_is_taken_beside_what_was_computed_from_it(tmp_path: Path) -> None:
    for number, (name, words) in enumerate([("mip", "CTAC MIP"), ("average", "CTAC average"), ("vnc", "CTAC VNC")]):
        write(tmp_path / name, ct_series(name=name, SeriesDescription=words, SeriesNumber=number))
    write(tmp_path / "ct", ct_series(SeriesDescription="Series 9", SeriesNumber=9))
    assert choose_series(study_of(tmp_path)).series.uid == uid("series", "ctac")


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("FrameType", ["DERIVED", "PRIMARY", "VOLUME", "MAXIMUM"]),
        ("FrameType", ["DERIVED", "PRIMARY", "VOLUME", "NONE", "VMI"]),
        ("VolumeBasedCalculationTechnique", "MAX_IP"),
        ("VolumeBasedCalculationTechnique", "CURVED_MPR"),
        ("VolumetricProperties", "SAMPLED"),
        ("VolumetricProperties", "DISTORTED"),
    ],
)
def test_the_frame_type_macro_of_enhanced_ct_is_read(tmp_path: Path, keyword: str, value: Any) -> None:
    image = enhanced_ct(ct_series())
    setattr(image.SharedFunctionalGroupsSequence[0].CTImageFrameTypeSequence[0], keyword, value)
    assert refusal_of(write(tmp_path, [image])) is Code.DERIVED_IMAGE


@pytest.mark.parametrize("value", ["NONE", "MPR"])
def test_a_volume_of_enhanced_ct_is_read(tmp_path: Path, value: str) -> None:
    image = enhanced_ct(ct_series())
    macro = image.SharedFunctionalGroupsSequence[0].CTImageFrameTypeSequence[0]
    macro.VolumetricProperties, macro.VolumeBasedCalculationTechnique = "VOLUME", value
    assert notes_of(write(tmp_path, [image])) == []
