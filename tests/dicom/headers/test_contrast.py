"""Contrast medium is told from every place of the DICOM standard, and from words in the languages of consoles."""

from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset

from ctacal.dicom.choose import Choice, choose_series
from ctacal.dicom.headers.contrast_words import Said, said_of_agent, said_of_series
from ctacal.errors import Code
from tests.dicom_series import assert_truth, ct_series, enhanced_ct, refusal_of, study_of, uid, volume_of, write

NONE_IN_WORDS = (
    "NO_CONTRAST", "NON CONTRAST", "Non-enhanced", "unenhanced", "NATIVE", "nativ", "PLAIN", "-", "--", ".", "_", "*",
    "0",
    "0.0", "000", "0ml", "0 cc", "Omnipaque 0 ml", "NOT GIVEN", "NA", "N.A.", "N/A", "NIL", "NULL", "None given",
    "NONE_GIVEN",
    "(none)", "<none>", "IV: none", "No", "n", "w/o contrast", "W/O", "no IV", "I-", "C-", "-C", "IV-", "NoContrast",
    "No oral or IV contrast", "not administered", "declined", "false", "pre-contrast", "keine", "kein KM", "o. KM",
    "ohne KM",
    "nicht gegeben", "Kontrast: nein", "aucun", "sans produit de contraste", "non injecté", "S/C", "sin contraste",
    "ningún",
    "sem contraste", "nenhum", "senza mezzo di contrasto", "zonder contrast", "geen", "uden", "ikke", "utan kontrast",
    "ilman", "bez kontrastu", "brak", "nincs", "yok", "нет", "без контраста", "없음", "無", "无", "なし",
    "造影剤なし", "平扫", "Ø", "未增强", "没有", "не вводился", "нативно", "Χωρίς", "ללא", "hayır", "kontrastsız",
    "tanpa",
    "natiivi", "contrast-free", "Kontrastmittelfrei", "s. KM", "s/ contraste", "FDG", "F-18 FDG", "Rb-82",
    "Tc-99m MIBI", "Regadenoson", "Saline flush",
)  # fmt: skip
GIVEN_IN_WORDS = (
    "OMNIPAQUE 350", "IV", "Y", "YES", "Ultravist", "NON-IONIC 350", "nonionic", "contraste no iónico", "Contrast",
    "350",
    "100 ml Iomeron 400", "KM", "Jod", "IODINE", "CE", "C+", "With contrast", "Optiray 320, no reaction",
    "IV and oral",
    "Oral + Omnipaque", "ISOVUE-300 IV, no oral", "Omnipaque, no oral", "Accupaque 300 ohne Nebenwirkung", "造影剤",
    "DYE", "IV+PO", "per os + IV", "70", "350", "60s KM", "Iodine, saline flush", "Omnipaque + NaCl",
)  # fmt: skip
ENTERAL_IN_WORDS = (
    "oral", "ORAL CONTRAST", "Gastrografin", "Barium", "per os", "Water", "PO contrast", "oral Omnipaque",
    "Readi-Cat 2",
    "no IV, oral only", "oral contrast; no IV contrast",
)  # fmt: skip


@pytest.mark.parametrize("words", NONE_IN_WORDS)
def test_words_that_say_none(words: str) -> None:
    assert said_of_agent(words) is Said.NOT_GIVEN


@pytest.mark.parametrize("words", GIVEN_IN_WORDS)
def test_words_that_name_an_agent(words: str) -> None:
    assert said_of_agent(words) is Said.GIVEN


@pytest.mark.parametrize("words", ENTERAL_IN_WORDS)
def test_words_that_say_by_mouth(words: str) -> None:
    assert said_of_agent(words) is Said.ENTERAL


@pytest.mark.parametrize("words", ["UNKNOWN", "X", "?", "unbekannt", "not specified", "不明"])
def test_words_that_say_nothing(words: str) -> None:
    assert said_of_agent(words) is Said.OPEN


