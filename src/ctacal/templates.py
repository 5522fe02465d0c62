"""HTML pages from Jinja2 templates, which are package data beside the module that fills them."""

from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Environment


def render(package: str, name: str, **values: object) -> str:
    """Return the template ``name`` (such as ``report.html.j2``) of ``package``, filled with ``values``.

    In HTML every value is escaped, unless it is ``markupsafe.Markup``. Raises ``jinja2.UndefinedError`` if the template
    uses a value that is not given, and ``FileNotFoundError`` if the package has no such template.
    """
    return _environment(package).get_template(name).render(values)


@cache
def _environment(package: str) -> "Environment":
    """Jinja2 takes 0.05 s to import, so it is imported when the first page is written."""
    from jinja2 import Environment, FunctionLoader, StrictUndefined, select_autoescape

    def source(name: str) -> str:
        return resources.files(package).joinpath(name).read_text(encoding="utf-8")

    return Environment(
        loader=FunctionLoader(source),
        autoescape=select_autoescape(("html", "html.j2")),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
