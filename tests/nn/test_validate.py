"""Validation during training: the figures are those of ``statistics.agreement``, on the scores of whole samples."""

import numpy as np
import pytest
import torch

from ctacal.anatomy import Anatomy
from ctacal.labels import Calcium
from ctacal.nn.config import NetworkConfig
from ctacal.nn.output import Output
from ctacal.nn.samples import Sample
from ctacal.nn.validate import validate
from ctacal.statistics.agreement import risk_categories, weighted_kappa
from tests.nn.toys import TINY, TINY_ANATOMY, toys, with_anatomy


class Says(torch.nn.Module):
    """A network that answers each sample in turn with one class in the given voxels."""

    def __init__(self, answers: list[np.ndarray[tuple[int, ...], np.dtype[np.bool_]]], classes: int) -> None:
        super().__init__()
        self.number = torch.nn.Parameter(torch.zeros(1))
        self.left = answers
        self.classes = classes

    def forward(self, x: torch.Tensor) -> Output:
        mask = self.left.pop(0)
        mask = np.pad(mask, ((0, 0), *((0, n - side) for n, side in zip(x.shape[2:], mask.shape[1:], strict=True))))
        found = torch.from_numpy(mask).float()
        if self.classes == 1:
            return Output(found[:, None] * 2 - 1)
        logits = torch.zeros(len(x), self.classes, *x.shape[2:])
        logits[:, 0], logits[:, 2] = 1 - found, found  # 2: the LAD
        return Output(logits)


def coronary(sample: Sample) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    return np.asarray((sample.labels >= 1) & (sample.labels <= Calcium.RCA))


def test_figures_by_hand() -> None:
    """Noise is taken for coronary calcium in the only sample without; calcium is missed in one of three samples."""
    everything = toys()
    samples = [everything[1], everything[2], everything[0], everything[4]]  # LAD; RCA; none; LAD and RCA
    noise = samples[2].hu >= 150
    answers = [samples[0].labels > 0, samples[1].labels > 99, noise, samples[3].labels > 0]
    result = validate(Says([*answers], 6), samples, TINY)
    true = [sample.agatston for sample in samples]
    found = [true[0], 0.0, score_of(samples[2], noise), true[3]]
    assert result.sensitivity == pytest.approx(2 / 3)
    assert result.specificity == 0
    table = np.zeros((4, 4), int)
    np.add.at(table, (risk_categories(true), risk_categories(found)), 1)
    assert result.table == tuple(tuple(row) for row in table.tolist())
    assert result.kappa == weighted_kappa(table).estimate
    assert result.exact == np.trace(table) / 4
    both = coronary(samples[0]).sum() + coronary(samples[3]).sum()
    size = sum(coronary(sample).sum() for sample in samples) + both + noise.sum()
    assert result.dice == pytest.approx(2 * both / size)


def score_of(sample: Sample, mask: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> float:
    """Return the score of the mask if all of it is coronary."""
    labels = np.where(mask, np.uint8(Calcium.LAD), np.uint8(0))
    score = Sample(sample.name, sample.hu, labels, sample.heart, sample.mass_mg, sample.spacing_mm).agatston
    assert score > 0
    return score


def test_heart_network_has_no_categories() -> None:
    config = NetworkConfig(
        kind="heart", widths=(8, 16), lstm_channels=4, position=False, neighbours=False, mass_head=False, slice_mm=3.0
    )
    result = validate(Says([sample.heart for sample in toys()], 1), toys(), config)
    assert np.isnan([result.kappa, result.exact, result.sensitivity, result.specificity]).all()
    assert result.dice == result.quality == 1
    assert sum(map(sum, result.table)) == 0


class SaysAnatomy(torch.nn.Module):
    """A network that answers each sample in turn with these classes."""

    def __init__(self, answers: list[np.ndarray[tuple[int, ...], np.dtype[np.uint8]]]) -> None:
        super().__init__()
        self.number = torch.nn.Parameter(torch.zeros(1))
        self.left = answers

    def forward(self, x: torch.Tensor) -> Output:
        classes = torch.from_numpy(self.left.pop(0).astype(np.int64))
        return Output(torch.nn.functional.one_hot(classes, len(Anatomy)).movedim(-1, 1).float())


def test_anatomy_network_has_a_dice_for_each_structure() -> None:
    """In the second of two samples the atrium is taken for the ventricle."""
    samples = [with_anatomy(sample) for sample in toys()[:2]]
    true = [sample.anatomy for sample in samples]
    assert true[0] is not None and true[1] is not None
    wrong = np.where(true[1] == Anatomy.LEFT_ATRIUM, np.uint8(Anatomy.LEFT_VENTRICLE), true[1])
    result = validate(SaysAnatomy([true[0], wrong]), samples, TINY_ANATOMY)
    ventricle, atrium = ((true[0] == chamber).sum() for chamber in (Anatomy.LEFT_VENTRICLE, Anatomy.LEFT_ATRIUM))
    assert set(result.by_structure) == {Anatomy.LEFT_VENTRICLE, Anatomy.LEFT_ATRIUM, Anatomy.LUNG}
    assert result.by_structure[Anatomy.LUNG] == 1
    assert result.by_structure[Anatomy.LEFT_ATRIUM] == pytest.approx(2 / 3, abs=1e-4)
    assert result.by_structure[Anatomy.LEFT_VENTRICLE] == pytest.approx(
        4 * ventricle / (4 * ventricle + atrium), abs=1e-4
    )
    assert result.quality == pytest.approx(np.mean(list(result.by_structure.values())))
    assert result.to_row()["dice_lung"] == 1
    assert np.isnan(result.kappa)


def test_no_calcium_anywhere_is_no_agreement() -> None:
    """Chance alone gives full agreement: quality is 0, not a crash."""
    result = validate(Says([np.zeros((8, 40, 40), bool)], 6), toys()[:1], TINY)
    assert np.isnan(result.kappa)
    assert np.isnan(result.sensitivity)
    assert (result.specificity, result.exact, result.quality) == (1, 1, 0)
