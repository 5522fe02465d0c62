"""Libraries that write outputs are imported in the background, and only those that the chosen kinds need."""

import subprocess
import sys

import pytest

from ctacal.report.outputs import WRITERS, prepare

LIBRARIES = ("highdicom", "reportlab", "jinja2")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("writers", "imported"),
    [("json,png", ""), ("html", "jinja2"), ("pdf", "reportlab"), ("seg,sr,html,pdf", "highdicom,reportlab,jinja2")],
)
def test_prepare_imports_what_the_outputs_need_and_nothing_else(writers: str, imported: str) -> None:
    program = (
        "import sys; from ctacal.report.outputs import prepare;"
        f"before = set(sys.modules); prepare({writers.split(',')}).join();"
        f"print(','.join(name for name in {LIBRARIES} if name in set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == imported


def test_every_library_exists() -> None:
    prepare(WRITERS).join(60)
    assert {library for writer in WRITERS.values() for library in writer.libraries} <= set(sys.modules)
