"""The report as one HTML file: self-contained, printable."""

from collections.abc import Iterator, Mapping, Sequence
from html import escape

from ctacal.evaluate.publication.checklists import OPEN, Checklist
from ctacal.evaluate.publication.content import Cell, Chart, Publication, Table
from ctacal.evaluate.publication.figures import inline_svg
from ctacal.evaluate.publication.wording import shown, unbroken

_STYLE = """
:root{color-scheme:light}
body{font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,Arial,sans-serif;max-width:60rem;margin:2rem auto;
padding:0 1.2rem;color:#1c1c1c;background:#fff}
h1{font-size:1.7rem;margin:0 0 .4rem}
h2{font-size:1.2rem;margin:2.2rem 0 .6rem;padding-top:.7rem;border-top:2px solid #1c1c1c}
.notice{font-size:.9rem;color:#444;border-left:4px solid #D55E00;padding:.2rem .8rem;margin:.8rem 0}
.lead p{font-size:1.05rem;margin:.4rem 0}
nav ul{columns:2;font-size:.9rem;padding-left:1.1rem} nav a{color:#0072B2;text-decoration:none}
figure{margin:1.4rem 0} figure.table{overflow-x:auto}
figcaption,caption{text-align:left;font-size:.9rem;padding-bottom:.4rem}
figure.chart figcaption{padding-top:.4rem;max-width:46rem}
figure.chart svg{max-width:100%;height:auto;display:block}
table{border-collapse:collapse;font-size:.85rem;border-top:1.5px solid #1c1c1c;border-bottom:1.5px solid #1c1c1c;
font-variant-numeric:tabular-nums}
td,th{padding:.22rem .7rem;text-align:right;vertical-align:top} td:first-child,th:first-child{text-align:left}
td:first-child{min-width:6rem} .checklist td:first-child{min-width:0}
thead tr:last-child th{border-bottom:1px solid #1c1c1c} th{vertical-align:bottom} th.group{text-align:center}
th.group.named{border-bottom:1px solid #999}
tbody tr:hover{background:#f3f6f9} tr.heading td{text-align:left;font-style:italic;padding-top:.6rem}
.notes{font-size:.8rem;color:#444;margin:.4rem 0 0} .notes p{margin:.1rem 0}
.checklist td,.checklist th{text-align:left} .open{font-weight:600;color:#A33F00}
footer{margin-top:2.5rem;border-top:1px solid #ccc;padding-top:.6rem;font-size:.8rem;color:#555}
@page{size:A4;margin:18mm 16mm}
@media print{body{font-size:10pt;margin:0;max-width:none;padding:0} nav{display:none} figure.chart{break-inside:avoid}
figure.table{overflow:visible;break-inside:avoid} table{font-size:7.5pt} td,th{padding:.15rem .35rem}
tr{break-inside:avoid} thead{display:table-header-group}
h2{break-after:avoid} a{color:inherit}
tbody tr:hover{background:none}}
"""


def report_page(publication: Publication, drawn: Mapping[str, bytes], notice: str, made_by: str) -> str:
    """The whole page; ``drawn`` holds each chart's SVG by its stem."""
    return "\n".join(_parts(publication, drawn, notice, made_by)) + "\n"


def _parts(publication: Publication, drawn: Mapping[str, bytes], notice: str, made_by: str) -> Iterator[str]:
    yield '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width,initial-scale=1">'
    yield f"<title>{escape(publication.title)}</title><style>{_STYLE}</style></head><body>"
    yield f"<h1>{escape(publication.title)}</h1>"
    yield f'<div class="lead">{"".join(_paragraph(text) for text in publication.lead)}</div>'
    yield f'<p class="notice">{escape(notice)}</p>'
    yield from _contents(publication)
    tables, charts = iter(range(1, 10_000)), iter(range(1, 10_000))
    for number, section in enumerate(publication.sections, start=1):
        yield f'<h2 id="section-{number}">{escape(section.title)}</h2>'
        for one in section.content:
            if isinstance(one, Table):
                yield _table(one, next(tables))
            elif isinstance(one, Chart):
                yield _chart(one, next(charts), drawn[one.stem])
            else:
                yield _paragraph(one)
    yield from _how(publication, made_by)
    if publication.checklists:
        yield '<h2 id="checklists">Reporting checklists</h2>'
        yield _paragraph(f"What the data tell is filled in; {OPEN} is for the authors. Item texts are shortened.")
        yield from (_checklist(one) for one in publication.checklists)
    yield f"<footer>{escape(made_by)}. {escape(notice)}</footer></body></html>"


