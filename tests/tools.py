"""The validators and servers that hospitals use, as Debian has them; a test that needs an absent one is skipped."""

import shutil
import subprocess
from pathlib import Path

import pytest


def need(tool: str) -> str:
    """Return the path of a program; skips the test if it is not installed."""
    found = shutil.which(tool) or shutil.which(f"/usr/sbin/{tool}")
    if found is None:
        pytest.skip(f"{tool} is not installed (make .tools; Debian: dcmtk dicom3tools orthanc poppler-utils chromium)")
    return found


def dciodvfy_errors(file: Path) -> list[str]:
    """Return what David Clunie's validator reports as errors."""
    done = subprocess.run([need("dciodvfy"), file], capture_output=True, text=True, check=False, errors="replace")
    lines = (done.stdout + done.stderr).splitlines()
    assert lines, "dciodvfy said nothing at all"
    return [line for line in lines if line.startswith("Error")]


def assert_valid(file: Path) -> None:
    """Assert that the validator has neither an error nor a warning about a CT image or segmentation."""
    report = subprocess.run([need("dciodvfy"), file], capture_output=True, text=True, check=False).stderr
    assert "CTImage" in report or "Segmentation" in report
    assert "Error" not in report and "Warning" not in report, report


def dsr2html(file: Path) -> str:
    """Return the structured report as DCMTK renders it."""
    done = subprocess.run([need("dsr2html"), file], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return done.stdout.decode("utf-8")


PIXELMED = Path("/usr/share/java/pixelmed.jar")
_NO_LIMITS = [f"-Djdk.xml.{limit}=0" for limit in ("xpathTotalOpLimit", "xpathExprOpLimit", "xpathExprGrpLimit")]
"""Java's limits on style sheets, which that of the templates exceeds by far."""


def pixelmed_errors(report: Path) -> list[str]:
    """Return what PixelMed's validator of SR templates reports as errors; it takes a minute."""
    java = need("java")
    if not PIXELMED.exists():
        pytest.skip("pixelmed.jar is not installed (Debian: pixelmed-apps)")
    command: list[str | Path] = [java, *_NO_LIMITS, "-cp", PIXELMED, "com.pixelmed.validate.DicomSRValidator", report]
    done = subprocess.run(command, capture_output=True, text=True, check=True, errors="replace")
    lines = (done.stdout + done.stderr).splitlines()
    assert any("Found Root Template TID_1500" in line for line in lines), lines
    return [line for line in lines if line.startswith("Error")]
