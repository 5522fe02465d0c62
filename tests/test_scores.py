"""Scores against hand-computed truth and a simple second implementation, and the laws that they must obey."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from ctacal.categories import five_class_category, risk_category
from ctacal.errors import Code, Refusal, UsageError
from ctacal.geometry import Geometry
from ctacal.labels import CORONARY_LABELS, Calcium, LabelMap
from ctacal.lesion import find_lesions
from ctacal.scores import (
    AGATSTON_1990,
    KVP_ADAPTED,
    SCCT_2016,
    Scores,
    ScoringRule,
    Tally,
    cac_drs,
    named_rule,
    score_label_map,
)
from ctacal.volume import Volume

SPACING_MM = (3.0, 1.0, 1.0)
Arrays = tuple[NDArray[np.int16], NDArray[np.uint8]]
"""HU and labels, (slices, rows, columns)."""


def scan(
    hu: NDArray[np.int16], labels: NDArray[np.uint8], spacing_mm: tuple[float, ...] = SPACING_MM
) -> tuple[Volume, LabelMap]:
    geometry = Geometry.from_spacing(hu.shape, spacing_mm)
    return Volume(hu, geometry), LabelMap(labels, geometry)


def scored(
    hu: NDArray[np.int16],
    labels: NDArray[np.uint8],
    rule: ScoringRule = SCCT_2016,
    spacing_mm: tuple[float, ...] = SPACING_MM,
) -> Scores:
    return score_label_map(*scan(hu, labels, spacing_mm), rule)[1]


def one_plaque(
    peak_hu: int = 250, voxels: tuple[slice, slice, slice] = np.s_[2:4, 5:7, 5:8], label: int = Calcium.LAD
) -> Arrays:
    hu = np.zeros((6, 12, 12), np.int16)
    hu[voxels] = 140
    hu[2, 5, 5] = peak_hu
    return hu, (hu > 0).astype(np.uint8) * np.uint8(label)


@st.composite
def random_scans(draw: st.DrawFn) -> Arrays:
    """Small scans crowded with values around every threshold and labels of every kind."""
    seed = draw(st.integers(0, 2**32 - 1))
    shape = draw(st.tuples(st.integers(1, 5), st.integers(1, 9), st.integers(1, 9)))
    density = draw(st.sampled_from([0.1, 0.3, 0.5, 0.8]))
    random = np.random.default_rng(seed)
    hu = random.choice([129, 130, 199, 200, 299, 300, 399, 400, 900], shape).astype(np.int16)
    hu[random.random(shape) > density] = 40
    return hu, random.integers(0, 7, shape).astype(np.uint8)


def plain_agatston(
    hu: NDArray[np.int16], labels: NDArray[np.uint8], spacing_mm: tuple[float, ...] = SPACING_MM
) -> dict[str, float]:
    """The rule scct2016 with vessels separated, written as simply as possible: a second implementation as oracle."""
    area_mm2 = spacing_mm[1] * spacing_mm[2]
    totals = dict.fromkeys((label.name for label in Calcium), 0.0)
    for label in Calcium:
        for hu_slice, label_slice in zip(hu, labels, strict=True):
            numbered, count = ndimage.label((label_slice == label) & (hu_slice >= 130), np.ones((3, 3)))
            for number in range(1, count + 1):
                values = hu_slice[numbered == number]
                if values.size * area_mm2 >= 1:
                    weight = min(int(values.max()) // 100, 4)
                    totals[label.name] += values.size * area_mm2 * max(weight, 1) * spacing_mm[0] / 3
    return totals


def test_hand_computed_plaque() -> None:
    """6 mm2 with peak 250 (weight 2) and 6 mm2 at 140 (weight 1), 3 mm slices: 12 + 6."""
    scores = scored(*one_plaque())
    assert scores.agatston.total == pytest.approx(18.0)
    assert scores.agatston.per_vessel == pytest.approx({"LM": 0, "LAD": 18.0, "LCX": 0, "RCA": 0, "CORONARY": 0})
    assert scores.volume_mm3.total == pytest.approx(36.0)
    assert (scores.category, scores.category_five, scores.cac_drs) == ("1-100", "11-100", "A1/N1")
    assert scores.mass_mg is None


@pytest.mark.parametrize(
    ("peak_hu", "weight"), [(130, 1), (199, 1), (200, 2), (299, 2), (300, 3), (399, 3), (400, 4), (3000, 4)]
)
def test_density_weight_of_each_peak(peak_hu: int, weight: int) -> None:
    hu, labels = one_plaque(peak_hu, np.s_[2:3, 5:7, 5:8])
    assert scored(hu, labels).agatston.total == pytest.approx(6 * weight)


def test_129_is_no_calcium_and_130_is() -> None:
    hu = np.full((1, 2, 2), 129, np.int16)
    labels = np.ones((1, 2, 2), np.uint8)
    assert scored(hu, labels).agatston.total == 0
    assert scored(hu + np.int16(1), labels).agatston.total == pytest.approx(4)


def test_area_floor_holds_despite_decimal_rounding() -> None:
    """Four pixels of 0.5 mm are exactly 1 mm2; three are less and do not count, not even for the volume."""
    hu = np.zeros((1, 4, 4), np.int16)
    hu[0, 0, :4] = 500
    labels = np.ones_like(hu, np.uint8)
    four = scored(hu, labels, spacing_mm=(3.0, 0.49999999, 0.5))
    hu[0, 0, 3] = 0
    three = scored(hu, labels, spacing_mm=(3.0, 0.5, 0.5))
    assert four.agatston.total == pytest.approx(4.0)
    assert (three.agatston.total, three.volume_mm3.total) == (0.0, 0.0)
    kept = scored(hu, labels, replace(SCCT_2016, volume_of="all_components"), (3.0, 0.5, 0.5))
    assert kept.volume_mm3.total == pytest.approx(2.25)


def test_min_pixels_is_a_floor_of_its_own() -> None:
    hu, labels = one_plaque()
    assert scored(hu, labels, replace(SCCT_2016, min_pixels=7)).agatston.total == 0


def test_diagonal_neighbours_hang_together_only_under_8_connectivity() -> None:
    hu = np.zeros((1, 4, 4), np.int16)
    hu[0, 0, 0], hu[0, 1, 1] = 450, 150
    labels = np.ones_like(hu, np.uint8)
    assert scored(hu, labels).agatston.total == pytest.approx(2 * 4)
    assert scored(hu, labels, replace(SCCT_2016, connectivity=4)).agatston.total == pytest.approx(4 + 1)


def test_slice_spacing_scales_the_sum_unless_the_rule_says_no() -> None:
    hu, labels = one_plaque()
    assert scored(hu, labels, spacing_mm=(1.5, 1, 1)).agatston.total == pytest.approx(9.0)
    assert scored(hu, labels, AGATSTON_1990, (1.5, 1, 1)).agatston.total == pytest.approx(18.0)


def test_density_may_come_from_the_whole_lesion() -> None:
    rule = replace(SCCT_2016, density_from="lesion")
    assert scored(*one_plaque(), rule).agatston.total == pytest.approx(24.0)


def test_a_component_over_two_vessels_goes_to_the_larger_part_or_is_cut() -> None:
    hu = np.full((1, 1, 7), 150, np.int16)
    labels = np.array([[[1, 1, 1, 2, 2, 2, 2]]], np.uint8)
    whole, cut = scored(hu, labels), scored(hu, labels, replace(SCCT_2016, vessel_of_component="split"))
    assert whole.agatston.per_vessel["LM"] == 0.0
    assert whole.agatston.per_vessel["LAD"] == pytest.approx(7.0)
    assert [cut.agatston.per_vessel[name] for name in ("LM", "LAD")] == pytest.approx([3.0, 4.0])


def test_other_calcium_never_counts_even_where_it_touches() -> None:
    hu = np.full((1, 1, 6), 450, np.int16)
    labels = np.array([[[6, 6, 6, 6, 4, 4]]], np.uint8)
    scores = scored(hu, labels)
    assert scores.agatston.total == pytest.approx(2 * 4)
    assert scores.agatston.other == pytest.approx(4 * 4)
    assert scores.category == "1-100"


def test_mass_is_calibration_times_mean_times_volume() -> None:
    hu, labels = one_plaque()
    _, scores = score_label_map(*scan(hu, labels), mass_calibration=0.8)
    assert scores.mass_mg is not None
    assert scores.mass_mg.total == pytest.approx(0.8 * (11 * 140 + 250) * 3.0 / 1000)


def test_lesions_join_slice_components_in_three_dimensions() -> None:
    hu = np.zeros((4, 6, 6), np.int16)
    hu[0, 0:2, 0:2] = hu[1, 2:4, 2:4] = hu[3, 2:4, 2:4] = 200  # the first two touch by a corner; the third is apart
    lesions = find_lesions(*scan(hu, (hu > 0).astype(np.uint8)))
    assert lesions.lesion.tolist() == [0, 0, 1]
    assert lesions.slice_index.tolist() == [0, 1, 3]
    np.testing.assert_allclose(lesions.centroid[0], (0, 0.5, 0.5))


def test_runs_do_not_leak_over_image_edges() -> None:
    """The last pixel of a row or slice is not a neighbour of the first pixel of the next."""
    hu = np.zeros((2, 4, 4), np.int16)
    hu[0, 1, 3] = hu[0, 2, 0] = hu[0, 3, 3] = hu[1, 0, 0] = 500
    lesions = find_lesions(*scan(hu, np.ones((2, 4, 4), np.uint8)))
    assert len(lesions) == 4
    assert len(set(lesions.lesion.tolist())) == 4


def test_empty_and_dark_label_maps_score_zero() -> None:
    hu = np.zeros((3, 4, 5), np.int16)
    for labels in (np.zeros_like(hu, np.uint8), np.ones_like(hu, np.uint8)):
        scores = scored(hu, labels)
        assert (scores.agatston.total, scores.volume_mm3.total, scores.category, scores.cac_drs) == (0, 0, "0", "A0")


@settings(max_examples=150, deadline=None)
@given(random_scans())
def test_agrees_with_the_plain_implementation(given_scan: Arrays) -> None:
    hu, labels = given_scan
    scores = scored(hu, labels, replace(SCCT_2016, vessel_of_component="split"))
    plain = plain_agatston(hu, labels)
    assert scores.agatston.other == pytest.approx(plain.pop("OTHER"))
    assert dict(scores.agatston.per_vessel) == pytest.approx(plain)


@settings(max_examples=60, deadline=None)
@given(random_scans(), st.integers(0, 999))
def test_invariant_to_slice_order_flips_and_translation(given_scan: Arrays, seed: int) -> None:
    hu, labels = given_scan
    expected = scored(hu, labels).agatston
    order = np.random.default_rng(seed).permutation(len(hu))
    padded = [np.pad(array, ((1, 2), (3, 0), (0, 4))) for array in (hu, labels)]
    variants = [
        (hu[order], labels[order]),
        (hu[::-1], labels[::-1]),
        (hu[:, ::-1], labels[:, ::-1]),
        (hu[:, :, ::-1], labels[:, :, ::-1]),
        (np.swapaxes(hu, 1, 2), np.swapaxes(labels, 1, 2)),
        (padded[0], padded[1]),
    ]
    for hu_variant, labels_variant in variants:
        found = scored(np.ascontiguousarray(hu_variant), np.ascontiguousarray(labels_variant)).agatston
        assert found.total == pytest.approx(expected.total)
        assert dict(found.per_vessel) == pytest.approx(dict(expected.per_vessel))


@settings(max_examples=60, deadline=None)
@given(random_scans(), st.integers(0, 5))
def test_invariant_to_splitting_into_slabs(given_scan: Arrays, cut: int) -> None:
    hu, labels = given_scan
    parts = [(hu[:cut], labels[:cut]), (hu[cut:], labels[cut:])]
    total = sum(scored(*part).agatston.total for part in parts if len(part[0]))
    assert total == pytest.approx(scored(hu, labels).agatston.total)


@settings(max_examples=60, deadline=None)
@given(random_scans(), st.integers(1, 8))
def test_invariant_to_in_plane_tiles_that_cut_no_component(given_scan: Arrays, cut: int) -> None:
    hu, labels = given_scan
    apart = np.insert(hu, min(cut, hu.shape[2]), 0, axis=2)  # an empty column: nothing crosses it
    labels_apart = np.insert(labels, min(cut, hu.shape[2]), 0, axis=2)
    at = min(cut, hu.shape[2])
    tiles = [np.s_[:, :, :at], np.s_[:, :, at:]]
    parts = [(np.ascontiguousarray(apart[t]), np.ascontiguousarray(labels_apart[t])) for t in tiles]
    assert sum(scored(*part).agatston.total for part in parts) == pytest.approx(
        scored(apart, labels_apart).agatston.total
    )


@settings(max_examples=60, deadline=None)
@given(random_scans())
def test_vessels_add_up(given_scan: Arrays) -> None:
    """The total is the sum of the vessels; if vessels are separated, each scores as if it were alone."""
    hu, labels = given_scan
    whole = scored(hu, labels)
    assert sum(whole.agatston.per_vessel.values()) == pytest.approx(whole.agatston.total)
    assert sum(whole.volume_mm3.per_vessel.values()) == pytest.approx(whole.volume_mm3.total)
    rule = replace(SCCT_2016, vessel_of_component="split")
    alone = [scored(hu, np.where(labels == label, labels, 0).astype(np.uint8), rule) for label in CORONARY_LABELS]
    assert sum(scores.agatston.total for scores in alone) == pytest.approx(scored(hu, labels, rule).agatston.total)


@settings(max_examples=60, deadline=None)
@given(random_scans())
def test_total_does_not_depend_on_which_vessel_is_which(given_scan: Arrays) -> None:
    hu, labels = given_scan
    coronary = np.where((labels > 0) & (labels != Calcium.OTHER), Calcium.CORONARY, labels).astype(np.uint8)
    assert scored(hu, coronary).agatston.total == pytest.approx(scored(hu, labels).agatston.total)


@settings(max_examples=60, deadline=None)
@given(random_scans(), st.floats(100, 500), st.floats(0, 200))
def test_never_rises_with_the_threshold(given_scan: Arrays, low_hu: float, step_hu: float) -> None:
    hu, labels = given_scan
    low, high = (scored(hu, labels, replace(SCCT_2016, threshold_hu=t)).agatston for t in (low_hu, low_hu + step_hu))
    assert high.total <= low.total + 1e-9
    assert high.other <= low.other + 1e-9


@settings(max_examples=40, deadline=None)
@given(random_scans())
def test_int16_and_float32_score_alike(given_scan: Arrays) -> None:
    hu, labels = given_scan
    volume, label_map = scan(hu, labels)
    as_float = Volume(hu.astype(np.float32), volume.geometry)
    assert score_label_map(as_float, label_map)[1].agatston == score_label_map(volume, label_map)[1].agatston


def test_categories_at_every_edge() -> None:
    scores = (0, 0.1, 10, 10.1, 100, 100.1, 400, 400.1)
    assert [risk_category(s) for s in scores] == ["0", *["1-100"] * 4, *["101-400"] * 2, ">400"]
    assert [five_class_category(s) for s in scores] == ["0", "1-10", "1-10", *["11-100"] * 2, *["101-400"] * 2, ">400"]


@pytest.mark.parametrize(
    ("total", "grade"), [(0, "A0"), (0.5, "A1"), (99.9, "A1"), (100, "A2"), (299, "A2"), (300, "A3")]
)
def test_cac_drs_grades(total: float, grade: str) -> None:
    vessels = {"LM": total, "LAD": 0.0, "LCX": 0.0, "RCA": 0.0, "CORONARY": 0.0}
    assert cac_drs(Tally(total, vessels, 0.0)) == (f"{grade}/N1" if total else "A0")
    assert cac_drs(Tally(total, vessels | {"LM": 0.0, "CORONARY": total}, 0.0)) == grade


def test_thresholds_follow_the_tube_voltage() -> None:
    at_100 = KVP_ADAPTED.at_kvp(100)
    assert at_100.threshold_hu == pytest.approx(148.2)
    assert at_100.density_steps_hu == pytest.approx((148.2, 228.0, 342.0, 456.0))
    assert KVP_ADAPTED.at_kvp(120).threshold_hu == 130.0
    assert SCCT_2016.at_kvp(None) is SCCT_2016
    for kvp in (None, 60.0):
        with pytest.raises(Refusal) as refused:
            KVP_ADAPTED.at_kvp(kvp)
        assert refused.value.reason.code is Code.KVP_UNKNOWN


def test_a_rule_of_ones_own_is_a_file(tmp_path: Path) -> None:
    file = tmp_path / "site.toml"
    file.write_text('name = "site"\nsource = "ours"\nconnectivity = 4\ndensity_steps_hu = [130.0, 200.0]\n')
    assert named_rule(str(file)) == ScoringRule(name="site", source="ours", connectivity=4, density_steps_hu=(130, 200))
    with pytest.raises(UsageError, match="known: scct2016"):
        named_rule("agatston")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('name = "site"', "source: missing"),
        ('name="a"\nsource="b"\nconnectivity = 6', "connectivity: expected one of 4, 8, got 6"),
        ('name="a"\nsource="b"\nmin_area_mm2 = "1"', "min_area_mm2: expected a number, got '1'"),
        ('name="a"\nsource="b"\ntypo = 1', "typo: unknown"),
        ("=", "Invalid"),
        ('name="a"\nsource="b"\ndensity_steps_hu=[200.0, 130.0]', "density_steps_hu must rise"),
        ('name="a"\nsource="b"\ndensity_steps_hu="130"', "density_steps_hu: expected a list, each item a number"),
        ('name="a"\nsource="b"\nkvp_factors=[[100.0]]', "kvp_factors: expected a list of 2 values"),
        (None, "No such file"),
    ],
)
def test_a_wrong_rule_file_is_named_with_its_field(tmp_path: Path, content: str | None, message: str) -> None:
    file = tmp_path / "site.toml"
    if content is not None:
        file.write_text(content)
    with pytest.raises(UsageError, match=rf"site\.toml: {message}"):
        named_rule(str(file))


def test_labels_must_lie_on_the_scan() -> None:
    hu, labels = one_plaque()
    volume, _ = scan(hu, labels)
    moved = LabelMap(labels, Geometry.from_spacing(hu.shape, SPACING_MM, (0, 0, 3.0)))
    with pytest.raises(Refusal) as refused:
        find_lesions(volume, moved)
    assert refused.value.reason.code is Code.LABELS_MISMATCH
    with pytest.raises(ValueError, match="4 or 8"):
        find_lesions(*scan(hu, labels), connectivity=6)
