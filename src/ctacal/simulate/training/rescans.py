"""Rescans: the same patient scanned again and again, to learn how much a score changes when nothing has changed.

A patient is projected once (``AnatomyCache``). Each scan has a position of its own in the scanner, its own moment in
the heart cycle and in the breath, and its own noise; heart rate and depth of breath vary about those of the patient.
"""

from dataclasses import replace

import numpy as np

from ctacal.simulate.anatomy.calcium import CLINICAL, CalciumDescription, Kind
from ctacal.simulate.anatomy.description import draw_patient
from ctacal.simulate.scanner.protocol import ScannerProtocol
from ctacal.simulate.streams import Stream, generator
from ctacal.simulate.training.anatomy_cache import AnatomyCache, Sampling, Wanted, anything, coronary_mm3, draw_variants
from ctacal.simulate.training.crop import simulate_picture
from ctacal.simulate.training.description import CropDescription, Focus
from ctacal.simulate.vital_signs import PATIENTS, draw_breath_s, draw_breathing_mm, draw_heart_rate, draw_irregularity
from ctacal.volume import Volume

RESCANNED: Wanted = (
    (0, 0, anything), (40, 150, anything), (150, 300, anything), (300, 600, anything), (600, 3000, anything),
)  # fmt: skip
"""Draws of calcium of one patient: lowest and highest volume of the plaques in mm3; one has none (own choice)."""

SAMPLING = Sampling(slice_mm=2.0, margin_mm=(25.0, 45.0))
"""Sampling of the anatomies: the thinnest slices of the presets (own choice)."""

GROWTH = 1.3
"""Mass of grown plaques over that before (issue of the comparison: +30 %)."""

GROWN_FROM_MM3 = 150.0
"""Only draws with at least this volume of plaques are let grow: smaller ones score less than 200 on CTACs (own
choice)."""

RATE_SPREAD, RATE_LIMITS_BPM = 0.08, (42.0, 130.0)
"""Relative SD of a patient's heart rate from scan to scan, and its range (own choice)."""

OFF_MM = 12.0
"""Largest distance of the image's middle from the isocentre along rows and columns (own choice)."""

FINE_MM = 40.0
"""Margin of the finely reconstructed part around the heart: the calcium network sees less (own choice)."""


def grown(calcium: CalciumDescription, growth: float = GROWTH) -> CalciumDescription:
    """Return the calcium with each coronary plaque longer by ``growth``, as dense as before; the rest as it was."""
    return CalciumDescription(
        tuple(
            replace(deposit, length_mm=round(deposit.length_mm * growth, 4))
            if deposit.kind is Kind.CORONARY
            else deposit
            for deposit in calcium.deposits
        )
    )


def growing(drawn: tuple[CalciumDescription, ...]) -> tuple[int, ...]:
    """Return the numbers of the draws that are let grow."""
    return tuple(number for number, calcium in enumerate(drawn) if coronary_mm3(calcium) >= GROWN_FROM_MM3)


def draw_rescanned_anatomy(seed: int) -> AnatomyCache:
    """Draw a patient with the calcium of ``RESCANNED``, and that of ``growing`` draws grown, and project them.

    The grown ones follow the others, in the same order.
    """
    patient = draw_patient(seed)
    drawn = draw_variants(patient, seed, RESCANNED, CLINICAL)
    return AnatomyCache.of(patient, (*drawn, *_grown_draws(drawn)), SAMPLING)


def deposits_of(cache: AnatomyCache, draw: int, *, has_grown: bool) -> int | None:
    """Return the number, in the cache, of a draw of calcium as it was or grown; None if this patient has none such."""
    counts = range(len(cache.calcium) + 1)
    plain = next(n for n in counts if cache.calcium[n:] == _grown_draws(cache.calcium[:n]))
    if not has_grown:
        return draw if draw < plain else None
    candidates = growing(cache.calcium[:plain])
    return plain + candidates.index(draw) if draw in candidates else None


def _grown_draws(drawn: tuple[CalciumDescription, ...]) -> tuple[CalciumDescription, ...]:
    return tuple(grown(drawn[number]) for number in growing(drawn))


def describe_rescan(
    cache: AnatomyCache, protocol: ScannerProtocol, *, deposits: int | None, scan_seed: int
) -> CropDescription:
    """Describe one scan of the whole built range and field of view by a preset; ``scan_seed`` alone tells scans apart.

    Heart rate, rhythm and depth of breath belong to the patient and vary from scan to scan.
    """
    kept, patient = cache.projections, generator(cache.patient.seed, Stream.RESCANNED_PATIENT)
    rate_bpm, fibrillates = draw_heart_rate(patient, PATIENTS)
    irregularity, breath_s = draw_irregularity(patient, fibrillates), draw_breath_s(patient, PATIENTS)
    rng = generator(scan_seed, Stream.RESCAN)
    breathing_mm = draw_breathing_mm(rng, PATIENTS)
    low_mm, high_mm = (cache.geometry.to_patient_mm((edge, 0, 0))[2] for edge in (-0.5, cache.geometry.shape[0] - 0.5))
    lowest_mm = float(low_mm) + protocol.thickness_mm / 2 + 0.05 + rng.uniform(0, protocol.spacing_mm)
    room_mm = float(high_mm) - breathing_mm - protocol.thickness_mm / 2 - 0.1 - lowest_mm
    return CropDescription(
        seed=scan_seed, focus=Focus.CLEAN if deposits is None else Focus.CORONARY, deposits=deposits,
        protocol=replace(
            protocol, views=kept.views, detector_mm=kept.detector_mm, scan_field_mm=kept.detectors * kept.detector_mm
        ),
        heart_rate_bpm=round(float(np.clip(rate_bpm * rng.normal(1, RATE_SPREAD), *RATE_LIMITS_BPM)), 1),
        irregularity=round(irregularity, 3), breathing_mm=round(breathing_mm, 1), breathing_s=round(breath_s, 1),
        middle_mm=(round(float(rng.uniform(-OFF_MM, OFF_MM)), 2), round(float(rng.uniform(-OFF_MM, OFF_MM)), 2)),
        bottom_mm=round(lowest_mm, 2),
        shape=(int(room_mm / protocol.spacing_mm) + 1, protocol.matrix, protocol.matrix),
    )  # fmt: skip


def rescan(cache: AnatomyCache, description: CropDescription) -> Volume:
    """Scan the patient: an image of the chest, in fine pixels around the heart."""
    isocentre = np.array(cache.projections.isocentre_mm)[::-1]
    pixel_mm, n = description.protocol.pixel_mm, description.protocol.matrix
    ends_mm = cache.heart_mm[:, 1::-1] - isocentre - description.middle_mm  # (2, row and column)
    index = (ends_mm + np.array([[-FINE_MM], [FINE_MM]])) / pixel_mm + (n - 1) / 2
    low, high = np.clip(np.floor(index[0]), 0, n).astype(int), np.clip(np.ceil(index[1]), 0, n).astype(int)
    return simulate_picture(cache, description, (slice(low[0], high[0]), slice(low[1], high[1])))
