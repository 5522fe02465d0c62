"""Parquet: columns of a manifest, and results.parquet with the columns of results.csv and their types.

pyarrow is optional (``ctacal[batch]``): without it there is no results.parquet.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ctacal.atomic import whole_file
from ctacal.errors import UsageError
from ctacal.names import printable
from ctacal.results_table import WORD_COLUMNS, Row

BATCH_ROWS = 65536
"""Rows of a table that are in memory at once."""


def read_columns(file: Path, names: Sequence[str]) -> Iterator[Mapping[str, Any]]:
    """Yield the rows of a Parquet file, with those of the columns that it has. Raises ``UsageError``."""
    if find_spec("pyarrow") is None:
        raise UsageError(f"{printable(file)}: Parquet needs pyarrow; install ctacal[batch], or give CSV")
    from pyarrow import ArrowInvalid
    from pyarrow.parquet import ParquetFile

    try:
        table = ParquetFile(file)
    except ArrowInvalid as problem:
        raise UsageError(f"{printable(file)}: {problem}") from problem
    for batch in table.iter_batches(BATCH_ROWS, columns=[name for name in names if name in table.schema_arrow.names]):
        yield from batch.to_pylist()


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
