"""From DICOM to a signed reading and out again: SEG, SR, NIfTI, the tables, and the programs that read them."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread
from typer.testing import CliRunner

from ctacal.cli.app import app
from ctacal.jobs.reading_cases import Accepted
from ctacal.jobs.reading_folder import ReadingFolder
from ctacal.jobs.reading_index import Query
from ctacal.jobs.reading_room import ReadingRoom
from ctacal.jobs.reading_rooms import RoomJob, open_room
from ctacal.nn.annotated import read_table
from ctacal.scores import SCCT_2016
from tests import places
from tests.reading_scene import Page

pytestmark = pytest.mark.slow
SAMPLES = [places.SAMPLE / "simulated_ctac.zip", places.SAMPLE / "thorax_phantom.zip"]


def command(*words: object) -> str:
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    return done.output


def sign(where: ReadingRoom, reader: str, *, labels: tuple[int, ...], all_marked: bool = True) -> list[Page]:
    """Read and sign everything in a reader's list: the first candidates get these labels, in turn."""
    pages = []
    for item in where.worklist(reader, Query())["items"]:
        page = Page(where, item["id"], reader)
        for number, label in zip(range(len(page.candidates)), labels, strict=False):
            page.click(number, label)
        page.send("sign", all_marked=all_marked)
        pages.append(page)
    return pages


@pytest.fixture(scope="module")
def annotated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, list[Page]]:
    """Two samples, annotated from scratch by two readers, and exported."""
    folder = tmp_path_factory.mktemp("annotated")
    job = RoomJob(
        kind="annotate", paths=tuple(SAMPLES), readings=folder / "readings", accepted=Accepted(rule=SCCT_2016),
        readers=("anna", "ben"),
    )  # fmt: skip
    where = open_room(job)
    pages = sign(where, "anna", labels=(2, 4, 1))
    sign(where, "ben", labels=(2, 3), all_marked=False)
    where.close()
    command("readings", "export", folder / "readings", "-o", folder / "out", "--organisation", "A hospital")
    return folder / "readings", folder / "out", pages


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_page_the_server_and_the_command_agree_to_the_last_digit(
    annotated: tuple[Path, Path, list[Page]], tmp_path: Path
) -> None:
    """``ctacal score --labels`` of the exported SEG and NIfTI gives the score that the reader saw."""
    _, out, pages = annotated
    for page in pages:
        case = page.name.split(".")[0]
        for number, name in enumerate(("seg.dcm", "labels.nii.gz")):
            labels = out / case / "anna.annotate" / name
            study = next(sample for sample in SAMPLES if _holds(sample, labels.with_name("reading.json")))
            scored = tmp_path / f"{case}{number}"
            command("score", study, "-o", scored, "--labels", labels, "--write", "json")
            result = json.loads(next(scored.rglob("result.json")).read_text())
            assert result["agatston"] == page.state["score"]["agatston"]
            assert result["volume_mm3"] == page.state["score"]["volume_mm3"]
            assert result["category"] == page.state["score"]["category"]


def _holds(sample: Path, reading: Path) -> bool:
    from ctacal.dicom.series import read_studies

    return bool(read_studies([sample]).studies[0].uid == json.loads(reading.read_text())["study_uid"])


def test_what_was_drawn_from_scratch_is_manual_and_the_signed_report_verified(
    annotated: tuple[Path, Path, list[Page]],
) -> None:
    _, out, pages = annotated
    folder = out / pages[0].name.split(".")[0] / "anna.annotate"
    segmentation, report = dcmread(folder / "seg.dcm"), dcmread(folder / "sr.dcm")
    assert {segment.SegmentAlgorithmType for segment in segmentation.SegmentSequence} == {"MANUAL"}
    assert segmentation.ContentCreatorName == "anna"
    assert segmentation.SoftwareVersions.startswith("ctacal")
    assert (report.VerificationFlag, report.CompletionFlag, report.PreliminaryFlag) == ("VERIFIED", "COMPLETE", "FINAL")
    observer = report.VerifyingObserverSequence[0]
    assert (observer.VerifyingObserverName, observer.VerifyingOrganization) == ("anna", "A hospital")
    signed = json.loads((folder / "reading.json").read_text())["signed"]
    assert str(observer.VerificationDateTime)[:14] == signed[:19].translate({ord(c): None for c in "-:T"})
    assert "anna" in {str(item.get("PersonName", "")) for item in _all_items(report)}


