"""The reading room: lists, events, two tabs, two readers, restarts, studies with a plan."""

import errno
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ctacal.errors import NotPossible, Problem, UsageError
from ctacal.jobs.reader_study import read_plan
from ctacal.jobs.reading_folder import verify
from ctacal.jobs.reading_index import Query
from ctacal.jobs.reading_report import reports
from tests.jobs.reader_plans import PLAN, ROLES, planned
from tests.reading_scene import ALL_ROLES, CANARY, Clock, Page, case, names, room


def refused(problem: Problem) -> "Any":
    class Check:
        def __enter__(self) -> None:
            self.raises = pytest.raises(NotPossible)
            self.found = self.raises.__enter__()

        def __exit__(self, *what: Any) -> bool:
            stopped = bool(self.raises.__exit__(*what))
            assert self.found.value.problem is problem
            return stopped

    return Check()


def test_reading_from_scratch_signing_and_a_restart(tmp_path: Path) -> None:
    where = room(tmp_path)
    first, second = names(where)
    page = Page(where, first)
    assert page.case["mode"] == "scratch"
    assert page.state["labels"] == []
    answer = page.click(0, 2)
    assert answer["score"]["agatston"]["per_vessel"]["LAD"] == page.candidates[0]["agatston"]
    assert answer["score"]["lesions"] == 1
    page.click(1, 6)
    page.send("undo")
    page.send("redo")
    page.send("sign", all_marked=True)
    assert where.next_reading("anna", first) == second
    where.close()
    again = room(tmp_path)
    after = Page(again, first)
    assert after.state == page.state
    item = again.worklist("anna", Query())["items"][0]
    assert (item["state"], item["agatston"]) == ("signed", page.state["score"]["agatston"]["total"])
    assert again.worklist("anna", Query(state="open"))["total"] == 1
    assert verify(tmp_path).faults == ()


def test_a_review_without_the_models_marks_starts_with_none_and_says_so(tmp_path: Path) -> None:
    where = room(tmp_path, kind="review", model=True)
    known = case(1, model=True)
    assert known.model is not None
    where.index.put_cases([replace(known, model=replace(known.model, labels=""))])
    page = Page(where, names(where)[0])
    assert page.case["model"]["has_marks"] is False
    assert page.case["model"]["agatston"] == 123.25
    assert page.state["labels"] == []


def test_a_review_starts_from_the_models_marks(tmp_path: Path) -> None:
    where = room(tmp_path, kind="review", model=True)
    page = Page(where, names(where)[0])
    assert page.case["mode"] == "aided"
    assert page.case["model"]["labels"] == page.state["labels"]
    assert page.state["score"]["agatston"]["per_vessel"]["LAD"] > 0
    assert page.state["score"]["agatston"]["other"] > 0  # outside of the heart, as the model marked it
    labels = [one["model_label"] for one in page.candidates]
    assert labels[0] in (2, 6)
    assert {2, 6, 0} == set(labels)


def test_a_cut_divides_a_candidate_and_undo_joins_it_again(tmp_path: Path) -> None:
    where = room(tmp_path)
    page = Page(where, names(where)[0])
    big = max(page.candidates, key=lambda one: one["pixels"])
    answer = page.send("cut", candidate=big["id"], slice=6, depth=None, **{"from": [23, 20.5], "to": [22, 20.5]})
    pieces = answer["candidates"]["added"]
    assert answer["candidates"]["removed"] == [big["id"]]
    assert sum(piece["pixels"] for piece in pieces) == big["pixels"]
    assert len(pieces) == 2
    marked = page.send("click", voxel=pieces[1]["peak_voxel"], label=4)
    assert sum(marked["changes"][1::3]) == pieces[1]["pixels"]
    page.send("undo")
    joined = page.send("undo")["candidates"]
    assert [one["id"] for one in joined["added"]] == [big["id"]]
    with refused(Problem.INVALID):
        page.send("cut", candidate=big["id"], slice=6, **{"from": [0, 0], "to": [0, 1]})
    with refused(Problem.INVALID):
        page.send("cut", candidate=big["id"], slice=6, **{"from": [1, 1], "to": [1, 1]})


