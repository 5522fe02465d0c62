"""A small study made by hand: no scanner, no anatomy; the truth is that of the drawn phantom."""

from dataclasses import replace
from functools import cache

import numpy as np

from ctacal.labels import Calcium
from ctacal.scores import SCCT_2016, score_label_map
from ctacal.simulate.anatomy.calcium import Kind
from ctacal.simulate.anatomy.structures import Structure
from ctacal.simulate.anatomy.truth import CalciumRow
from ctacal.simulate.phantom.thorax import Phantom, draw_thorax
from ctacal.simulate.scanner.protocol import ScannerProtocol, load_protocol
from ctacal.simulate.study import SimulatedStudy, StudyDescription, draw_study
from ctacal.simulate.truth import KIND_LABELS, VESSEL_LABELS, Truth
from ctacal.volume import Volume

SHAPE, SPACING_MM = (48, 128, 128), (3.27, 3.0, 3.0)


def drawn_by_hand(description: StudyDescription) -> SimulatedStudy:
    """Return a study like ``hand_made``, with noise from the seed of the description."""
    study = hand_made(description)
    noise = np.random.default_rng(description.seed).integers(-9, 10, SHAPE).astype(np.int16)
    volume = Volume(np.maximum(study.volume.hu + noise, -1024), study.volume.geometry)
    scores = score_label_map(volume, study.truth.labels, SCCT_2016)[1]
    return replace(study, volume=volume, truth=replace(study.truth, ctac_score=scores))


def hand_made(description: StudyDescription | None = None) -> SimulatedStudy:
    """Return the drawn thorax as a study; OTHER calcium lies in the aortic wall, in its last slice in a stent."""
    phantom = _phantom()
    labels = phantom.labels.labels
    structures = np.where(phantom.volume.hu > -300, Structure.BODY_WALL, Structure.LUNG).astype(np.uint8)
    for vessel, value in VESSEL_LABELS.items():
        structures[labels == Calcium[vessel]] = value
    other = labels == Calcium.OTHER
    structures[other] = KIND_LABELS[Kind.AORTIC_WALL]
    last = np.flatnonzero(other.any(axis=(1, 2)))[-1]
    structures[last][other[last]] = KIND_LABELS[Kind.STENT]
    scores = score_label_map(phantom.volume, phantom.labels, SCCT_2016)[1]
    truth = Truth(
        labels=phantom.labels,
        structures=structures,
        table=(CalciumRow(Kind.CORONARY, "LAD", (1.0, 2.0, 3.0), 10.0, 4.0, 400.0),),
        ctac_score=scores,
        reference_score=scores,
    )
    return SimulatedStudy(
        description=description or draw_study(3, load_protocol("spect_ct_16slice")), volume=phantom.volume, truth=truth
    )


@cache
def _phantom() -> Phantom:
    return draw_thorax(SHAPE, SPACING_MM)


def tiny_protocol(name: str = "tiny") -> ScannerProtocol:
    """Return a protocol whose studies take seconds."""
    return ScannerProtocol(
        name=name, kvp=120.0, tube_current_ma=80.0, rotation_s=0.5, thickness_mm=10.0, spacing_mm=10.0, matrix=64,
        fov_mm=500.0, kernel="hann", mtf50_per_mm=0.1, noise_target_hu=10.0, collimation_mm=20.0, views=48,
        detector_mm=4.0,
    )  # fmt: skip
