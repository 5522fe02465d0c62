"""``collect``: the tables of a run, from its ledger, also while it goes on; of each row it keeps three numbers only.

Rows stand in the order of shards, then of the identities of rows, which does not change from run to run.
"""

from array import array
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from ctacal.atomic import whole_file
from ctacal.errors import Code
from ctacal.jobs.batch.finding import in_words
from ctacal.jobs.batch.ledger import Entry, complete, lines_of
from ctacal.jobs.batch.outcomes import RowOutcome, StudyOutcome
from ctacal.jobs.batch.pages import Pages
from ctacal.jobs.batch.parquet import open_parquet
from ctacal.jobs.batch.places import Place
from ctacal.jobs.batch.plan import Plan, load_plan, rows_of_shard
from ctacal.jobs.batch.runners import new_runner
from ctacal.jobs.score import Privacy
from ctacal.results_table import COLUMNS, Row, open_table

RESULTS, PARQUET, FAILED, SEVERAL, AGAIN = (
    "results.csv", "results.parquet", "failed.csv", "several_rows.csv", "several_rows.list",
)  # fmt: skip
_FAILED_COLUMNS = ("row", "study_uid", "why", "message", "sources")
_SEVERAL_COLUMNS = ("study_uid", "row", "key", "result", "sources")


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """What the tables hold."""

    rows: int
    """Rows with an outcome."""
    failed: int
    """Rows that gave nothing."""
    left: int
    """Rows without an outcome."""
    studies: int
    """Results in the tables."""
    in_several_rows: int
    """Studies that lie in several rows."""


def collect(place: Place, out: Path) -> Collected:
    """Write the tables of what is done to ``out``. Raises ``UsageError`` if there is no plan, ``OSError``."""
    plan = load_plan(place)
    out.mkdir(parents=True, exist_ok=True)
    seen = _seen(plan, place)
    tables = _Tables(plan, place, out, seen)
    with ExitStack() as stack:
        tables.open(stack)
        for shard in _shards(plan):
            tables.add(shard, seen.entries(shard, place))
        tables.finish()
    return tables.collected()


def _shards(plan: Plan) -> list[int]:
    return [shard for shard, rows in enumerate(plan.rows) if rows]


def _seen(plan: Plan, place: Place) -> "_Seen":
    """Return what is done now; lines that only the outcomes hold are added."""
    runner = new_runner(0, "collect").name
    seen = _Seen()
    for shard in _shards(plan):
        for entry in complete(shard, place, runner).values():
            seen.add(shard, entry.outcome)
    place.settle()
    seen.close()
    return seen


class _Seen:
    """The outcomes that the tables will hold, whatever comes meanwhile, and which studies were met in which rows.

    All are short digests: a million rows take 32 MB, and twice 24 to sort them.
    """

    def __init__(self) -> None:
        self._outcomes: dict[int, array[int]] = {}
        """Digests of row and results, by shard."""
        self._met = array("Q")
        """Digests of study, result and row, in turn."""
        self._several: frozenset[int] = frozenset()
        self._differing: frozenset[int] = frozenset()

    def entries(self, shard: int, place: Place) -> dict[str, Entry]:
        """Return the entries of a shard that were noted, sorted."""
        noted = frozenset(self._outcomes.get(shard, ()))
        found = {line.outcome.row: line for line in lines_of(shard, place) if _digest(line.outcome) in noted}
        return dict(sorted(found.items()))

    def add(self, shard: int, outcome: RowOutcome) -> None:
        """Note a row and its studies."""
        self._outcomes.setdefault(shard, array("Q")).append(_digest(outcome))
        results: dict[str, list[str]] = {}
        for one in outcome.studies:
            results.setdefault(one.study_uid, []).append(one.key)
        for study, keys in results.items():
            self._met.extend((_short(study), _short(*sorted(keys)), _short(outcome.row)))

    def close(self) -> None:
        """Find the studies that lie in several rows, once all are noted."""
        met = np.asarray(self._met, np.uint64).reshape(-1, 3)
        met = met[np.lexsort(met.T[::-1])]
        self._met = array("Q")
        again = (met[1:, 0] == met[:-1, 0]) & (met[1:, 2] != met[:-1, 2])
        other = again & (met[1:, 1] != met[:-1, 1])
        self._several, self._differing = (frozenset(met[1:][which, 0].tolist()) for which in (again, other))

    @property
    def several(self) -> int:
        """Number of studies that lie in several rows."""
        return len(self._several)

    def is_in_several(self, study_uid: str) -> bool:
        """Whether several rows hold the study."""
        return bool(self._several) and _short(study_uid) in self._several

    def differs(self, study_uid: str) -> bool:
        """Whether several rows hold different images of the study."""
        return bool(self._differing) and _short(study_uid) in self._differing


def _digest(outcome: RowOutcome) -> int:
    return _short(outcome.row, *(one.key for one in outcome.studies))


def _short(*texts: str) -> int:
    return int.from_bytes(sha256("\n".join(texts).encode()).digest()[:8])


