"""``plain``: the words of a header text, however people and consoles join, accent or capitalise them."""

import re
import unicodedata
from functools import lru_cache

_LOWER_THEN_UPPER = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_PARTS = re.compile(r"[^\W\d_]+|\d+")


@lru_cache(maxsize=4096)
def plain(text: str) -> str:
    """Return the words and numbers of a text in lower case, without accents, each apart from the next by one space.

    Letters and digits are apart, and capitals begin a word. A text with such capitals is there twice, because
    they may also lie within a word.

    >>> plain("WB_CTAC3.75mm"), plain("Schwächungskorrektur, 5.0")
    ('wb ctac 3 75 mm', 'schwachungskorrektur 5 0')
    >>> plain("AttenCorr")
    'attencorr | atten corr'
    """
    spelt = "".join(c for c in unicodedata.normalize("NFKD", text) if unicodedata.category(c) != "Mn")
    whole, split = (_parted(form) for form in (spelt, _LOWER_THEN_UPPER.sub(" ", spelt)))
    return whole if whole == split else f"{whole} | {split}"


def plain_texts(*texts: str) -> str:
    """Return the plain forms of several texts, apart from each other by a bar: no phrase spans two texts."""
    return " | ".join(plain(text) for text in texts if text)


def any_of(words: str) -> str:
    """Return a regular expression of any of the words in a list: ``_`` stands for a space, ``*`` for any ending.

    >>> any_of("ct_ac attenu*")
    '(?:ct ac|attenu\\\\w*)'
    """
    return f"(?:{'|'.join(words.split())})".replace("_", " ").replace("*", r"\w*")


def _parted(text: str) -> str:
    return " ".join(_PARTS.findall(unicodedata.normalize("NFC", text).casefold()))
