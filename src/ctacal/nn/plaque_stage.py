"""Stage 3 of scoring: each island that may count is looked at once more, as a whole. No torch."""

from dataclasses import replace

import numpy as np

from ctacal.arrays import Floats, Floats32
from ctacal.nn.anatomy_stage import AnatomyMap
from ctacal.nn.classes import BY_VESSEL, PLAQUE_CLASSES, is_coronary
from ctacal.nn.islands import Weighed
from ctacal.nn.plaque_inputs import looked_at, plaque_inputs
from ctacal.nn.runtime import Stage
from ctacal.prediction import ScanFigures
from ctacal.volume import Volume

TOGETHER = 64
"""Number of islands that the network looks at in one run: more would take more memory, not less time."""

LEAST_SHARE = 0.01
"""Smallest probability of a vessel: neither network rules one out alone (own choice)."""


def decided(
    weighed: Weighed, of_voxels: Floats32, seen: Volume, anatomy: AnatomyMap, figures: ScanFigures, stage: Stage
) -> Weighed:
    """Return the islands with the class probabilities of the plaque network, where it was asked.

    ``of_voxels`` is (voxels of the islands, ``BY_VESSEL`` classes), ``seen`` the scan as the calcium network sees it.
    """
    chosen = looked_at(weighed)
    if not chosen.size:
        return weighed
    inputs = plaque_inputs(weighed, of_voxels, chosen, seen, anatomy, figures).arrays()
    parts = [slice(first, first + TOGETHER) for first in range(0, len(chosen), TOGETHER)]
    kinds = np.zeros((weighed.islands.count, len(PLAQUE_CLASSES)), np.float32)
    kinds[chosen] = np.concatenate([stage.run(*(array[part] for array in inputs))[0] for part in parts])
    probability = weighed.probability.copy()
    probability[chosen] = named_by_both(as_vessels(kinds[chosen]), weighed.probability[chosen])
    return replace(weighed, probability=probability, kinds=kinds)


def named_by_both(plaque: Floats32, calcium: Floats) -> Floats:
    """Return (islands, ``BY_VESSEL``): the plaque network's answer, its vessels weighed by the calcium network's.

    What is coronary stays as likely; whose it is, both say with the same weight: the geometric mean of the
    probabilities. The one knows the place within the heart better, the other the way of the vessel (docs/log.md).
    """
    vessels = np.array([is_coronary(label) for label in BY_VESSEL])
    both = np.sqrt(np.maximum(plaque[:, vessels], LEAST_SHARE) * np.maximum(calcium[:, vessels], LEAST_SHARE))
    made = plaque.astype(np.float64)
    made[:, vessels] = both * (made[:, vessels].sum(axis=1) / both.sum(axis=1))[:, None]
    return made


def as_vessels(kinds: Floats32) -> Floats32:
    """(islands, ``PLAQUE_CLASSES``) -> (islands, ``BY_VESSEL``): all that does not count is other calcium."""
    labels = np.array([kind.label for kind in PLAQUE_CLASSES])
    return np.stack([kinds[:, labels == label].sum(axis=1) for label in BY_VESSEL], axis=1)
