"""A small scan with calcium, and a reading room in which it can be read, for tests of readings and of the page."""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np

from ctacal.errors import Code, Reason
from ctacal.geometry import Geometry
from ctacal.heart import HeartMask
from ctacal.jobs.assignments import Kind, Role, RoomSettings
from ctacal.jobs.open_cases import OpenCases
from ctacal.jobs.reader_study import Plan
from ctacal.jobs.reading_cases import Case, ModelAnswer, OpenCase, case_id
from ctacal.jobs.reading_folder import INDEX, ReadingFolder
from ctacal.jobs.reading_index import ReadingIndex
from ctacal.jobs.reading_room import ReadingRoom
from ctacal.labels import Calcium
from ctacal.readings.candidates import find_candidates, reading_box
from ctacal.readings.marks import Change, Marks, from_triples, triples
from ctacal.result import Acquisition
from ctacal.scores import SCCT_2016, ScoringRule
from ctacal.subject import Subject
from ctacal.volume import Volume

SHAPE = (12, 40, 48)
SPACING_MM = (4.0, 0.9, 0.9)
CANARY = "CANARY"
"""Stands in everything that a blind reader must not see."""

ALL_ROLES: frozenset[Role] = frozenset(("reader", "adjudicator", "administrator"))


def scan(seed: int = 0) -> Volume:
    """Soft tissue with noise, and plaques: in one slice, in several, touching, and beyond the heart's border."""
    random = np.random.default_rng(seed)
    hu = random.normal(40, 20, SHAPE).astype(np.int16)
    hu[3, 10:13, 10:13] = random.integers(140, 450, (3, 3))
    hu[4:7, 20:23, 14:19] = random.integers(135, 900, (3, 3, 5))
    hu[6, 23, 17:30] = 210  # a bridge from the plaque above to the one below
    hu[6:9, 24:27, 28:31] = 333
    hu[9, 12, 30] = 250  # one pixel, below the floor
    hu[5, 30:33, 36:46] = 300  # begins in the heart, ends beyond it
    hu[2:5, 2:5, 2:5] = 500  # outside of the heart
    return Volume(hu, Geometry.from_spacing(SHAPE, SPACING_MM))


def heart(volume: Volume) -> HeartMask:
    mask = np.zeros(volume.geometry.shape, bool)
    mask[1:11, 8:36, 8:40] = True
    return HeartMask(mask, volume.geometry)


def case(number: int = 1, *, model: bool = False) -> Case:
    uid = f"1.2.3.{number}"
    answer = ModelAnswer(
        name=f"{CANARY} net", version="1", digest="d" * 64, agatston=123.25, category=f"{CANARY}-category",
        per_vessel={"LAD": 123.25}, labels="labels.nii.gz",
    )  # fmt: skip
    return Case(
        id=case_id(uid), study_uid=f"1.2.9.{number}", series_uid=uid, title=f"{CANARY} title", date="1999-09-09",
        patient=f"{CANARY}, name", files=(), study_files=(), rule=SCCT_2016, model=answer if model else None,
        warnings=(("NOT_MARKED_CTAC", f"{CANARY} text"),),
    )  # fmt: skip


def opened(one: Case, *, seed: int = 0, rule: ScoringRule = SCCT_2016) -> OpenCase:
    volume = scan(seed)
    where = heart(volume)
    labels = np.zeros(SHAPE, np.uint8)
    if one.model:
        labels[4:7, 20:23, 14:19] = Calcium.LAD
        labels[2:5, 2:5, 2:5] = Calcium.OTHER
    marks = Marks.none()
    if one.model:
        voxel = np.flatnonzero(labels)
        marks = Marks(voxel, labels.reshape(-1)[voxel])
    blind = find_candidates(volume, rule, where, Marks.none())
    return OpenCase(
        case=one,
        volume=volume,
        rule=rule,
        box=reading_box(volume, where),
        heart_found=True,
        blind=blind,
        aided=find_candidates(volume, rule, where, marks),
        model_marks=marks,
        acquisition=acquisition(),
        warnings=(Reason(Code.THICK_SLICES, f"{CANARY} 6 mm"), Reason(Code.NOT_MARKED_CTAC, f"{CANARY} text")),
        noise_sd_hu=20.0,
        subject=Subject(sex="F", age_years=70, name=f"{CANARY}, name", patient_id=f"{CANARY}-id"),
    )


def acquisition() -> Acquisition:
    return Acquisition(
        manufacturer=f"{CANARY} maker", model=f"{CANARY} model", kvp=120.0, exposure_mas=30.0, kernel=f"{CANARY}30",
        slice_thickness_mm=4.0, slice_spacing_mm=4.0, pixel_spacing_mm=(0.9, 0.9), matrix=(40, 48), slices=12,
        study_date="19990909",
    )  # fmt: skip


