"""Tables in Markdown, and the cells of the model card."""

from collections.abc import Iterator, Sequence

from ctacal.statistics.estimate import Estimate


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield the lines of a table."""
    yield _line(head)
    yield _line(["---"] * len(head))
    for row in rows:
        yield _line(row)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |"


def estimate_cell(found: Estimate) -> str:
    """Return the estimate with its interval, or the reason why there is none."""
    if found.estimate is None:
        return f"– ({found.reason})"
    if found.low is None or found.high is None:
        return f"{found.estimate:.3f} ({found.reason})"
    return f"{found.estimate:.3f} ({found.low:.3f} to {found.high:.3f})"


def kind_name(kind: str) -> str:
    """Return the name of a kind of calcium or metal as it is printed.

    >>> kind_name("aortic_wall")
    'aortic wall'
    """
    return kind.replace("_", " ")
