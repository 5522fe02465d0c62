"""Words that stand for values: events that happened or not, and categories of calcium."""

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from ctacal.categories import CATEGORIES, CATEGORY_EDGES, FIVE_CATEGORIES, FIVE_CATEGORY_EDGES, category_indices
from ctacal.evaluate.readings.numbers import bounds, number

MOST_LISTED = 6
"""Number of values that a message lists."""


@dataclass(frozen=True, slots=True)
class Coding:
    """Which cells mean that an event happened, and which that it did not; "" is the empty cell.

    Example:
        >>> Coding(yes=("dead",), no=("alive",)).of("dead")
        1.0
    """

    yes: tuple[str, ...] = ()
    no: tuple[str, ...] = ()

    def of(self, text: str) -> float | None:
        """Return 1, 0, or None for another word. Without words of its own: 1 and 0, TRUE and FALSE.

        >>> Coding().of("1.0"), Coding().of("false"), Coding(("2",), ("1",)).of("1"), Coding().of("2")
        (1.0, 0.0, 0.0, None)
        """
        word = as_code(text)
        for value, words, usual in ((1.0, self.yes, ("1", "true")), (0.0, self.no, ("0", "false"))):
            if word in {as_code(own) for own in (words or (() if self.yes or self.no else usual))}:
                return value
        return None


YES = frozenset((
    "yes", "y", "ja", "j", "oui", "o", "si", "sí", "sì", "s", "sim", "tak", "ano", "da", "igen", "evet", "kyllä",
    "wahr", "vrai", "verdadero", "vero", "verdadeiro", "waar", "true", "t", "checked", "positive", "present",
    "event", "dead", "died", "deceased", "tot", "verstorben", "gestorben", "décédé", "décédée", "muerto",
    "deceduto", "overleden",
))  # fmt: skip
"""Words that say that something is so or happened, in some languages."""

NO = frozenset((
    "no", "n", "nein", "non", "não", "nao", "nee", "nie", "ne", "nem", "hayır", "ei", "falsch", "faux", "falso",
    "onwaar", "false", "f", "unchecked", "negative", "absent", "no event", "censored", "alive", "living", "lebt",
    "lebend", "vivant", "vivante", "vivo", "in leven", "levend",
))  # fmt: skip
"""Words that say that it is not so, or did not happen."""


def coding_offer(counts: Mapping[str, int]) -> str:
    """Return how to declare the words of a column of events in a TOML, as far as the words show it.

    >>> coding_offer({"Nein": 5, "Ja": 3})
    'Is it so? Then say yes = ["Ja"], no = ["Nein"]'
    >>> coding_offer({"1": 5, "2": 3})
    'Say which is the event: yes = ["2"], no = ["1"], or yes = ["1"], no = ["2"]'
    """
    yes, no = ([word for word in counts if word.casefold() in known] for known in (YES, NO))
    if yes and no and len(yes) + len(no) == len(counts):
        said = (json.dumps(words, ensure_ascii=False) for words in (yes, no))
        return "Is it so? Then say yes = {}, no = {}".format(*said)
    if len(counts) == 2:
        one, two = (json.dumps([word], ensure_ascii=False) for word in sorted(counts))
        return f"Say which is the event: yes = {two}, no = {one}, or yes = {one}, no = {two}"
    if len(counts) <= MOST_LISTED:
        return (
            'Say which words are the event: yes = ["...", "..."], no = ["..."]; kinds of event are a component each, '
            "with yes and no of its own"
        )
    return 'Say the words: yes = ["..."], no = ["..."]'


def as_code(text: str) -> str:
    """Return a word in small letters, and a whole number without point and zeros.

    >>> as_code("Yes"), as_code("2.0"), as_code("1,0"), as_code("01")
    ('yes', '2', '1', '1')
    """
    known = number(text)
    if known is None or known.doubtful:
        return text.casefold()
    value = known.if_comma if known.decimal == "," else known.if_point
    return f"{value:.0f}" if value == round(value) else text.casefold()


def means_unknown(text: str, unknown: Collection[str]) -> bool:
    """Return whether a cell is one of the words that mean that the value is not known; 999.0 is 999.

    >>> means_unknown("999.0", ["999"]), means_unknown("na", ["NA"])
    (True, False)
    """
    return text in unknown or (number(text) is not None and as_code(text) in {as_code(word) for word in unknown})


def listed_values(counts: Mapping[str, int]) -> str:
    """Return values with their number of rows, most frequent first.

    >>> listed_values({"1": 475, "2": 125})
    "'1' (475), '2' (125)"
    """
    order = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    more = f" and {len(order) - MOST_LISTED} more" if len(order) > MOST_LISTED else ""
    return ", ".join(f"{text!r} ({count:,})" for text, count in order[:MOST_LISTED]) + more


