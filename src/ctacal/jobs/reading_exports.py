"""``export_readings``: what readers signed as files that other programs read.

::

    OUT/
      readings.csv      a row for each study, for ctacal agree: reader_ID, reader_ID_lm ..., reader_ID_second, model
      labels.csv        the label map of each of them, for ctacal agree --labels
      studies.csv       a row for each study, for ctacal samples site and ctacal finetune
      adjudicated.csv   a row for each reading that settles a disagreement
      CASE/READER.SESSION/  seg.dcm, sr.dcm, labels.nii.gz, reading.json
"""

import csv
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from pydicom import Dataset

from ctacal.atomic import whole_file, write_text
from ctacal.dicom.header import quiet_pydicom
from ctacal.dicom.objects.origin import cleaned, read_patient_and_study
from ctacal.dicom.objects.seg_writer import save
from ctacal.errors import CtacalError, NotPossible, Problem
from ctacal.jobs.reader_study import ADJUDICATION, moment, stage_of
from ctacal.jobs.reading_cases import Case, answer_with, scored_case
from ctacal.jobs.reading_folder import ReadingFolder, ReadingKey
from ctacal.jobs.reading_index import ReadingIndex, Summary
from ctacal.labels import NAMED_VESSELS, Calcium
from ctacal.prediction import ModelInfo
from ctacal.progress import Progress, no_progress
from ctacal.readings.reading import Reading
from ctacal.readings.scored import tally_json
from ctacal.report.filing import Filing
from ctacal.report.readers import ReaderOf
from ctacal.result import ScoredStudy
from ctacal.spreadsheets import as_text

WRITERS = ("seg", "sr", "nifti")
"""Kinds of files for each reading."""

READINGS, LABELS, STUDIES, ADJUDICATED = "readings.csv", "labels.csv", "studies.csv", "adjudicated.csv"

VALIDATION_EVERY = 5
"""Every so many patients, one goes to the validation split (own choice: a fifth)."""

VESSELS = (*NAMED_VESSELS, Calcium.CORONARY)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportJob:
    """What is exported, and where to."""

    folder: ReadingFolder
    index: ReadingIndex
    out: Path
    writers: tuple[str, ...] = WRITERS
    unsigned: bool = False
    """Whether readings that nobody has signed are exported too, as preliminary ones."""
    organisation: str = "not stated"
    """The readers' organisation, as the SR names it."""


@dataclass(frozen=True, slots=True)
class Exported:
    """The outcome of an export."""

    readings: int
    problems: tuple[str, ...]
    """Readings that could not be exported, or whose score differs from the one that was signed."""


def export_readings(job: ExportJob, *, progress: Progress = no_progress) -> Exported:
    """Write the files of all signed readings and the tables. Raises ``OSError`` if the disk fails."""
    wanted = [one for one in job.index.readings() if one.state == "signed" or job.unsigned]
    problems: list[str] = []
    patients: dict[str, str] = {}
    for done, summary in enumerate(wanted, 1):
        try:
            patients[summary.case_id] = _export(job, summary)
        except CtacalError as problem:
            problems.append(f"{summary.case_id} by {summary.reader}, {summary.session}: {problem}")
        progress(done, len(wanted))
    exported = [one for one in wanted if one.case_id in patients]
    read = [one for one in exported if one.verdict != "unreadable"]
    _write_table(job.out / READINGS, readings_rows(job.index, read))
    _write_table(job.out / LABELS, labels_rows(job.index, read, _label_file(job.writers)))
    _write_table(job.out / STUDIES, _studies_rows(job, read, patients))
    _write_table(job.out / ADJUDICATED, _adjudicated_rows(job.index, read))
    return Exported(len(exported), tuple(problems))


def reading_files(summary: Summary) -> str:
    """Return the folder of a reading's files, relative to that of the export."""
    return f"{summary.case_id}/{summary.reader}.{summary.session.replace('~', '-')}"


def _export(job: ExportJob, summary: Summary) -> str:
    """Write the files of one reading; return a digest of its patient. Raises ``CtacalError``."""
    case = job.index.case(summary.case_id)
    if case is None:
        raise NotPossible(Problem.NOT_FOUND, "its scan is not in the list; start ctacal review or annotate again")
    reading = job.folder.reading(ReadingKey(summary.case_id, summary.reader, summary.session))
    program = str(reading.opening["program"])
    model = ModelInfo(f"reader {summary.reader}", program.removeprefix("ctacal "), reading.head)
    scored = scored_case(case, answer_with(reading.marks, model), whole_study=True)
    _require_same_score(reading, scored)
    folder = job.out / reading_files(summary)
    folder.mkdir(parents=True, exist_ok=True)
    about = cleaned(read_patient_and_study(scored.chosen.series.slices[0]))
    with quiet_pydicom():
        _write_files(job, folder, reading, scored, about, summary)
    write_text(folder / "reading.json", json.dumps(_reading_json(summary, reading, scored), indent=2) + "\n")
    return hashlib.sha256(f"{about.PatientID or summary.case_id}".encode()).hexdigest()


