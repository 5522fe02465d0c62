"""results.parquet: the columns of results.csv with their types, written a shard at a time; only if pyarrow is there."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from ctacal.atomic import whole_file
from ctacal.results_table import WORD_COLUMNS, Row


@contextmanager
def open_parquet(path: Path, columns: Sequence[str]) -> Iterator[Callable[[Sequence[Row]], None]]:
    """Yield what adds rows to a new table; without pyarrow it does nothing, and no table of an earlier time stays."""
    if find_spec("pyarrow") is None:
        path.unlink(missing_ok=True)
        yield lambda _rows: None
        return
    import pyarrow
    from pyarrow.parquet import ParquetWriter

    words = set(WORD_COLUMNS)
    kinds = [(name, pyarrow.string() if name in words else pyarrow.float64()) for name in columns]
    schema = pyarrow.schema(kinds)

    def add(rows: Sequence[Row]) -> None:
        if rows:
            values = [{name: _cell(row.get(name), name in words) for name in columns} for row in rows]
            writer.write_table(pyarrow.Table.from_pylist(values, schema=schema))

    with whole_file(path) as temporary, ParquetWriter(temporary, schema, compression="zstd") as writer:
        yield add


def _cell(value: object, is_word: bool) -> str | float | None:
    if value is None or value == "":
        return None
    return str(value) if is_word else float(str(value))
