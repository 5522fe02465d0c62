"""The report of a study as HTML and PDF: it gives the content of result.json in words."""

import io
import re
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ctacal.errors import Code, Reason
from ctacal.labels import Calcium
from ctacal.prediction import Interval, Uncertainty
from ctacal.report import wording
from ctacal.report.html import report_html
from ctacal.report.outputs import WRITERS, shared_by, write_outputs
from ctacal.report.pdf import report_pdf
from ctacal.report.pictures import Pictures
from ctacal.report.vessels import VESSEL_COLOURS
from ctacal.result import ScoredStudy, StudyResult
from ctacal.scores import SCCT_2016
from ctacal.study import score_study
from ctacal.subject import Subject
from tests.dicom_series import Grid, ct_series, study_of, write
from tests.report.pdf_text import text_of
from tests.report.results import drawing, scored, scored_series
from tests.tools import need

CALIBRATED = Uncertainty(
    rule=SCCT_2016,
    category_probabilities=(0.01, 0.1234, 0.86, 0.0066),
    interval=Interval(80.0, 310.0, 0.9),
    gated_equivalent_agatston=222.0,
    excess_mass_mg={"LAD": 12.0, "RCA": 3.5},
)


def pages(result: StudyResult, *, phi: bool = False) -> dict[str, str]:
    """The text of both forms, with white space reduced to single blanks."""
    shared = shared_by(result, phi=phi)
    html = report_html(result, shared.subject, shared.pictures)
    pdf = text_of(report_pdf(result, shared.subject, shared.pictures), "-layout")
    plain = re.sub(r"<[^>]+>", " ", html.split("</style>")[1])
    return {"html": re.sub(r"\s+", " ", unescape(plain)), "pdf": re.sub(r"\s+", " ", pdf)}


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> ScoredStudy:
    made = scored(tmp_path_factory.mktemp("ct"), PatientSex="M", PatientAge="062Y", KVP="140", PatientName="Zyx^Wvu")
    return replace(made, uncertainty=CALIBRATED, rule=SCCT_2016)


def test_names_are_text_in_the_page_whatever_they_hold(tmp_path: Path) -> None:
    wicked = '<script>document.title = "taken over"</script>^<b>x</b>'
    made = scored(tmp_path, PatientName=wicked, AccessionNumber="<img src=x>", SeriesDescription="CTAC </td><h1>x")
    shared = shared_by(made, phi=True)
    page = report_html(made, shared.subject, shared.pictures)
    assert "&lt;script&gt;" in page and "&lt;img src=x&gt;" in page
    assert not [tag for tag in ("<script", "<img src=x", "<h1>x", "<b>x") if tag in page]


def test_the_pdf_says_that_it_lacks_letters(tmp_path: Path) -> None:
    made = scored(tmp_path, SpecificCharacterSet="ISO_IR 192", PatientName="כהן^דוד", AccessionNumber="123")
    shared = shared_by(made, phi=True)
    assert "כהן, דוד" in report_html(made, shared.subject, shared.pictures)
    paper = re.sub(r"\s+", " ", text_of(report_pdf(made, shared.subject, shared.pictures)))
    assert "???, ??? (? stands for letters that this PDF has no font for)" in paper
    assert "123 (" not in paper


@pytest.fixture(scope="module")
def texts(result: ScoredStudy) -> dict[str, str]:
    return pages(result)


@pytest.mark.parametrize("form", ["html", "pdf"])
def test_it_gives_the_score_and_everything_that_qualifies_it(
    result: ScoredStudy, texts: dict[str, str], form: str
) -> None:
    scores = result.scores
    page = texts[form]
    assert wording.number(scores.agatston.total) in page
    assert scores.cac_drs in page
    for line in wording.vessel_lines(result):
        assert line.agatston in page
        assert line.volume in page
    for words in ("man, 62 years", "2024-01-02", "Tube voltage is not 120 kVp", "86 %", "90% interval", "80 to 310"):
        assert words in page
    for words in ("not a medical device", "non-gated", "low-dose", "scct2016: Agatston 1990", "SHA-256", "McClelland"):
        assert words.lower() in page.lower()
    assert "gated CT" in page
    assert "Zyx" not in page


