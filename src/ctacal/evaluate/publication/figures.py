"""Charts as SVG and PNG. Needs matplotlib."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import TYPE_CHECKING, Any

from ctacal.evaluate.publication.content import Chart
from ctacal.evaluate.publication.style import COLOURS, DPI, STYLE, WIDTH_MM

if TYPE_CHECKING:
    from markupsafe import Markup
    from matplotlib.figure import Figure

_MM_PER_INCH = 25.4


@contextmanager
def drawn(chart: Chart) -> "Iterator[Figure]":
    """Yield the chart, drawn and laid out; the journal's style applies within the context."""
    import matplotlib
    from cycler import cycler
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    style: Any = {**STYLE, "axes.prop_cycle": cycler(color=COLOURS), "svg.hashsalt": chart.stem}
    with matplotlib.rc_context(style):
        size = (WIDTH_MM[chart.width] / _MM_PER_INCH, chart.height_mm / _MM_PER_INCH)
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasAgg(figure)
        chart.draw(figure)
        figure.draw_without_rendering()  # lay out once, not again for each format
        figure.set_layout_engine("none")
        yield figure


def draw_chart(chart: Chart) -> tuple[bytes, bytes]:
    """Return SVG and PNG (300 dpi); the same bytes for the same chart."""
    svg, png = BytesIO(), BytesIO()
    with drawn(chart) as figure:
        figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
        figure.savefig(png, format="png", dpi=DPI, metadata={"Software": None})
    return svg.getvalue(), png.getvalue()


def inline_svg(svg: bytes, chart: Chart) -> "Markup":
    """Return the SVG for a page of many: no XML declaration, unique identifiers, a text alternative."""
    from markupsafe import Markup, escape

    text = svg.decode("utf-8")
    text = text[text.index("<svg") :]
    text = re.sub(r'\bid="', f'id="{chart.stem}-', text)
    text = re.sub(r'(href="|url\()#', rf"\g<1>#{chart.stem}-", text)
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    label = escape(f"{chart.title}. {chart.caption}")
    return Markup(text.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1))
