"""The files of a comparison: page, PDF and SR say the same, name the patient only on request, and refer to both."""

import subprocess
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import Comprehensive3DSRStorage

from ctacal.compare.comparison import Terms, Verdict, compare_scans
from ctacal.compare.reasons import Doubt
from ctacal.compare.registration import RigidTransform
from ctacal.errors import Code, Reason, UsageError
from ctacal.report import comparison_words as words
from ctacal.report.comparison_html import comparison_html
from ctacal.report.comparison_outputs import DEFAULT_KINDS, KINDS, known_kinds, write_comparison
from ctacal.report.comparison_pdf import comparison_pdf
from ctacal.report.comparison_pictures import ComparisonPictures
from ctacal.subject import Subject
from tests.report.comparisons import IDENTITY, LIMITS, compared, two_scans
from tests.report.pdf_text import text_of
from tests.tools import dciodvfy_errors, dsr2html, need, pixelmed_errors


def pictures_of(folder: Path, transform: RigidTransform | None = None) -> ComparisonPictures:
    return ComparisonPictures(*two_scans(folder), transform)


def test_page_and_pdf_say_the_verdict_the_numbers_and_the_reasons(tmp_path: Path) -> None:
    comparison, (a, b) = compared(tmp_path)
    assert comparison.verdict is not Verdict.NOT_COMPARABLE
    pictures = ComparisonPictures(a.result, b.result, None)
    page = comparison_html(comparison, Subject(), pictures)
    pdf = " ".join(text_of(comparison_pdf(comparison, Subject(), pictures), "-layout").split())
    change = comparison.changes["agatston"].total
    for text in (page, pdf):
        assert comparison.verdict in text
        assert "2.0 years" in text
        assert words.signed(change.absolute) in text
        assert "2020-03-01" in text
        assert "2022-03-01" in text
        assert "Sevrukov" in text
        assert "Research use only" in text
        assert "40 pairs give limits that are" in text
        for reason in comparison.reasons:
            assert words.REASON_TITLES[reason.code] in text


def test_every_doubt_and_lesion_has_its_words() -> None:
    assert set(words.REASON_TITLES) == set(Doubt)
    assert set(words.VERDICT_WORDS) == set(Verdict)


def test_nothing_claims_progression_without_limits(tmp_path: Path) -> None:
    comparison, (a, b) = compared(tmp_path, terms=Terms())
    assert comparison.verdict is Verdict.NOT_COMPARABLE
    page = comparison_html(comparison, Subject(), ComparisonPictures(a.result, b.result, None))
    assert "Nothing can be said of a change" in page
    assert "for orientation only" in page
    assert "progress" not in page.replace("studies of progression", "").replace("progressed", "").lower()


