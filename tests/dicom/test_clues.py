"""The CTAC is told from a diagnostic CT of more slices by its words and its scanner, as consoles write them."""

from pathlib import Path
from typing import Any

import pytest

from ctacal.dicom.choose import Choice, choose_series
from ctacal.errors import Code
from tests.dicom_series import Grid, ct_series, emission_image, study_of, uid, write

CALLED_CTAC = (
    "WB_CTAC_3.0", "CTAC3.75mm", "CTACHelical", "CTACHELICAL", "NM_CTAC", "WBCTAC", "CT_AC_Stress", "CT-AC", "AC_CT",
    "ACCT",
    "AC CT 5.0 B08s", "CTAC-Rest", "CT i30f ac", "Attenuation Correction", "Attenuation_Corr_CT", "CTATTN", "CT_ATTN3",
    "Schwächungskorrektur CT", "Schwaechungskorrektur", "correction d\u2019atténuation", "Corrección de atenuación",
    "CT Transmission", "LDCT", "LD_CT_5mm", "LowDoseCT", "low_dose", "Faible_dose", "衰减校正CT",
)  # fmt: skip
NOT_CALLED_CTAC = ("acute abdomen", "Spectacular", "AC joint", "Attention", "Thorax_5.0_B30f", "CACS", "FACT", "tract")


def chosen(folder: Path) -> Choice:
    return choose_series(study_of(folder))


def codes(choice: Choice) -> list[Code]:
    return [note.code for note in choice.notes]


def with_diagnostic(folder: Path, **attributes: Any) -> Path:
    """A CTAC with these attributes, beside a diagnostic CT of the same acquisition values and more slices."""
    diagnostic = ct_series(Grid(slices=20), name="diagnostic", SeriesDescription="Thorax 5.0 B30f", SeriesNumber=1)
    write(folder / "a", diagnostic)
    return write(folder / "b", ct_series(SeriesNumber=9, **attributes)).parent


@pytest.mark.parametrize("words", CALLED_CTAC)
@pytest.mark.parametrize("keyword", ["SeriesDescription", "ProtocolName"])
def test_the_series_called_ctac_is_taken(tmp_path: Path, keyword: str, words: str) -> None:
    attributes = {"SeriesDescription": "Series 5", keyword: words, "SpecificCharacterSet": "ISO_IR 192"}
    choice = chosen(with_diagnostic(tmp_path, **attributes))
    assert choice.series.uid == uid("series", "ctac")
    assert codes(choice) == []


@pytest.mark.parametrize("words", NOT_CALLED_CTAC)
def test_other_words_do_not_mark_a_ctac(tmp_path: Path, words: str) -> None:
    choice = chosen(write(tmp_path, ct_series(SeriesDescription=words)))
    assert set(codes(choice)) <= {Code.NOT_MARKED_CTAC, Code.GATED_CALCIUM_SCAN}
    assert "attenuation-correction" not in choice.why


def test_ac_alone_needs_support(tmp_path: Path) -> None:
    write(tmp_path / "ct", ct_series(SeriesDescription="AC"))
    assert codes(chosen(tmp_path)) == [Code.NOT_MARKED_CTAC]
    write(tmp_path / "nm", [emission_image(FrameOfReferenceUID=uid("other frame"))])
    assert "is described as attenuation-correction CT" in chosen(tmp_path).why


def test_the_series_description_outweighs_protocol_and_study(tmp_path: Path) -> None:
    """Protocol and study name all series of an examination."""
    shared: dict[str, Any] = {"ProtocolName": "PET_CTAC", "StudyDescription": "Heart with CTAC"}
    write(tmp_path / "a", ct_series(Grid(slices=20), name="diagnostic", SeriesDescription="Thorax 5.0 B30f", **shared))
    write(tmp_path / "b", ct_series(SeriesDescription="WB_CTAC", **shared))
    choice = chosen(tmp_path)
    assert choice.series.uid == uid("series", "ctac")
    assert codes(choice) == []


HYBRID = (
    "Biograph 64", "Biograph128_mCT", "SOMATOM Biograph Vision", "Symbia T16", "Symbia Intevo Bold",
    "Symbia Pro.specta",
    "Infinia Hawkeye4", "Millennium VG Hawkeye", "Discovery STE", "Discovery LS", "Discovery MI", "Discovery 690",
    "Discovery 670", "Discovery NM/CT 670 Pro", "Optima NM/CT 640", "NM/CT 870 DR", "GEMINI TF TOF 16", "GeminiGXL 16",
    "Ingenuity TF PET/CT", "Vereos PET/CT", "BrightView XCT", "Precedence 16P", "Celesteion", "Cartesion Prime",
    "uMI 780",
    "uMI550", "Omni Legend", "AnyScan SC", "StarGuide", "VERITON-CT",
)  # fmt: skip
CT_ALONE = (
    "Discovery CT750 HD", "Discovery RT", "Discovery CT590 RT", "Ingenuity CT", "Ingenuity Core 128", "Optima CT660",
    "Revolution CT", "SOMATOM Definition AS+", "Brilliance16", "Aquilion ONE", "uCT 760", "phantom", "",
)  # fmt: skip


@pytest.mark.parametrize("model", HYBRID)
def test_a_low_dose_ct_of_a_hybrid_scanner_is_marked(tmp_path: Path, model: str) -> None:
    choice = chosen(with_diagnostic(tmp_path, SeriesDescription="Series 5", ManufacturerModelName=model))
    assert choice.series.uid == uid("series", "ctac")
    assert codes(choice) == []


@pytest.mark.parametrize("model", CT_ALONE)
def test_a_ct_scanner_marks_nothing(tmp_path: Path, model: str) -> None:
    choice = chosen(write(tmp_path, ct_series(SeriesDescription="Series 5", ManufacturerModelName=model)))
    assert codes(choice) == [Code.NOT_MARKED_CTAC]


def test_a_diagnostic_ct_of_a_hybrid_scanner_is_not_marked(tmp_path: Path) -> None:
    attributes: dict[str, Any] = {
        "SeriesDescription": "Thorax 5.0",
        "ManufacturerModelName": "Biograph 64",
        "Exposure": "180",
    }
    assert codes(chosen(write(tmp_path, ct_series(**attributes)))) == [Code.NOT_MARKED_CTAC]


@pytest.mark.parametrize(
    "words", ["CaSc 3.0 B35f", "Ca_Score", "CALCIUM-SCORE", "CACS_3mm", "Kalziumscoring", "HeartScan"]
)
def test_a_calcium_scan_joined_by_anything_is_noted(tmp_path: Path, words: str) -> None:
    assert codes(chosen(write(tmp_path, ct_series(SeriesDescription=words)))) == [Code.GATED_CALCIUM_SCAN]


def test_a_ctac_made_by_the_protocol_of_a_calcium_scan_is_none(tmp_path: Path) -> None:
    folder = write(tmp_path, ct_series(SeriesDescription="AC_CT 3.0", ProtocolName="Rb82_CaScore"))
    assert codes(chosen(folder)) == []
