"""The page's own arithmetic against ctacal's: score, digest, regions, runs."""

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scipy import ndimage

from ctacal.geometry import Geometry
from ctacal.labels import LabelMap
from ctacal.scores import AGATSTON_1990, KVP_ADAPTED, SCCT_2016, ScoringRule, score_label_map
from ctacal.volume import Volume
from tests.web.browser import PAGE_FOLDER, chromium, page_of_modules

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.slow

SHAPE = (5, 14, 17)
RULES = (
    SCCT_2016,
    AGATSTON_1990,
    KVP_ADAPTED.at_kvp(130.0),
    replace(SCCT_2016, connectivity=4, min_area_mm2=3.0),
    replace(SCCT_2016, density_from="lesion", min_pixels=2),
    replace(SCCT_2016, density_from="lesion", connectivity=4, vessel_of_component="split"),
    replace(SCCT_2016, volume_of="all_components", vessel_of_component="split"),
)

SCORE = """async (given) => {
  const { hu, triples, shape, rule, scoring } = JSON.parse(given);
  const { Reading } = await import("/page/reading.js");
  const volume = { shape, spacing_mm: [1, 1, 1] };
  const state = { labels: triples, undo: 0, redo: 0 };
  const heart = { data: new Int16Array(hu), shape, start: [0, 0, 0] };
  const reading = new Reading({ case: { id: "x", volume, rule, scoring }, state, candidates: { items: [] } }, heart);
  return { score: reading.score(), digest: await reading.digest() };
}"""


@pytest.fixture(scope="module")
def page() -> Iterator["Page"]:
    with chromium() as browser:
        yield page_of_modules(browser)


def scan(seed: int) -> tuple[Volume, LabelMap]:
    """A random scan, dense with calcium of all labels, on an odd grid."""
    rng = np.random.default_rng(seed)
    spacing = (rng.choice([2.5, 3.27, 4.999999999999999]), 0.9765625, 1.171875)
    geometry = Geometry.from_spacing(SHAPE, spacing)
    hu = rng.choice([0, 129, 130, 131, 181, 199, 200, 300, 399, 400, 900], SHAPE).astype(np.int16)
    smooth = ndimage.gaussian_filter(rng.normal(size=SHAPE), 1.2)
    labels = np.where(smooth > np.quantile(smooth, rng.uniform(0.2, 0.9)), rng.integers(1, 7, SHAPE), 0)
    return Volume(hu, geometry), LabelMap(labels.astype(np.uint8), geometry)


def scoring(geometry: Geometry, rule: ScoringRule) -> dict[str, float]:
    """What the server tells the page to score with."""
    return {
        "pixel_area_mm2": geometry.pixel_area_mm2,
        "voxel_volume_mm3": geometry.voxel_volume_mm3,
        "slice_factor": geometry.slice_spacing_mm / 3.0 if rule.slice_weight == "spacing_over_3mm" else 1.0,
        "area_tolerance_mm2": 1e-6,
    }


def page_score(page: "Page", volume: Volume, labels: LabelMap, rule: ScoringRule) -> dict[str, Any]:
    triples = [n for i in np.flatnonzero(labels.labels) for n in (int(i), 1, int(labels.labels.flat[i]))]
    given = {
        "hu": volume.hu.ravel().tolist(),
        "triples": triples,
        "shape": list(SHAPE),
        "rule": rule.to_json(),
        "scoring": scoring(volume.geometry, rule),
    }
    answer: dict[str, Any] = page.evaluate(SCORE, json.dumps(given))
    return answer


@pytest.mark.parametrize("rule", RULES, ids=range(len(RULES)))
def test_the_page_scores_as_ctacal_does_to_the_last_digit(page: "Page", rule: ScoringRule) -> None:
    for seed in range(15):
        volume, labels = scan(seed)
        lesions, scores = score_label_map(volume, labels, rule)
        found = page_score(page, volume, labels, rule)["score"]
        for quantity, tally in (("agatston", scores.agatston), ("volume_mm3", scores.volume_mm3)):
            assert found[quantity] == {"total": tally.total, "per_vessel": dict(tally.per_vessel), "other": tally.other}
        assert (found["category"], found["cac_drs"]) == (scores.category, scores.cac_drs)
        assert sum(found["lesions"]) <= len(np.unique(lesions.lesion))


def test_the_digest_is_that_of_the_voxels_in_scan_order(page: "Page") -> None:
    volume, labels = scan(3)
    index = np.flatnonzero(labels.labels)
    table = np.zeros(len(index), dtype=[("index", "<u4"), ("label", "u1")])
    table["index"], table["label"] = index, labels.labels.flat[index]
    assert page_score(page, volume, labels, SCCT_2016)["digest"] == hashlib.sha256(table.tobytes()).hexdigest()


