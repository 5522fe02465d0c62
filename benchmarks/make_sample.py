"""Rebuild the sample that ships with the package: a drawn thorax as a zip of DICOM, its true labels, its true scores.

    python benchmarks/make_sample.py [FOLDER]

The same versions of NumPy, SciPy and pyjpegls give the same bytes: UIDs and file names follow from the seed, and no
time stamp is written. ``FOLDER`` is ``src/ctacal/sample`` unless given.
"""

import hashlib
import json
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from pydicom.uid import JPEGLSLossless

from ctacal.scores import SCCT_2016, Tally, score_label_map
from ctacal.simulate.phantom import Phantom, draw_thorax
from ctacal.simulate.series_writer import SeriesDescription, write_series

SAMPLE = Path(__file__).parents[1] / "src" / "ctacal" / "sample"
SEED = 1
NOISE_SD_HU = 18.0
EARLIEST = (1980, 1, 1, 0, 0, 0)
"""The first time that a zip can hold."""


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    phantom = draw_thorax(seed=SEED, noise_sd_hu=NOISE_SD_HU)
    write_zip(phantom, folder / "thorax_phantom.zip")
    phantom.labels.save_nifti(folder / "thorax_phantom_labels.nii.gz")
    (folder / "thorax_phantom.json").write_text(json.dumps(truth(phantom), indent=2) + "\n", encoding="utf-8")
    for path in sorted(folder.iterdir()):
        print(
            f"{path.stat().st_size:9,} bytes  sha256 {hashlib.sha256(path.read_bytes()).hexdigest()[:16]}  {path.name}"
        )


def write_zip(phantom: Phantom, path: Path) -> None:
    """Slices under meaningless names, out of order: what an export from an archive looks like."""
    header = SeriesDescription(seed=SEED)
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        written = write_series(phantom.volume, Path(folder), header=header, transfer_syntax=JPEGLSLossless)
        named = {hashlib.sha256(f"{SEED} {file.name}".encode()).hexdigest()[:10].upper(): file for file in written}
        for name, file in sorted(named.items()):
            archive.writestr(zipfile.ZipInfo(f"EXPORT/{name}", EARLIEST), file.read_bytes())


def truth(phantom: Phantom) -> dict[str, Any]:
    """The scores of the true label map under the default rule."""
    _, scores = score_label_map(phantom.volume, phantom.labels)
    return {
        "statement": "Drawn from shapes, with blur and noise; not a patient. Made by benchmarks/make_sample.py.",
        "scan": "thorax_phantom.zip",
        "labels": "thorax_phantom_labels.nii.gz",
        "seed": SEED,
        "noise_sd_hu": NOISE_SD_HU,
        "rule": SCCT_2016.name,
        "agatston": tally(scores.agatston),
        "volume_mm3": tally(scores.volume_mm3),
        "category": scores.category,
        "cac_drs": scores.cac_drs,
    }


def tally(quantity: Tally) -> dict[str, Any]:
    per_vessel = {vessel: round(value, 3) for vessel, value in quantity.per_vessel.items()}
    return {"total": round(quantity.total, 3), "per_vessel": per_vessel, "other": round(quantity.other, 3)}


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else SAMPLE)
