import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from ctacal.errors import Code, Refusal, UsageError
from ctacal.geometry import Geometry
from ctacal.heart import HeartMask
from ctacal.labels import Calcium
from ctacal.simulate.anatomy.calcium import Deposit, Kind
from ctacal.simulate.anatomy.description import draw_patient
from ctacal.simulate.anatomy.sites import Balls
from ctacal.simulate.anatomy.structures import CoronarySegment, Structure
from ctacal.simulate.insert.degrade import degrade, degraded_quality
from ctacal.simulate.insert.deposits import Artery, Placed
from ctacal.simulate.insert.grooves import in_grooves
from ctacal.simulate.insert.heart_fit import FittedHeart
from ctacal.simulate.insert.insertion import Inserted, insert
from ctacal.simulate.insert.landmarks import Tube
from ctacal.simulate.insert.lines import read_lines
from ctacal.simulate.insert.placing import RealAnatomy
from ctacal.simulate.insert.quality import ScanQuality, estimate_quality
from ctacal.simulate.insert.reference import inserted_reference_score
from ctacal.simulate.insert.study import insert_study, straightened
from ctacal.simulate.insert.tissue import Tissue
from ctacal.simulate.materials import Body
from ctacal.simulate.materials import Tissue as Material
from ctacal.simulate.scanner.protocol import ScannerProtocol
from ctacal.simulate.scanner.scan import scan
from ctacal.volume import Volume

HU_PER_MG = 1.4
PROTOCOL = ScannerProtocol(
    name="scan", kvp=120.0, tube_current_ma=100.0, rotation_s=0.75, thickness_mm=4.0, spacing_mm=4.0, matrix=96,
    fov_mm=96 * 0.9, kernel="gauss", mtf50_per_mm=0.25, noise_target_hu=10.0, collimation_mm=20.0,
)  # fmt: skip
QUALITY = ScanQuality(
    protocol=PROTOCOL, noise_hu=10.0, noise_power=((0.1, 100.0),), slice_correlation=0.0, border_motion_mm=None,
    calcium_hu_per_mg_cm3=HU_PER_MG, edges=1000,
)  # fmt: skip
SD_MM = np.sqrt(2 * np.log(2)) / (2 * np.pi * PROTOCOL.mtf50_per_mm)
"""SD of the Gaussian whose transfer is one half at the protocol's MTF50."""
REST = np.zeros((1, 3))


def flat(hu: float = 40.0, slices: int = 10) -> Volume:
    grid = Geometry.from_spacing((slices, 96, 96), (4.0, 0.9, 0.9), (-43.0, -43.0, -18.0))
    return Volume(np.full(grid.shape, hu, np.float32), grid)


def ball(radius_mm: float = 3.0, sway_mm: NDArray[np.float64] = REST, label: Calcium = Calcium.LAD) -> Placed:
    shape = Balls(np.array([[0.3, -0.2, 0.5]]), np.array([radius_mm]))
    return Placed(Kind.CORONARY, label.name, label, shape, 500.0, sway_mm)


def added(volume: Volume, inserted: Inserted) -> NDArray[np.float64]:
    return np.asarray(inserted.volume.hu.astype(float) - volume.hu)


def spread_mm(change: NDArray[np.float64], axis: int, step_mm: float) -> float:
    """Return the SD of the brightness along an axis."""
    sums = change.sum(axis=tuple(other for other in range(3) if other != axis))
    at = np.arange(len(sums)) * step_mm
    mean = (sums * at).sum() / sums.sum()
    return float(np.sqrt((sums * (at - mean) ** 2).sum() / sums.sum()))


@pytest.mark.parametrize("sway_mm", [REST, np.array([[0.0, -4, 0], [0, 4, 0], [3, 0, 0], [-3, 0, 0]])])
def test_the_image_holds_the_inserted_mass(sway_mm: NDArray[np.float64]) -> None:
    volume = flat()
    inserted = insert(volume, (ball(sway_mm=sway_mm),), QUALITY)
    (row,) = inserted.table
    assert row.volume_mm3 == pytest.approx(4 / 3 * np.pi * 27, rel=0.02)
    assert row.mass_mg == pytest.approx(0.5 * row.volume_mm3, rel=1e-6)
    # the rest of the plaque is soft tissue of 44 HU where there were 40, less what the mineral displaces
    excess_hu = 500 * HU_PER_MG + 44 * (1 - 500 / 3160) - 40
    measured = added(volume, inserted).sum() * volume.geometry.voxel_volume_mm3
    assert measured == pytest.approx(excess_hu * row.volume_mm3, rel=0.01)