def _require_same_score(reading: Reading, scored: ScoredStudy) -> None:
    """Raise ``NotPossible`` if the study's score with these marks is not the one that the reading holds."""
    signed, found = reading.score["agatston"], tally_json(scored.scores.agatston)
    if signed != found:
        message = (
            f"the reading holds an Agatston score of {signed['total']}, its marks score {found['total']}; "
            "the scan or the program changed since it was read: read it again"
        )
        raise NotPossible(Problem.DAMAGED, message)


def _write_files(
    job: ExportJob, folder: Path, reading: Reading, scored: ScoredStudy, about: Dataset, summary: Summary
) -> None:
    from ctacal.report.seg import result_segmentation
    from ctacal.report.sr import measurement_report

    signature = reading.signature
    reader = ReaderOf(
        name=summary.reader,
        from_model=reading.opening["model_shown"] is not None,
        signed=moment(signature.when) if signature else None,
        organisation=job.organisation,
    )
    filing = Filing.of(scored, about)
    if "seg" in job.writers or "sr" in job.writers:
        segmentation = result_segmentation(filing, reader=reader)
        if "seg" in job.writers:
            save(segmentation, folder / "seg.dcm")
        if "sr" in job.writers:
            save(measurement_report(filing, segmentation, reader), folder / "sr.dcm")
    if "nifti" in job.writers:
        with whole_file(folder / "labels.nii.gz") as temporary:
            scored.scan.labels.save_nifti(temporary)


def _reading_json(summary: Summary, reading: Reading, scored: ScoredStudy) -> dict[str, Any]:
    """Return who read what, and the score."""
    signature = reading.signature
    return {
        "case": summary.case_id,
        "study_uid": scored.study_uid,
        "series_uid": scored.chosen.series.uid,
        "reader": summary.reader,
        "session": summary.session,
        "mode": reading.opening["mode"],
        "version": reading.version,
        "signed": signature.when if signature else None,
        "verdict": signature.verdict if signature else None,
        "all_marked": signature.all_marked if signature else None,
        "comment": signature.comment if signature else None,
        "active_s": reading.active_s,
        "edits": reading.edits,
        "score": dict(reading.score),
        "rule": reading.opening["rule"],
        "program": reading.opening["program"],
        "model_shown": reading.opening["model_shown"],
        "digest": reading.head,
    }


def readings_rows(index: ReadingIndex, read: Sequence[Summary]) -> list[dict[str, Any]]:
    """Return a row for each study: the scores of each reader and of the model, as ``ctacal agree`` takes them.

    The second reading of a reader in the same mode is ``reader_ID_second``; one in another mode is a reader of its own,
    ``reader_ID-aided``.
    """
    rows = _rows(index, read, lambda one, column: _scores(column, one.agatston, one.per_vessel))
    for row in rows:
        case = index.case(row["case"])
        if case and case.model:
            row |= _scores("model", case.model.agatston, case.model.per_vessel)
    return rows


def labels_rows(index: ReadingIndex, read: Sequence[Summary], file: str) -> list[dict[str, Any]]:
    """Return a row for each study: the label map of each reader, in the columns of ``readings_rows``; none without a
    ``file``, the name of a label map in a reading's folder."""
    return _rows(index, read, lambda one, column: {column: f"{reading_files(one)}/{file}"}) if file else []


def _rows(
    index: ReadingIndex, read: Sequence[Summary], cells: Callable[[Summary, str], dict[str, Any]]
) -> list[dict[str, Any]]:
    """Return a row for each study, with the cells of each reading that is no adjudicator's, by its column."""
    uids = {name: uid for name, uid, _ in index.case_ids()}
    own = [one for one in read if not one.session.startswith(ADJUDICATION)]
    rows: dict[str, dict[str, Any]] = {}
    for summary, column in _columns(own):
        row = rows.setdefault(summary.case_id, {"study_uid": uids.get(summary.case_id, ""), "case": summary.case_id})
        row |= cells(summary, column)
    return [rows[name] for name in uids if name in rows]


