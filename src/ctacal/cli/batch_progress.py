"""How a batch goes on: a bar on a terminal, a line a minute in the log of a job; rate, time left, what was refused."""

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import typer

from ctacal.jobs.batch.outcomes import RowOutcome

OnRow = Callable[[RowOutcome, int, int], object]
LINE_S = 60.0
"""How often a log gets a line."""
MOST_REASONS = 3


@dataclass(eq=False)
class Tally:
    """What this runner has done so far."""

    clock: Callable[[], float] = time.monotonic
    reasons: Counter[str] = field(default_factory=Counter)
    """Why studies were refused and rows gave nothing."""
    rows: int = 0
    began: float = field(init=False)

    def __post_init__(self) -> None:
        self.began = self.clock()

    def count(self, outcome: RowOutcome) -> None:
        """Count a row."""
        self.rows += 1
        self.reasons.update(study.reason for study in outcome.studies if study.reason)
        if outcome.fault:
            self.reasons[outcome.fault.why] += 1

    def line(self, done: int, total: int) -> str:
        """Return how it stands: rows, rate, time left, and the most frequent reasons."""
        a_minute = self.rows / max(self.clock() - self.began, 1e-9) * 60
        left = f"{duration((total - done) / a_minute * 60)} left" if a_minute else "time left unknown"
        return f"{done:,} of {total:,} rows, {a_minute:,.0f} a minute, {left}{self.refused()}"

    def refused(self) -> str:
        """Return the most frequent reasons, in words; empty if there is none."""
        most = ", ".join(f"{reason} {count:,}" for reason, count in self.reasons.most_common(MOST_REASONS))
        return f"; without a score: {most}" if most else ""


def duration(seconds: float) -> str:
    """Return a duration in words.

    >>> duration(59), duration(7300)
    ('1 min', '2 h 2 min')
    """
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


@contextmanager
def row_progress() -> Iterator[OnRow]:
    """Yield what is called for each row."""
    tally = Tally()
    if not sys.stderr.isatty():
        yield _lines(tally)
        return
    from rich import progress as rich_progress
    from rich.console import Console

    columns = (rich_progress.BarColumn(), rich_progress.TextColumn("{task.description}"))
    with rich_progress.Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("scoring", total=None)

        def show(outcome: RowOutcome, done: int, total: int) -> None:
            tally.count(outcome)
            bar.update(task, completed=done, total=total, description=tally.line(done, total))

        yield show


def _lines(tally: Tally) -> OnRow:
    told_at = tally.clock()

    def tell(outcome: RowOutcome, done: int, total: int) -> None:
        nonlocal told_at
        tally.count(outcome)
        if tally.clock() - told_at >= LINE_S:
            told_at = tally.clock()
            typer.echo(tally.line(done, total), err=True)

    return tell
