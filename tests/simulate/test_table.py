"""The table under the body, and the objects on the skin."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("numba")

from ctacal.geometry import Geometry
from ctacal.simulate.anatomy.body import build_body
from ctacal.simulate.anatomy.description import draw_patient
from ctacal.simulate.anatomy.on_skin import paint_on_skin
from ctacal.simulate.anatomy.structures import AnatomyMaps
from ctacal.simulate.anatomy.table import DESIGNS, TableDesign, draw_table, paint_table, table_top_mm
from ctacal.simulate.materials import Tissue

GRID = Geometry.from_spacing((54, 210, 240), (3.0, 2.0, 2.0), (-240.0, -170.0, -110.0))
TABLE = (Tissue.TABLE, Tissue.FOAM, Tissue.CARBON)


@pytest.fixture(scope="module")
def maps() -> AnatomyMaps:
    return build_body(draw_patient(3, arms_up=True), GRID)


def design(shape: str) -> TableDesign:
    return next(table for table in map(draw_table, range(100)) if table.shape == shape)


def test_all_designs_are_drawn_and_repeat() -> None:
    drawn = [draw_table(seed) for seed in range(60)]
    assert {table.shape for table in drawn} == set(DESIGNS)
    assert draw_table(7) == draw_table(7)
    assert len({table.width_mm for table in drawn}) == 60


@pytest.mark.parametrize("shape", DESIGNS)
def test_the_body_lies_on_the_table_and_is_not_touched(maps: AnatomyMaps, shape: str) -> None:
    before = maps.body.tissue
    tissue = before.copy()
    table = design(shape)
    paint_table(tissue, GRID, table)
    painted = tissue != before
    assert (before[painted] == Tissue.AIR).all()
    assert set(np.unique(tissue[painted])) <= set(TABLE)
    middle = slice(90, 150)  # columns under the body
    body_back = np.where(before != Tissue.AIR, np.arange(210)[None, :, None], -1).max(axis=1)[:, middle]
    table_front = np.where(painted, np.arange(210)[None, :, None], 999).min(axis=1)[:, middle]
    assert (table_front > body_back).all()
    shell = np.isin(tissue, (Tissue.TABLE, Tissue.CARBON)).any(axis=(0, 1))
    assert np.count_nonzero(shell) * 2.0 == pytest.approx(table.width_mm, abs=12)
    top = table_top_mm(before, GRID, table)
    deepest = np.argwhere(painted)[:, 1].max() * 2.0 - 170
    assert deepest == pytest.approx(top + table.depth_mm, abs=table.shell_mm * 3 + 4)


def test_a_table_painted_twice_is_the_same(maps: AnatomyMaps) -> None:
    once = maps.body.tissue.copy()
    table = design("curved")
    paint_table(once, GRID, table)
    assert table_top_mm(once, GRID, table) == table_top_mm(maps.body.tissue, GRID, table)
    twice = once.copy()
    paint_table(twice, GRID, table)
    assert np.array_equal(once, twice)


def test_a_part_gets_the_same_table(maps: AnatomyMaps) -> None:
    table = design("v_bottom")
    top_mm = table_top_mm(maps.body.tissue, GRID, table)
    whole, part = maps.body.tissue.copy(), maps.body.tissue[5:9, 60:].copy()
    paint_table(whole, GRID, table)
    paint_table(part, GRID.crop((slice(5, 9), slice(60, 210), slice(0, 240))), table, top_mm=top_mm)
    assert np.array_equal(whole[5:9, 60:], part)


def test_electrodes_and_blanket_lie_in_the_air_before_the_body(maps: AnatomyMaps) -> None:
    tissue = maps.body.tissue.copy()
    paint_on_skin(tissue, GRID, replace(draw_table(1), electrodes=5, blanket=True))
    painted = tissue != maps.body.tissue
    assert (maps.body.tissue[painted] == Tissue.AIR).all()
    assert {Tissue.PLASTIC, Tissue.STEEL, Tissue.CLOTH} <= set(np.unique(tissue[painted]))
    front = (maps.body.tissue != Tissue.AIR).argmax(axis=1)
    slices, rows, columns = np.nonzero(painted)
    assert (rows < front[slices, columns]).mean() > 0.95


def test_nothing_on_the_skin_where_none_is_drawn(maps: AnatomyMaps) -> None:
    tissue = maps.body.tissue.copy()
    paint_on_skin(tissue, GRID, replace(draw_table(1), electrodes=0, blanket=False))
    assert np.array_equal(tissue, maps.body.tissue)
