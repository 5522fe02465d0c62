"""Text for the cells of a CSV table, so that a spreadsheet reads it as text and never as a formula.

A spreadsheet takes a cell that begins with ``=``, ``+``, ``-`` or ``@`` for a formula, and a formula can start a
program or send the table elsewhere (OWASP, CSV Injection). Text of DICOM headers and names of files can hold anything.
"""

import re

_SIGN = "=+\\-@＝＋－＠"  # the wide forms too, which an East Asian spreadsheet takes for the narrow ones
_BLANK = r"[\s\"\u00a0\u200b-\u200f\u2028\u2029\u2060\ufeff]*"
_FORMULA = re.compile(rf"{_BLANK}[{_SIGN}]|[\t\r\n]")
_SECOND = re.compile(rf"(?<!^)(?<!^')([;\t\r\n])(?={_BLANK}[{_SIGN}])(?!{_BLANK}-[\d.]+\s*([\w;,]|$))")
"""A separator of other spreadsheets, with a formula behind it."""
_MARKED = re.compile(rf"'(?={_BLANK}[{_SIGN}]|[\t\r\n])")

_NUMBER = r"-?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?"
_HARMLESS = re.compile(rf"[{_SIGN}]+|{_NUMBER}( ?%)?( \([-−]?[\d.,]+ ?%?( to |, |[-–])[-−]?[\d.,]+ ?%?\))?")
"""Signs alone, and numbers, with their interval in a table of statistics."""


def as_text(text: str) -> str:
    """Return the text with an apostrophe before what would start a formula; numbers and signs alone stay as they are.

    >>> as_text("=1+1"), as_text(" @SUM(A1)"), as_text("CTAC;=1+1"), as_text("-5"), as_text("B30f")
    ("'=1+1", "' @SUM(A1)", "CTAC;'=1+1", '-5', 'B30f')
    """
    if _HARMLESS.fullmatch(text):
        return text
    marked = _SECOND.sub(r"\1'", text)
    return f"'{marked}" if _FORMULA.match(marked) else marked


def as_written(text: str) -> str:
    """Return the text of a cell before ``as_text`` marked its beginning.

    >>> as_written("'=1+1"), as_written("'tis")
    ('=1+1', "'tis")
    """
    return text[1:] if _MARKED.match(text) else text