def _all_items(item: Dataset) -> list[Dataset]:
    return [item, *(part for child in item.get("ContentSequence", ()) for part in _all_items(child))]


def test_tables_for_agree_and_for_training(annotated: tuple[Path, Path, list[Page]], tmp_path: Path) -> None:
    _, out, pages = annotated
    readings, studies = rows(out / "readings.csv"), rows(out / "studies.csv")
    assert list(readings[0])[:4] == ["study_uid", "case", "reader_anna", "reader_anna_lm"]
    totals = {page.name.split(".")[0]: page.state["score"]["agatston"]["total"] for page in pages}
    assert {row["case"]: float(row["reader_anna"]) for row in readings} == totals
    assert {"reader_ben", "reader_ben_rca", "reader_ben_coronary"} <= set(readings[0])
    command("agree", out / "readings.csv", "-o", tmp_path / "agree")
    assert {row["all_marked"] for row in studies} == {"no"}  # ben signed last, and left other calcium unmarked
    assert {row["split"] for row in studies} == {"training", "validation"}
    table = read_table(out / "studies.csv")
    assert all(row.study.is_file() and row.labels.is_file() and row.series for row in table)


def test_a_review_is_semiautomatic_and_preliminary_until_it_is_signed(tmp_path: Path) -> None:
    run = tmp_path / "run"
    command("score", *SAMPLES, "-o", run, "--predictor", "threshold", "--write", "json,seg")
    job = RoomJob(
        kind="review",
        paths=(),
        out=run,
        readings=run / "readings",
        accepted=Accepted(rule=SCCT_2016),
        readers=("anna",),
    )
    where = open_room(job)
    first, second = (item["id"] for item in where.worklist("anna", Query())["items"])
    page = Page(where, first)
    result = json.loads(next(run.rglob("result.json")).read_text())
    known = {item["id"]: item["model"] for item in where.worklist("anna", Query())["items"]}
    assert known[first] is not None
    assert page.case["mode"] == "aided"
    assert page.state["score"]["agatston"]["total"] == known[first]["agatston"]  # untouched: the model's own score
    assert result["rule"]["name"] == page.case["rule"]["name"]
    page.send("sign", all_marked=True)
    Page(where, second)
    where.close()
    command("readings", "export", run / "readings", "-o", tmp_path / "out", "--unsigned")
    signed, open_ = (tmp_path / "out" / name.split(".")[0] / "anna.review" for name in (first, second))
    assert dcmread(signed / "seg.dcm").SegmentSequence[0].SegmentAlgorithmType == "SEMIAUTOMATIC"
    assert dcmread(signed / "sr.dcm").VerificationFlag == "VERIFIED"
    assert dcmread(open_ / "sr.dcm").VerificationFlag == "UNVERIFIED"
    assert "model" in rows(tmp_path / "out" / "readings.csv")[0]
    text = command("readings", "report", run / "readings")
    assert "anna, review: 1 signed, 1 begun" in text
    assert "nothing was altered" in command("readings", "verify", run / "readings")


def test_a_scan_that_changed_since_it_was_read_is_not_exported(tmp_path: Path) -> None:
    job = RoomJob(
        kind="annotate", paths=(SAMPLES[0],), readings=tmp_path / "readings", accepted=Accepted(rule=SCCT_2016),
        readers=("anna",),
    )  # fmt: skip
    where = open_room(job)
    sign(where, "anna", labels=(2,))
    case = where.index.case(where.index.case_ids()[0][0])
    assert case is not None
    where.index.put_cases([_with_threshold(case)])
    where.close()
    done = CliRunner().invoke(app, ["readings", "export", str(tmp_path / "readings"), "-o", str(tmp_path / "out")])
    assert done.exit_code == 1
    assert "read it again" in done.output


def _with_threshold(case: Any) -> Any:
    from dataclasses import replace

    return replace(case, rule=replace(case.rule, threshold_hu=300.0))


def test_commands_on_a_folder_without_readings(tmp_path: Path) -> None:
    for words in (["verify", str(tmp_path)], ["report", str(tmp_path)], ["export", str(tmp_path), "-o", "x"]):
        done = CliRunner().invoke(app, ["readings", *words])
        assert done.exception is not None
        assert "holds no readings" in str(done.exception)
    ReadingFolder(tmp_path).prepare()
    done = CliRunner().invoke(app, ["readings", "report", str(tmp_path)])
    assert "makes it again" in str(done.exception)