@pytest.mark.parametrize(
    "words",
    [
        "CT Thorax C+", "abd +KM", "ABD C +", "CT chest with contrast", "W/ CONTRAST", "CT_CHEST_W_CONTRAST",
        "ChestWithContrast",
        "CTA Thorax", "CECT", "Thorax KM", "mit KM", "avec injection", "scanner injecté", "con contrasto",
        "TC con mdc",
        "arterial phase", "portal venous 5.0", "POSTCONTRAST", "CT ABDOMEN & PELVIS ENHANCED=AB", "Angio Thorax",
        "CT W CM",
        "w/wo contrast", "with and without contrast", "mit und ohne KM", "C-/C+", "pre and post contrast", "Iomeron",
        "造影CT", "КТ с контрастом", "TDM avec PDC", "TAC con CIV", "PET/CT with IV FDG and CT with IV",
        "Thorax 60s KM",
    ],
)  # fmt: skip
def test_descriptions_that_speak_of_contrast(words: str) -> None:
    assert said_of_series(words) is Said.GIVEN


@pytest.mark.parametrize(
    "words",
    [
        "without contrast", "w/o contrast", "CT CHEST WO C", "C-", "2 Chest C-/Thorax", "NONCONTRAST", "pre contrast",
        "ohne KM",
        "sans injection", "sin contraste", "native", "plain CT", "NCCT", "senza mdc", "-KM", "平扫", "no iv contrast",
        "S/C",
    ],
)  # fmt: skip
def test_descriptions_that_deny_contrast(words: str) -> None:
    assert said_of_series(words) is Said.NOT_GIVEN


@pytest.mark.parametrize(
    "words",
    [
        "CTAC", "PET-CT STUDY", "1PETCT_WholeBody", "AC_CT 5.0 B08s", "C-spine", "Vitamin C", "Heart", "5 cm",
        "CT for AC", "CTAC (enhanced conversion)", "Enhanced multi-frame CTAC", "Lung, edge enhanced",
        "Stage IV NSCLC", "60 min post injection", "Rb-82 bolus", "PET+CT", "CT+CARDIAC", "LUNG BASES 5MM", "ICE",
        "rest/stress", "Rubidium stress, injected", "Tc99m injected dose 370", "with IV adenosine",
        "post IV regadenoson",
        "PET/CT with IV F-18 FDG", "MPI SPECT/CT", "Myokardszintigraphie", "心筋血流シンチ", "ОФЭКТ/КТ миокарда",
    ],
)  # fmt: skip
def test_descriptions_that_say_nothing(words: str) -> None:
    assert said_of_series(words) is Said.OPEN


def code_item(meaning: str, **attributes: Any) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = "1", "99TEST", meaning
    for keyword, value in attributes.items():
        setattr(item, keyword, value)
    return item


def profile(**attributes: Any) -> Dataset:
    item = Dataset()
    for keyword, value in attributes.items():
        setattr(item, keyword, value)
    return item


GIVEN: tuple[dict[str, Any], ...] = (
    {"ContrastBolusVolume": "80"},
    {"ContrastBolusTotalDose": "100"},
    {"ContrastBolusStartTime": "101112"},
    {"ContrastBolusStopTime": "101142.5"},
    {"ContrastFlowRate": "4"},
    {"ContrastFlowDuration": ["20", "10"]},
    {"ContrastBolusIngredient": "IODINE"},
    {"ContrastBolusIngredientConcentration": "350"},
    {"ContrastBolusAgentSequence": [code_item("Iohexol")]},
    {"ContrastBolusAgent": "NONE", "ContrastBolusVolume": "80"},
    {"ContrastBolusAgent": "UNKNOWN", "ContrastBolusVolume": "80"},
    {"ContrastBolusAgent": "oral", "ContrastBolusAgentSequence": [code_item("Iohexol")], "ContrastBolusRoute": ""},
)