def test_a_small_ball_is_blurred_as_the_scan_blurs() -> None:
    volume = flat()
    change = added(volume, insert(volume, (ball(1.0),), QUALITY))
    own = 1.0 / np.sqrt(5)
    for axis in (1, 2):
        assert spread_mm(change, axis, 0.9) == pytest.approx(np.hypot(SD_MM, own), rel=0.05)
    index = np.unravel_index(change.argmax(), change.shape)
    np.testing.assert_allclose(volume.geometry.to_patient_mm(index), (0.3, -0.2, 0.5), atol=2.1)


def test_motion_smears_along_its_way() -> None:
    volume = flat()
    still = added(volume, insert(volume, (ball(1.0),), QUALITY))
    turns = np.linspace(0, 2 * np.pi, 8, endpoint=False)
    sway = np.stack([0 * turns, 5 * np.cos(turns), 0 * turns], axis=1)
    slow = replace(QUALITY, protocol=replace(PROTOCOL, rotation_s=60 / 70))  # a heart cycle a rotation: all is seen
    moved = [added(volume, insert(volume, (ball(1.0, sway),), slow, seed=seed)) for seed in range(12)]
    mean = np.mean(moved, axis=0)
    mean[mean < 0.1 * mean.max()] = 0  # streaks
    assert spread_mm(mean, 1, 0.9) > 1.15 * spread_mm(mean, 2, 0.9)
    assert np.mean([plane.max() for plane in moved]) < 0.7 * still.max()


def test_a_deposit_that_is_displaced_but_at_rest_is_not_blurred() -> None:
    volume = flat()
    still = added(volume, insert(volume, (ball(),), QUALITY))
    turns = np.linspace(0, 2 * np.pi, 8, endpoint=False)
    sway = np.stack([0 * turns, 5 * np.cos(turns), 0 * turns], axis=1)
    moved = added(volume, insert(volume, (ball(sway_mm=sway),), QUALITY, heart_rate_bpm=1e-4, seed=4))
    assert moved.sum() == pytest.approx(still.sum(), rel=0.01)
    assert spread_mm(moved, 2, 0.9) == pytest.approx(spread_mm(still, 2, 0.9), rel=0.01)
    assert moved.max() > 0.9 * still.max()
    rows = [float(np.average(np.arange(96), weights=np.abs(hu).sum(axis=(0, 2)))) for hu in (still, moved)]
    assert 0.1 < abs(rows[1] - rows[0]) * 0.9 <= 5


def test_labels_are_what_calcium_brightens() -> None:
    volume = flat()
    inserted = insert(volume, (ball(),), QUALITY)
    change = added(volume, inserted)
    assert set(np.unique(inserted.labels.labels)) == {0, Calcium.LAD}
    np.testing.assert_array_equal(inserted.labels.labels > 0, change >= 40)
    assert inserted.score.agatston.per_vessel["LAD"] > 50
    assert inserted.score.agatston.other == 0


def test_overlapping_deposits_are_counted_once() -> None:
    inserted = insert(flat(), (ball(), ball(2.0, label=Calcium.RCA)), QUALITY)
    assert [row.vessel for row in inserted.table] == ["LAD"]


def test_nothing_changes_elsewhere_and_the_result_is_repeatable() -> None:
    rng = np.random.default_rng(0)
    hu = rng.normal(40, 20, flat().hu.shape).astype(np.int16)
    volume = Volume(hu, flat().geometry)
    sway = np.array([[0.0, -4, 0], [0, 4, 0]])
    one, other = (insert(volume, (ball(sway_mm=sway),), QUALITY, seed=3) for _ in range(2))
    np.testing.assert_array_equal(one.volume.hu, other.volume.hu)
    assert (one.volume.hu != hu).any()
    corner = (slice(None), slice(0, 15), slice(None))
    np.testing.assert_array_equal(one.volume.hu[corner], hu[corner])


