"""``ctacal rescan``: what is made, the limits that are written, and options out of range."""

from pathlib import Path

import pytest

from ctacal.cli import rescan
from ctacal.cli.rescan import Options
from ctacal.compare.limits import read_limits
from ctacal.errors import UsageError
from ctacal.jobs import rescans
from ctacal.jobs.rescans import COLUMNS, RescanSet

SCORES = {"1": (100.0, 121.0), "2": (400.0, 361.0), "3": (900.0, 1000.0)}


def a_table(wanted: RescanSet, **_: object) -> list[str]:
    wanted.out.mkdir(exist_ok=True)
    cells = dict.fromkeys(COLUMNS, "") | {"status": "scored", "rule": "scct2016", "model_digest": "b" * 64}
    rows = [
        {**cells, "patient": "7000000", "draw": draw, "grown": "0", "centre": "hawkeye_slow", "agatston": str(score)}
        for draw, scores in SCORES.items() for score in scores
    ]  # fmt: skip
    lines = [",".join(COLUMNS), *(",".join(row.values()) for row in rows)]
    (wanted.out / "patient-7000000.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return ["patient 2: ValueError: no such patient"]


def test_makes_tables_and_limits_and_says_what_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(rescans, "make_rescans", a_table)
    status = rescan.run(Options(out=tmp_path / "scans", patients=2, seed=7, limits=tmp_path / "limits"))
    said = capsys.readouterr()
    assert status == 1
    assert "patient 2: ValueError" in said.err
    assert "hawkeye_slow.json: 3 pairs of 1 patients" in said.out
    limits = read_limits(tmp_path / "limits" / "hawkeye_slow.json")
    assert (limits.origin, limits.pairs, limits.model_digest, limits.protocol.kvp) == ("simulated", 3, "b" * 64, 140.0)


@pytest.mark.parametrize("wrong", [{"patients": 0}, {"each": 1}, {"seed": -1}, {"workers": 0}])
def test_options_out_of_range_are_refused(tmp_path: Path, wrong: dict[str, int]) -> None:
    with pytest.raises(UsageError, match="expected"):
        rescan.run(Options(out=tmp_path, **wrong))  # type: ignore[arg-type]
