"""The CTAC is found among other series by clues from text, acquisition and the emission scan; the rest is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.uid import MultiFrameGrayscaleWordSecondaryCaptureImageStorage

from ctacal.dicom.choose import Choice, candidates, choose_series
from ctacal.dicom.stack import Stack
from ctacal.errors import Code, Refusal
from tests.dicom_series import (
    Grid,
    assert_truth,
    chest_hu,
    ct_series,
    emission_image,
    intake_of,
    marker_mm,
    refusal_of,
    store_values,
    study_of,
    uid,
    volume_of,
    write,
)

DIAGNOSTIC: dict[str, Any] = {"SeriesDescription": "Thorax 1.0 B70f", "Exposure": "180", "ConvolutionKernel": "B70f"}
OTHER_FRAME: dict[str, Any] = {"FrameOfReferenceUID": uid("other frame")}


def study_with(folder: Path, *series: Dataset | list[Dataset]) -> Path:
    """Store several series as one study; a single image stands for a series too."""
    for index, images in enumerate(series):
        write(folder / str(index), images if isinstance(images, list) else [images])
    return folder


def chosen(folder: Path, **options: Any) -> Choice:
    return choose_series(study_of(folder), **options)


def codes(choice: Choice) -> list[Any]:
    return [note.code for note in choice.notes]


@pytest.mark.parametrize("modality", ["NM", "PT"])
def test_ctac_among_diagnostic_ct_localizer_and_emission(tmp_path: Path, modality: str) -> None:
    study_with(
        tmp_path,
        ct_series(name="diagnostic", **DIAGNOSTIC, **OTHER_FRAME),
        ct_series(SeriesDescription="Stress low dose"),
        ct_series(name="scout", ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])[:2],
        emission_image(modality),
    )
    choice = chosen(tmp_path)
    assert choice.series.uid == uid("series", "ctac")
    assert "frame of reference of the emission scan" in choice.why
    assert codes(choice) == []
    unfit = {candidate.series.uid: candidate.unfit.code for candidate in choice.candidates if candidate.unfit}
    assert unfit == {uid("series", "scout"): Code.LOCALIZER, uid("series", "emission"): Code.NOT_CT}


def test_the_choice_carries_the_stack(tmp_path: Path) -> None:
    """Later steps need not order the images again; a series has a stack or a reason."""
    study_with(tmp_path, ct_series(), ct_series(name="short")[:3], emission_image())
    choice = chosen(tmp_path)
    by_hand = Stack.of(choice.series.slices)
    assert choice.stack.slices == by_hand.slices
    np.testing.assert_array_equal(choice.stack.geometry.affine, by_hand.geometry.affine)
    assert [(candidate.stack is None, candidate.unfit is None) for candidate in choice.candidates] == [
        (False, True), (True, False), (True, False),
    ]  # fmt: skip


def test_emission_frame_outweighs_words(tmp_path: Path) -> None:
    """A diagnostic CT that somebody named CTAC loses to the CT in the emission scan's frame of reference."""
    study_with(
        tmp_path,
        ct_series(name="called so", SeriesDescription="CTAC", **OTHER_FRAME),
        ct_series(SeriesDescription="Thorax"),
        emission_image("PT"),
    )
    assert chosen(tmp_path).series.uid == uid("series", "ctac")


@pytest.mark.parametrize(
    "words",
    [
        "CTAC",
        "AC CT",
        "ATTEN 3mm",
        "CT for AC",
        "LD CT",
        "Low-Dose Thorax",
        "ct_ac stress",
        "CT AC REST",
        "AttenCorr CT",
    ],
)
def test_words_and_acquisition_mark_a_ctac(tmp_path: Path, words: str) -> None:
    assert codes(chosen(write(tmp_path, ct_series(SeriesDescription=words)))) == []


@pytest.mark.parametrize(
    "acquisition",
    [
        {"Exposure": "250", "SliceThickness": "0.6"},
        {"KVP": None, "Exposure": None},
        {"Exposure": "250", "KVP": "70"},
    ],
)
def test_text_alone_is_not_enough(tmp_path: Path, acquisition: dict[str, Any]) -> None:
    choice = chosen(write(tmp_path, ct_series(SeriesDescription="CTAC", **acquisition)))
    assert codes(choice) == [Code.NOT_MARKED_CTAC]


def test_plain_low_dose_ct_is_scored_with_a_note(tmp_path: Path) -> None:
    assert codes(chosen(write(tmp_path, ct_series(SeriesDescription="Thorax 3.0")))) == [Code.NOT_MARKED_CTAC]


@pytest.mark.parametrize("agent", ["OMNIPAQUE 350", "IV", "Y", "Ultravist"])
def test_contrast_series_is_refused(tmp_path: Path, agent: str) -> None:
    assert refusal_of(write(tmp_path, ct_series(ContrastBolusAgent=agent))) is Code.CONTRAST_GIVEN


@pytest.mark.parametrize("agent", ["", "NONE", "no contrast", "Without", "w/o"])
def test_no_contrast_in_words_is_no_contrast(tmp_path: Path, agent: str) -> None:
    volume, _ = volume_of(write(tmp_path, ct_series(ContrastBolusAgent=agent)))
    assert_truth(volume)