def test_an_artery_is_drawn_where_there_is_fat_and_is_no_calcium() -> None:
    path = np.stack([np.linspace(-12, 12, 49), np.zeros(49), np.zeros(49)], axis=1)
    artery = Artery(Balls(path, np.full(49, 2.0)), np.zeros((1, 49, 3)))
    fat, blood = flat(-100), flat(44)
    bare = insert(fat, (ball(0.5),), QUALITY)
    drawn = insert(fat, (ball(0.5),), QUALITY, arteries=(artery,))
    change = drawn.volume.hu.astype(float) - bare.volume.hu
    tube_mm3 = np.pi * 4 * 24 + 4 / 3 * np.pi * 8 - 4 / 3 * np.pi * 0.5**3  # with round ends, less the plaque
    assert change.sum() * fat.geometry.voxel_volume_mm3 == pytest.approx(144 * tube_mm3, rel=0.03)
    np.testing.assert_array_equal(drawn.labels.labels, bare.labels.labels)
    within = insert(blood, (ball(0.5),), QUALITY, arteries=(artery,))
    np.testing.assert_allclose(within.volume.hu, insert(blood, (ball(0.5),), QUALITY).volume.hu, atol=1e-4)


def test_no_deposits_leave_the_scan_alone() -> None:
    inserted = insert(flat(), (), QUALITY)
    np.testing.assert_array_equal(inserted.volume.hu, flat().hu)
    assert inserted.table == ()
    assert inserted.score.agatston.total == 0


def chest(mtf50_per_mm: float, noise_hu: float) -> Volume:
    """Two lungs in an oval body: sharp shapes on a fine grid, blurred with a known transfer, and white noise."""
    parts, pixels, pixel_mm = 4, 320, 0.9
    at = (np.arange(pixels * parts) - (pixels * parts - 1) / 2) * pixel_mm / parts
    y, x = at[:, None], at[None, :]
    plane = np.where((x / 130) ** 2 + (y / 100) ** 2 < 1, 40.0, -1000.0)
    for side in (-1, 1):
        plane[((x - side * 65) / 50) ** 2 + (y / 75) ** 2 < 1] = -850
    sd = np.sqrt(2 * np.log(2)) / (2 * np.pi * mtf50_per_mm)
    blurred = ndimage.gaussian_filter(plane, sd / pixel_mm * parts)[parts // 2 :: parts, parts // 2 :: parts]
    rng = np.random.default_rng(1)
    hu = (blurred + rng.normal(0, noise_hu, (4, *blurred.shape))).astype(np.float32)
    return Volume(hu, Geometry.from_spacing(hu.shape, (5.0, pixel_mm, pixel_mm)))


@pytest.mark.slow
@pytest.mark.parametrize("mtf50_per_mm", [0.2, 0.35])
def test_quality_is_measured(mtf50_per_mm: float) -> None:
    quality = estimate_quality(chest(mtf50_per_mm, 12.0), None, kvp=120.0, thickness_mm=5.0)
    assert quality.protocol.mtf50_per_mm == pytest.approx(mtf50_per_mm, rel=0.07)
    assert quality.noise_hu == pytest.approx(12, rel=0.05)
    assert abs(quality.slice_correlation) < 0.1
    assert quality.border_motion_mm is None
    frequency, power = np.array(quality.noise_power).T
    np.testing.assert_allclose(power[frequency > 0.1], 12**2 * 0.9**2, rtol=0.15)  # white noise: SD2 x pixel area
    assert 1.1 < quality.calcium_hu_per_mg_cm3 < 1.7
    assert quality.protocol.rotation_s == 0.75


@pytest.mark.slow
@pytest.mark.parametrize(("in_header", "used"), [(1.2, 1.2), (300.0, 0.75), (0.0, 0.75)])
def test_the_rotation_time_is_that_of_the_header_if_plausible(in_header: float, used: float) -> None:
    quality = estimate_quality(chest(0.3, 12.0), None, kvp=120.0, thickness_mm=5.0, rotation_s=in_header)
    assert quality.protocol.rotation_s == used


def test_a_scan_that_cannot_be_measured_is_refused() -> None:
    with pytest.raises(Refusal) as without_kvp:
        estimate_quality(chest(0.3, 10.0), None, kvp=None, thickness_mm=5.0)
    assert without_kvp.value.reason.code is Code.KVP_UNKNOWN
    with pytest.raises(Refusal, match="edges"):
        estimate_quality(flat(), None, kvp=120.0, thickness_mm=5.0)


def test_arteries_are_drawn_into_the_fat() -> None:
    volume = flat()
    hu = volume.hu.copy()
    rows = np.arange(96)[:, None]
    hu[:, :, 60:66] = -95  # a groove along the rows, 7 to 12 mm left of the course
    hu[:, :, 80:] = -850
    hu[:, rows[:, 0] < 4] = 40
    line = np.linspace((5.0, -30.0, 0.0), (5.0, 30.0, 0.0), 61)
    segment = CoronarySegment("LAD", Structure.LAD, line, np.full(61, 1.5))
    real = Volume(hu, volume.geometry)
    (moved,) = in_grooves((segment,), Tissue.of(real))
    columns = (moved.points[:, 0] - volume.geometry.affine[0, 3]) / 0.9
    assert ((columns > 58) & (columns < 68)).mean() > 0.8
    assert Tissue.of(real).usable(moved.points).all()
    assert not Tissue.of(real).usable(np.array([[40.0, 0.0, 0.0], [0.0, 0.0, 500.0]])).any()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "no centre lines"),
        ("[]", "expected a list"),
        ('[{"name": "AORTA", "points_mm": [[0,0,0],[1,1,1],[2,2,2]]}]', "line 1: name is 'AORTA'"),
        ('[{"name": "LAD", "points_mm": [[0,0,0],[1,1]]}]', "line 1 .LAD.: points_mm"),
        ('[{"name": "D1", "points_mm": [[0,0,0],[1,1,1],[2,2,2]], "radius_mm": -1}]', "radius_mm is -1"),
    ],
)
def test_wrong_centre_lines_are_named(tmp_path: Path, content: str, message: str) -> None:
    file = tmp_path / "lines.json"
    file.write_text(content)
    with pytest.raises(UsageError, match=message):
        read_lines(file)


