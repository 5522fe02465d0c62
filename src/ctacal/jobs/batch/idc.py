"""Manifests of the Imaging Data Commons (IDC): an s5cmd manifest, or columns of idc-index as CSV or Parquet.

idc-index names a series a line, with ``StudyInstanceUID``, ``series_aws_url`` (s3://idc-open-data/<uuid>/*) and
``series_size_MB``: the series of one study make one row. An s5cmd manifest (``cp s3://idc-open-data/<uuid>/* folder``)
names no study: series that go to the same folder of their own make one row.
"""

import csv
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ctacal.errors import UsageError, system_message
from ctacal.jobs.batch.parquet import read_columns
from ctacal.jobs.batch.rows import Row, row_of
from ctacal.names import printable

STUDY, ADDRESS, SIZE_MB = "StudyInstanceUID", "series_aws_url", "series_size_MB"
_COPY = re.compile(r"""\s*cp\s+(?:--\S+\s+)*['"]?([a-z0-9]+://[^'"\s]+)['"]?\s+['"]?([^'"]*?)['"]?\s*""")
_HERE = (".", "./", "")


def idc_rows(file: Path) -> Iterator[Row]:
    """Yield a row for each study of a manifest. Raises ``UsageError`` if it is none."""
    try:
        if file.suffix.lower() == ".parquet":
            yield from _by_study(read_columns(file, (STUDY, ADDRESS, SIZE_MB)), file)
        elif file.suffix.lower() == ".csv":
            with file.open(newline="", encoding="utf-8") as lines:
                yield from _by_study(csv.DictReader(lines), file)
        else:
            yield from _s5cmd(file)
    except OSError as problem:
        raise UsageError(f"{printable(file)}: {system_message(problem)}") from problem


def _by_study(lines: Iterable[Mapping[str, Any]], file: Path) -> Iterator[Row]:
    series: dict[str, list[str]] = {}
    size_mb: dict[str, float] = {}
    for number, line in enumerate(lines, 1):
        study, address = line.get(STUDY), line.get(ADDRESS)
        if not study or not address:
            raise UsageError(
                f"{printable(file)}: a line without {STUDY} or {ADDRESS}; export these columns, and {SIZE_MB}"
            )
        series.setdefault(study, []).append(_prefix(str(address)))
        size_mb[study] = size_mb.get(study, 0.0) + _size_mb(line.get(SIZE_MB), f"{printable(file)}, row {number}")
    for study, sources in series.items():
        mb = size_mb[study]
        yield row_of(sources, round(mb * 1e6) if mb == mb else None)


def _size_mb(written: object, where: str) -> float:
    """Return the size of a series; NaN if none is given."""
    try:
        size_mb = float(str(written)) if written not in (None, "") else math.nan
    except ValueError:
        size_mb = -1.0
    if size_mb < 0 or math.isinf(size_mb):
        raise UsageError(f"{where}: {SIZE_MB} is {written!r}; expected a number of megabytes, or nothing")
    return size_mb


def _s5cmd(file: Path) -> Iterator[Row]:
    together: dict[str, list[str]] = {}
    with file.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            copy = _COPY.fullmatch(line.rstrip("\n"))
            if copy is None:
                raise UsageError(f"{printable(file)}, line {number}: not an s5cmd copy (cp s3://... folder)")
            address, folder = copy.groups()
            source = _prefix(address)
            together.setdefault(source if folder in _HERE else folder.rstrip("/"), []).append(source)
    yield from (row_of(sources) for sources in together.values())


def _prefix(address: str) -> str:
    """Return the URI of a series without the pattern at its end.

    >>> _prefix("s3://idc-open-data/0a1b/*")
    's3://idc-open-data/0a1b/'
    """
    return address.removesuffix("*")
