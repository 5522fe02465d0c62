"""Rebuild the samples that ship with the package, each as a zip of DICOM, its true labels, its true scores.

    python benchmarks/make_sample.py [FOLDER]

One is a drawn thorax; the other a simulated CTAC of a 2-slice SPECT/CT, 256 x 256 pixels, the slices about the heart
(a minute). The same versions of NumPy, SciPy, numba and pyjpegls give the same bytes: UIDs and file names follow from
the seed, and no time stamp is written. ``FOLDER`` is ``src/ctacal/sample`` unless given.
"""

import hashlib
import json
import sys
import tempfile
import zipfile
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.uid import JPEGLSLossless

from ctacal.labels import LabelMap
from ctacal.scores import SCCT_2016, Tally, score_label_map
from ctacal.simulate.anatomy.calcium import CalciumDescription, Kind
from ctacal.simulate.anatomy.structures import HEART
from ctacal.simulate.output.series import SeriesDescription, write_series
from ctacal.simulate.output.simulated import series_description
from ctacal.simulate.phantom.thorax import draw_thorax
from ctacal.simulate.scanner.protocol import load_protocol
from ctacal.simulate.study import StudyDescription, draw_study, simulate_study
from ctacal.simulate.training.anatomy_cache import coronary_mm3
from ctacal.volume import Volume

SAMPLE = Path(__file__).parents[1] / "src" / "ctacal" / "sample"
SEED = 1
NOISE_SD_HU = 18.0
EARLIEST = (1980, 1, 1, 0, 0, 0)
"""The first time that a zip can hold."""


PLAQUES_MM3, BEYOND_SLICES = (150.0, 400.0), 4
"""The simulated patient is the first seed with so much coronary calcium (range), most of it in the LAD as usual, and no
stent or lead; and the number of slices kept below and above the heart."""


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    phantom = draw_thorax(seed=SEED, noise_sd_hu=NOISE_SD_HU)
    drawn = {"seed": SEED, "noise_sd_hu": NOISE_SD_HU}
    words = "Drawn from shapes, with blur and noise; not a patient. Made by benchmarks/make_sample.py."
    write_sample(folder, "thorax_phantom", phantom.volume, phantom.labels, SeriesDescription(seed=SEED), words, drawn)
    description = first_study()
    study = simulate_study(description)
    heart = np.flatnonzero(np.isin(study.truth.structures, HEART).any(axis=(1, 2)))
    kept = slice(max(0, int(heart[0]) - BEYOND_SLICES), int(heart[-1]) + 1 + BEYOND_SLICES)
    volume = study.volume.crop((kept, slice(None), slice(None)))
    labels = LabelMap(study.truth.labels.labels[kept], volume.geometry)
    words = "Simulated from physics; not a patient. The slices about the heart. Made by benchmarks/make_sample.py."
    gated = round(study.truth.reference_score.agatston.total, 3)
    facts = {
        "seed": description.patient.seed,
        "centre": description.protocol.name,
        "gated_reference_agatston": gated,
    }
    write_sample(folder, "simulated_ctac", volume, labels, series_description(study), words, facts)
    for path in sorted(folder.iterdir()):
        print(
            f"{path.stat().st_size:9,} bytes  sha256 {hashlib.sha256(path.read_bytes()).hexdigest()[:16]}  {path.name}"
        )


def first_study() -> StudyDescription:
    """Describe the first patient with the wanted calcium, with large pixels, so that the file is small."""
    protocol = replace(load_protocol("spect_ct_2slice"), matrix=256)
    for seed in count(1):
        description = draw_study(seed, protocol)
        deposits = description.calcium.deposits
        kinds = {deposit.kind for deposit in deposits}
        in_lad = CalciumDescription(tuple(deposit for deposit in deposits if deposit.site == "LAD"))
        total_mm3 = coronary_mm3(description.calcium)
        usual = coronary_mm3(in_lad) > total_mm3 / 2 and not kinds & {Kind.STENT, Kind.LEAD}
        if PLAQUES_MM3[0] <= total_mm3 <= PLAQUES_MM3[1] and usual:
            return description
    raise AssertionError("count() does not end")


def write_sample(
    folder: Path, name: str, volume: Volume, labels: LabelMap, header: SeriesDescription, words: str,
    facts: dict[str, Any],
) -> None:  # fmt: skip
    write_zip(volume, header, folder / f"{name}.zip")
    labels.save_nifti(folder / f"{name}_labels.nii.gz")
    content = truth(name, volume, labels, words, facts)
    (folder / f"{name}.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def write_zip(volume: Volume, header: SeriesDescription, path: Path) -> None:
    """Write the slices under meaningless names, out of order, like an export from an archive."""
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        written = write_series(volume, Path(folder), header=header, transfer_syntax=JPEGLSLossless)
        named = {hashlib.sha256(f"{SEED} {file.name}".encode()).hexdigest()[:10].upper(): file for file in written}
        for short, file in sorted(named.items()):
            archive.writestr(zipfile.ZipInfo(f"EXPORT/{short}", EARLIEST), file.read_bytes())


def truth(name: str, volume: Volume, labels: LabelMap, words: str, facts: dict[str, Any]) -> dict[str, Any]:
    """The scores of the true label map under the default rule."""
    _, scores = score_label_map(volume, labels)
    return {
        "statement": words,
        "scan": f"{name}.zip",
        "labels": f"{name}_labels.nii.gz",
        **facts,
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
