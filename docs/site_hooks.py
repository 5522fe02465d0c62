"""What mkdocs asks while it builds the site: pages that lie at the root of the repository, and links to its files."""

import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
TAKEN = {"changelog.md": "CHANGELOG.md", "contributing.md": "CONTRIBUTING.md"}
"""Pages of the site whose text is that of a file at the root."""


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Return the text of a page; one of ``TAKEN`` gets that of its file, with links as seen from docs."""
    file = TAKEN.get(page.file.src_uri)
    if file is None:
        return re.sub(r"\[([^\]]+)\]\(\.\./(?:src|tests|recipes|benchmarks)/[^)]*\)", r"\1", markdown)
    return re.sub(r"\]\(docs/", "](", (ROOT / file).read_text(encoding="utf-8"))
