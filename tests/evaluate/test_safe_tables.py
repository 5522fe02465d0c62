"""Tables that pass through ctacal: safe in a spreadsheet, and the same again when ctacal reads them."""

from pathlib import Path

import pytest

from ctacal.evaluate.readings import read_table, save_table

CELLS = ["=1+1", "@x", "-", "+", "-5 mm", "plain"]


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".xlsx"])
def test_a_table_is_safe_and_read_back_as_it_was(tmp_path: Path, ending: str) -> None:
    pd, openpyxl = pytest.importorskip("pandas"), pytest.importorskip("openpyxl")
    path = tmp_path / f"cohort{ending}"
    save_table(pd.DataFrame({"=level": CELLS, "score": [-1.5] * len(CELLS)}), path)
    again = read_table(path)
    assert list(again["=level"]) == CELLS
    assert set(again["score"]) == {-1.5 if ending == ".xlsx" else "-1.5"}
    if ending == ".xlsx":
        kinds = {cell.data_type for row in openpyxl.load_workbook(path).active.iter_rows() for cell in row}
        assert kinds == {"s", "n"}, "f would be a formula"
    else:
        assert "'=1+1" in path.read_text() and "'=level" in path.read_text()