def _contents(publication: Publication) -> Iterator[str]:
    links = [(f"section-{number}", one.title) for number, one in enumerate(publication.sections, start=1)]
    links += [("how", "How this was made")] + [("checklists", "Reporting checklists")] * bool(publication.checklists)
    yield (
        "<nav><ul>" + "".join(f'<li><a href="#{name}">{escape(text)}</a></li>' for name, text in links) + "</ul></nav>"
    )


def _paragraph(text: str) -> str:
    return f"<p>{escape(text)}</p>"


def _table(table: Table, number: int) -> str:
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in table.columns)
    body = "".join(_row(row, len(table.columns)) for row in table.rows)
    notes = "".join(_paragraph(note) for note in table.footnotes)
    return (
        f'<figure class="table"><table><caption><b>Table {number}.</b> {escape(table.title)}</caption>'
        f"<thead>{_groups(table)}<tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        + (f'<div class="notes">{notes}</div>' if notes else "")
        + "</figure>"
    )


def _groups(table: Table) -> str:
    if not table.groups:
        return ""
    cells = (
        f'<th class="group{" named" if text else ""}" colspan="{span}">{escape(text)}</th>'
        for text, span in table.groups
    )
    return f"<tr>{''.join(cells)}</tr>"


def _row(row: Sequence[Cell], columns: int) -> str:
    if len(row) == 1 < columns:
        return f'<tr class="heading"><td colspan="{columns}">{escape(shown(row[0]))}</td></tr>'
    return f"<tr>{''.join(_cell(shown(cell)) for cell in row)}</tr>"


def _cell(text: str) -> str:
    bare = text.lstrip(" ")
    indent = (len(text) - len(bare)) / 2
    return (
        f'<td style="padding-left:{0.7 + indent:g}rem">{escape(unbroken(bare))}</td>'
        if indent
        else f"<td>{escape(unbroken(bare))}</td>"
    )


def _chart(chart: Chart, number: int, svg: bytes) -> str:
    caption = f"<b>Figure {number}.</b> {escape(chart.title)}. {escape(chart.caption)}"
    return f'<figure class="chart">{inline_svg(svg, chart)}<figcaption>{caption}</figcaption></figure>'


def _how(publication: Publication, made_by: str) -> Iterator[str]:
    yield '<h2 id="how">How this was made</h2>'
    rows = [("made by", made_by), ("command", publication.command)]
    rows += [("seed of the resampling", str(publication.seed))] * (publication.seed is not None)
    rows += [(name.replace("_", " "), _told(value)) for name, value in publication.options.items()]
    lines = "".join(f"<tr><td>{escape(name)}</td><td>{escape(value)}</td></tr>" for name, value in rows)
    yield f'<figure class="table"><table class="checklist"><tbody>{lines}</tbody></table></figure>'
    yield _paragraph("Every figure stands at full precision in numbers.json.")


def _told(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {_told(one)}" for key, one in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(map(_told, value)) or "none"
    return (
        {None: "none", True: "yes", False: "no"}.get(value, str(value))
        if value is None or isinstance(value, bool)
        else str(value)
    )


def _checklist(checklist: Checklist) -> str:
    rows = "".join(
        f"<tr><td>{escape(item.number)}</td><td>{escape(item.topic)}</td>"
        + (f"<td>{escape(item.answer)}</td>" if item.answer else f'<td class="open">{OPEN}</td>')
        + "</tr>"
        for item in checklist.items
    )
    head = "<tr><th>item</th><th>asks for</th><th>answer</th></tr>"
    told = f"{escape(checklist.source)} {escape(checklist.remark)}".strip()
    return (
        f'<figure class="table"><table class="checklist"><caption><b>{escape(checklist.name)}.</b> '
        f"{checklist.filled} of {len(checklist.items)} items filled. {told}</caption>"
        f"<thead>{head}</thead><tbody>{rows}</tbody></table></figure>"
    )
