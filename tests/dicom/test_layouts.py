"""Studies in the layouts of cameras, archives and data sets are read, and the CTAC is the series that is taken."""

from pathlib import Path

import pytest

from ctacal.dicom.choose import choose_series
from ctacal.dicom.series import read_studies
from ctacal.dicom.volume import read_volume
from ctacal.errors import Code
from tests.dicom.layouts import LAYOUTS, Files
from tests.dicom_series import MARKER_HU
from tests.places import DOCS

NOTED = {
    "CTAC of rest and of stress in one study: equal clues, the choice is noted": {Code.SEVERAL_CANDIDATES},
    "Philips Precedence and GEMINI: two reconstructions under one series, private elements, implicit VR": {
        Code.SERIES_SPLIT
    },
    "Written from NIfTI: no kVp, exposure, kernel or times, description from the file's name": {Code.NOT_MARKED_CTAC},
}
"""The notes that a layout deserves; all others get none."""


def stored(folder: Path, files: Files) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_ctac_of_each_layout_is_read(tmp_path: Path, name: str) -> None:
    intake = read_studies([stored(tmp_path, LAYOUTS[name]())])
    assert intake.studies
    assert not intake.skipped
    for study in intake.studies:
        choice = choose_series(study)
        volume, notes = read_volume(choice.series)
        assert int(volume.hu.max()) == MARKER_HU, choice.series.name
        assert {note.code for note in (*study.notes, *choice.notes, *notes)} == NOTED.get(name, set())


def test_the_docs_list_each_layout() -> None:
    listed = (DOCS / "dicom-input.md").read_text(encoding="utf-8")
    assert len(LAYOUTS) >= 20
    assert not [name for name in LAYOUTS if f"- {name}\n" not in listed]