def _label_file(writers: Sequence[str]) -> str:
    """Return the label map to name in tables, of those that are written; empty if none is."""
    return next((name for kind, name in (("seg", "seg.dcm"), ("nifti", "labels.nii.gz")) if kind in writers), "")


def _columns(readings: Sequence[Summary]) -> Iterator[tuple[Summary, str]]:
    """Yield each reading with its column: sessions in the order in which the reader began them."""
    begun: dict[str, dict[str, str]] = {}
    for summary in sorted(readings, key=lambda one: one.began):
        begun.setdefault(summary.reader, {}).setdefault(summary.session, summary.mode)
    names = {reader: _session_columns(reader, sessions) for reader, sessions in begun.items()}
    for summary in readings:
        yield summary, names[summary.reader][summary.session]


def _session_columns(reader: str, sessions: Mapping[str, str]) -> dict[str, str]:
    """Return the column of each session of a reader, from the mode of each in the order in which they began."""
    first = next(iter(sessions.values()))
    seen: dict[str, int] = {}
    columns = {}
    for session, mode in sessions.items():
        name = f"reader_{reader}" if mode == first else f"reader_{reader}-{mode}"
        seen[mode] = seen.get(mode, 0) + 1
        columns[session] = name + ("", "_second", *(f"_{n}" for n in range(3, len(sessions) + 1)))[seen[mode] - 1]
    return columns


def _scores(column: str, total: float | None, per_vessel: Mapping[str, float]) -> dict[str, Any]:
    return {column: total} | {f"{column}_{label.name.lower()}": per_vessel.get(label.name, 0.0) for label in VESSELS}


def _studies_rows(job: ExportJob, read: Sequence[Summary], patients: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return a row for each study: its images, the labels of its last word, and whether all calcium was marked."""
    splits = _splits(patients)
    rows, labels = [], _label_file(job.writers)
    for case_id, summary in _last_words(read).items():
        case = job.index.case(case_id)
        if case is None or not labels:
            continue
        reading = job.folder.reading(ReadingKey(case_id, summary.reader, summary.session))
        marked = bool(reading.signature and reading.signature.all_marked)
        rows.append(
            {
                "study": _place(case),
                "series": case.series_uid,
                "labels": f"{reading_files(summary)}/{labels}",
                "split": splits[patients[case_id]],
                "all_marked": "yes" if marked else "no",
                "reader": summary.reader,
            }
        )
    return rows


def _last_words(read: Iterable[Summary]) -> dict[str, Summary]:
    """Return the reading that counts for each case: an adjudicator's, else the one that was signed last."""
    ordered = sorted(read, key=lambda one: (one.case_id, one.session.startswith(ADJUDICATION), one.ended))
    return {one.case_id: one for one in ordered}


def _splits(patients: Mapping[str, str]) -> dict[str, str]:
    """Return the split of each patient: every fifth, in the order of their digests, validates; of two or more one."""
    people = sorted(set(patients.values()))
    chosen = set(people[VALIDATION_EVERY - 1 :: VALIDATION_EVERY]) or set(people[1:][-1:])
    return {person: "validation" if person in chosen else "training" for person in people}


def _place(case: Case) -> str:
    """Return the folder, archive or file that holds the images of a study."""
    if len(case.study_files) == 1:
        return case.study_files[0]
    parents = [Path(file).parent for file in case.study_files]
    common = parents[0]
    while any(common != parent and common not in parent.parents for parent in parents):
        common = common.parent
    return str(common)


def _adjudicated_rows(index: ReadingIndex, read: Sequence[Summary]) -> list[dict[str, Any]]:
    uids = {name: uid for name, uid, _ in index.case_ids()}
    return [
        {
            "study_uid": uids.get(one.case_id, ""),
            "case": one.case_id,
            "session": stage_of(one.session.removeprefix(ADJUDICATION))[0],
            "adjudicator": one.reader,
            **_scores("agatston", one.agatston, one.per_vessel),
        }
        for one in read
        if one.session.startswith(ADJUDICATION)
    ]


def _write_table(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write a CSV with the columns of all rows; an empty table is removed."""
    if not rows:
        path.unlink(missing_ok=True)
        return
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(columns)
    for row in rows:
        table.writerow([_cell(row.get(name, "")) for name in columns])
    write_text(path, text.getvalue())


def _cell(value: object) -> object:
    return as_text(value) if isinstance(value, str) else value
