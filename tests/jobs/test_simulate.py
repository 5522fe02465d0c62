"""Jobs of the simulator: protocols, stored descriptions, insertion once per seed."""

import json
from pathlib import Path
from typing import Any

import pytest

from ctacal.errors import UsageError
from ctacal.jobs import simulate
from ctacal.jobs.simulate import Insertion, cohort_protocols, insert_calcium, stored_description
from ctacal.simulate.output.simulated import WORDS
from ctacal.simulate.study import draw_study
from tests.simulate.studies import tiny_protocol


def test_without_names_all_ctac_systems_are_used() -> None:
    assert [protocol.name for protocol in cohort_protocols(())] == list(WORDS)
    assert [protocol.name for protocol in cohort_protocols(["hawkeye_slow"])] == ["hawkeye_slow"]


def test_a_description_is_read_from_a_record_or_alone(tmp_path: Path) -> None:
    description = draw_study(3, tiny_protocol())
    for content in (description.to_json(), {"description": description.to_json(), "seed": 3}):
        (tmp_path / "study.json").write_text(json.dumps(content))
        assert stored_description(tmp_path / "study.json") == description
    with pytest.raises(UsageError, match=r"none\.json: No such file"):
        stored_description(tmp_path / "none.json")


def test_each_seed_has_its_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[dict[str, Any]] = []
    monkeypatch.setattr(simulate, "insert_study", lambda _, **options: calls.append(options))
    monkeypatch.setattr(simulate, "write_inserted", lambda _, folder, **options: {"folder": folder, **options})
    job = Insertion(scan=tmp_path, out=tmp_path / "out", seed=2, count=2, writers=("nifti",))
    made = list(insert_calcium(job))
    assert [name for name, _ in made] == ["inserted-2000000", "inserted-2000001"]
    assert [record["folder"].name for _, record in made] == ["inserted-2000000", "inserted-2000001"]
    assert [call["seed"] for call in calls] == [record["seed"] for _, record in made] == [2000000, 2000001]
    assert {record["writers"] for _, record in made} == {("nifti",)}
