"""A publication whose title, pages, figures, tables and file names all say that it is not about patients."""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from ctacal.evaluate.publication.content import Chart, Publication, Section, Table, file_stem
from ctacal.evaluate.publication.style import GREY

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def marked(publication: Publication, mark: str) -> Publication:
    """Return the publication with ``mark`` (such as "Simulated cohort") wherever a part of it could be seen alone."""
    sections = tuple(
        Section(section.title, tuple(_marked(item, mark) for item in section.content))
        for section in publication.sections
    )
    return replace(publication, title=f"{publication.title}: {mark.lower()}", sections=sections, mark=mark)


def marked_chart(chart: Chart, mark: str) -> Chart:
    """Return a chart with the mark in its title, its file names and its picture."""
    return replace(chart, title=_title(chart, mark), name=_name(chart, mark), draw=_with_mark(chart.draw, mark))


def _marked(item: str | Table | Chart, mark: str) -> str | Table | Chart:
    if isinstance(item, Chart):
        return marked_chart(item, mark)
    return item if isinstance(item, str) else replace(item, title=_title(item, mark), name=_name(item, mark))


def _title(item: Table | Chart, mark: str) -> str:
    return f"{item.title} ({mark.lower()})"


def _name(item: Table | Chart, mark: str) -> str:
    return f"{file_stem(mark)}_{item.stem}"


def _with_mark(draw: "Callable[[Figure], None]", mark: str) -> "Callable[[Figure], None]":
    def draw_marked(figure: "Figure") -> None:
        draw(figure)
        figure.suptitle(mark, x=0.995, ha="right", fontsize=6.5, color=GREY)

    return draw_marked
