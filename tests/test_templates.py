"""Templates: escaped HTML, and no value may be missing."""

from pathlib import Path

import pytest
from jinja2 import UndefinedError
from markupsafe import Markup

from ctacal.templates import render


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A package with two templates."""
    folder = tmp_path / "package_with_templates"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "row.html.j2").write_text("{% for cell in cells %}\n  <td>{{ cell }}</td>\n{% endfor %}\n")
    (folder / "row.txt.j2").write_text("{{ cells }}")
    monkeypatch.syspath_prepend(str(tmp_path))
    return folder.name


def test_html_is_escaped_and_has_no_empty_lines(package: str) -> None:
    page = render(package, "row.html.j2", cells=["CAC > 0 & <b>", Markup("<i>n</i>")])
    assert page == "  <td>CAC &gt; 0 &amp; &lt;b&gt;</td>\n  <td><i>n</i></td>\n"


def test_text_is_not_escaped(package: str) -> None:
    assert render(package, "row.txt.j2", cells="CAC > 0") == "CAC > 0"


def test_a_missing_value_or_template_is_an_error(package: str) -> None:
    with pytest.raises(UndefinedError, match="cells"):
        render(package, "row.html.j2")
    with pytest.raises(FileNotFoundError):
        render(package, "other.html.j2", cells=[])
