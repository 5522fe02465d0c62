"""The text of a PDF as poppler reads it: what a person can select and search for."""

import subprocess

from tests.tools import need


def text_of(pdf: bytes, *options: str) -> str:
    """All its text."""
    done = subprocess.run([need("pdftotext"), *options, "-", "-"], input=pdf, capture_output=True, check=True)
    return done.stdout.decode()
