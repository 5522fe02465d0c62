"""From the rows of the table to the patients of each analysis, as a figure and as a table."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import TYPE_CHECKING, Any, Literal

from ctacal.evaluate.outcomes.part import LABELS, Part
from ctacal.evaluate.outcomes.patients import Patients
from ctacal.evaluate.publication import GREY, Cell, Chart, Section, Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LINE_MM, GAP_MM = 4.2, 7.0
"""Height of a line of text, and of the gap between two boxes."""

LETTERS = 44
"""Letters that fit in a line of a box."""


@dataclass(frozen=True, slots=True)
class _Box:
    lines: tuple[str, ...]
    aside: tuple[str, ...] = ()
    """What leaves the flow between this box and the next; in a box to the right."""

    @classmethod
    def of(cls, lines: Sequence[str], aside: Sequence[str] = ()) -> "_Box":
        """Return a box whose long lines are broken."""
        return cls(*(tuple(part for line in own for part in wrap(line, LETTERS)) for own in (lines, aside)))


def flow_part(patients: Patients) -> Part:
    """Return the numbers read, excluded with reasons, analysed and with the event, as a figure and a table."""
    complete = patients.take(patients.complete)
    numbers = {
        "rows_read": patients.flow.rows, "excluded": dict(patients.flow.excluded), "analysed": patients.data.n,
        "events": patients.data.events, "with_all_covariates": complete.data.n,
        "events_with_all_covariates": complete.data.events,
    }  # fmt: skip
    return Part(Section("Flow of patients", (_chart(patients, complete), _table(patients, complete))), numbers)


def _table(patients: Patients, complete: Patients) -> Table:
    data, outcome = patients.data, patients.config.outcome
    rows: list[tuple[Cell, ...]] = [("Rows read", patients.flow.rows, "")]
    rows += [(f"  excluded: {reason}", number, "") for reason, number in patients.flow.excluded]
    rows.append(("Analysed", data.n, data.events))
    rows += [(f"  {label}", *counts) for label, counts in _categories(patients)]
    if patients.covariates:
        rows += [(f"  without: {label}", number, "") for label, number in _gaps(patients)]
        rows.append(("With all covariates", complete.data.n, complete.data.events))
    notes = ("A patient may lack several covariates.",) if len(_gaps(patients)) > 1 else ()
    title = f"Patients from the table to the analyses; categories by {patients.model.name}"
    return Table(title, ("", "Patients", f"With {outcome.name}"), tuple(rows), notes, name="flow")


def _categories(patients: Patients) -> Iterator[tuple[str, tuple[int, int]]]:
    for place, label in enumerate(LABELS):
        own = patients.model.category == place
        yield label, (int(own.sum()), int(patients.data.event[own].sum()))


def _gaps(patients: Patients) -> list[tuple[str, int]]:
    return [(covariate.label, covariate.missing) for covariate in patients.covariates if covariate.missing]


def _boxes(patients: Patients, complete: Patients) -> list[_Box]:
    outcome, data = patients.config.outcome.name, patients.data
    excluded = [f"{number:,}: {reason}" for reason, number in patients.flow.excluded]
    left = patients.flow.rows - data.n
    boxes = [_Box.of((f"{patients.flow.rows:,} rows read",), (f"{left:,} excluded", *excluded) if left else ())]
    categories = [f"{label}: {n:,} ({events:,})" for label, (n, events) in _categories(patients)]
    analysed = (f"{data.n:,} patients analysed ({data.events:,} with {outcome})", *categories)
    gap = data.n - complete.data.n
    lacking = [f"{number:,}: {label}" for label, number in _gaps(patients)]
    boxes.append(_Box.of(analysed, (f"{gap:,} without a covariate", *lacking) if gap else ()))
    if patients.covariates:
        boxes.append(_Box.of((f"{complete.data.n:,} with all covariates ({complete.data.events:,} with {outcome})",)))
    return boxes


def _height_mm(box: _Box) -> float:
    """Return the height of a box and what lies beside its arrow."""
    return LINE_MM * (len(box.lines) + 1) + max(GAP_MM, LINE_MM * (len(box.aside) + 1) if box.aside else 0.0)


def _chart(patients: Patients, complete: Patients) -> Chart:
    boxes = _boxes(patients, complete)
    height = sum(map(_height_mm, boxes)) + 4

    def draw(figure: "Figure") -> None:
        _draw(figure, boxes, height)

    caption = (
        f"Patients read, excluded with reasons, and analysed; in brackets those with {patients.config.outcome.name}. "
        f"Categories by {patients.model.name}."
    )
    width: Literal["single", "double"] = "double" if any(box.aside for box in boxes) else "single"
    return Chart("Flow of patients", caption, draw, width, height, name="flow")


def _draw(figure: "Figure", boxes: Sequence[_Box], height_mm: float) -> None:
    axes = figure.subplots()
    axes.axis("off")
    axes.set(xlim=(0, 1), ylim=(height_mm, 0))
    wide, top = 0.47 if any(box.aside for box in boxes) else 0.96, 2.0
    middle = 0.02 + wide / 2
    for place, box in enumerate(boxes):
        tall = LINE_MM * (len(box.lines) + 1)
        _draw_box(axes, 0.02, wide, top, tall, box.lines)
        below = top + _height_mm(box)
        if place < len(boxes) - 1:
            _arrow(axes, (middle, top + tall), (middle, below))
        if box.aside:
            level, aside = (top + tall + below) / 2, LINE_MM * (len(box.aside) + 0.6)
            _arrow(axes, (middle, level), (0.55, level))
            _draw_box(axes, 0.55, 0.43, level - aside / 2, aside, box.aside)
        top = below


def _draw_box(axes: "Axes", left: float, wide: float, top: float, tall: float, lines: Sequence[str]) -> None:
    from matplotlib.patches import Rectangle

    axes.add_patch(Rectangle((left, top), wide, tall, facecolor="white", edgecolor="black", linewidth=0.8))
    for number, line in enumerate(lines):
        where = top + tall / 2 + LINE_MM * (number - (len(lines) - 1) / 2)
        weight: Any = "bold" if number == 0 else "normal"
        axes.text(left + 0.012, where, line, fontsize=7.5, fontweight=weight, va="center", ha="left")


def _arrow(axes: "Axes", start: tuple[float, float], end: tuple[float, float]) -> None:
    style: Any = {"arrowstyle": "-|>", "color": GREY, "linewidth": 0.9, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", xy=end, xytext=start, arrowprops=style)