def test_contrast_named_in_one_slice_is_refused(tmp_path: Path) -> None:
    series = ct_series()
    series[11].ContrastBolusAgent = "IODINE"
    assert refusal_of(write(tmp_path, series)) is Code.CONTRAST_GIVEN


def test_native_ctac_is_taken_beside_a_contrast_series(tmp_path: Path) -> None:
    contrast = ct_series(name="contrast", SeriesDescription="CTAC", ContrastBolusAgent="OMNIPAQUE")
    study_with(tmp_path, contrast, ct_series(SeriesDescription="Thorax"))
    assert chosen(tmp_path).series.uid == uid("series", "ctac")


@pytest.mark.parametrize("words", ["CaSc 3.0 B35f", "Calcium Score", "CACS", "Agatston 130"])
def test_calcium_scan_is_noted(tmp_path: Path, words: str) -> None:
    assert codes(chosen(write(tmp_path, ct_series(SeriesDescription=words)))) == [Code.GATED_CALCIUM_SCAN]


def test_ctac_is_taken_beside_a_calcium_scan(tmp_path: Path) -> None:
    study_with(tmp_path, ct_series(name="calcium", SeriesDescription="CaSc 3.0"), ct_series())
    choice = chosen(tmp_path)
    assert choice.series.uid == uid("series", "ctac")
    assert codes(choice) == []


@pytest.fixture
def rest_and_stress(tmp_path: Path) -> Path:
    rest = ct_series(name="rest", SeriesDescription="CTAC Rest", SeriesNumber=3)
    return study_with(tmp_path, rest, ct_series(name="stress", SeriesDescription="CTAC Stress", SeriesNumber=5))


def test_rest_and_stress_are_several_candidates(rest_and_stress: Path) -> None:
    choice = chosen(rest_and_stress)
    assert choice.series.header.series_description == "CTAC Rest"
    (note,) = choice.notes
    assert note.code is Code.SEVERAL_CANDIDATES
    assert "CTAC Stress" in note.message


@pytest.mark.parametrize("name", ["rest", "stress"])
def test_the_series_asked_for_is_taken(rest_and_stress: Path, name: str) -> None:
    choice = chosen(rest_and_stress, wanted_uid=uid("series", name))
    assert choice.series.uid == uid("series", name)
    assert choice.why.startswith("requested")
    assert codes(choice) == []


def test_a_series_that_is_not_there(rest_and_stress: Path) -> None:
    assert refusal_of(rest_and_stress, wanted_uid="1.2.3") is Code.SERIES_NOT_FOUND


def test_an_unfit_series_asked_for_is_refused_for_its_own_reason(tmp_path: Path) -> None:
    study_with(tmp_path, ct_series(), ct_series(name="contrast", ContrastBolusAgent="IV"))
    assert refusal_of(tmp_path, wanted_uid=uid("series", "contrast")) is Code.CONTRAST_GIVEN


def test_equal_series_are_taken_in_a_stable_order(tmp_path: Path) -> None:
    taken = set()
    for order in (("a", "b"), ("b", "a")):
        folder = tmp_path / "".join(order)
        study_with(folder, *(ct_series(name=name) for name in order))
        taken.add(chosen(folder).series.uid)
    assert taken == {min(uid("series", "a"), uid("series", "b"))}


@pytest.mark.parametrize("words", [{"SeriesDescription": "MuMap"}, {"SeriesDescription": "ATTENUATION MAP"}])
@pytest.mark.parametrize("modality", ["NM", "PT"])
def test_attenuation_map_of_the_emission_scanner_is_refused(
    tmp_path: Path, modality: str, words: dict[str, Any]
) -> None:
    write(tmp_path, [emission_image(modality, **words)])
    assert refusal_of(tmp_path) is Code.MU_MAP


@pytest.mark.parametrize("rescale_type", [None, "1/CM", "US"])
def test_attenuation_map_as_ct_is_refused(tmp_path: Path, rescale_type: str | None) -> None:
    grid = Grid(rows=128, columns=128)
    series = ct_series(grid, RescaleIntercept="0", RescaleSlope="0.0001", RescaleType=rescale_type)
    for image, hu in zip(series, chest_hu(grid), strict=True):
        store_values(image, np.clip(1.5 * (hu + 1000), 0, None).astype(int))
    assert refusal_of(write(tmp_path, series)) is Code.MU_MAP


def test_ctac_is_taken_beside_its_attenuation_map(tmp_path: Path) -> None:
    mu_map = emission_image("NM", name="map", SeriesDescription="MuMap", SeriesNumber=1)
    choice = chosen(study_with(tmp_path, mu_map, ct_series()))
    assert choice.series.uid == uid("series", "ctac")


def test_localizer_alone_is_refused(tmp_path: Path) -> None:
    series = ct_series(ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])[:2]
    assert refusal_of(write(tmp_path, series)) is Code.LOCALIZER


FRONTAL = [1, 0, 0, 0, 0, -1]


