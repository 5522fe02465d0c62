"""``inserted_reference_score``: the score of the inserted coronary calcium on a gated, noise-free calcium scan.

The rules are those of ``simulate.reference``: nothing moves, slices of 3 mm, 120 kVp. The surrounding tissue is that of
the real scan, blurred so that its noise is gone, with the same arteries; calcium of the scan itself does not count.
"""

from dataclasses import replace

import numpy as np

from ctacal.geometry import Geometry
from ctacal.scores import Scores
from ctacal.simulate.anatomy.calcium import Kind
from ctacal.simulate.insert.deposits import Artery, Placed, reached
from ctacal.simulate.insert.insertion import insert
from ctacal.simulate.insert.quality import ScanQuality
from ctacal.simulate.insert.tissue import Tissue
from ctacal.simulate.reference import FILTER_MM_AL, FWHM_MM, KVP, MARGIN_MM, PIXEL_MM, SLICE_MM
from ctacal.simulate.scanner.attenuation import beam, hydroxyapatite_hu
from ctacal.simulate.scanner.protocol import ScannerProtocol
from ctacal.volume import Volume


def inserted_reference_score(tissue: Tissue, deposits: tuple[Placed, ...], arteries: tuple[Artery, ...]) -> Scores:
    """Score the coronary deposits, each at its mean position, on the gated scan."""
    coronary = [deposit for deposit in deposits if deposit.kind is Kind.CORONARY]
    still = tuple(replace(deposit, sway_mm=np.zeros((1, 3))) for deposit in coronary)
    grid = _grid(np.vstack([reached(deposit) for deposit in still])) if still else tissue.grid
    around = tuple(
        Artery(artery.balls, np.zeros((1, len(artery.balls.centres), 3))) for artery in arteries if _near(artery, grid)
    )
    tissue_hu = Volume(tissue.blurred_hu, tissue.grid).resample(grid, fill_hu=-100.0)
    return insert(tissue_hu, still, _gated(), arteries=around).score


def _grid(points: np.ndarray) -> Geometry:
    """Return a grid around the calcium, at whole multiples of the voxel size."""
    step = np.array([PIXEL_MM, PIXEL_MM, SLICE_MM])
    low = np.floor((points.min(axis=0) - MARGIN_MM) / step)
    columns, rows, slices = (int(n) for n in np.ceil((points.max(axis=0) + MARGIN_MM) / step) - low + 1)
    return Geometry.from_spacing((slices, rows, columns), (SLICE_MM, PIXEL_MM, PIXEL_MM), (low * step).tolist())


def _near(artery: Artery, grid: Geometry) -> bool:
    """Whether the artery reaches into the grid."""
    low, high = grid.to_patient_mm((0, 0, 0)), grid.to_patient_mm(np.array(grid.shape) - 1.0)
    centres = artery.balls.centres
    return bool(((centres.max(axis=0) > low) & (centres.min(axis=0) < high)).all())


def _gated() -> ScanQuality:
    """Return the quality of the gated scan: a Gaussian blur of ``FWHM_MM``, with MTF50 2 ln 2 / (pi FWHM)."""
    protocol = ScannerProtocol(
        name="reference", kvp=KVP, tube_current_ma=100.0, rotation_s=0.3, thickness_mm=SLICE_MM, spacing_mm=SLICE_MM,
        matrix=512, fov_mm=512 * PIXEL_MM, kernel="gauss", mtf50_per_mm=2 * np.log(2) / (np.pi * FWHM_MM),
        noise_target_hu=1.0, collimation_mm=40.0,
    )  # fmt: skip
    return ScanQuality(
        protocol=protocol, noise_hu=0.0, noise_power=(), slice_correlation=0.0, border_motion_mm=None,
        calcium_hu_per_mg_cm3=hydroxyapatite_hu(beam(KVP, FILTER_MM_AL)) / 1000, edges=0,
    )  # fmt: skip
