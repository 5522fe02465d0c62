"""``write_realism``: simulated and real CT compared, as OUT/realism.json and OUT/realism.html."""

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from ctacal.atomic import write_text
from ctacal.dicom.choose import choose_series
from ctacal.dicom.series import read_studies
from ctacal.dicom.volume import decode_volume
from ctacal.errors import UsageError
from ctacal.simulate.realism.comparison import REFERENCES, Comparison, as_json, compare, read_real
from ctacal.simulate.realism.page import page_of
from ctacal.simulate.realism.qrm import QrmFigures, measure_qrm, simulate_qrm
from ctacal.simulate.realism.water import WaterScan, scan_water
from ctacal.simulate.scanner.protocol import load_protocol
from ctacal.volume import Volume

PHANTOM = "qrm_phantom_canon"
PHANTOM_PROTOCOL = "canon_aquilion_one"
PHANTOM_CREDIT = "QRM phantom: MolloiLab/CAC-stanford-data, MIT"
PHANTOM_PARTS = (slice(20, 25), slice(12, 20), slice(31, 34))
"""Slices of the real scan that correspond to ``qrm.PARTS_MM``."""

PHANTOM_MIDDLE_MM = (-2.83, -0.85)
"""Middle of the bore for the heart in the real scan, (left, posterior)."""


def reference_folder() -> Path:
    """Return the folder of the reference scans: ``CTACAL_REFERENCE_DATA``, else ``../shared/ct`` beside a checkout."""
    return Path(os.environ.get("CTACAL_REFERENCE_DATA") or Path(__file__).parents[5] / "shared" / "ct")


def write_realism(
    out: Path,
    *,
    path: Path | None = None,
    protocol: str | None = None,
    seeds: Sequence[int] = (1, 2, 3),
    on_step: Callable[[str], None] = lambda _: None,
) -> list[Comparison]:
    """Compare the reference scans, or the scan at ``path`` and scans simulated with ``protocol``; write the report.

    The report names reference scans that are missing. ``on_step`` is called with a line at every step. Raises
    ``UsageError`` if ``path`` has no scan that shows a heart, if ``path`` is given without a protocol, or if there is
    nothing to compare.
    """
    notes: list[str] = []
    if path is not None:
        if protocol is None:
            raise UsageError("give the preset or TOML file that represents the protocol of the scan: --centre NAME")
        comparisons = [compare(read_real(path), load_protocol(protocol), seeds=seeds, on_step=on_step)]
        phantom: list[tuple[str, float, float]] = []
    else:
        comparisons = _references(seeds, notes, on_step)
        phantom = _phantom_rows(seeds, notes, on_step)
        if not comparisons and not phantom:
            raise UsageError(f"no reference scan in {reference_folder()}; set CTACAL_REFERENCE_DATA, or give a scan")
    out.mkdir(parents=True, exist_ok=True)
    on_step("water cylinders")
    water = scan_water(load_protocol(protocol or REFERENCES[0].protocol))
    report = _json(comparisons, water, phantom, notes)
    write_text(out / "realism.json", json.dumps(report, indent=1) + "\n")
    write_text(out / "realism.html", page_of(comparisons, water, phantom, notes))
    return comparisons


def _references(seeds: Sequence[int], notes: list[str], on_step: Callable[[str], None]) -> list[Comparison]:
    comparisons = []
    for reference in REFERENCES:
        folder = reference_folder() / reference.folder
        if not folder.is_dir():
            notes.append(f"missing: {reference.folder} ({reference.credit})")
            on_step(notes[-1])
            continue
        real = read_real(folder, name=reference.folder, credit=reference.credit)
        comparisons.append(compare(real, load_protocol(reference.protocol), seeds=seeds, on_step=on_step))
    return comparisons


def _json(
    comparisons: Sequence[Comparison],
    water: Sequence[WaterScan],
    phantom: Sequence[tuple[str, float, float]],
    notes: Sequence[str],
) -> dict[str, Any]:
    spectra = [{"per_mm": scan.spectrum[0].tolist(), "hu2_mm2": scan.spectrum[1].tolist()} for scan in water]
    return {
        "comparisons": [as_json(comparison) for comparison in comparisons],
        "phantom": [{"figure": name, "real": real, "simulated": simulated} for name, real, simulated in phantom],
        "phantom_credit": PHANTOM_CREDIT if phantom else None,
        "water": [{**asdict(scan), "spectrum": spectrum} for scan, spectrum in zip(water, spectra, strict=True)],
        "missing": list(notes),
    }


# --- the QRM phantom --------------------------------------------------------------------------------------------------


def _phantom_rows(
    seeds: Sequence[int], notes: list[str], on_step: Callable[[str], None]
) -> list[tuple[str, float, float]]:
    """Return (name, real, simulated) of each figure of the phantom; nothing if its scan is missing."""
    folder = reference_folder() / PHANTOM
    if not folder.is_dir():
        notes.append(f"missing: {PHANTOM} ({PHANTOM_CREDIT})")
        on_step(notes[-1])
        return []
    on_step("QRM phantom")
    real = phantom_figures(decode_volume(choose_series(read_studies([folder]).studies[0]).stack)[0])
    simulated = [_named(simulate_qrm(load_protocol(PHANTOM_PROTOCOL), seed)) for seed in seeds]
    return [(name, value, float(np.mean([figures[name] for figures in simulated]))) for name, value in real.items()]


def phantom_figures(scan: Volume) -> dict[str, float]:
    """Measure the real scan of the phantom."""
    whole = slice(None)
    parts = [scan.crop((part, whole, whole)) for part in PHANTOM_PARTS]
    return _named(measure_qrm(parts, PHANTOM_MIDDLE_MM))


def _named(figures: QrmFigures) -> dict[str, float]:
    table: dict[str, float] = {}
    for name, insert in figures.inserts.items():
        table |= {f"{name}: Agatston": insert.agatston, f"{name}: peak HU": insert.peak_hu}
    return table | {
        "resin: mean HU": figures.background_hu,
        "resin: noise SD HU": figures.noise_sd_hu,
        "water rod: mean HU": figures.water_hu,
        "calibration rod: mean HU": figures.calibration_hu,
        "calibration rod: MTF50 per mm": figures.mtf50_per_mm,
    }