@pytest.mark.parametrize("form", ["html", "pdf"])
def test_with_phi_it_names_the_patient(result: ScoredStudy, form: str) -> None:
    assert "Zyx, Wvu" in pages(result, phi=True)[form]


def test_the_pdf_has_at_most_two_pages_and_embeds_its_fonts(result: ScoredStudy, tmp_path: Path) -> None:
    import subprocess

    reasons = tuple(Reason(code, "a sentence of a fair length, that says what a reader should know of this scan")
                    for code in list(Code)[-14:])  # fmt: skip
    many = replace(result, reasons=reasons)
    for name, study in (("usual", result), ("worst", many)):
        shared = shared_by(study, phi=True)
        (tmp_path / name).write_bytes(report_pdf(study, shared.subject, shared.pictures))
        info = subprocess.run([need("pdfinfo"), tmp_path / name], capture_output=True, text=True, check=True).stdout
        assert int(re.findall(r"Pages:\s+(\d+)", info)[0]) == 2
        fonts = subprocess.run([need("pdffonts"), tmp_path / name], capture_output=True, text=True, check=True).stdout
        lines = fonts.splitlines()[2:]
        assert len(lines) == 2
        assert all(line.split()[-5] == "yes" for line in lines), fonts


def test_the_page_needs_no_other_file(result: ScoredStudy) -> None:
    shared = shared_by(result)
    page = report_html(result, shared.subject, shared.pictures)
    addresses = re.findall(r'(?:src|href|url)\s*[=(]\s*"?([^")\s>]+)', page)
    assert addresses
    assert all(address.startswith("data:image/jpeg;base64,") for address in addresses)


def test_the_same_result_gives_the_same_bytes(result: ScoredStudy) -> None:
    forms = []
    for _ in range(2):
        shared = shared_by(result)
        forms.append((report_pdf(result, shared.subject, shared.pictures),
                      report_html(result, shared.subject, shared.pictures)))  # fmt: skip
    assert forms[0] == forms[1]


def test_headers_cannot_write_into_the_page(tmp_path: Path) -> None:
    wicked = scored(tmp_path, ManufacturerModelName='<script>alert("x")</script>', SeriesDescription="CTAC <b>&amp;")
    shared = shared_by(wicked, phi=True)
    page = report_html(wicked, shared.subject, shared.pictures)
    assert "<script" not in page
    assert "<b>&amp;amp;" not in page
    assert '<script>alert("x")</script>' in text_of(report_pdf(wicked, shared.subject, shared.pictures))


def test_a_refused_study_has_its_reasons_and_no_scan(tmp_path: Path) -> None:
    series = ct_series()
    del series[6]
    refused = score_study(study_of(write(tmp_path / "in", series)), drawing())
    assert write_outputs(refused, tmp_path / "out", WRITERS).status == "refused"
    names = {file.name for file in (tmp_path / "out").iterdir()}
    assert names == {"report.html", "report.pdf", "report_pdf.dcm", "montage.dcm", "result.json"}
    for page in pages(refused).values():
        assert "Not scored" in page
        assert "slices missing: 1" in page
        assert "Agatston" not in page


def test_without_calcium_it_shows_the_heart(tmp_path: Path) -> None:
    none = scored_series(ct_series(), tmp_path, drawing(()))
    page = pages(replace(none, rule=SCCT_2016))["html"]
    assert "The heart" in page
    assert "Location of the calcium" not in page
    assert "Score 0" in page


def test_zero_is_placed_by_how_many_share_it(tmp_path: Path) -> None:
    none = replace(scored_series(ct_series(), tmp_path, drawing(())), rule=SCCT_2016)
    assert "at least 75 % of women aged 45 to 54" in wording.percentile_lines(none, Subject(sex="F", age_years=50))[0]
    assert "fewer than 25 % of men aged 75" in wording.percentile_lines(none, Subject(sex="M", age_years=80))[0]
    assert wording.percentile_lines(none, Subject(sex="M", age_years=30)) == (
        "No percentile for age and sex: MESA covers ages 45 to 84; the patient is 30.",
    )


