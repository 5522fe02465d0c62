"""The tables of an export: readings.csv and labels.csv have the same columns, as ``ctacal agree`` takes them."""

from collections.abc import Sequence
from typing import Any

from ctacal.evaluate.agree.label_files import find_label_files
from ctacal.jobs.reader_study import ADJUDICATION
from ctacal.jobs.reading_exports import _write_table, labels_rows, readings_rows
from ctacal.jobs.reading_index import Summary


class Cases:
    """An index of two cases without a model."""

    def case_ids(self) -> list[tuple[str, str, str]]:
        return [("one", "1.2.1", ""), ("two", "1.2.2", "")]

    def case(self, _: str) -> None:
        return None


def read(reader: str, case: str, session: str, agatston: float, mode: str = "blind") -> Summary:
    return Summary(
        reader=reader, case_id=case, session=session, mode=mode, state="signed", version=1, events=1, edits=1,
        active_s=1.0, signed_s=1.0, signed_edits=1, agatston=agatston, category="1-100", per_vessel={"LAD": agatston},
        verdict="done", began=f"2026-01-0{1 + (session == 'second')}", ended="2026-02-01", head="d" * 64, size=1,
    )  # fmt: skip


def columns(rows: Sequence[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row))


def test_label_maps_stand_in_the_columns_of_readings(tmp_path: Any) -> None:
    readings = [
        read("anna", "one", "first", 5.0), read("anna", "two", "first", 7.0), read("anna", "one", "second", 6.0),
        read("ben", "two", "first~aided", 8.0, mode="aided"), read("ben", "one", f"{ADJUDICATION}first", 9.0),
    ]  # fmt: skip
    index: Any = Cases()
    scores, labels = readings_rows(index, readings), labels_rows(index, readings, "seg.dcm")
    assert labels == [
        {
            "study_uid": "1.2.1", "case": "one",
            "reader_anna": "one/anna.first/seg.dcm", "reader_anna_second": "one/anna.second/seg.dcm",
        },
        {
            "study_uid": "1.2.2", "case": "two",
            "reader_anna": "two/anna.first/seg.dcm", "reader_ben": "two/ben.first-aided/seg.dcm",
        },
    ]  # fmt: skip
    assert set(columns(labels)) <= set(columns(scores))
    assert [row["reader_anna"] for row in scores] == [5.0, 7.0]
    assert labels_rows(index, readings, "") == []
    _write_table(tmp_path / "labels.csv", labels)
    for row in labels:
        for name, file in row.items():
            if name.startswith("reader"):
                (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
                (tmp_path / file).write_bytes(b"")
    found = find_label_files(tmp_path / "labels.csv", ["reader_anna", "reader_ben", "model"], "study_uid")
    assert found["reader_ben"] == {"1.2.2": tmp_path / "two/ben.first-aided/seg.dcm"}
    assert list(found["reader_anna"]) == ["1.2.1", "1.2.2"]