class _Tables:
    """The tables that are being written."""

    def __init__(self, plan: Plan, place: Place, out: Path, seen: _Seen) -> None:
        self.plan, self.place, self.out, self.seen = plan, place, out, seen
        settings = plan.settings
        self.names_sources = settings.pseudonymise is None
        identity = Privacy(phi=settings.phi).identity or (("patient_id",) if settings.pseudonymise else ())
        self.columns = (*identity, *COLUMNS)
        self.rows = self.failed = self.studies = 0
        self.keys: set[str] = set()
        """Results of studies in several rows that stand in the table already."""
        self.together: dict[str, list[str]] = {}
        """Sources of the studies whose images are spread over rows."""

    def open(self, stack: ExitStack) -> None:
        """Begin all tables; each appears when the stack closes without an exception."""
        self.results = stack.enter_context(open_table(self.out / RESULTS, self.columns))
        self.parquet = stack.enter_context(open_parquet(self.out / PARQUET, self.columns))
        self.failures = stack.enter_context(open_table(self.out / FAILED, _FAILED_COLUMNS))
        self.several = stack.enter_context(open_table(self.out / SEVERAL, _SEVERAL_COLUMNS))
        self.pages = Pages(self.out)

    def add(self, shard: int, entries: Mapping[str, Entry]) -> None:
        """Add a shard."""
        sources = self._sources(shard, entries)
        table: list[Row] = []
        for row, entry in entries.items():
            outcome = entry.outcome
            self.rows += 1
            self.failed += outcome.fault is not None
            table += [self._table_row(study) for study in outcome.studies if self._is_new(study)]
            self.failures(self._failures(outcome, sources.get(row, "")))
            self.several(self._in_several(outcome, sources.get(row, "")))
        self.results(table)
        self.parquet(table)
        self.pages.add(table)
        self.studies += len(table)

    def finish(self) -> None:
        """Write the last page, and the list that plans spread studies again."""
        self.pages.finish(left=self.plan.total - self.rows, failed=self.failed)
        lines = ["\t".join(dict.fromkeys(sources)) + "\n" for _, sources in sorted(self.together.items())]
        if not lines:
            (self.out / AGAIN).unlink(missing_ok=True)
            return
        with whole_file(self.out / AGAIN) as temporary:
            temporary.write_text("".join(lines), encoding="utf-8", errors="surrogateescape")

    def collected(self) -> Collected:
        """Return what was written."""
        return Collected(
            rows=self.rows,
            failed=self.failed,
            left=self.plan.total - self.rows,
            studies=self.studies,
            in_several_rows=self.seen.several,
        )

    def _sources(self, shard: int, entries: Mapping[str, Entry]) -> dict[str, str]:
        """Return the sources of the rows that a table names, in words; none if results are pseudonymised."""
        named = {row for row, entry in entries.items() if self._is_named(entry.outcome)}
        if not named:
            return {}
        rows = [row for row in rows_of_shard(self.plan, self.place, shard) if row.id in named]
        for row in rows:
            for study in entries[row.id].outcome.studies:
                if self.seen.differs(study.study_uid):
                    self.together.setdefault(study.study_uid, []).extend(row.sources)
        return {row.id: in_words(row.sources) for row in rows} if self.names_sources else {}

    def _is_named(self, outcome: RowOutcome) -> bool:
        studies = outcome.studies
        return outcome.fault is not None or any(
            one.status == "refused" or self.seen.is_in_several(one.study_uid) for one in studies
        )

    def _is_new(self, study: StudyOutcome) -> bool:
        """Whether a result is not in the table: rows that hold the same study share it."""
        if not self.seen.is_in_several(study.study_uid):
            return True
        if study.key in self.keys:
            return False
        self.keys.add(study.key)
        return True

    def _table_row(self, study: StudyOutcome) -> Row:
        row: Row = {**dict.fromkeys(self.columns), **study.table}
        if not self.seen.differs(study.study_uid):
            return row
        row["status"] = "scored_with_warnings" if row["status"] == "scored" else row["status"]
        codes, reasons = row["reason_codes"] or "", row["reasons"] or ""
        row["reason_codes"] = f"{Code.STUDY_IN_SEVERAL_ROWS} {codes}".strip()  # why it was refused stays the last
        row["reasons"] = "; ".join(filter(None, (_SPREAD, reasons)))
        return row

    def _failures(self, outcome: RowOutcome, sources: str) -> list[Row]:
        if outcome.fault:
            message = outcome.fault.message if self.names_sources else ""  # it may name files, and they may name people
            return [_failure(outcome.row, "", outcome.fault.why, message, sources)]
        return [
            _failure(outcome.row, one.study_uid, one.reason, str(one.table.get("reasons", "")), sources)
            for one in outcome.studies
            if one.status == "refused"
        ]

    def _in_several(self, outcome: RowOutcome, sources: str) -> list[Row]:
        return [
            {
                "study_uid": one.study_uid,
                "row": outcome.row,
                "key": one.key,
                "result": "of a part" if self.seen.differs(one.study_uid) else "the same",
                "sources": sources,
            }
            for one in outcome.studies
            if self.seen.is_in_several(one.study_uid)
        ]


_SPREAD = "several rows of the plan hold parts of this study, and each was scored alone: plan several_rows.list"


def _failure(row: str, study_uid: str, why: str, message: str, sources: str) -> dict[str, Any]:
    return {"row": row, "study_uid": study_uid, "why": why, "message": message, "sources": sources}