@pytest.mark.parametrize("attributes", GIVEN, ids=lambda given: "-".join(given))
def test_contrast_told_by_any_element_is_refused(tmp_path: Path, attributes: dict[str, Any]) -> None:
    assert refusal_of(write(tmp_path, ct_series(**{"ContrastBolusAgent": "", **attributes}))) is Code.CONTRAST_GIVEN


NOT_GIVEN: tuple[dict[str, Any], ...] = (
    {"ContrastBolusVolume": "0", "ContrastFlowRate": "0.0", "ContrastBolusStartTime": "000000.000"},
    {"ContrastBolusAgent": "NONE", "ContrastBolusRoute": "IV", "ContrastBolusIngredient": "IODINE"},
    {"ContrastBolusAgent": "keine", "ContrastBolusIngredientConcentration": "350", "ContrastBolusVolume": "0"},
    {"ContrastBolusIngredient": "NONE"},
    {"ContrastBolusIngredient": "IODINE", "ContrastBolusIngredientConcentration": "300", "ContrastBolusVolume": "0.0"},
    {"ContrastBolusAgentSequence": []},
    {"ContrastBolusAgentSequence": [code_item("No contrast medium")]},
)


@pytest.mark.parametrize("attributes", NOT_GIVEN, ids=lambda given: "-".join(given))
def test_a_contrast_module_without_contrast_is_no_reason(tmp_path: Path, attributes: dict[str, Any]) -> None:
    folder = write(tmp_path, ct_series(**attributes))
    assert_truth(volume_of(folder)[0])
    assert codes(choose_series(study_of(folder))) == []


def codes(choice: Choice) -> list[Code]:
    return [note.code for note in choice.notes]


OPEN: tuple[dict[str, Any], ...] = (
    {"ContrastBolusRoute": "IV"},
    {"ContrastBolusAgent": "UNKNOWN"},
    {"ContrastBolusAgent": "NONE", "ContrastBolusStartTime": "101112", "ContrastFlowRate": "4"},
    {"ContrastBolusAgent": "Iohexol", "ContrastBolusRoute": "ORAL", "ContrastBolusVolume": "900"},
    {"ContrastBolusAgent": "BARIUM"},
    {"ContrastBolusIngredient": "BARIUM"},
    {
        "ContrastBolusAgentSequence": [
            code_item("Diatrizoate", ContrastBolusAdministrationRouteSequence=[code_item("Oral")])
        ]
    },
    {"StudyDescription": "PET/CT with contrast"},
    {"RequestedProcedureDescription": "CT chest w contrast"},
    {"PerformedProcedureStepDescription": "Thorax mit KM"},
    {"RequestedContrastAgent": "IV"},
    {"AcquisitionProtocolDescription": "Thorax_C+"},
    {"RequestAttributesSequence": [profile(ScheduledProcedureStepDescription="CT thorax avec injection")]},
    {"RequestAttributesSequence": [profile(RequestedProcedureDescription="PET/CT with IV contrast")]},
    {"RequestAttributesSequence": [profile(RequestedProcedureCodeSequence=[code_item("CT chest with contrast")])]},
    {"ProcedureCodeSequence": [code_item("CT of chest with contrast")]},
    {"PerformedProtocolCodeSequence": [code_item("CECT thorax")]},
    {"SeriesDescription": "CTAC C+"},
    {"ProtocolName": "WB_PortalVenous"},
)


@pytest.mark.parametrize("attributes", OPEN, ids=lambda given: "-".join(given))
def test_contrast_that_may_not_be_in_the_blood_is_noted(tmp_path: Path, attributes: dict[str, Any]) -> None:
    choice = choose_series(study_of(write(tmp_path, ct_series(**attributes))))
    assert codes(choice) == [Code.CONTRAST_MENTIONED]


