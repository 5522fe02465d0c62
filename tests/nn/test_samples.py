"""Samples: made from scans, kept in folders, drawn and augmented."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ctacal.anatomy import Anatomy
from ctacal.dicom.choose import choose_series
from ctacal.dicom.series import read_studies
from ctacal.dicom.volume import read_volume
from ctacal.errors import UsageError
from ctacal.geometry import Geometry
from ctacal.heart import HeartMask
from ctacal.labels import Calcium, LabelMap
from ctacal.nn.anatomy_stage import AnatomyMap
from ctacal.nn.annotated import cache_annotated, read_table
from ctacal.nn.augment import draw_clip, whole_clip
from ctacal.nn.batches import Choice, TrainingSteps, collate
from ctacal.nn.classes import NOT_CORONARY
from ctacal.nn.config import AugmentationConfig, NetworkConfig, SamplingConfig
from ctacal.nn.inputs import HEART_CHANNEL, STRUCTURES, own_channels_of, true_structures
from ctacal.nn.locate import Located
from ctacal.nn.samples import (
    Contents,
    SampleFolder,
    make_sample,
    read_sample,
    require_pixels,
    write_sample,
)
from ctacal.volume import Volume
from tests.dicom_series import MARKER_INDEX, Grid, ct_series, write
from tests.nn.toys import NO_AUGMENTATION, SIDE, TINY, TINY_ANATOMY, recipe, toy, toys, with_anatomy

SAMPLING = SamplingConfig(slices=6, rows=SIDE, columns=SIDE)


def test_what_a_sample_holds() -> None:
    contents = Contents.of(toy(5, Calcium.LAD, Calcium.OTHER))
    assert contents.coronary == contents.other == (2, 3, 4)
    assert contents.category == "101-400", "3 slices of 16 mm2, density factor 3: 144"
    assert len(contents.bright) > 3


def test_anatomy_is_kept_padded_and_turned_with_the_picture(tmp_path: Path) -> None:
    sample = with_anatomy(toy(1))
    assert sample.anatomy is not None
    back = read_sample(write_sample(tmp_path, sample))
    np.testing.assert_array_equal(back.anatomy, sample.anatomy)
    assert read_sample(write_sample(tmp_path / "without", toy(1))).anatomy is None
    padded = whole_clip(sample, 16).anatomy
    assert padded is not None and padded.shape == (8, 48, 48) and not padded[:, SIDE:].any()
    turning = replace(NO_AUGMENTATION, shift_mm=5.0, rotation_degrees=10.0)
    clip = draw_clip(sample, 3, SAMPLING, turning, np.random.default_rng(1))
    assert clip.anatomy is not None
    inside = np.isin(clip.anatomy, (Anatomy.LEFT_VENTRICLE, Anatomy.LEFT_ATRIUM))
    assert (inside != (clip.heart > 0.5)).mean() < 0.005, "the mask's corners are rounded, stage 1 errs too"
    batch = collate([clip], TINY_ANATOMY)
    np.testing.assert_array_equal(batch.truth.numpy(), clip.anatomy)
    with pytest.raises(ValueError, match="anatomy"):
        collate([replace(clip, anatomy=None)], TINY_ANATOMY)


def test_structures_are_shares_of_large_pixels_in_their_place() -> None:
    """The front half of the heart is left ventricle, the back half left atrium; nothing is any other structure."""
    sample = with_anatomy(toy(1))
    assert sample.anatomy is not None
    found = true_structures(sample.anatomy)
    assert found.shape == (8, len(STRUCTURES), SIDE // 4, SIDE // 4)
    ventricle, atrium = (STRUCTURES.index((part,)) for part in (Anatomy.LEFT_VENTRICLE, Anatomy.LEFT_ATRIUM))
    assert found[:, ventricle, 2:5, 2:-2].min() == 1 and found[:, atrium, 5:8, 2:-2].min() == 1
    assert found[:, ventricle, 1, 2:-2] == pytest.approx(0.5), "the heart begins at the seventh row"
    others = [n for n in range(len(STRUCTURES)) if n not in (ventricle, atrium)]
    assert not found[:, others].any()


def test_structures_err_as_stage_1_may_or_are_hidden() -> None:
    sample, random = with_anatomy(toy(1)), np.random.default_rng(3)
    clips = [draw_clip(sample, 3, SAMPLING, AugmentationConfig(), random, structures=True) for _ in range(40)]
    seen = [clip.structures for clip in clips if clip.structures is not None]
    assert len(seen) == 40
    sums = np.array([found.sum(axis=1).max() for found in seen])
    assert sums.max() < 1 + 1e-5, "never more than the whole pixel"
    assert 1 <= np.count_nonzero(sums == 0) <= 10, "a tenth is hidden"
    shown = next(found for found in seen if found.any())
    middle = [np.average(np.arange(SIDE // 4), weights=shown[:, n].sum(axis=(0, 2))) for n in (0, 2)]
    assert middle[0] < middle[1], "ventricle in front of the atrium"
    assert draw_clip(sample, 3, SAMPLING, AugmentationConfig(), random).structures is None


def test_the_network_is_told_the_structures() -> None:
    network = replace(NetworkConfig(), structures=True)
    clip = whole_clip(with_anatomy(toy(1)), network.multiple, structures=True)
    assert clip.structures is not None
    told = collate([clip], network).x[:, own_channels_of(network) :].numpy()
    assert told.shape[1] == len(STRUCTURES)
    np.testing.assert_array_equal(told[:, :, ::4, ::4], clip.structures)
    np.testing.assert_array_equal(told[:, :, 3::4, 3::4], clip.structures)
    unknown = collate([whole_clip(toy(1), network.multiple, structures=True)], network)
    assert not unknown.x[:, own_channels_of(network) :].any()


def test_thick_slices_are_blurred_along_the_patient() -> None:
    """A bright slice is seen in its neighbours; the mean stays."""
    sample = toy(1)
    hu = np.zeros_like(sample.hu)
    hu[4] = 100
    blurred = replace(NO_AUGMENTATION, blur_slices=(0.6, 0.6))
    clip = draw_clip(replace(sample, hu=hu), 4, replace(SAMPLING, slices=8), blurred, np.random.default_rng(1))
    profile = clip.hu.mean(axis=(1, 2))
    assert profile[4] == pytest.approx(66, abs=4) and profile[3] == pytest.approx(17, abs=3)
    assert profile.sum() == pytest.approx(100, abs=1)


def test_score_ignores_what_may_be_other() -> None:
    sample = toy(5, Calcium.LAD)
    assert sample.agatston == pytest.approx(144)
    undrawn = replace(sample, labels=np.where(sample.labels == 0, np.uint8(NOT_CORONARY), sample.labels))
    assert undrawn.agatston == pytest.approx(144)


def test_write_and_read(tmp_path: Path) -> None:
    sample = toy(5, Calcium.LAD)
    back = read_sample(write_sample(tmp_path, sample))
    for name in ("hu", "labels", "heart", "mass_mg"):
        np.testing.assert_array_equal(getattr(back, name), getattr(sample, name))
    assert (back.name, back.spacing_mm) == (sample.name, sample.spacing_mm)


def test_a_folder_knows_its_files(tmp_path: Path) -> None:
    for sample in toys():
        write_sample(tmp_path, sample)
    folder = SampleFolder([tmp_path])
    assert len(folder) == 6
    assert folder.contents == [Contents.of(sample) for sample in toys()]
    assert SampleFolder([tmp_path]).digest == folder.digest
    write_sample(tmp_path, replace(toy(2, Calcium.RCA), name="toy-2"))
    changed = SampleFolder([tmp_path])
    assert changed.digest != folder.digest
    assert changed.contents[1] == Contents.of(toy(2, Calcium.RCA))


def test_what_is_no_sample(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no training samples"):
        SampleFolder([tmp_path])
    (tmp_path / "a.npz").write_bytes(b"no archive")
    with pytest.raises(UsageError, match="not a training sample"):
        SampleFolder([tmp_path])
    with pytest.raises(UsageError, match="spacing"):
        require_pixels(toys(), replace(TINY, pixel_mm=1.5))


SCAN = Geometry.from_spacing((10, 80, 80), (3.0, 1.5, 1.5))


def scan_with_calcium() -> tuple[Volume, LabelMap, HeartMask]:
    hu = np.full(SCAN.shape, 40, np.int16)
    labels = np.zeros(SCAN.shape, np.uint8)
    hu[4:6, 30:33, 50:53], labels[4:6, 30:33, 50:53] = 300, Calcium.LAD
    mask = np.zeros(SCAN.shape, bool)
    mask[2:9, 20:60, 20:60] = True
    return Volume(hu, SCAN), LabelMap(labels, SCAN), HeartMask(mask, SCAN)


def test_make_sample() -> None:
    volume, labels, heart = scan_with_calcium()
    mass_mg = np.arange(40, dtype=np.float32).reshape(10, 4)
    sample = make_sample("one", volume, labels.labels, heart, NetworkConfig(), mass_mg)
    assert sample.hu.shape == (10, 112, 112), "60 mm and 48 of margin, to the next 16; 8 mm beyond the heart's ends"
    np.testing.assert_array_equal(sample.mass_mg, mass_mg)
    assert np.flatnonzero((sample.labels == Calcium.LAD).any(axis=(1, 2))).tolist() == [4, 5]
    area_mm2 = (sample.labels == Calcium.LAD).sum() / 2
    assert area_mm2 == pytest.approx(9 * 1.5**2, rel=0.25)
    assert (sample.hu[sample.labels == Calcium.LAD] > 100).all()
    assert sample.hu[sample.labels == 0].max() < 200
    assert sample.heart.sum() == pytest.approx(7 * 60 * 60, rel=0.03)


def test_make_heart_sample() -> None:
    volume, labels, heart = scan_with_calcium()
    sample = make_sample("one", volume, labels.labels, heart, NetworkConfig.heart())
    assert sample.hu.shape == (6, 32, 32)
    assert sample.heart.sum() * 80 == pytest.approx(7 * 3 * 60 * 60, rel=0.15)
    assert np.isnan(sample.mass_mg).all()


def test_nothing_drawn_leaves_the_sample_as_it_is() -> None:
    """The heart's centre is moved to the centre of the clip, where that of the toys lies already."""
    sample = toy(5, Calcium.LAD)
    clip = draw_clip(sample, 3, SAMPLING, NO_AUGMENTATION, np.random.default_rng(0))
    found = next(first for first in range(3) if np.array_equal(clip.labels, sample.labels[first : first + 6]))
    shifted = np.abs(clip.hu - sample.hu[found : found + 6])
    assert np.median(shifted) < 12, "at most half a pixel of shift"
    assert clip.mass_mg.sum() == sample.mass_mg[found : found + 6].sum()
    assert clip.centre[0] == 3 - found