def test_the_same_comparison_gives_the_same_bytes(tmp_path: Path) -> None:
    comparison, shared = compared(tmp_path)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        assert not write_comparison(comparison, shared, tmp_path / name)
    for file in ("comparison.json", "comparison.html", "comparison.pdf", "comparison_sr.dcm"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_the_patient_is_named_only_on_request(tmp_path: Path) -> None:
    for phi in (False, True):
        comparison, shared = compared(tmp_path / str(phi), phi=phi)
        folder = tmp_path / f"out {phi}"
        folder.mkdir()
        write_comparison(comparison, shared, folder, ("html", "pdf", "json", "results"))
        page = (folder / "comparison.html").read_text()
        assert ("Doe, Jane" in page) is phi
        assert ("Doe, Jane" in text_of((folder / "comparison.pdf").read_bytes())) is phi
        assert (IDENTITY["PatientID"] in (folder / "before.json").read_text()) is phi


def test_the_sr_is_filed_with_the_later_study_and_refers_to_both(tmp_path: Path) -> None:
    comparison, shared = compared(tmp_path)
    write_comparison(comparison, shared, tmp_path, ("sr",))
    file = tmp_path / "comparison_sr.dcm"
    assert not dciodvfy_errors(file)
    report = dcmread(file)
    assert report.SOPClassUID == Comprehensive3DSRStorage
    assert report.StudyInstanceUID == comparison.b.study_uid
    (current,), (other,) = report.CurrentRequestedProcedureEvidenceSequence, report.PertinentOtherEvidenceSequence
    assert current.StudyInstanceUID == comparison.b.study_uid
    assert other.StudyInstanceUID == comparison.a.study_uid
    assert other.ReferencedSeriesSequence[0].SeriesInstanceUID == comparison.a.series_uid
    text = dsr2html(file)
    assert "earlier scan 2020-03-01" in text
    assert "Beyond the limits of repeatability" in text or "Within the limits of repeatability" in text
    assert f"{comparison.changes['agatston'].total.absolute:.2f}" in text


@pytest.mark.ci
def test_pixelmed_finds_the_template_kept(tmp_path: Path) -> None:
    comparison, shared = compared(tmp_path)
    write_comparison(comparison, shared, tmp_path, ("sr",))
    assert not pixelmed_errors(tmp_path / "comparison_sr.dcm")


def test_highdicom_reads_the_groups_of_the_sr(tmp_path: Path) -> None:
    from highdicom.sr import srread

    comparison, shared = compared(tmp_path)
    write_comparison(comparison, shared, tmp_path, ("sr",))
    content: Any = srread(tmp_path / "comparison_sr.dcm").content
    groups = content.get_image_measurement_groups()
    change = next(group for group in groups if group.tracking_identifier == "CHANGE")
    values = [float(one.value) for one in change.get_measurements()]
    assert comparison.changes["agatston"].total.absolute == pytest.approx(values[0], rel=1e-6)
    assert sum(group.tracking_identifier == "TOTAL" for group in groups) == 2


def test_a_refused_scan_has_a_page_with_the_reason_and_no_sr(tmp_path: Path) -> None:
    comparison, shared = compared(tmp_path)
    refused = replace(comparison.b, amounts={}, category="", refused=Reason(Code.HEART_NOT_FOUND, "no heart"))
    comparison = compare_scans(comparison.a, refused, Terms(limits=LIMITS))
    page = comparison_html(comparison, Subject(), None)
    assert "the later scan was not scored" in page.lower()
    assert "no heart" in text_of(comparison_pdf(comparison, Subject(), None))
    assert shared[0].result.status != "refused"


def test_a_kind_that_fails_costs_no_other(tmp_path: Path) -> None:
    comparison, (a, _) = compared(tmp_path)
    problems = write_comparison(comparison, (a, a), tmp_path)  # the same images twice: no SR can tell them apart
    assert [str(problem) for problem in problems] == [
        "OUTPUT_NOT_WRITTEN: no sr: both scans hold the same images, so an SR cannot tell them apart"
    ]
    assert (tmp_path / "comparison.json").is_file()
    assert not (tmp_path / "comparison_sr.dcm").exists()


def test_kinds_are_known() -> None:
    assert known_kinds("json, pdf") == ("json", "pdf")
    assert set(DEFAULT_KINDS) == set(KINDS)
    with pytest.raises(UsageError, match="--write doc: known are"):
        known_kinds("doc")


def test_the_slices_shown_together_lie_at_the_same_place(tmp_path: Path) -> None:
    up_3_mm = RigidTransform(np.eye(3), np.array([0.0, 0.0, 3.0]), np.zeros(3), 1.0)
    there = pictures_of(tmp_path / "moved", up_3_mm).heights
    here = pictures_of(tmp_path / "same", RigidTransform(np.eye(3), np.zeros(3), np.zeros(3), 1.0)).heights
    assert [pair.before.caption for pair in there] == [pair.before.caption for pair in here]
    assert there[5].after.caption == here[4].after.caption  # slices of 3 mm: one further towards the head
    assert here[4].before.caption == here[4].after.caption


def test_each_vessel_with_calcium_in_either_scan_is_shown(tmp_path: Path) -> None:
    names = [pair.caption for pair in pictures_of(tmp_path).key_slices]
    assert names == ["Left main", "Left anterior descending", "Left circumflex", "Right coronary",
                     "Coronary, vessel not specified"]  # fmt: skip


def test_the_interval_and_dates_of_a_day(tmp_path: Path) -> None:
    comparison, _ = compared(tmp_path)
    one_day = compare_scans(
        replace(comparison.a, time="101500"), replace(comparison.b, day=date(2020, 3, 1), time="140000"), Terms()
    )
    assert dict(words.facts(one_day, Subject())) == {
        "Earlier scan": "2020-03-01 10:15", "Later scan": "2020-03-01 14:00", "Between them": "same day"
    }  # fmt: skip
    assert "No annual change" in words.change_note(one_day)


def test_a_pair_in_one_picture_shows_the_earlier_scan_on_the_left(tmp_path: Path) -> None:
    pair = pictures_of(tmp_path).key_slices[0]
    both = np.asarray(pair.beside.image)
    assert np.array_equal(both[:, : pair.before.image.width], np.asarray(pair.before.image))
    assert np.array_equal(both[:, -pair.after.image.width :], np.asarray(pair.after.image))


_TRIED = """
<script>
const slider = document.getElementById("height"), steps = [...document.querySelectorAll(".heights .sides")];
slider.value = 3; slider.dispatchEvent(new Event("input"));
steps[3].dispatchEvent(new WheelEvent("wheel", { deltaY: 5, cancelable: true }));
document.title = "shown: " + steps.flatMap((step, at) => step.hidden ? [] : [at]).join(" ");
</script>
</body>"""


@pytest.mark.slow
def test_slider_and_wheel_move_both_scans_together(tmp_path: Path) -> None:
    comparison, (a, b) = compared(tmp_path)
    page = comparison_html(comparison, Subject(), ComparisonPictures(a.result, b.result, None))
    file = tmp_path / "tried.html"
    file.write_text(page.replace("</body>", _TRIED))
    command = [need("chromium"), "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", file.as_uri()]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
    assert "<title>shown: 4</title>" in shown