def test_centre_lines_are_read(tmp_path: Path) -> None:
    file = tmp_path / "lines.json"
    file.write_text(json.dumps([{"name": "om1", "points_mm": [[0, 0, 0], [10, 0, 0], [20, 0, 0]], "radius_mm": 1.2}]))
    (line,) = read_lines(file)
    assert (line.name, line.vessel) == ("OM1", Structure.LCX)
    assert line.length_mm == pytest.approx(20, abs=0.1)
    np.testing.assert_allclose(line.radius_mm, 1.2)


def cylinder(slices: int) -> tuple[Volume, Body, HeartMask]:
    """Blood, 200 mm wide, as a noiseless scan and as a body, and a heart in the middle."""
    grid = Geometry.from_spacing((slices, 120, 120), (4.0, 2.0, 2.0), (-119.0, -119.0, 0.0))
    at = np.arange(120) * 2.0 - 119
    disc = np.broadcast_to(at[:, None] ** 2 + at**2 < 100**2, grid.shape)
    hu = np.where(disc, 45, -1000).astype(np.float32)
    tissue = np.where(disc, Material.BLOOD, Material.AIR).astype(np.uint8)
    mask = np.broadcast_to(at[:, None] ** 2 + at**2 < 60**2, grid.shape).copy()
    return Volume(hu, grid), Body(tissue, np.zeros(grid.shape, np.float32), grid), HeartMask(mask, grid)


@pytest.mark.slow
def test_degraded_noise_is_that_of_the_protocol() -> None:
    """A scan without noise gets the noise of the scanner with the same body."""
    volume, body, heart = cylinder(10)
    poor = replace(
        PROTOCOL, name="poor", tube_current_ma=10.0, matrix=120, fov_mm=240.0, mtf50_per_mm=0.15, views=180,
        bow_tie=0.0, detector_mm=1.6, thickness_mm=8.0, spacing_mm=8.0,
    )  # fmt: skip
    quality = replace(QUALITY, protocol=replace(PROTOCOL, matrix=120, fov_mm=240.0))
    degraded = degrade(volume, heart, poor, quality, seed=1)
    assert degraded.hu.dtype == np.int16
    np.testing.assert_allclose(degraded.geometry.spacing_mm, (8.0, 2.0, 2.0))
    middle = (slice(None), slice(40, 80), slice(40, 80))
    real = scan(body, poor, seed=2)
    wanted = real.hu[middle] - real.hu[middle].mean(axis=0)
    got = degraded.hu[middle] - degraded.hu[middle].mean(axis=0)
    assert got.std() == pytest.approx(wanted.std(), rel=0.1)
    neighbours = [float((part[:, :, 1:] * part[:, :, :-1]).mean() / part.var()) for part in (got, wanted)]
    assert neighbours[0] == pytest.approx(neighbours[1], abs=0.08)
    again = degrade(volume, heart, poor, quality, seed=1)
    np.testing.assert_array_equal(degraded.hu, again.hu)


def test_degrading_never_sharpens() -> None:
    sharp = replace(PROTOCOL, name="sharp", mtf50_per_mm=0.6, thickness_mm=2.0, kvp=80.0)
    left = degraded_quality(QUALITY, sharp).protocol
    assert (left.mtf50_per_mm, left.thickness_mm, left.kvp) == (0.25, 4.0, 120.0)