@pytest.mark.parametrize(
    "series", [{"SeriesDescription": "CTAC C-"}, {"ProtocolName": "AC_CT native"}, {"ContrastBolusAgent": "NONE"}]
)
def test_what_the_series_says_outweighs_the_study(tmp_path: Path, series: dict[str, Any]) -> None:
    """A native CTAC in an examination with contrast medium."""
    folder = write(tmp_path, ct_series(StudyDescription="PET/CT with contrast", **series))
    assert codes(choose_series(study_of(folder))) == []


@pytest.mark.parametrize(
    "requested", [{"RequestedContrastAgent": "NONE"}, {"RequestedProcedureDescription": "CT chest wo contrast"}]
)
def test_a_request_without_contrast_is_no_reason(tmp_path: Path, requested: dict[str, Any]) -> None:
    assert codes(choose_series(study_of(write(tmp_path, ct_series(**requested))))) == []


def test_messages_do_not_quote_the_request(tmp_path: Path) -> None:
    """It is free text, which may name the patient."""
    series = ct_series(RequestedProcedureDescription="Mr Smith, CT with contrast")
    (note,) = choose_series(study_of(write(tmp_path, series))).notes
    assert "Smith" not in note.message


def test_a_series_described_with_contrast_comes_after_one_that_is_not(tmp_path: Path) -> None:
    write(tmp_path / "a", ct_series(name="contrast", SeriesDescription="CTAC C+", SeriesNumber=1))
    write(tmp_path / "b", ct_series(SeriesDescription="CTAC", SeriesNumber=9))
    choice = choose_series(study_of(tmp_path))
    assert (choice.series.uid, codes(choice)) == (uid("series", "ctac"), [])


def test_contrast_is_allowed_on_request_with_a_warning(tmp_path: Path) -> None:
    choice = choose_series(study_of(write(tmp_path, ct_series(ContrastBolusAgent="IOMERON"))), allow_contrast=True)
    assert codes(choice) == [Code.CONTRAST_GIVEN]
    assert "IOMERON" in choice.notes[0].message


def test_a_ct_without_contrast_is_taken_also_where_contrast_is_allowed(tmp_path: Path) -> None:
    write(tmp_path / "a", ct_series(name="contrast", ContrastBolusAgent="IOMERON", SeriesNumber=1))
    write(tmp_path / "b", ct_series(SeriesDescription="Thorax", SeriesNumber=9))
    assert choose_series(study_of(tmp_path), allow_contrast=True).series.uid == uid("series", "ctac")


def enhanced(*administered: str | None) -> Dataset:
    """Return an Enhanced CT with one agent; of each frame, whether it had been administered."""
    image = enhanced_ct(ct_series())
    doses = [profile(ContrastBolusVolume="80")]
    image.ContrastBolusAgentSequence = [code_item("Iohexol", ContrastAdministrationProfileSequence=doses)]
    for index, frame in enumerate(image.PerFrameFunctionalGroupsSequence):
        if given := administered[index % len(administered)]:
            frame.ContrastBolusUsageSequence = [
                profile(ContrastBolusAgentNumber=1, ContrastBolusAgentAdministered=given)
            ]
    return image


@pytest.mark.parametrize("administered", [(None,), ("YES",), ("NO", "YES")])
def test_an_agent_of_enhanced_ct_is_refused(tmp_path: Path, administered: tuple[str | None, ...]) -> None:
    assert refusal_of(write(tmp_path, [enhanced(*administered)])) is Code.CONTRAST_GIVEN


def test_an_agent_of_enhanced_ct_that_was_not_yet_given_is_no_reason(tmp_path: Path) -> None:
    assert_truth(volume_of(write(tmp_path, [enhanced("NO")]))[0])


def test_usage_without_an_agent_is_refused(tmp_path: Path) -> None:
    image = enhanced("YES")
    del image.ContrastBolusAgentSequence
    assert refusal_of(write(tmp_path, [image])) is Code.CONTRAST_GIVEN
