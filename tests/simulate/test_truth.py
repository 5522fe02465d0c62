"""Labels of a scan's voxels, from the HU that calcium adds and from the nearest deposit."""

import numpy as np
import pytest

pytest.importorskip("numba")

from ctacal.geometry import Geometry
from ctacal.labels import Calcium
from ctacal.simulate.anatomy.calcium import CalciumDescription, Deposit, Kind
from ctacal.simulate.anatomy.description import draw_patient
from ctacal.simulate.anatomy.sites import Anatomy
from ctacal.simulate.truth import (
    KIND_LABELS,
    TRUTH_HU,
    VESSEL_LABELS,
    DepositFinder,
    label_calcium,
    scored_labels,
    structure_names,
    structures_on,
)

PATIENT = draw_patient(3)


def deposit(kind: Kind, site: str, along: float) -> Deposit:
    return Deposit(kind, site, along, 0.0, 6.0, 1.5, 120.0, 400.0, 1)


LAD, VALVE = deposit(Kind.CORONARY, "LAD", 0.3), deposit(Kind.AORTIC_VALVE, "", 0.5)


def grid_about(point_mm: np.ndarray) -> Geometry:
    return Geometry.from_spacing((3, 5, 5), (3.0, 1.0, 1.0), (point_mm - (2, 2, 3)).tolist())


def finder(*deposits: Deposit, phases: tuple[float, ...] = (0.0,)) -> DepositFinder | None:
    return DepositFinder.of(PATIENT, CalciumDescription(deposits), phases)


def middle_of(deposit: Deposit, phase: float = 0.0) -> np.ndarray:
    return np.asarray(Anatomy.of(PATIENT, phase=phase).balls(deposit).centres.mean(axis=0))


@pytest.mark.parametrize(
    ("deposit", "expected"), [(LAD, VESSEL_LABELS["LAD"]), (VALVE, KIND_LABELS[Kind.AORTIC_VALVE])]
)
def test_a_voxel_that_calcium_brightens_is_of_the_deposit_nearby(deposit: Deposit, expected: int) -> None:
    grid = grid_about(middle_of(deposit))
    added = np.zeros(grid.shape, np.float32)
    added[1, 2, 2], added[1, 2, 3] = TRUTH_HU, TRUTH_HU - 0.1
    labels = label_calcium(added, grid, finder(LAD, VALVE), np.zeros(3))
    assert labels[1, 2, 2] == expected
    assert np.count_nonzero(labels) == 1


def test_calcium_is_found_where_the_beating_heart_puts_it() -> None:
    at_rest, in_systole = middle_of(LAD), middle_of(LAD, 0.35)
    assert np.linalg.norm(at_rest - in_systole) > 1, "the artery must move for this test to mean anything"
    grid = grid_about(in_systole)
    added = np.zeros(grid.shape, np.float32)
    added[1, 2, 2] = 100
    near = deposit(Kind.AORTIC_VALVE, "", 0.5)
    labels = label_calcium(added, grid, finder(LAD, near, phases=(0.0, 0.35)), np.zeros(3))
    assert labels[1, 2, 2] == VESSEL_LABELS["LAD"]


def test_a_breath_moves_the_deposits_with_the_body() -> None:
    """A body displaced 30 mm towards the feet shows at z what lies at z + 30 mm at rest."""
    grid = grid_about(middle_of(LAD) - (0, 0, 30))
    added = np.full(grid.shape, TRUTH_HU, np.float32)
    other = middle_of(VALVE)
    drawn = label_calcium(added, grid, finder(LAD, VALVE), np.full(3, 30.0))
    assert (drawn == VESSEL_LABELS["LAD"]).all()
    assert np.linalg.norm(other - middle_of(LAD)) > 10


def test_no_deposits_no_labels() -> None:
    assert finder() is None
    grid = grid_about(np.zeros(3))
    assert not label_calcium(np.full(grid.shape, 500, np.float32), grid, None, np.zeros(3)).any()


def test_the_scored_labels_know_vessels_and_count_nothing_else() -> None:
    grid = Geometry.from_spacing((1, 1, 256), (1.0, 1.0, 1.0))
    labels = scored_labels(np.arange(256, dtype=np.uint8).reshape(1, 1, 256), grid).labels.ravel()
    assert [labels[VESSEL_LABELS[v]] for v in ("LM", "LAD", "LCX", "RCA")] == [
        Calcium.LM, Calcium.LAD, Calcium.LCX, Calcium.RCA
    ]  # fmt: skip
    assert {labels[value] for kind, value in KIND_LABELS.items() if kind is not Kind.CORONARY} == {Calcium.OTHER}
    assert not labels[:100].any(), "anatomy is no calcium"


def test_every_value_has_one_name() -> None:
    names = structure_names()
    assert len(set(names.values())) == len(names)
    assert names[101] == "lm_calcium"
    assert names[KIND_LABELS[Kind.STERNAL_WIRE]] == "sternal_wire_deposit"


def test_structures_are_those_at_each_voxels_place() -> None:
    body = Geometry.from_spacing((10, 4, 4), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    structure = np.broadcast_to(np.arange(10, dtype=np.uint8)[:, None, None] + 1, body.shape)
    grid = Geometry.from_spacing((3, 2, 6), (2.0, 2.0, 1.0), (1.0, 1.0, 1.0))
    found = structures_on(grid, structure, body, np.array([0.0, 3.0, 30.0]))
    assert found[0, 0].tolist() == [2, 2, 2, 0, 0, 0], "columns beyond the body are outside"
    assert found[1, 0, 0] == 1 + 3 + 3, "the second slice, 2 mm up, is drawn by 3 mm"
    assert not found[2].any()
