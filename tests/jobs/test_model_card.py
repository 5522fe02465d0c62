"""The model card takes the scans of patients who were scanned again, if the model that is judged scored them."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ctacal.compare.rescanned import RescanPairs
from ctacal.errors import UsageError
from ctacal.jobs import model_card
from ctacal.jobs.rescans import COLUMNS
from ctacal.prediction import ModelInfo

OURS = SimpleNamespace(
    info=ModelInfo("ours", "1", "a" * 64), card={"stages": {"calcium": {"recipe": {"network": {"kind": "unet"}}}}}
)


def tables(folder: Path, digest: str) -> Path:
    cells = dict.fromkeys(COLUMNS, "") | {"patient": "1", "draw": "2", "grown": "0", "centre": "hawkeye_slow"}
    cells |= {"status": "scored", "rule": "scct2016", "model_digest": digest}
    rows = [{**cells, "scan": str(number), "agatston": f"{score}"} for number, score in enumerate((100.0, 144.0))]
    lines = [",".join(COLUMNS), *(",".join(row.values()) for row in rows)]
    (folder / "patient-1.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[RescanPairs | None]:
    """Return what the card would show."""
    found: list[RescanPairs | None] = []

    def write_card(_path: Path, _contenders: Any, _rows: Any, _scans: Any, rescans: RescanPairs | None) -> None:
        found.append(rescans)

    monkeypatch.setattr(model_card, "write_card", write_card)
    return found


def written(tmp_path: Path, rescans: Path | None) -> None:
    model_card.write_model_card(tmp_path / "card.md", tmp_path / "none.csv", [OURS], rescans=rescans)  # type: ignore[list-item]


def test_pairs_of_the_judged_model_are_shown(tmp_path: Path, shown: list[RescanPairs | None]) -> None:
    written(tmp_path, tables(tmp_path, "a" * 64))
    written(tmp_path, None)
    pairs, nothing = shown
    assert nothing is None
    assert pairs is not None
    assert (pairs.first.tolist(), pairs.second.tolist(), pairs.centre) == ([100.0], [144.0], ("hawkeye_slow",))


def test_scans_that_another_model_scored_are_refused(tmp_path: Path, shown: list[RescanPairs | None]) -> None:
    with pytest.raises(UsageError, match="no patient was scanned twice and scored by ours"):
        written(tmp_path, tables(tmp_path, "b" * 64))
    assert shown == []