@pytest.mark.parametrize("depth", [None, 0, 1])
def test_a_click_grows_in_26_directions_as_deep_as_it_may(page: "Page", depth: int | None) -> None:
    grow = """async (given) => {
      const { mask, seed, low, high, shape } = JSON.parse(given);
      const { grown } = await import("/page/regions.js");
      return [...grown(shape, seed, [low, high], (index) => mask[index] === 1)];
    }"""
    rng = np.random.default_rng(5)
    for _ in range(20):
        mask = rng.random(SHAPE) < 0.12
        seed = int(rng.choice(np.flatnonzero(mask)))
        middle = seed // (SHAPE[1] * SHAPE[2])
        low, high = (0, SHAPE[0] - 1) if depth is None else (max(0, middle - depth), min(SHAPE[0] - 1, middle + depth))
        within = mask.copy()
        within[:low] = within[high + 1 :] = False
        part = ndimage.label(within, np.ones((3, 3, 3)))[0]
        given = {
            "mask": mask.astype(int).ravel().tolist(),
            "seed": seed,
            "low": low,
            "high": high,
            "shape": list(SHAPE),
        }
        assert page.evaluate(grow, json.dumps(given)) == np.flatnonzero(part == part.flat[seed]).tolist()


def test_runs_hold_the_voxels_and_end_with_their_row(page: "Page") -> None:
    there_and_back = """async ({voxels, columns}) => {
      const { runsOf, voxelsOf } = await import("/page/runs.js");
      const runs = runsOf(Int32Array.from(voxels), columns);
      return [runs, [...voxelsOf(runs)]];
    }"""
    voxels = [3, 4, 5, 9, 15, 16, 17, 18, 40]
    runs, back = page.evaluate(there_and_back, {"voxels": voxels, "columns": 17})
    assert back == voxels
    assert runs == [3, 3, 9, 1, 15, 2, 17, 2, 40, 1]


def test_lasso_and_brush_take_the_voxels_whose_centres_lie_inside(page: "Page") -> None:
    draw = """async ({shape}) => {
      const { PLANES } = await import("/page/blocks.js");
      const { inside, polygon, stroke } = await import("/page/regions.js");
      const grid = { data: [], shape, start: [0, 0, 0] };
      const odd = (index) => index % 2 === 1;
      const square = polygon([[1.5, 2.5], [6.5, 2.5], [6.5, 5.5], [1.5, 5.5]]);
      const disc = stroke([[8, 6]], 2, 2);
      const lasso = inside(grid, PLANES.axial, [1, 2], square, odd);
      const brush = inside(grid, PLANES.axial, [0, 0], disc, () => true);
      return [[...lasso], [...brush]];
    }"""
    lasso, brush = page.evaluate(draw, {"shape": list(SHAPE)})
    slices, rows, columns = np.indices(SHAPE)
    flat = np.arange(np.prod(SHAPE)).reshape(SHAPE)
    square = (slices >= 1) & (slices <= 2) & (rows >= 3) & (rows <= 5) & (columns >= 2) & (columns <= 6)
    assert lasso == flat[square & (flat % 2 == 1)].tolist()
    disc = (slices == 0) & ((columns - 8) ** 2 + (2 * (rows - 6)) ** 2 <= 4)
    assert brush == flat[disc].tolist()


def test_planes_show_the_patient_in_radiological_convention(page: "Page") -> None:
    """Each sheet as an array: axial as stored; coronal and sagittal with the head up, anterior at the left."""
    cut = """async ({shape, at}) => {
      const { PLANES, sheet } = await import("/page/blocks.js");
      return Object.values(PLANES).map((plane) => {
        const from = sheet({ data: [], shape, start: [2, 3, 4] }, plane, at[plane.through]);
        return Array.from({ length: from.height }, (_, v) =>
          Array.from({ length: from.width }, (_, u) => from.first + u * from.stepU + v * from.stepV));
      });
    }"""
    flat = np.arange(np.prod(SHAPE)).reshape(SHAPE)
    axial, coronal, sagittal = page.evaluate(cut, {"shape": list(SHAPE), "at": [4, 8, 10]})
    assert axial == flat[2].tolist()
    assert coronal == flat[::-1, 5].tolist()
    assert sagittal == flat[::-1, :, 6].tolist()


def test_what_is_loaded_of_the_scan_has_a_ct_value(page: "Page") -> None:
    """Indices are those of the whole scan while only the heart is loaded; elsewhere the value is unknown."""
    look = """async ({hu, shape, origin, size}) => {
      const { Reading } = await import("/page/reading.js");
      const volume = { shape, spacing_mm: [1, 1, 1] };
      const heart = { data: new Int16Array(hu), shape: size, start: origin };
      const state = { labels: [], undo: 0, redo: 0 };
      const reading = new Reading({ case: { id: "x", volume }, state, candidates: { items: [] } }, heart);
      return Array.from({ length: shape[0] * shape[1] * shape[2] }, (_, index) => reading.hu(index));
    }"""
    hu = np.arange(np.prod(SHAPE)).reshape(SHAPE)
    box = (slice(1, 4), slice(2, 9), slice(5, 15))
    given = {"hu": hu[box].ravel().tolist(), "shape": list(SHAPE), "origin": [1, 2, 5], "size": [3, 7, 10]}
    found = np.array(page.evaluate(look, given), float).reshape(SHAPE)
    expected = np.full(SHAPE, np.nan)
    expected[box] = hu[box]
    np.testing.assert_array_equal(found, expected)


def test_the_page_asks_for_all_its_modules_at_once() -> None:
    """A module that is found only when another has arrived costs a journey to the server."""
    index = (PAGE_FOLDER / "index.html").read_text(encoding="utf-8")
    modules = {file.name for file in PAGE_FOLDER.glob("*.js")} - {"main.js"}
    assert set(re.findall(r'rel="modulepreload" href="/page/(\w+\.js)"', index)) == modules
