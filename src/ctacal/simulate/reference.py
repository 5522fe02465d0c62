"""``reference_score``: the score of the same calcium on a gated, noise-free calcium scan.

This is the reference of studies that compare a CTAC with a gated scan of the same patient: the heart stands still in
diastole, slices are 3 mm thick and 3 mm apart, 120 kVp, no noise, no artefacts. Only coronary calcium is drawn.
"""

import numpy as np
from scipy import ndimage

from ctacal.arrays import Floats32
from ctacal.geometry import Geometry
from ctacal.scores import SCCT_2016, Scores, score_label_map
from ctacal.simulate.anatomy.calcium import CalciumDescription, Kind
from ctacal.simulate.anatomy.description import Patient
from ctacal.simulate.anatomy.sites import Anatomy
from ctacal.simulate.anatomy.truth import calcium_maps
from ctacal.simulate.materials import Body, Tissue
from ctacal.simulate.scanner.attenuation import HYDROXYAPATITE_MG_PER_CM3, beam, hydroxyapatite_hu, tissue_hu
from ctacal.simulate.truth import DepositFinder, label_calcium, scored_labels
from ctacal.volume import Volume

REFERENCE_PHASE = 0.75
"""Phase of the heart cycle: mid-diastole, to which calcium scans are gated (usual: 60-80 % of the RR interval)."""

SLICE_MM, PIXEL_MM = 3.0, 0.5
"""Slice thickness and spacing (Agatston 1990); pixel of a 256 mm field with 512 pixels (usual: 200-260 mm)."""

FWHM_MM = 1.4
"""Blur in plane, full width at half maximum: MTF50 0.31 per mm, between the 0.27 measured for FC12
(tests/data/qrm_phantom_expected.json) and about 0.35 of kernels for calcium scoring (assumed)."""

KVP, FILTER_MM_AL = 120.0, 7.0
"""Tube voltage, and the filter of the presets of ``scanner.protocol``."""

FINE_SLICE_MM = 0.5
"""Thickness of the slices on which calcium is drawn before it is averaged (own choice)."""

MARGIN_MM = 9.0
"""Margin of the drawn box around the calcium: blur reaches no further."""


def reference_score(patient: Patient, calcium: CalciumDescription, heart: Body) -> Scores:
    """Score the coronary calcium on the gated scan; ``heart`` is the heart region's body at ``REFERENCE_PHASE``."""
    volume, added_hu, finder = reference_scan(patient, calcium, heart)
    still = np.zeros(volume.geometry.shape[0])
    labels = scored_labels(label_calcium(added_hu, volume.geometry, finder, still), volume.geometry)
    return score_label_map(volume, labels, SCCT_2016)[1]


def reference_scan(
    patient: Patient, calcium: CalciumDescription, heart: Body
) -> tuple[Volume, Floats32, DepositFinder | None]:
    """Return the gated scan of the part of the heart with coronary calcium, the HU of the calcium, and its finder."""
    coronary = CalciumDescription(tuple(d for d in calcium.deposits if d.kind is Kind.CORONARY))
    finder = DepositFinder.of(patient, coronary, (REFERENCE_PHASE,))
    grid = _grid(patient, coronary)
    rays = beam(KVP, FILTER_MM_AL)
    mg_cm3 = _on_slices(calcium_maps(patient, coronary, _fine(grid), phase=REFERENCE_PHASE).hydroxyapatite_mg_cm3)
    tissue = _tissue_hu(heart, grid)
    displaced_hu = tissue * mg_cm3 / HYDROXYAPATITE_MG_PER_CM3  # beyond the water that the contrast accounts for
    added_hu = mg_cm3 * np.float32(hydroxyapatite_hu(rays) / 1000) - displaced_hu
    return Volume(np.asarray(tissue + added_hu, np.float32), grid), added_hu, finder


def _grid(patient: Patient, coronary: CalciumDescription) -> Geometry:
    """Return a grid of 3 mm slices around the calcium, at multiples of 3 mm; a single voxel if there is none."""
    if not coronary.deposits:
        return Geometry.from_spacing((1, 1, 1), (SLICE_MM, PIXEL_MM, PIXEL_MM))
    anatomy = Anatomy.of(patient, phase=REFERENCE_PHASE)
    points = np.vstack([anatomy.balls(deposit).centres for deposit in coronary.deposits])
    step = np.array([PIXEL_MM, PIXEL_MM, SLICE_MM])
    low = np.floor((points.min(axis=0) - MARGIN_MM) / step)
    count = np.ceil((points.max(axis=0) + MARGIN_MM) / step) - low + 1
    columns, rows, slices = (int(n) for n in count)
    return Geometry.from_spacing((slices, rows, columns), step[::-1].tolist(), (low * step).tolist())


def _fine(grid: Geometry) -> Geometry:
    """Return the grid with each slice divided into thin slices."""
    return grid.with_spacing((FINE_SLICE_MM, PIXEL_MM, PIXEL_MM))


def _on_slices(fine: Floats32) -> Floats32:
    """Average over each slice, and blur in plane."""
    parts = round(SLICE_MM / FINE_SLICE_MM)
    slices = fine.reshape(-1, parts, *fine.shape[1:]).mean(axis=1)
    return _blurred(slices, PIXEL_MM)


def _blurred(slices: Floats32, pixel_mm: float) -> Floats32:
    sd = FWHM_MM / np.sqrt(8 * np.log(2)) / pixel_mm
    return np.asarray(ndimage.gaussian_filter(slices, (0, sd, sd), mode="nearest"), np.float32)


def _tissue_hu(heart: Body, grid: Geometry) -> Floats32:
    """Return the HU of the heart without its calcium, on the grid of the scan."""
    rays = beam(KVP, FILTER_MM_AL)
    table = np.array([tissue_hu(rays, tissue) for tissue in Tissue], np.float32)
    fine_mm, pixel_mm, _ = heart.geometry.spacing_mm
    hu = ndimage.uniform_filter1d(table[heart.tissue], max(1, round(SLICE_MM / fine_mm)), axis=0, mode="nearest")
    blurred = Volume(_blurred(hu, pixel_mm), heart.geometry)
    return np.asarray(blurred.resample(grid, fill_hu=float(table[Tissue.FAT])).hu, np.float32)
