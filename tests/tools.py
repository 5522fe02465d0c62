"""The validators and servers that hospitals use, as Debian has them; a test that needs an absent one is skipped."""

import shutil
import subprocess
from pathlib import Path

import pytest


def need(tool: str) -> str:
    """The path of a program; skips the test where it is not installed."""
    found = shutil.which(tool) or shutil.which(f"/usr/sbin/{tool}")
    if found is None:
        pytest.skip(f"{tool} is not installed (make .tools; Debian: dcmtk dicom3tools orthanc poppler-utils)")
    return found


def dciodvfy_errors(file: Path) -> list[str]:
    """What David Clunie's validator calls an error."""
    done = subprocess.run([need("dciodvfy"), file], capture_output=True, text=True, check=False, errors="replace")
    lines = (done.stdout + done.stderr).splitlines()
    assert lines, "dciodvfy said nothing at all"
    return [line for line in lines if line.startswith("Error")]


def dsr2html(file: Path) -> str:
    """The structured report as DCMTK renders it."""
    done = subprocess.run([need("dsr2html"), file], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return done.stdout.decode("utf-8")