def test_scale_moves_calcium_from_the_centre_and_adds_mass() -> None:
    sample = toy(5, Calcium.LAD)
    config = replace(NO_AUGMENTATION, scale=(1.2, 1.2))
    clip = draw_clip(sample, 3, SAMPLING, config, np.random.default_rng(0))
    before, after = (np.argwhere(labels == Calcium.LAD)[:, 1:].mean(axis=0) for labels in (sample.labels, clip.labels))
    middle = np.array([19.0, 19.0])
    np.testing.assert_allclose(after - clip.centre[1:], 1.2 * (before - middle), atol=0.6)
    assert clip.mass_mg.sum() == pytest.approx(60 * 1.44)


def test_thick_slices_average_and_keep_mass() -> None:
    sample = toy(5, Calcium.LAD, slices=12)
    config = replace(NO_AUGMENTATION, thick_share=1.0)
    clip = draw_clip(sample, 3, SAMPLING, config, np.random.default_rng(1))
    assert clip.hu.shape == (6, SIDE, SIDE)
    assert clip.spacing_mm == (6.0, 1.0, 1.0)
    assert clip.mass_mg.sum() == pytest.approx(60)
    lesion = (clip.labels == Calcium.LAD).sum(axis=(1, 2))
    assert lesion[1] == lesion[2] == lesion.sum() / 2, "slices 2 and 3 of the sample, then 4 with an empty one"
    brightness = [np.median(clip.hu[index][clip.labels[index] == Calcium.LAD]) for index in (1, 2)]
    assert brightness == pytest.approx([300, 170], abs=15)