# --- categories -------------------------------------------------------------------------------------------------------

_DASHES = re.compile(r"\s*(?:[-‐‑‒–—−]|to|bis)\s*")
_PREFIX = re.compile(r"^cacs?\s*[=:]?\s*", re.IGNORECASE)

NAMES, CODES, SCORES = "names", "codes 0 to 3", "scores"
"""What a column of categories can hold."""


@dataclass(frozen=True, slots=True)
class Categories:
    """How the cells of a column name categories."""

    kind: str
    """``NAMES``, ``CODES``, ``SCORES`` (and bounds such as >1000, of which the category is taken), or the own words."""
    of: Mapping[str, int | None]
    """The index of each distinct cell into the four categories; None if it names none."""
    five: Mapping[str, int | None]
    """The index into the five categories; None if the cell does not say."""


def category_name(text: str) -> str:
    """Return the name of a category as ctacal writes it.

    >>> category_name("101 – 400"), category_name("CAC > 400"), category_name("1 to 100")
    ('101-400', '>400', '1-100')
    """
    return "".join(_DASHES.sub("-", _PREFIX.sub("", text.strip())).split())


def categories_of(texts: Sequence[str], words: Sequence[str] = (), decimal: str = "") -> Categories:
    """Return what the distinct cells of a column mean as categories of calcium.

    ``words`` are the column's own words for the four categories (or the five), lowest first. Otherwise the cells are
    names (0, 1-100, 101-400, >400; 1-10 and 11-100 for the five), or codes 0 to 3, or scores and bounds of them, whose
    ``decimal`` mark may be known. Raises ``ValueError`` if codes and names are mixed.
    """
    if words:
        return _by_words(texts, words)
    names = {text: category_name(text) for text in texts}
    if any(name in (*CATEGORIES[1:3], *FIVE_CATEGORIES[1:3]) for name in names.values()):
        return _by_names(names)
    scores = {text: _edges(text, decimal) for text in texts}
    if all(name in ("0", CATEGORIES[-1]) or as_code(text) in ("0", "1", "2", "3") for text, name in names.items()):
        if CATEGORIES[-1] in names.values() and any(as_code(text) in ("1", "2", "3") for text in texts):
            raise ValueError(f"holds {CATEGORIES[-1]} beside codes such as 1 to 3: use one of the two")
        codes = {text: 3 if names[text] == CATEGORIES[-1] else int(as_code(text)) for text in texts}
        return Categories(CODES, codes, {text: _five_of_code(code) for text, code in codes.items()})
    four = {text: _index(ends, CATEGORY_EDGES) for text, ends in scores.items()}
    return Categories(SCORES, four, {text: _index(ends, FIVE_CATEGORY_EDGES) for text, ends in scores.items()})


def _five_of_code(code: int) -> int | None:
    return {0: 0, 2: 3, 3: 4}.get(code)


def _by_names(names: Mapping[str, str]) -> Categories:
    four = {name: place for place, name in enumerate(CATEGORIES)} | {FIVE_CATEGORIES[1]: 1, FIVE_CATEGORIES[2]: 1}
    five = {name: place for place, name in enumerate(FIVE_CATEGORIES)}
    return Categories(
        NAMES,
        {text: four.get(name) for text, name in names.items()},
        {text: five.get(name) for text, name in names.items()},
    )


def _by_words(texts: Sequence[str], words: Sequence[str]) -> Categories:
    places = {as_code(word): place for place, word in enumerate(words)}
    own = {text: places.get(as_code(text)) for text in texts}
    if len(words) == len(FIVE_CATEGORIES):
        four = {text: None if place is None else max(0, place - (place > 1)) for text, place in own.items()}
        return Categories("own words", four, own)
    five = {text: None if place is None else _five_of_code(place) for text, place in own.items()}
    return Categories("own words", own, five)


def _edges(text: str, decimal: str) -> tuple[float, float] | None:
    """Return lowest and highest score that a cell allows; None if it is no score and no bound of one."""
    if known := number(text):
        value = known.sure_value(decimal)
        return (value, value) if value is not None and value >= 0 else None
    return bounds(text, decimal)


def _index(ends: tuple[float, float] | None, edges: Sequence[float]) -> int | None:
    """Return the category that holds the whole range of scores, None if none does."""
    if ends is None:
        return None
    low, high = (int(place) for place in category_indices([max(ends[0], 0.0), max(ends[1], 0.0)], edges))
    return low if low == high else None
