"""Reports as Chromium prints them: how far down each page is filled."""

import subprocess
from pathlib import Path

import numpy as np
from PIL import Image

from tests.tools import need

TOP, BOTTOM = 0.06, 0.94
"""Where the printed area of a page lies between its margins, as shares of the page's height."""


def printed(page: Path, folder: Path) -> Path:
    """Print an HTML page to a PDF in the folder; skips the test without Chromium."""
    pdf = folder / f"{page.stem}.pdf"
    chromium = [need("chromium"), "--headless", "--no-sandbox", "--disable-gpu", "--no-pdf-header-footer"]
    command = [*chromium, f"--print-to-pdf={pdf}", page.as_uri()]
    subprocess.run(command, check=True, capture_output=True, timeout=240)
    return pdf


def filled(page: Path, folder: Path) -> list[float]:
    """Return the share of the printed area down to the last ink, of each page."""
    subprocess.run([need("pdftoppm"), "-r", "20", "-gray", printed(page, folder), folder / "page"], check=True)
    used = []
    for file in sorted(folder.glob("page-*.pgm")):
        with Image.open(file) as image:
            area = np.asarray(image)[int(TOP * image.height) : int(BOTTOM * image.height)]
        inked = np.flatnonzero((area < 200).any(axis=1))
        used.append(float(inked[-1] + 1) / len(area) if len(inked) else 0.0)
    return used
