"""The output of an evaluation: a report, tables, figures and numbers, all made from one frozen value.

Build a ``Publication`` from ``Table``s, ``Chart``s and paragraphs, and pass it to ``write_publication``::

    from ctacal.evaluate.publication import Chart, Publication, Section, Table, write_publication

    def draw(figure: Figure) -> None:            # size, fonts and colours are already set for a journal
        axes = figure.subplots()
        axes.plot(times_years, survival, label="CAC 0")
        axes.set(xlabel="Time (years)", ylabel="Event-free survival")
        axes.legend()

    table = Table(
        "Hazard ratios",                         # becomes "Table 1. Hazard ratios"; file name hazard_ratios.csv
        ("", "n", "HR (95 % CI)", "p"),
        (
            ("Calcium category",),               # a row of one cell is a heading across the table
            ("  1-100", 596, "2.20 (1.54 to 3.14)", p_value(0.00001)),   # leading spaces indent
        ),
        footnotes=("Cox model, Efron ties.",),
    )
    chart = Chart("Kaplan-Meier", "Event-free survival by category.", draw, width="double", height_mm=90)
    publication = Publication(
        title="Prognosis",
        lead=("This cohort is simulated.",),     # the first lines of the report
        sections=(Section("Cox", ("A paragraph.", table, chart)),),
        numbers={"cox": {"hr": 2.1987, "p": 1e-5}},   # at full precision; frozen results are allowed
        command="ctacal outcomes", seed=0, options={"horizon_years": 5},
        checklists=(fill(TRIPOD_AI, {"12g": "ctacal 0.1.0"}),),
    )
    write_publication(publication, Path("OUT"))

``write_publication`` writes ``report.html`` (self-contained, printable, figures as inline SVG), ``tables/NAME.csv``,
``tables/NAME.tex`` (booktabs, graphicx), ``tables.docx``, ``figures/NAME.svg`` and ``.png`` (300 dpi, 85 or 175 mm
wide), ``numbers.json`` (title, ctacal and package versions, seed, options, ``numbers``, files) and ``checklist.csv``.
It writes all of them or none, and the same bytes for the same input on the same installation.

A NaN or an infinity anywhere raises ``ValueError`` naming its place: a value that is not defined is ``None`` in numbers
and words in a table. Cells are text (shown unchanged), ``int`` (2,271), ``float`` (three significant digits; all digits
in the CSV) or ``None`` (an en dash). Phrases for text: ``interval``, ``p_value``, ``percent``, ``count_percent``,
``listed``.

Needs the extra ``evaluate`` (matplotlib, python-docx), imported only when something is written; ``require()`` raises a
``UsageError`` that names a missing package.
"""

from ctacal.evaluate.publication.checklists import CLAIM_2024, STARD_AI, TRIPOD_AI, Checklist, Item, fill
from ctacal.evaluate.publication.content import Cell, Chart, Publication, Section, Table
from ctacal.evaluate.publication.marked import marked, marked_chart
from ctacal.evaluate.publication.style import CATEGORY_COLOURS, COLOURS, GREY
from ctacal.evaluate.publication.wording import count_percent, interval, listed, p_value, percent, shown
from ctacal.evaluate.publication.write import NOTICE, check_replaceable, require, write_page, write_publication

__all__ = [
    "CATEGORY_COLOURS",
    "CLAIM_2024",
    "COLOURS",
    "GREY",
    "NOTICE",
    "STARD_AI",
    "TRIPOD_AI",
    "Cell",
    "Chart",
    "Checklist",
    "Item",
    "Publication",
    "Section",
    "Table",
    "check_replaceable",
    "count_percent",
    "fill",
    "interval",
    "listed",
    "marked",
    "marked_chart",
    "p_value",
    "percent",
    "require",
    "shown",
    "write_page",
    "write_publication",
]
