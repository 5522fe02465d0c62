"""Identifiers of rows: which of them are missing, damaged, or those of another row."""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

_SCIENTIFIC = re.compile(r"\d([.,]\d+)?[eE]\+\d{1,2}")
_LONG = re.compile(r"\d{15}0+")


def alike(identifier: str) -> str:
    """Return what two spellings of one identifier have in common: no case, blanks, leading zeros or ``.0``.

    >>> alike("P 007"), alike("p007"), alike("007"), alike("7.0"), alike("1.20")
    ('p007', 'p007', '7', '7', '1.20')
    """
    text = identifier if identifier.isascii() else unicodedata.normalize("NFKC", identifier)
    text = "".join(text.casefold().split())
    if text[:1].isdigit() and re.fullmatch(r"\d+(\.0)?", text):
        return text.removesuffix(".0").lstrip("0") or "0"
    return text


_LONG_TOTAL = re.compile(
    r"((grand|sub|overall|all)?[- ]?totals?|sums?|mean|average|median|std\.? ?dev\.?|standard deviation|summe|gesamt|"
    r"zwischensumme|mittelwert|standardabweichung|moyenne|somme|totale|media)([\s:=(,.;/±].*)?",
    re.IGNORECASE | re.DOTALL,
)
_SHORT_TOTAL = re.compile(
    r"(sd|std|n|count|anzahl|iqr|min|max|minimum|maximum)\s*([:=(±].*)?", re.IGNORECASE | re.DOTALL
)
"""Words at the beginning of a line of totals; the short ones also begin identifiers, and are codes of columns."""

FEW_LINES = 0.1
"""Largest share of the rows that can be lines of totals (own choice)."""


def is_total(word: str) -> bool:
    """Return whether a word begins a line of totals.

    >>> [is_total(word) for word in ("Mean:", "Total (n=120)", "Subtotal site A", "P007", "SD-001")]
    [True, True, True, False, False]
    """
    return any(pattern.fullmatch(word.strip(" *")) for pattern in (_LONG_TOTAL, _SHORT_TOTAL))


def lines_of_totals(cells: "pd.DataFrame") -> Iterator[tuple[int, str]]:
    """Yield row and word of each line of totals, anywhere in a table: of the rows, the first cell that is filled.

    A word that many rows have is a value of its column: most others occur once there, or the word itself does.
    """
    places = cells.notna().to_numpy().argmax(axis=1)
    for place in np.unique(places):
        column = cells.iloc[:, place]
        if column.dtype != object:
            continue
        firsts = column[places == place]
        for word in firsts.unique():
            if not isinstance(word, str) or not is_total(word):
                continue
            most = FEW_LINES * len(column) if _LONG_TOTAL.fullmatch(word.strip(" *")) else 1
            if int((column == word).sum()) <= max(1, most) and len(column) > 1:
                yield from ((int(row) + 2, word) for row in firsts.index[firsts == word])


_IDENTIFIER = re.compile(
    r"(id|mrn|(patient|subject|proband)s?|(pat(ient)?|subject|subj|case|study|scan|exam|record|fall|proband)s?[-_ .]*"
    r"(id|nr|no|num(mer|ber)?|code|uid|key|name))\.?",
    re.IGNORECASE,
)


def names_an_identifier(column: str) -> bool:
    """Return whether a column's name says that it identifies patients or studies.

    >>> [names_an_identifier(name) for name in ("Pat-Nr.", "study_id", "ID", "patients", "age", "scan")]
    [True, True, True, True, False, False]
    """
    return _IDENTIFIER.fullmatch(column) is not None


def damage(identifiers: "pd.Series[Any]") -> str:
    """Return what is no identifier, or how a spreadsheet has damaged the identifiers; "" if all is well."""
    known = identifiers.dropna()
    if len(totals := known[[is_total(text) for text in known]]) and len(known) > 1:
        return f"holds {totals.iloc[0]!r} (row {totals.index[0] + 2}): a line of totals? Delete it"
    short = known[["+" in text and bool(_SCIENTIFIC.fullmatch(text)) for text in known]]
    if len(short):
        return f"holds {short.iloc[0]!r} (row {short.index[0] + 2}): its digits are lost; store identifiers as text"
    cut = known[[text[-1:] == "0" and bool(_LONG.fullmatch(text)) for text in known]]
    if len(cut) > len(known) / 2:
        return f"holds {cut.iloc[0]!r}: a spreadsheet keeps 15 digits, the others are lost; store identifiers as text"
    return ""


def repeated(table: "pd.DataFrame", identifier: str, checked: Sequence[str]) -> Iterator[tuple[int, str, str]]:
    """Yield row, identifier and comparison of each row whose identifier is not its own, also in another spelling.

    Of rows that are equal in the ``checked`` columns the first is passed over; if they differ, none is.
    """
    import pandas as pd

    names = table[identifier].dropna()
    spelled = pd.Series([*map(alike, names)], index=names.index, dtype=object)
    twice = spelled.duplicated(keep=False)
    if not twice.any():
        return
    known = table.loc[names.index[twice]].assign(**{identifier: spelled[twice]})
    repeats = known.duplicated([identifier, *checked], keep="first")
    same = known.groupby([identifier, *checked], dropna=False)[identifier].transform("size")
    differs = known.groupby(identifier)[identifier].transform("size") > same
    first = known[~known[identifier].duplicated()].reset_index().set_index(identifier)["index"]
    for row in known.index[np.asarray(differs | repeats)]:
        other = int(first[known.at[row, identifier]])
        comparison = "the rows differ" if differs[row] else "the rows are equal"
        if names[row] != names[other]:
            comparison = f"row {other + 2} has {names[other]}; {comparison}"
        yield int(row), str(names[row]), comparison