def test_a_turned_grid_is_straightened() -> None:
    turn = np.eye(4)
    angle = np.deg2rad(10)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    volume = flat()
    straight = straightened(Volume(volume.hu, Geometry(volume.hu.shape, turn @ volume.geometry.affine)))
    np.testing.assert_allclose(straight.geometry.spacing_mm, volume.geometry.spacing_mm)
    np.testing.assert_allclose(straight.geometry.affine[:3, :3] @ [0, 0, 1], [0.9, 0, 0], atol=1e-12)


def test_calcium_lies_in_the_wall_of_the_scans_own_aorta() -> None:
    axis = np.stack([np.full(31, 20.0), np.full(31, 40.0), np.linspace(0, -120, 31)], axis=1)
    tube = Tube(axis, np.full(31, 11.0))
    anatomy = RealAnatomy(FittedHeart(draw_patient(1), np.zeros(3), 0.0), (), tube, None)
    for along in (0.1, 0.5, 0.9):
        deposit = Deposit(Kind.AORTIC_WALL, "descending", along, 90.0, 8.0, 1.2, 40.0, 700.0, 1)
        (shorter, *_) = anatomy.elsewhere(deposit, np.random.default_rng(0))
        centres = anatomy.sites(Kind.AORTIC_WALL).balls(shorter).centres
        np.testing.assert_allclose(np.hypot(*(centres[:, :2] - axis[0, :2]).T), 11, atol=0.1)
        assert centres[:, 2].mean() == pytest.approx(-120 * along, abs=1)


def test_the_reference_score_is_that_of_a_gated_scan() -> None:
    """A ball of 3 mm radius, above 400 HU: at least its middle in one slice, at most a blurred disc in three."""
    tissue = Tissue.of(flat())
    score = inserted_reference_score(tissue, (ball(3.0),), ())
    assert 4 * np.pi * 3.0**2 < score.agatston.per_vessel["LAD"] < 3 * 4 * np.pi * 3.8**2
    lighter = inserted_reference_score(tissue, (replace(ball(3.0), density_mg_cm3=250.0),), ())
    assert 0 < lighter.agatston.total < score.agatston.total
    node = replace(ball(3.0, label=Calcium.OTHER), kind=Kind.LYMPH_NODE)
    assert inserted_reference_score(tissue, (node,), ()).agatston.total == 0


@pytest.mark.slow
@pytest.mark.reference
def test_scans_that_do_not_fit_are_refused(reference_data: Path) -> None:
    with pytest.raises(Refusal) as no_heart:
        insert_study([reference_data / "qrm_phantom_canon"], seed=1)
    assert no_heart.value.reason.code is Code.HEART_NOT_FOUND
    with pytest.raises(UsageError, match="streak of its own in the heart"):  # its apex does
        insert_study([reference_data / "lung_dx_A0001" / "kernel_B"], seed=1)


@pytest.mark.reference
@pytest.mark.slow
def test_a_line_that_leaves_the_scan_is_named(reference_data: Path, tmp_path: Path) -> None:
    file = tmp_path / "lines.json"
    file.write_text(json.dumps([{"name": "RCA", "points_mm": [[0, 0, 5000], [0, 0, 5010], [0, 0, 5020]]}]))
    with pytest.raises(UsageError, match="centre line RCA leaves the scan"):
        insert_study([reference_data / "acrin_flt_breast_001_ctac"], seed=1, lines=file)


@pytest.mark.reference
@pytest.mark.slow
def test_a_real_scan_gets_calcium_where_arteries_run(reference_data: Path) -> None:
    made = insert_study([reference_data / "acrin_flt_breast_001_ctac"], seed=3)
    calcium = np.array([row.centre_mm for row in made.table if row.kind is Kind.CORONARY])
    assert len(calcium)
    courses = np.vstack([segment.points for segment in made.coronaries])
    nearest = np.linalg.norm(courses[:, None] - calcium, axis=2).min(axis=0)
    assert (nearest < 6).all()  # in the wall, or across the lumen from it
    assert made.labels.labels.any()
    assert made.ctac_score.agatston.other == 0 or any(row.kind is not Kind.CORONARY for row in made.table)
    labelled = made.volume.hu[made.labels.labels > 0]
    assert made.ctac_score.agatston.total > 0
    assert np.median(labelled) > 60  # calcium in an artery, no lung and little fat