def test_the_depth_limit_of_a_click(tmp_path: Path) -> None:
    where = room(tmp_path)
    page = Page(where, names(where)[0])
    big = max(page.candidates, key=lambda one: one["pixels"])
    size = 40 * 48
    answer = page.send("click", voxel=big["peak_voxel"], label=1, depth=0)
    planes = {first // size for first in answer["changes"][::3]}
    assert planes == {big["peak_voxel"][0]}
    answer = page.send("click", voxel=big["peak_voxel"], label=1)
    assert sum(page.state["labels"][1::3]) < big["pixels"] or answer["changes"]
    assert sum(where.state("anna", page.name)["labels"][1::3]) == big["pixels"]


def test_calcium_that_is_no_candidate_grows_from_the_voxel(tmp_path: Path) -> None:
    where = room(tmp_path)
    page = Page(where, names(where)[0])
    assert all(one["slices"] != [2, 4] or one["peak_hu"] != 500 for one in page.candidates)
    answer = page.send("click", voxel=[3, 3, 3], label=6)
    assert sum(answer["changes"][1::3]) == 27
    with refused(Problem.INVALID):
        page.send("click", voxel=[0, 0, 0], label=6)  # soft tissue
    with refused(Problem.INVALID):
        page.send("click", voxel=[0, 0, 99], label=6)
    with refused(Problem.INVALID):
        page.send("paint", tool="brush", label=2, runs=[0, 4])
    page.send("paint", tool="eraser", label=0, runs=answer["candidates"] or page.state["labels"][:2] or [0, 1])


def test_a_stale_tab_is_refused_and_an_event_sent_again_is_stored_once(tmp_path: Path) -> None:
    where = room(tmp_path)
    one, other = (Page(where, names(where)[0]) for _ in range(2))
    one.click(0, 2)
    with refused(Problem.STALE):
        other.click(1, 3)
    body = {
        "kind": "click",
        "voxel": one.candidates[1]["peak_voxel"],
        "label": 3,
        "seq": one.state["seq"],
        "event_id": "e",
    }
    first = where.event("anna", one.name, body)
    again = where.event("anna", one.name, body)
    assert again["seq"] == first["seq"]
    assert again["changes"] == first["changes"]
    assert again["score"] == first["score"]
    later = where.event("anna", one.name, {"kind": "undo", "seq": first["seq"], "event_id": "f"})
    assert where.event("anna", one.name, body)["seq"] == later["seq"], "stored once, though another followed"
    assert where.state("anna", one.name)["digest"] == later["digest"]


def test_two_programs_on_one_folder(tmp_path: Path) -> None:
    first, second = room(tmp_path), room(tmp_path)
    name = names(first)[0]
    one, other = Page(first, name), Page(second, name)
    one.click(0, 2)
    with refused(Problem.STALE):
        other.click(1, 3)
    assert second.state("anna", name) == one.state
    other.state = second.state("anna", name)
    other.click(1, 3)
    assert first.state("anna", name) == other.state
    assert verify(tmp_path).faults == ()


def test_two_readers_at_once_do_not_see_each_other(tmp_path: Path) -> None:
    roles: dict[str, Any] = {name: frozenset(("reader",)) for name in ("anna", "ben")}
    where = room(tmp_path, roles=roles)
    name = names(where)[0]
    anna, ben = Page(where, name, "anna"), Page(where, name, "ben")
    anna.click(0, 2)
    ben.click(1, 3)
    anna.send("sign", all_marked=False)
    assert "ben" not in json.dumps(where.worklist("anna", Query()))
    assert ben.state["score"] != anna.state["score"]
    with refused(Problem.FORBIDDEN):
        where.adjudications("ben")
    with refused(Problem.FORBIDDEN):
        where.worklist("eve", Query())


def test_a_full_disk_is_told_and_nothing_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    where = room(tmp_path)
    page = Page(where, names(where)[0])
    page.click(0, 2)

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("os.write", full)
        with refused(Problem.DISK):
            page.click(1, 3)
    assert where.state("anna", page.name) == page.state
    page.click(1, 3)
    assert verify(tmp_path).faults == ()


def test_a_signature_that_was_not_noted_is_noted_at_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = room(tmp_path)
    page = Page(where, names(where)[0])
    with monkeypatch.context() as patched:
        patched.setattr("ctacal.jobs.reading_room.note_signature", not_stored)
        page.send("sign", all_marked=True)
    assert any("does not name it" in fault for fault in verify(tmp_path).faults)
    room(tmp_path)
    found = verify(tmp_path)
    assert (found.faults, found.signatures) == ((), 1)


def not_stored(*_: object) -> None:
    raise NotPossible(Problem.DISK, "the disk is full")


def test_what_verify_sees(tmp_path: Path) -> None:
    where = room(tmp_path)
    for name in names(where):
        page = Page(where, name)
        page.click(0, 2)
        page.send("sign", all_marked=True)
    assert (verify(tmp_path).readings, verify(tmp_path).events) == (2, 6)
    file = next((tmp_path / "cases").glob("*/*.jsonl"))
    content = file.read_bytes()
    file.write_bytes(b"".join(content.splitlines(keepends=True)[:-1]))  # the signature is cut off
    assert any("no longer there" in fault for fault in verify(tmp_path).faults)
    file.write_bytes(content.replace(b'"label":2', b'"label":3'))
    assert any("line 2 was altered" in fault for fault in verify(tmp_path).faults)
    file.unlink()
    assert any("no longer there" in fault for fault in verify(tmp_path).faults)
    file.write_bytes(content + content[:30])
    assert verify(tmp_path).faults == ()
    (tmp_path / "signatures.jsonl").write_bytes(b"")
    assert len(verify(tmp_path).faults) == 2
    with pytest.raises(UsageError, match="holds no readings"):
        verify(tmp_path / "cases")


def test_the_list_is_made_again_from_the_files(tmp_path: Path) -> None:
    where = room(tmp_path)
    page = Page(where, names(where)[0])
    page.click(0, 2)
    before = where.worklist("anna", Query())
    where.close()
    (tmp_path / "index.sqlite").unlink()
    assert room(tmp_path).worklist("anna", Query()) == before


def test_a_mismatch_is_logged_and_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    where = room(tmp_path)
    page = Page(where, names(where)[0])
    page.send("mismatch", page={"agatston": 1.5})
    assert "counts otherwise" in caplog.text
    assert b"mismatch" in next((tmp_path / "cases").glob("*/*.jsonl")).read_bytes()


@pytest.mark.parametrize(
    "wrong",
    [
        None, [], "x", {"kind": "click"}, {"kind": "fly", "seq": 1, "event_id": "a"},
        {"kind": "time", "seq": "1", "event_id": "a"}, {"kind": "time", "seq": 1, "event_id": ""},
        {"kind": "time", "seq": 1, "event_id": "a", "active_s": -1},
        {"kind": "time", "seq": 1, "event_id": "a", "x": 1},
        {"kind": "time", "seq": 1, "event_id": "a", "active_s": 1e9}, {"kind": "undo", "seq": 1, "event_id": "a"},
        {"kind": "click", "seq": 1, "event_id": "a", "voxel": [1, 2], "label": 1},
        {"kind": "click", "seq": 1, "event_id": "a", "voxel": [3, 11, 11], "label": 9},
        {"kind": "click", "seq": 1, "event_id": "a", "voxel": [3, 11, 11], "label": 1, "depth": -1},
        {"kind": "click", "seq": 1, "event_id": "a", "voxel": [3, 11, True], "label": 1},
        {"kind": "paint", "seq": 1, "event_id": "a", "tool": "pen", "label": 1, "runs": []},
        {"kind": "paint", "seq": 1, "event_id": "a", "tool": "brush", "label": 1, "runs": [1.5, 2]},
        {"kind": "paint", "seq": 1, "event_id": "a", "tool": "brush", "label": 1, "runs": [0, 10**9]},
        {"kind": "take", "seq": 1, "event_id": "a", "reader": "A"},
        {"kind": "amend", "seq": 1, "event_id": "a", "reason": "x"},
        {"kind": "sign", "seq": 1, "event_id": "a", "all_marked": True, "comment": "x" * 2001},
        {"kind": "cut", "seq": 1, "event_id": "a", "candidate": 1, "slice": 0, "from": [0, 0], "to": [1, "x"]},
        {"kind": "mismatch", "seq": 1, "event_id": "a", "page": "x" * 10},
    ],
)  # fmt: skip
def test_impossible_events_are_refused_and_change_nothing(wrong: Any, tmp_path: Path) -> None:
    where = room(tmp_path)
    page = Page(where, names(where)[0])
    with refused(Problem.INVALID):
        where.event("anna", page.name, wrong)
    assert where.state("anna", page.name) == page.state


@pytest.mark.parametrize("name", ["", ".", "..", "../x.annotate", "a/b.annotate", "nothing.annotate", "x" * 500])
def test_names_that_are_no_reading(name: str, tmp_path: Path) -> None:
    where = room(tmp_path)
    for ask in (where.open, where.state, where.candidates, where.prefetch):
        with refused(Problem.NOT_FOUND):
            ask("anna", name)


def everything_sent(where: Any, reader: str, name: str) -> str:
    """Everything that a reader's browser can get about a reading before it is done."""
    page = Page(where, name, reader)
    seen: list[Any] = [where.open(reader, name), where.worklist(reader, Query()), where.session(reader)]
    seen += [where.state(reader, name), where.candidates(reader, name), page.click(0, 2), page.click(1, 6)]
    seen += [page.send("undo"), page.send("time"), where.worklist(reader, Query(text="canary"))]
    for wrong in ({"kind": "take", "reader": "A"}, {"kind": "x"}):
        try:
            page.send(**wrong)
        except NotPossible as problem:
            seen.append(str(problem))
    return json.dumps(seen)


def test_a_blind_reader_gets_nothing_of_model_readers_names_and_dates(tmp_path: Path) -> None:
    clock = Clock()
    where = planned(tmp_path, clock)
    name = next(item for item in names(where, "ben") if item.endswith(".first"))
    ben = Page(where, name, "ben")
    ben.click(2, 4)
    ben.send("sign", all_marked=True, comment="ben's words")
    sent = everything_sent(where, "anna", name)
    listed = json.loads(sent)[1]["items"]
    for secret in (CANARY, "1999-09", "199909", "123.25", "ben", "model_label", "1.2.9", "d" * 16):
        assert secret not in sent, secret
    assert all(item["model"] is None for item in listed if item["session"] == "first")


def test_the_aided_stage_shows_the_model_and_goes_on_from_the_unaided_marks(tmp_path: Path) -> None:
    clock = Clock()
    where = planned(tmp_path, clock)
    case = names(where, "anna")[0].split(".")[0]
    name = f"{case}.third"
    for session in ("first", "second"):
        with refused(Problem.WASHOUT):  # the sessions come in the order of the plan
            where.open("anna", name)
        Page(where, f"{case}.{session}", "anna").send("sign", all_marked=True)
        clock.move(days=29)
    assert not [item for item in names(where, "anna") if item.endswith("~aided")]
    page = Page(where, name, "anna")
    assert CANARY not in json.dumps(where.open("anna", name))
    assert page.case["model"] is None
    page.click(0, 3)
    answer = page.send("sign", all_marked=False)
    assert answer["stage_done"]
    assert answer["next_id"] == name + "~aided"
    aided = Page(where, answer["next_id"], "anna")
    assert aided.state["labels"] == page.state["labels"]
    assert aided.case["model"]["agatston"] == 123.25
    assert aided.case["stage"] == "aided"
    assert CANARY not in json.dumps([aided.case["title"], aided.case["acquisition"], aided.case["warnings"]])
    where.close()
    (tmp_path / "index.sqlite").unlink()
    assert answer["next_id"] in names(planned(tmp_path, clock), "anna")


def test_order_is_random_fixed_and_each_readers_own(tmp_path: Path) -> None:
    clock = Clock()
    where = planned(tmp_path / "a", clock, cases=12)
    anna, ben = names(where, "anna"), names(where, "ben")
    assert sorted(anna) == sorted(ben)
    assert anna != ben
    assert [name.split(".")[1] for name in anna] == ["first"] * 12 + ["second"] * 12 + ["third"] * 12
    assert [name.split(".")[0] for name in anna[:12]] != [name.split(".")[0] for name in anna[12:24]]
    assert names(planned(tmp_path / "b", clock, cases=12), "anna") == anna
    items = where.worklist("anna", Query())["items"]
    assert [item["number"] for item in items] == [*range(1, 13)] * 3


def test_washout_between_sessions(tmp_path: Path) -> None:
    clock = Clock()
    where = planned(tmp_path, clock)
    first = names(where, "anna")[0]
    case = first.split(".")[0]
    page = Page(where, first, "anna")
    page.send("sign", all_marked=True)
    second = f"{case}.second"
    with refused(Problem.WASHOUT):
        where.open("anna", second)
    listed = {item["id"]: item["available_from"] for item in where.worklist("anna", Query())["items"]}
    assert listed[second] == "2026-01-29"
    clock.move(days=27, hours=23)
    with refused(Problem.WASHOUT):
        where.open("anna", second)
    clock.move(hours=2)
    amended = {"reason": "a slip", "kind": "amend"}
    page.send(**amended)
    page.send("sign", all_marked=True)
    with refused(Problem.WASHOUT):  # the amendment was a look at the case
        where.open("anna", second)
    clock.move(days=28, hours=1)
    assert Page(where, second, "anna").case["mode"] == "aided"
    with refused(Problem.LOCKED):  # a blind reading that was amended after the aided one would be none
        page.send(**amended)


def test_a_shorter_washout_needs_a_reason_which_is_recorded(tmp_path: Path) -> None:
    file = tmp_path / "plan.toml"
    text = 'name = "p"\nseed = 1\nreaders = ["anna"]\nwashout_days = 1\n[[sessions]]\nname = "a"\nmode = "blind"\n'
    file.write_text(text)
    with pytest.raises(UsageError, match=r"plan\.toml: washout_reason"):
        read_plan(file)
    file.write_text(text.replace("washout_days = 1", 'washout_days = 1\nwashout_reason = "a pilot"'))
    where = room(tmp_path / "r", plan=read_plan(file))
    Page(where, names(where)[0])
    assert b"a pilot" in next((tmp_path / "r" / "cases").glob("*/*.jsonl")).read_bytes()
    with pytest.raises(UsageError, match="another plan"):
        room(tmp_path / "r", plan=PLAN, roles=ROLES)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ('readers = ["an na"]', "readers"),
        ('readers = ["anna"]\nadjudicators = ["anna"]', "own reading"),
        ('readers = ["anna"]\nreader = 1', "unknown"),
    ],
)
def test_plans_that_cannot_be(change: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "plan.toml"
    file.write_text(f'name = "p"\nseed = 1\n{change}\n[[sessions]]\nname = "a"\nmode = "blind"\n')
    with pytest.raises(UsageError, match=message):
        read_plan(file)


def test_disagreements_come_to_adjudication(tmp_path: Path) -> None:
    clock = Clock()
    where = planned(tmp_path, clock)
    name = names(where, "anna")[0]
    for reader, label in (("anna", 2), ("ben", 6)):
        page = Page(where, name, reader)
        page.click(0, label)
        page.send("sign", all_marked=True)
    (item,) = where.adjudications("chris")["items"]
    assert "against" in item["why"]
    sides = where.adjudication("chris", item["case"], "first")
    assert {side["reader"] for side in sides["readings"]} == {"A", "B"}
    assert not {"anna", "ben", CANARY} & set(json.dumps([item, sides]).replace('"', " ").split())
    settled = Page(where, item["id"], "chris")
    assert settled.state["labels"] == []
    settled.send("take", reader="B")
    assert settled.state["score"] == next(side["score"] for side in sides["readings"] if side["reader"] == "B")
    settled.send("sign", all_marked=True)
    assert where.adjudications("chris")["items"][0]["state"] == "signed"
    with refused(Problem.INVALID):
        Page(where, names(where, "anna")[1], "anna").send("take", reader="A")
    with refused(Problem.FORBIDDEN):
        where.open("anna", item["id"])


def test_the_report_of_the_reading(tmp_path: Path) -> None:
    where = room(tmp_path, kind="review", model=True, cases=4)
    for seconds, name in zip((10.0, 20.0, 60.0), names(where), strict=False):
        page = Page(where, name)
        page.send("time", active_s=seconds - 2)
        page.click(0, 0)
        page.send("sign", all_marked=True)
    Page(where, names(where)[3])
    (report,) = reports(where.index, with_model=True)
    assert (report.signed, report.started, report.median_s, report.quartile_1_s) == (3, 1, 20.0, 15.0)
    assert report.median_edits == 1
    assert report.model is not None
    assert report.model.studies == 3


def test_one_reader_has_all_roles(tmp_path: Path) -> None:
    where = room(tmp_path)
    assert where.session("anna")["roles"] == ["reader", "adjudicator", "administrator"]
    assert where.session("anna")["readings"] == str(tmp_path.absolute())
    assert where.settings.roles["anna"] == ALL_ROLES
    labels = where.session("anna")["labels"]
    assert [one["name"] for one in labels] == ["LM", "LAD", "LCX", "RCA", "CORONARY", "OTHER"]


def test_voxels_are_the_scans(tmp_path: Path) -> None:
    where = room(tmp_path)
    page = Page(where, names(where)[0])
    size, planes = where.voxels("anna", page.name, "all")
    content = b"".join(planes)
    assert len(content) == size == 12 * 40 * 48 * 2
    hu = np.frombuffer(content, "<i2").reshape(12, 40, 48)
    box = page.case["volume"]["heart"]
    part = b"".join(where.voxels("anna", page.name, "heart")[1])
    first, shape = box["origin"], box["shape"]
    heart = np.frombuffer(part, "<i2").reshape(shape)
    inside = tuple(slice(a, a + n) for a, n in zip(first, shape, strict=True))
    np.testing.assert_array_equal(hu[inside], heart)
    with refused(Problem.INVALID):
        where.voxels("anna", page.name, "half")