@dataclass
class Clock:
    """A clock that stands until it is moved."""

    time: datetime = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.time

    def move(self, **by: float) -> None:
        self.time += timedelta(**by)


def room(
    folder: Path,
    *,
    kind: Kind = "annotate",
    cases: int = 2,
    plan: Plan | None = None,
    roles: dict[str, frozenset[Role]] | None = None,
    clock: Callable[[], datetime] | None = None,
    model: bool = False,
    phi: bool = False,
) -> ReadingRoom:
    """Open a room with synthetic scans; a second call with the same folder is a restart."""
    index = ReadingIndex(folder / INDEX)
    if not index.case_ids():
        index.put_cases([case(number, model=model) for number in range(1, cases + 1)])
    settings = RoomSettings(
        kind=kind, roles=roles or {"anna": ALL_ROLES}, plan=plan, phi=phi, now=clock or (lambda: datetime.now(UTC))
    )
    return ReadingRoom(ReadingFolder(folder), index, settings, OpenCases(opened))


class Page:
    """Asks a room what the page would ask, and keeps what it knows of one reading."""

    def __init__(self, where: ReadingRoom, name: str, reader: str = "anna") -> None:
        self.room, self.name, self.reader = where, name, reader
        content = where.open(reader, name)
        self.case, self.candidates = content["case"], content["candidates"]["items"]
        self.state: dict[str, Any] = content["state"]

    def send(self, kind: str, **fields: Any) -> dict[str, Any]:
        body = {"kind": kind, "seq": self.state["seq"], "event_id": uuid4().hex, "active_s": 1.0, **fields}
        answer = self.room.event(self.reader, self.name, json.loads(json.dumps(body)))
        shape: tuple[int, int, int] = tuple(self.case["volume"]["shape"])
        voxel, label = from_triples(answer["changes"], shape)
        change = Change(voxel, np.zeros_like(label), label)
        marks = Marks(*from_triples(self.state["labels"], shape)).with_change(change)
        known = {name: answer[name] for name in self.state if name in answer}
        self.state = {**self.state, **known, "labels": triples(marks.voxel, marks.label, shape)}
        return answer

    def click(self, number: int, label: int, depth: int | None = None) -> dict[str, Any]:
        return self.send("click", voxel=self.candidates[number]["peak_voxel"], label=label, depth=depth)


def names(where: ReadingRoom, reader: str = "anna") -> list[str]:
    from ctacal.jobs.reading_index import Query

    return [item["id"] for item in where.worklist(reader, Query())["items"]]


def random_events(random: np.random.Generator, count: int) -> Iterator[Callable[[dict[str, Any]], dict[str, Any]]]:
    """Yield functions from what the page knows (``candidates``, ``undo``, ``redo``) to an event."""
    kinds = random.choice(["click", "paint", "erase", "cut", "undo", "redo"], count, p=[0.4, 0.15, 0.1, 0.1, 0.15, 0.1])
    for kind in kinds:
        yield partial(_drawn, random, str(kind))


def _drawn(random: np.random.Generator, kind: str, known: dict[str, Any]) -> dict[str, Any]:
    one = known["candidates"][int(random.integers(len(known["candidates"])))]
    label = int(random.integers(0, 7))
    if (kind == "undo" and not known["undo"]) or (kind == "redo" and not known["redo"]):
        kind = "click"
    if kind == "click":
        depth = [None, 0, 1, 2][int(random.integers(4))]
        return {"kind": "click", "voxel": one["peak_voxel"], "label": label, "depth": depth}
    if kind in ("paint", "erase"):
        runs = [number for pair in _pairs(one["runs"]) if random.random() < 0.6 for number in pair]
        tool, label = ("brush", label) if kind == "paint" else ("eraser", 0)
        return {"kind": "paint", "tool": tool, "label": label, "runs": runs}
    if kind == "cut":
        plane, row, column = one["peak_voxel"]
        row_to, column_to = (float(shift) for shift in random.integers(-5, 6, 2))
        line = {"from": [row + 0.5, column + 0.5], "to": [row + 1.5 + row_to, column + 0.25 + column_to]}
        depth = [None, 0, 1][int(random.integers(3))]
        return {"kind": "cut", "candidate": one["id"], "slice": plane, "depth": depth, **line}
    return {"kind": kind}


def _pairs(numbers: list[int]) -> Iterable[tuple[int, int]]:
    return zip(numbers[::2], numbers[1::2], strict=True)


def with_rule(one: OpenCase, **choices: Any) -> OpenCase:
    """Return the scan under a rule with other choices."""
    return opened(one.case, rule=replace(SCCT_2016, name="mine", **choices))