@pytest.mark.parametrize("words", ["Topogram 0.6", "SCOUT_AP", "Surview", "ScoutLat", "Lokalizer"])
def test_localizer_by_its_description_is_refused(tmp_path: Path, words: str) -> None:
    series = ct_series(SeriesDescription=words, ImageOrientationPatient=FRONTAL)[:2]
    for image in series:
        image.ImageOrientationPatient = FRONTAL
    assert refusal_of(write(tmp_path, series)) is Code.LOCALIZER


@pytest.mark.parametrize(
    "words", ["AC CT after topogram", "CTAC (scout range)", "CTAC by surview", "Localizer CT for AC", "pilot CTAC"]
)
def test_an_axial_scan_is_no_localizer_whatever_its_description_says(tmp_path: Path, words: str) -> None:
    choice = chosen(write(tmp_path, ct_series(SeriesDescription=words)))
    assert codes(choice) == []


def test_the_localizer_beside_a_scan_that_mentions_it_is_left_out(tmp_path: Path) -> None:
    scout = ct_series(ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])[0]
    scout.SOPInstanceUID, scout.ImageOrientationPatient = uid("scout"), FRONTAL
    choice = chosen(write(tmp_path, [scout, *ct_series(SeriesDescription="CTAC after scout")]))
    assert len(choice.series.slices) == len(ct_series())
    assert Code.LOCALIZERS_DROPPED in [note.code for note in choice.series.notes]


@pytest.mark.parametrize("kind", ["ORIGINAL", "DERIVED"])
def test_a_ct_of_secondary_images_is_a_ct(tmp_path: Path, kind: str) -> None:
    """Archives and workstations write SECONDARY into images whose values are still those of the CT."""
    volume, _ = volume_of(write(tmp_path, ct_series(ImageType=[kind, "SECONDARY", "AXIAL"])))
    assert_truth(volume)


def test_primary_images_are_taken_before_secondary_ones(tmp_path: Path) -> None:
    copy = ct_series(name="copy", ImageType=["ORIGINAL", "SECONDARY", "AXIAL"], SeriesNumber=1)
    choice = chosen(study_with(tmp_path, copy, ct_series(SeriesNumber=9)))
    assert choice.series.uid == uid("series", "ctac")


def test_a_palette_of_colours_is_refused(tmp_path: Path) -> None:
    series = ct_series(PhotometricInterpretation="PALETTE COLOR")
    assert refusal_of(write(tmp_path, series)) is Code.SECONDARY_CAPTURE


def test_a_saved_screen_is_refused(tmp_path: Path) -> None:
    series = ct_series(SOPClassUID=MultiFrameGrayscaleWordSecondaryCaptureImageStorage)
    assert refusal_of(write(tmp_path, series)) is Code.SECONDARY_CAPTURE


def test_study_without_ct(tmp_path: Path) -> None:
    write(tmp_path, [emission_image("PT", SeriesDescription="Rest")])
    assert refusal_of(tmp_path) is Code.NO_CT_SERIES


def test_study_of_unfit_series_lists_them(tmp_path: Path) -> None:
    study_with(tmp_path, ct_series(ContrastBolusAgent="IV"), ct_series(name="short")[:3])
    with pytest.raises(Refusal) as caught:
        volume_of(tmp_path)
    assert caught.value.reason.code is Code.NO_SCORABLE_SERIES
    assert Code.CONTRAST_GIVEN in caught.value.reason.message
    assert Code.TOO_FEW_SLICES in caught.value.reason.message


def test_two_patients_in_one_study_are_refused(tmp_path: Path) -> None:
    study_with(tmp_path, ct_series(), ct_series(name="other", PatientID="P2"))
    assert refusal_of(tmp_path) is Code.MIXED_PATIENTS


def test_two_patients_in_one_series_are_refused(tmp_path: Path) -> None:
    series = ct_series()
    for image in series[7:]:
        image.PatientID = "P2"
    assert refusal_of(write(tmp_path, series)) is Code.MIXED_PATIENTS


def test_unfit_series_do_not_hide_the_fit_one(tmp_path: Path) -> None:
    spoilt = ct_series(name="spoilt", SeriesDescription="CTAC", SeriesNumber=1)
    del spoilt[8]
    study_with(tmp_path, spoilt, ct_series(SeriesDescription="Thorax", SeriesNumber=9))
    ranked = candidates(study_of(tmp_path))
    assert [candidate.unfit and candidate.unfit.code for candidate in ranked] == [None, Code.MISSING_SLICE]
    volume, _ = volume_of(tmp_path)
    np.testing.assert_allclose(marker_mm(volume), (21.3, -40.5, 112.0), atol=1e-3)


def test_studies_are_kept_apart(tmp_path: Path) -> None:
    study_with(tmp_path, ct_series(), ct_series(name="b", StudyInstanceUID=uid("b"), PatientID="P2"))
    studies = intake_of(tmp_path).studies
    assert {study.uid for study in studies} == {uid("study"), uid("b")}
    assert {choose_series(study).series.header.patient_id for study in studies} == {"P1", "P2"}
