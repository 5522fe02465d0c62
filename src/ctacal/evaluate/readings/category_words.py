"""A column's own words for categories of calcium: their likely order, and how a user declares them."""

import json
import re
import shlex
from collections.abc import Collection, Mapping, Sequence
from math import nextafter

from ctacal.categories import CATEGORIES, FIVE_CATEGORIES
from ctacal.evaluate.readings.words import as_code, categories_of

MOST_WORDS_OF_CATEGORIES = 8
"""Different cells above which a column is none of categories (own choice)."""

_RANKS = (
    "none no absent zero negative normal nil kein keine keiner keines null nichts aucun aucune absente nul nulle "
    "ninguno ninguna ausente nessuno nessuna assente geen nihil",
    "minimal trace very_low very_mild minime minima minimo mínima mínimo sehr_gering très_faible",
    "mild low slight light small gering geringe geringgradig leicht leichtgradig niedrig faible légère léger legere "
    "leger leve lieve basso bassa bajo baja licht",
    "moderate medium intermediate moderately mäßig mässig maessig mäßiggradig mittel mittelgradig modérée modéré "
    "moderee modere moyen moyenne moderado moderada moderato moderata medio media intermedio matig",
    "severe high heavy extensive marked large schwer schwere schwergradig stark ausgeprägt hoch hochgradig sévère "
    "élevé élevée important importante grave severo severa alto alta elevato elevata ernstig hoog zwaar",
    "very_high very_severe extreme massive sehr_schwer sehr_hoch extrem très_élevé muy_alto muy_grave molto_alto",
)
_RANK = {word.replace("_", " "): rank for rank, words in enumerate(_RANKS) for word in words.split()}
_ROMAN = {"0": 0, "i": 1, "ii": 2, "iii": 3, "iv": 4, "v": 5}
_NUMBER = re.compile(r"([<>≥≤]=?)?\s*(\d+(?:[.,]\d+)?)")


def likely_order(words: Collection[str]) -> tuple[str, ...]:
    """Return words for categories, the lowest first, if their numbers, Roman numerals or meaning show it; else ().

    >>> likely_order(["severe", "none", "mild", "moderate"]), likely_order(["100-399", "0", ">=400", "1-99"])
    (('none', 'mild', 'moderate', 'severe'), ('0', '1-99', '100-399', '>=400'))
    >>> likely_order(["A2", "A0", "A3", "A1"]), likely_order(["II", "none", "III", "I"]), likely_order(["x", "y"])
    (('A0', 'A1', 'A2', 'A3'), ('none', 'I', 'II', 'III'), ())
    """
    for place_of in (_by_number, _by_roman, _by_meaning):
        places = {word: place_of(word) for word in words}
        if None not in places.values() and len(set(places.values())) == len(words):
            return tuple(sorted(words, key=lambda word: (places[word] or 0.0, word)))
    return ()


def _by_number(word: str) -> float | None:
    """Return the first number of a word; just below it for < and just above it for >; 0 for a word such as none."""
    found = _NUMBER.search(word)
    if found is None:
        return 0.0 if _RANK.get(word.casefold()) == 0 else None
    value = float(found[2].replace(",", "."))
    return nextafter(value, {"<": -1.0, ">": 1e9}.get(found[1] or "", value))


def _by_roman(word: str) -> float | None:
    last = re.split(r"[\s_.-]+", word.casefold())[-1]
    return 0.0 if _RANK.get(word.casefold()) == 0 else _ROMAN.get(last)


def _by_meaning(word: str) -> float | None:
    return _RANK.get(word.casefold())


def are_reversed(words: Sequence[str]) -> bool:
    """Return whether declared words are in the reverse of the order that they mean.

    >>> are_reversed(["severe", "moderate", "mild", "none"]), are_reversed(["a", "b", "c", "d"])
    (True, False)
    """
    return len(words) > 1 and likely_order(words)[::-1] == tuple(words)


def words_offer(counts: Mapping[str, int]) -> str:
    """Return how to declare a column, of which ``counts`` has the rows of each cell, as categories; "" if it is none.

    The sentence names options for the command line and the TOML; the user confirms the order.
    """
    own = list({as_code(text): text for text in counts}.values())
    repeats = sum(counts.values()) >= 2 * len(own)
    if not 1 < len(own) <= MOST_WORDS_OF_CATEGORIES or not repeats or _are_read(own):
        return ""
    if len(own) not in (len(CATEGORIES), len(FIVE_CATEGORIES)):
        return (
            f"Own words are declared for four categories ({', '.join(CATEGORIES)}) or five "
            f"({', '.join(FIVE_CATEGORIES)}), lowest first, also one that no row has, with --words, or "
            f"words = [...] in the TOML; here are {len(own)}"
        )
    order = likely_order(own)
    asked = "Is this their order, lowest first" if order else "Put them in order, lowest first"
    return f"{asked}{'? Then say' if order else ', and say'} {words_option(order or sorted(own))}"


def words_option(words: Sequence[str]) -> str:
    """Return the option that names the words of a column, for the command line and the TOML.

    >>> words_option(["none", "mild", "moderate", "severe"])
    '--words none,mild,moderate,severe, or words = ["none", "mild", "moderate", "severe"] in the TOML'
    """
    listed = ", ".join(json.dumps(word, ensure_ascii=False) for word in words)
    return f"--words {shlex.quote(','.join(words))}, or words = [{listed}] in the TOML"


def _are_read(texts: Sequence[str]) -> bool:
    """Whether all cells are names, codes or scores that need no declaration."""
    try:
        return all(place is not None for place in categories_of(texts).of.values())
    except ValueError:
        return False