def test_percentile_and_probabilities_are_not_given_under_another_rule(tmp_path: Path) -> None:
    made = scored(tmp_path, PatientSex="M", PatientAge="062Y")  # by a rule of low thresholds
    result = replace(made, uncertainty=Uncertainty(rule=SCCT_2016, excess_mass_mg={"LAD": 12.0}))
    html, pdf = pages(result).values()
    assert "No percentile: the MESA reference is valid for the rules scct2016 and agatston1990, not for low." in html
    assert "calibrated under the rule scct2016 and are not given under low." in html
    for page in (html, pdf):
        assert "No percentile" in page and "percentile of men" not in page
        assert "Probability of each category" not in page


def test_calcium_without_a_vessel_adds_no_rows_of_zero(tmp_path: Path) -> None:
    coronary = scored_series(ct_series(), tmp_path, drawing((Calcium.CORONARY,)))
    assert [line.name for line in wording.vessel_lines(coronary)] == [
        "Coronary, vessel not specified", "Total", "Other calcium (not counted)",
    ]  # fmt: skip


def test_every_warning_has_a_title_of_its_own() -> None:
    warnings = list(Code)[list(Code).index(Code.NOT_MARKED_CTAC) :]
    assert not [code for code in warnings if code not in wording.FLAG_TITLES]


@pytest.mark.parametrize("label", [Calcium.LM, Calcium.RCA])
def test_the_key_slice_shows_the_vessel_in_its_colour_at_the_middle(tmp_path: Path, label: Calcium) -> None:
    scored_vessel = scored_series(ct_series(Grid(rows=96, columns=96)), tmp_path, drawing((label,)))
    (picture,) = Pictures(scored_vessel).key_slices
    pixels = np.asarray(picture.image)
    coloured = np.argwhere((pixels == VESSEL_COLOURS[label]).all(axis=2))
    middle = np.array(pixels.shape[:2]) / 2
    assert np.abs(coloured - middle).max(axis=1).min() < 25
    others = [other for other in Calcium if other is not label]
    assert not [other for other in others if (pixels == VESSEL_COLOURS[other]).all(axis=2).sum() > 4]


def test_locators_have_head_up_and_the_patients_right_on_the_left(tmp_path: Path) -> None:
    """A bright voxel up, front and left in the patient must be up in both, right in one, left in the other."""

    def predict(volume: Any, rule: Any) -> Any:
        prediction = drawing(())(volume, rule)
        labels = prediction.labels.labels
        slices, rows, columns = labels.shape
        labels[slices - 3, rows // 2 - 9, columns // 2 + 8] = Calcium.LAD
        volume.hu[slices - 3, rows // 2 - 9, columns // 2 + 8] = 900
        labels[3, rows // 2, columns // 2] = Calcium.RCA
        volume.hu[3, rows // 2, columns // 2] = 900
        return prediction

    result = scored_series(ct_series(), tmp_path, predict)
    coronal, sagittal = (np.asarray(picture.image) for picture in Pictures(result).locators)
    places = {}
    for name, pixels in (("coronal", coronal), ("sagittal", sagittal)):
        for label in (Calcium.LAD, Calcium.RCA):
            found = np.argwhere((pixels == VESSEL_COLOURS[label]).all(axis=2))
            assert len(found)
            places[name, label] = found.mean(axis=0)
    assert places["coronal", Calcium.LAD][0] < places["coronal", Calcium.RCA][0], "the head is up"
    assert places["coronal", Calcium.LAD][1] > places["coronal", Calcium.RCA][1], "left is on the right"
    assert places["sagittal", Calcium.LAD][1] < places["sagittal", Calcium.RCA][1], "the front is on the left"


def test_a_picture_is_a_jpeg_of_its_size(result: ScoredStudy) -> None:
    picture = Pictures(result).key_slices[0]
    with Image.open(io.BytesIO(picture.jpeg)) as read:
        assert (read.format, read.size) == ("JPEG", picture.image.size)
