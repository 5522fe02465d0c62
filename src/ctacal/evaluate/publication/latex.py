"""Tables as LaTeX with booktabs, for any engine."""

import re
from collections.abc import Iterator, Sequence

from ctacal.evaluate.publication.content import Cell, Table
from ctacal.evaluate.publication.wording import shown

_SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": "$<$", ">": "$>$", "|": "$|$", "−": "$-$", "–": "--",
    "—": "---", "≥": r"$\geq$", "≤": r"$\leq$", "±": r"$\pm$", "×": r"$\times$", "≈": r"$\approx$", "≠": r"$\neq$",
    "·": r"$\cdot$", "°": r"$^\circ$", "²": "$^2$", "³": "$^3$", "χ": r"$\chi$", "κ": r"$\kappa$",
    "ρ": r"$\rho$", "α": r"$\alpha$", "β": r"$\beta$", "λ": r"$\lambda$", "μ": r"$\mu$", "σ": r"$\sigma$",
    "τ": r"$\tau$", "Δ": r"$\Delta$", "†": r"\dag{}", "‡": r"\ddag{}", "’": "'", "“": "``", "”": "''", "…": r"\ldots{}",
    "\u00a0": "~", "\u202f": r"\,", "\u2009": r"\,",
}  # fmt: skip
"""LaTeX for characters that pdfLaTeX does not accept directly."""

HEAD = "% Needs \\usepackage{booktabs,graphicx}\n"

WIDE = 90
"""Characters in a row above which a table is set smaller, with intervals below their estimates (own choice)."""


def table_latex(table: Table) -> str:
    """Return a ``table`` environment with caption, label, booktabs rules and footnotes below."""
    return HEAD + "\n".join(_lines(table)) + "\n"


def escape_latex(text: str) -> str:
    r"""Return text with LaTeX's special characters escaped.

    >>> escape_latex("CAC >400: 18 % & κ_w")
    'CAC $>$400: 18 \\% \\& $\\kappa$\\_w'
    """
    return "".join(_SPECIAL.get(letter, letter) for letter in text)


def _lines(table: Table) -> Iterator[str]:
    yield r"\begin{table}[htbp]"
    wide = _letters(table) > WIDE
    yield r"\centering\scriptsize\setlength{\tabcolsep}{4pt}" if wide else r"\centering\small"
    yield rf"\caption{{{escape_latex(table.title)}}}"
    yield rf"\label{{tab:{table.stem}}}"
    yield r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%"
    yield rf"\begin{{tabular}}{{l{'r' * (len(table.columns) - 1)}}}"
    yield r"\toprule"
    yield from _groups(table)
    yield _row(table.columns)
    yield r"\midrule"
    for row in table.rows:
        yield _heading(row[0], len(table.columns)) if len(row) == 1 < len(table.columns) else _row(row, stacked=wide)
    yield r"\bottomrule"
    yield r"\end{tabular}}"
    for note in table.footnotes:
        yield rf"\par\smallskip{{\footnotesize {escape_latex(note)}\par}}"
    yield r"\end{table}"


def _letters(table: Table) -> int:
    """Return the number of characters in a row of the widest cells, with the gaps between them."""
    rows = [row for row in table.rows if len(row) > 1]
    return sum(2 + max(len(shown(row[k])) for row in [table.columns, *rows]) for k in range(len(table.columns)))


def _groups(table: Table) -> Iterator[str]:
    if not table.groups:
        return
    yield " & ".join(rf"\multicolumn{{{span}}}{{c}}{{{escape_latex(text)}}}" for text, span in table.groups) + r" \\"
    first = 1
    for text, span in table.groups:
        if text:
            yield rf"\cmidrule(lr){{{first}-{first + span - 1}}}"
        first += span


def _heading(cell: Cell, columns: int) -> str:
    return rf"\multicolumn{{{columns}}}{{l}}{{\textit{{{escape_latex(shown(cell))}}}}} \\"


def _row(cells: Sequence[Cell], *, stacked: bool = False) -> str:
    return " & ".join(_stacked(cell) if stacked else _cell(cell) for cell in cells) + r" \\"


_WITH_INTERVAL = re.compile(r"(\S{1,12}) (\([^()]{1,40}\))")


def _stacked(cell: Cell) -> str:
    """Return a cell with the interval below its estimate."""
    found = _WITH_INTERVAL.fullmatch(shown(cell))
    if found is None:
        return _cell(cell)
    return rf"\begin{{tabular}}[t]{{@{{}}r@{{}}}}{_cell(found[1])}\\{_cell(found[2])}\end{{tabular}}"


def _cell(cell: Cell) -> str:
    text = shown(cell)
    bare = text.lstrip(" ")
    indent = r"\quad " * ((len(text) - len(bare) + 1) // 2)
    # a bracket after \\ would be read as its argument
    return indent + re.sub(r"^\[", "{[}", escape_latex(bare))
