"""What griffe does with docstrings before they are pages: examples (``>>>``) become code; Markdown would quote them."""

import re
from textwrap import indent
from typing import Any

from griffe import Extension, Object

EXAMPLE = re.compile(r"^(?P<margin> *)>>> .*\n?(?:(?P=margin) *\S.*(?:\n|\Z))*", re.MULTILINE)
"""Lines from ``>>>`` to an empty one."""


def fenced(docstring: str) -> str:
    """Return the docstring with a fence around each example."""
    return EXAMPLE.sub(_fence, docstring)


def _fence(example: re.Match[str]) -> str:
    margin = example["margin"]
    return indent("```pycon\n", margin) + example[0].rstrip("\n") + indent("\n```\n", margin)


class Doctests(Extension):
    """Fences the examples of every docstring."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Change the docstring of a module, class, function or attribute."""
        if obj.docstring:
            obj.docstring.value = fenced(obj.docstring.value)