def test_full_augmentation_stays_sound() -> None:
    sample = toy(5, Calcium.LAD, Calcium.OTHER)
    for seed in range(12):
        clip = draw_clip(sample, 3, SAMPLING, AugmentationConfig(), np.random.default_rng(seed))
        assert clip.hu.shape == clip.labels.shape == clip.heart.shape == (6, SIDE, SIDE)
        assert np.isfinite(clip.hu).all()
        assert set(np.unique(clip.labels).tolist()) <= {0, Calcium.LAD, Calcium.OTHER}
        assert set(np.unique(clip.heart).tolist()) <= {0.0, 1.0}
        assert 0.4 < clip.heart.sum() / sample.heart[:6].sum() < 1.6
        left = np.argwhere(clip.labels == Calcium.LAD)
        assert not len(left) or left[:, 2].mean() > clip.centre[2], "never mirrored"


def test_few_slices_are_repeated() -> None:
    clip = draw_clip(toy(5, Calcium.LAD, slices=5), 1, SAMPLING, NO_AUGMENTATION, np.random.default_rng(0))
    np.testing.assert_array_equal(clip.hu[4], clip.hu[5])


def test_whole_clip_is_padded_to_the_multiple() -> None:
    sample = toy(1)
    clip = whole_clip(sample, 16)
    assert clip.hu.shape == (8, 48, 48)
    np.testing.assert_array_equal(clip.hu[:, :SIDE, :SIDE], sample.hu)
    assert not clip.heart[:, SIDE:].any()


