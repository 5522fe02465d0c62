"""Whatever a reader does: replayed = incremental = the score of the exported label map."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ctacal.dicom.objects.labels import read_label_map
from ctacal.errors import NotPossible, Problem
from ctacal.jobs.reading_cases import OpenCase
from ctacal.jobs.reading_events import Scene, event_content, scored
from ctacal.jobs.reading_json import marks_json
from ctacal.jobs.reading_requests import parsed
from ctacal.readings.candidates import Candidates, Cut, after_cuts
from ctacal.readings.chain import Record, chained, read_chain
from ctacal.readings.marks import Marks, from_triples, runs_of
from ctacal.readings.reading import Reading, after, replayed
from ctacal.readings.scored import score_json
from ctacal.scores import Tally, score_label_map
from tests.reading_scene import SHAPE, case, opened, random_events, with_rule

SEQUENCES, EVENTS = 100, 8
"""Random sequences of a test, of which there are ten, and events of each."""


class Incremental:
    """A reading as the server carries it on, event by event."""

    def __init__(self, scan: OpenCase) -> None:
        self.scan = scan
        self._of: tuple[Cut, ...] = ()
        self._candidates = scan.blind
        start = Marks.none()
        content = {
            "kind": "open", "when": "2026-01-01T00:00:00+00:00", "case": "c", "scan": {"shape": list(SHAPE)},
            "start": {"labels": marks_json(start, SHAPE)}, **scored(scan, start),
        }  # fmt: skip
        self.records: list[Record] = [chained(content, None)]
        self.reading: Reading = after(None, self.records[0])

    @property
    def candidates(self) -> Candidates:
        if self._of != self.reading.cuts:
            self._of = self.reading.cuts
            self._candidates = after_cuts(self.scan.volume, self.scan.rule, self.scan.blind, self._of)
        return self._candidates

    def known(self) -> dict[str, Any]:
        items = [
            {
                "id": one.number,
                "peak_voxel": [int(i) for i in np.unravel_index(one.peak, SHAPE)],
                "runs": runs_of(one.voxel, SHAPE),
            }
            for one in self.candidates.by_number.values()
        ]
        return {"candidates": items, "undo": len(self.reading.done), "redo": len(self.reading.undone)}

    def take(self, fields: dict[str, Any]) -> None:
        body = {"seq": self.reading.seq, "event_id": f"e{self.reading.seq}", **fields}
        scene = Scene(self.scan, self.reading, self.candidates, lambda _: Marks.none())
        sent, asked = parsed(json.loads(json.dumps(body)))
        content = event_content(scene, sent, asked, when="2026-01-01T00:00:01+00:00", who="anna")
        self.records.append(chained(content, self.records[-1]))
        self.reading = after(self.reading, self.records[-1])


def run(scan: OpenCase, seed: int, events: int = EVENTS) -> Incremental:
    random = np.random.default_rng(seed)
    reading = Incremental(scan)
    for draw in random_events(random, events):
        try:
            reading.take(draw(reading.known()))
        except NotPossible as refused:
            assert refused.problem is Problem.INVALID  # a line that does not divide
    return reading


@pytest.mark.slow
@pytest.mark.parametrize("first", [0, *(pytest.param(k * SEQUENCES, marks=pytest.mark.ci) for k in range(1, 10))])
def test_a_thousand_random_sequences(first: int, tmp_path: Path) -> None:
    """A reading that is kept as lines of a file and read back has the same marks, and the same score to the last digit;
    its exported label map scores the same by the code that scores every study."""
    scan = opened(case())
    export = tmp_path / "labels.nii"
    signed = 0
    for seed in range(first, first + SEQUENCES):
        live = run(scan, seed)
        lines = b"".join(record.line for record in live.records)
        records, torn = read_chain(lines, "file")
        again = replayed(records)
        assert not torn
        assert again.marks.digest == live.reading.marks.digest == live.records[-1].content["marks"]
        assert (len(again.done), len(again.undone), again.cuts) == (
            len(live.reading.done), len(live.reading.undone), live.reading.cuts,
        )  # fmt: skip
        again.marks.label_map(scan.volume.geometry).save_nifti(export)
        _, scores = score_label_map(scan.volume, read_label_map(export, scan.volume), scan.rule)
        held = live.reading.score
        assert held["agatston"] == plain(scores.agatston)
        assert held["volume_mm3"] == plain(scores.volume_mm3)
        assert held["category"] == scores.category
        signed += scores.agatston.total > 0
    assert signed > SEQUENCES / 2


def plain(tally: Tally) -> dict[str, Any]:
    return {"total": tally.total, "per_vessel": dict(tally.per_vessel), "other": tally.other}


@pytest.mark.parametrize(
    "choices",
    [
        {"connectivity": 4},
        {"density_from": "lesion"},
        {"slice_weight": "none", "min_area_mm2": 0.0},
        {"vessel_of_component": "split", "volume_of": "all_components"},
    ],
)
def test_other_rules(choices: dict[str, Any]) -> None:
    scan = with_rule(opened(case()), **choices)
    for seed in range(20):
        live = run(scan, seed)
        labels = live.reading.marks.label_map(scan.volume.geometry)
        _, scores = score_label_map(scan.volume, labels, scan.rule)
        assert live.reading.score["agatston"] == plain(scores.agatston)
        assert live.reading.score["volume_mm3"] == plain(scores.volume_mm3)


def test_undo_goes_back_to_the_start_and_redo_to_the_end() -> None:
    scan = opened(case())
    live = Incremental(scan)
    seen = [live.reading.marks.digest]
    for number, one in enumerate(list(scan.blind.by_number.values())[:4]):
        voxel = [int(i) for i in np.unravel_index(one.peak, SHAPE)]
        live.take({"kind": "click", "voxel": voxel, "label": 1 + number})
        seen.append(live.reading.marks.digest)
    for digest in seen[-2::-1]:
        live.take({"kind": "undo"})
        assert live.reading.marks.digest == digest
    assert live.reading.score["agatston"]["total"] == 0
    for digest in seen[1:]:
        live.take({"kind": "redo"})
        assert live.reading.marks.digest == digest
    with pytest.raises(NotPossible, match="nothing to redo"):
        live.take({"kind": "redo"})
    live.take({"kind": "undo"})
    live.take({"kind": "click", "voxel": voxel, "label": 6})
    with pytest.raises(NotPossible, match="nothing to redo"):  # a new edit ends what could be done again
        live.take({"kind": "redo"})


def test_an_amendment_keeps_the_marks_and_undo_stops_at_it() -> None:
    scan = opened(case())
    live = Incremental(scan)
    voxel = [int(i) for i in np.unravel_index(next(iter(scan.blind.by_number.values())).peak, SHAPE)]
    live.take({"kind": "click", "voxel": voxel, "label": 2, "active_s": 3.0})
    live.take({"kind": "sign", "all_marked": True, "active_s": 1.0})
    assert live.reading.locked
    assert (live.reading.signed_active_s, live.reading.signed_edits) == (4.0, 1)
    again: list[dict[str, Any]] = [{"kind": "undo"}, {"kind": "click", "voxel": voxel, "label": 1}]
    for fields in (*again, {"kind": "sign", "all_marked": True}):
        with pytest.raises(NotPossible) as refused:
            live.take(fields)
        assert refused.value.problem is Problem.LOCKED
    with pytest.raises(NotPossible, match="say why"):
        live.take({"kind": "amend", "reason": "  "})
    marks = live.reading.marks.digest
    live.take({"kind": "amend", "reason": "the wrong vessel", "active_s": 9.0})
    assert (live.reading.version, live.reading.locked, live.reading.marks.digest) == (2, False, marks)
    with pytest.raises(NotPossible, match="nothing to undo"):
        live.take({"kind": "undo"})
    live.take({"kind": "click", "voxel": voxel, "label": 3})
    live.take({"kind": "sign", "all_marked": False})
    assert live.reading.signature is not None
    assert not live.reading.signature.all_marked
    assert [(one.number, one.reason) for one in live.reading.versions] == [(1, ""), (2, "the wrong vessel")]
    assert live.reading.signed_active_s == 4.0  # the report counts the first reading, not the amendment


def test_triples_refuse_what_is_none() -> None:
    outside: list[list[int]] = [[-1, 1, 1], [10**9, 1, 1], [46, 3, 1]]
    for wrong in (*outside, [0, 1], [0, 0, 1], [0, 1, 7], [5, 2, 1, 6, 1, 1], [True, 1, 1]):
        with pytest.raises(ValueError, match=r"run|label|whole numbers"):
            from_triples(wrong, SHAPE)


def test_the_score_of_no_marks() -> None:
    scan = opened(case())
    from ctacal.readings.scored import score_marks

    found = score_json(score_marks(scan.volume, Marks.none(), scan.rule, 0.001))
    assert (found["agatston"]["total"], found["lesions"], found["category"]) == (0, 0, "0")
    assert found["mass_mg"]["total"] == 0
