"""Test studies from stored projections: calcium as in patients, whole images, presets without variation.

``simulate.study`` makes a single study of a patient, with a body of 1 mm voxels, table and cables. Here a patient is
projected once, as for training crops, and scanned with several draws of calcium, which is much faster.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ctacal.scores import Scores
from ctacal.simulate.anatomy.body import build_body, heart_region
from ctacal.simulate.anatomy.calcium import BRANCHED, CLINICAL, CONFOUNDED, draw_calcium
from ctacal.simulate.anatomy.description import draw_patient
from ctacal.simulate.reference import REFERENCE_PHASE, reference_score
from ctacal.simulate.scanner.protocol import ScannerProtocol, load_protocol
from ctacal.simulate.streams import Stream, generator
from ctacal.simulate.training.anatomy_cache import PLAQUES_WANTED, RARE_PLAQUES_WANTED, AnatomyCache, draw_variants
from ctacal.simulate.training.description import CropDescription, Focus, draw_protocol
from ctacal.simulate.vital_signs import PATIENTS, draw_breath_s, draw_breathing_mm, draw_heart_rate, draw_irregularity


def draw_clinical_anatomy(seed: int, draws: int, *, hard: bool = False) -> AnatomyCache:
    """Draw a patient, and several draws of calcium and devices as in the cohort; if ``hard`` with many confounders."""
    patient, prevalence = draw_patient(seed), CONFOUNDED if hard else CLINICAL
    return AnatomyCache.of(patient, [draw_calcium(patient, seed * 1000 + k, prevalence) for k in range(draws)])


def draw_plaque_anatomy(seed: int, draws: int, *, rare: bool = False) -> AnatomyCache:
    """Draw a patient, and draws of calcium and devices with many plaques, and much of what is taken for plaques.

    Patients begin at different places of ``PLAQUES_WANTED``, or ``RARE_PLAQUES_WANTED``, so that few draws of many
    patients hold all of them.
    """
    patient, wanted = draw_patient(seed), RARE_PLAQUES_WANTED if rare else PLAQUES_WANTED
    chosen = tuple(wanted[(seed * draws + k) % len(wanted)] for k in range(draws))
    return AnatomyCache.of(patient, draw_variants(patient, seed, chosen, BRANCHED))


def reference_scores(cache: AnatomyCache) -> tuple[Scores, ...]:
    """Return the score of each draw of calcium on a gated scan without noise."""
    region = heart_region(cache.patient, cache.geometry)
    heart = build_body(cache.patient, region, phase=REFERENCE_PHASE).body
    return tuple(reference_score(cache.patient, drawn, heart) for drawn in cache.calcium)


def describe_picture(
    cache: AnatomyCache,
    seed: int,
    deposits: int | None,
    protocols: Sequence[str],
    *,
    varied: bool = False,
    hard: bool = False,
    slow: bool = False,
) -> CropDescription:
    """Draw a scan of the whole built range and field of view, with one of the presets, as it is or ``varied``.

    ``hard`` varies it beyond the usual range (``draw_protocol``); ``slow`` lets the tube turn slowly in
    ``SLOW_SHARE`` of the scans.

    Heart rate and breathing are drawn as in ``simulate.study.draw_study``. Views and detector are those of the
    projections.
    """
    rng = generator(seed, Stream.TEST_SCAN)
    protocol = draw_protocol(rng, cache, protocols, hard=hard) if varied else _preset(rng, cache, protocols)
    if slow and rng.random() < SLOW_SHARE:
        protocol = _slow(rng, protocol)
    rate_bpm, fibrillates = draw_heart_rate(rng, PATIENTS)
    breathing_mm = round(draw_breathing_mm(rng, PATIENTS), 1)
    low_mm, high_mm = (cache.geometry.to_patient_mm((edge, 0, 0))[2] for edge in (-0.5, cache.geometry.shape[0] - 0.5))
    room_mm = float(high_mm - low_mm) - breathing_mm - protocol.thickness_mm
    return CropDescription(
        seed=seed, focus=Focus.CLEAN if deposits is None else Focus.CORONARY, protocol=protocol, deposits=deposits,
        heart_rate_bpm=round(rate_bpm, 1),
        irregularity=round(draw_irregularity(rng, fibrillates), 3),
        breathing_mm=breathing_mm, breathing_s=round(draw_breath_s(rng, PATIENTS), 1),
        middle_mm=(0.0, 0.0), bottom_mm=round(float(low_mm) + protocol.thickness_mm / 2 + 0.05, 2),
        shape=(int((room_mm - 0.1) / protocol.spacing_mm) + 1, protocol.matrix, protocol.matrix),
    )  # fmt: skip


SLOW_SHARE, SLOW_S = 0.33, (4.0, 26.0)
"""Share of scans with a slow tube, and seconds of its rotation, evenly over the logarithm (own choice)."""


def _slow(rng: np.random.Generator, protocol: ScannerProtocol) -> ScannerProtocol:
    """Return the protocol with a tube that turns with the gantry of a gamma camera, at the same dose."""
    rotation_s = float(np.exp(rng.uniform(*np.log(SLOW_S))))
    return replace(
        protocol, rotation_s=rotation_s, tube_current_ma=protocol.tube_current_ma * protocol.rotation_s / rotation_s,
        helical=False, pitch=1.0, step_s=3.0,
    )  # fmt: skip


def _preset(rng: np.random.Generator, cache: AnatomyCache, protocols: Sequence[str]) -> ScannerProtocol:
    preset, kept = load_protocol(protocols[int(rng.integers(len(protocols)))]), cache.projections
    return replace(
        preset, views=kept.views, detector_mm=kept.detector_mm, scan_field_mm=kept.detectors * kept.detector_mm
    )