def test_draws_by_reason() -> None:
    samples = toys()
    contents = [Contents.of(sample) for sample in samples]
    plain = recipe(steps=1)
    sampling = replace(plain.sampling, coronary=0.6, other=0.2, bright=0.0, anywhere=0.2)
    choice, random = Choice(contents, replace(plain, sampling=sampling)), np.random.default_rng(0)
    places = [choice.draw(random) for _ in range(4000)]
    coronary = np.mean([near in contents[index].coronary for index, near in places])
    other = np.mean([near in contents[index].other for index, near in places])
    assert 0.6 < coronary < 0.8
    assert 0.2 < other < 0.5
    by_category = [contents[index].category for index, near in places if near in contents[index].coronary]
    assert 0.3 < np.mean([category == "101-400" for category in by_category]) <= 1.0


def test_a_step_is_always_the_same() -> None:
    steps = TrainingSteps(toys(), recipe(steps=9))
    for first, again in zip(steps[4], TrainingSteps(toys(), recipe(steps=9))[4], strict=True):
        np.testing.assert_array_equal(first.numpy(), again.numpy())
    assert not np.array_equal(steps[4].x.numpy(), steps[5].x.numpy())
    assert not np.array_equal(steps[4].x.numpy(), TrainingSteps(toys(), recipe(steps=9), rank=1)[4].x.numpy())


def test_network_sees_where_it_is() -> None:
    sample = toy(5, Calcium.LAD)
    batch = collate([whole_clip(sample, 8)], TINY)
    assert batch.x.shape == (8, 8, SIDE, SIDE)
    assert batch.x[:, HEART_CHANNEL].sum() == sample.heart.sum()
    to_left = batch.x[0, HEART_CHANNEL + 3, 0].numpy() * 60.0
    np.testing.assert_allclose(np.diff(to_left), 1.0, atol=1e-4)
    assert np.abs(to_left).argmin() in (19, 20)
    calcium, below, above = (batch.x[:, channel].numpy() for channel in (1, -2, -1))
    np.testing.assert_array_equal(below[1:], calcium[:-1])
    np.testing.assert_array_equal(above[:-1], calcium[1:])
    np.testing.assert_array_equal(below[0], calcium[0])
    np.testing.assert_array_equal(above[-1], calcium[-1])


def canonical(folder: Path) -> Volume:
    return read_volume(choose_series(read_studies([folder]).studies[0]).series)[0]


def test_a_sites_own_studies(tmp_path: Path) -> None:
    """DICOM and NIfTI are converted by a table of splits; a study that cannot be read is reported, and is not fatal."""
    scan = canonical(write(tmp_path / "ct", ct_series(Grid(row_mm=1.5, column_mm=1.5))))
    labels = np.zeros(scan.geometry.shape, np.uint8)
    labels[MARKER_INDEX] = Calcium.RCA
    LabelMap(labels, scan.geometry).save_nifti(tmp_path / "drawn.nii.gz")
    table = tmp_path / "studies.csv"
    table.write_text("study,labels,split\nct,drawn.nii.gz,training\nct,none.nii.gz,validation\n")

    def all_of_it(volume: Volume) -> Located:
        found = np.zeros((volume.geometry.shape[0], len(Anatomy), *volume.geometry.shape[1:]), np.float32)
        found[:, Anatomy.LEFT_ATRIUM] = 1
        heart = HeartMask(np.ones(volume.geometry.shape, bool), volume.geometry)
        return Located(heart, AnatomyMap(found, volume.geometry))

    problems = cache_annotated(table, tmp_path / "out", TINY, locate=all_of_it)
    assert len(problems) == 1
    assert "none.nii.gz" in problems[0]
    folder = SampleFolder([tmp_path / "out" / "training"])
    assert set(np.unique(folder[0].labels).tolist()) <= {0, Calcium.RCA, NOT_CORONARY}
    assert (folder[0].labels == Calcium.RCA).any()
    anatomy = folder[0].anatomy
    assert anatomy is not None and (anatomy == Anatomy.LEFT_ATRIUM).any(), "stage 2 trains on what stage 1 finds there"


def test_table_without_a_column(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("study,labels\na,b\n")
    with pytest.raises(UsageError, match="split"):
        read_table(tmp_path / "t.csv")
