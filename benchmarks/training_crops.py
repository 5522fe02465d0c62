"""Speed and noise of training crops: prints a table.

    NUMBA_NUM_THREADS=1 OMP_NUM_THREADS=1 python benchmarks/training_crops.py [--crops 12] [--keep FOLDER]

CPU seconds are those of one thread; wall time is about the same if a core is free. An anatomy of each kind is built
(crops, whole scans), then crops of each focus are drawn. The noise is the SD, in the left ventricle, of the difference
between a crop and the same crop without noise.
"""

import argparse
import os
import resource
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from ctacal.jobs.samples import HELD_OUT
from ctacal.simulate.anatomy.structures import Structure
from ctacal.simulate.training.anatomy_cache import COARSE, AnatomyCache, draw_anatomy, draw_hard_anatomy
from ctacal.simulate.training.clinical import describe_picture, draw_clinical_anatomy, reference_scores
from ctacal.simulate.training.crop import Crop, draw_crop, draw_whole, simulate_crop
from ctacal.simulate.training.description import FOCUS_SHARES, Focus, draw_heart_description

Made = TypeVar("Made")


def cpu_s(make: Callable[..., Made], *arguments: object) -> tuple[float, Made]:
    """Return the CPU seconds of this process, and the result."""
    begin = time.process_time()
    made = make(*arguments)
    return time.process_time() - begin, made


def noise_hu(cache: AnatomyCache, crop: Crop) -> float:
    """Return the SD of the noise in the blood of the left ventricle."""
    quiet = replace(crop.description.protocol, tube_current_ma=1e7, electronic_noise_kev=0.0, gain_error=0.0)
    noise = crop.hu.astype(float) - simulate_crop(cache, replace(crop.description, protocol=quiet)).hu
    blood = (crop.structures == Structure.LV_BLOOD) & crop.measured[:, None, None]
    return float(noise[blood].std()) if blood.any() else float("nan")


def report_anatomy(seed: int, folder: Path) -> AnatomyCache:
    """Build, store and read an anatomy."""
    seconds, cache = cpu_s(draw_anatomy, seed)
    print(f"| anatomy with {len(cache.deposits)} draws of calcium, CPU s | {seconds:.1f} |")
    print(f"| anatomies an hour on 2 cores | {2 * 3600 / seconds:.0f} |")
    path = folder / f"anatomy_{seed}.npz"
    stored, _ = cpu_s(cache.save, path)
    read, cache = cpu_s(AnatomyCache.load, path)
    print(f"| in memory, on disk, MB | {cache.nbytes / 1e6:.0f}, {path.stat().st_size / 1e6:.0f} |")
    print(f"| store, read, CPU s | {stored:.1f}, {read:.1f} |")
    return cache


def report_crops(cache: AnatomyCache, count: int) -> None:
    """Print speed and noise for each focus."""
    mean = 0.0
    for focus in Focus:
        draw_crop(cache, 1000, focus)
        timed = [cpu_s(draw_crop, cache, seed, focus) for seed in range(count)]
        seconds = np.array([cpu for cpu, _ in timed])
        mean += FOCUS_SHARES[focus] * float(seconds.mean())
        labelled = np.mean([np.count_nonzero(crop.labels) for _, crop in timed])
        noise = np.array([noise_hu(cache, crop) for _, crop in timed[:6]])
        print(
            f"| {focus.value} crop: CPU s, labelled voxels, noise | {seconds.mean():.2f} (most {seconds.max():.2f}), "
            f"{labelled:.0f}, {np.nanmin(noise):.0f}-{np.nanmax(noise):.0f} HU |"
        )
    print(f"| crops a CPU second, as mixed by default | {1 / mean:.2f} |")


def report_hearts(cache: AnatomyCache, count: int) -> None:
    """Print the speed of scans of the whole heart, with the last draw of calcium."""
    described = [draw_heart_description(cache, seed, len(cache.deposits) - 1) for seed in range(count)]
    seconds = np.array([cpu_s(simulate_crop, cache, description)[0] for description in described])
    slices = np.mean([description.shape[0] for description in described])
    print(f"| whole heart of {slices:.0f} slices: CPU s | {seconds.mean():.2f} (most {seconds.max():.2f}) |")


def report_whole(seed: int, count: int) -> None:
    """Print the speed of whole scans in large voxels."""
    seconds, cache = cpu_s(draw_anatomy, seed, COARSE)
    print(f"| anatomy for whole scans, CPU s, MB | {seconds:.1f}, {cache.nbytes / 1e6:.0f} |")
    draw_whole(cache, 1000)
    each = np.mean([cpu_s(draw_whole, cache, number)[0] for number in range(count)])
    print(f"| whole scan of 5 x 4 x 4 mm, CPU s | {each:.2f} |")


def report_hard(seed: int, count: int) -> None:
    """Print speed and noise of hard scans of the heart, one line each, with what is unusual about the protocol."""
    seconds, cache = cpu_s(draw_hard_anatomy, seed)
    print(f"| hard anatomy with {len(cache.deposits)} draws of calcium, CPU s | {seconds:.1f} |")
    for number in range(count):
        description = draw_heart_description(cache, number, number % len(cache.deposits), hard=True)
        seconds, crop = cpu_s(simulate_crop, cache, description)
        like = description.protocol
        named = (
            f"{like.kernel} {like.mtf50_per_mm}, pixels {like.pixel_mm:.2f} mm, slices every {like.spacing_mm:.2f} mm"
        )
        print(f"| {named}: noise HU, CPU s | {noise_hu(cache, crop):.1f}, {seconds:.1f} |")


def report_tests(seed: int, draws: int) -> None:
    """Print what a patient of the hard test cohort costs, with one study of each draw of calcium."""
    seconds, cache = cpu_s(draw_hard_tests, seed, draws)
    print(f"| body and projections of a test patient, {draws} draws of calcium, CPU s | {seconds:.1f} |")
    print(f"| gated reference scores, CPU s | {cpu_s(reference_scores, cache)[0]:.1f} |")
    for preset in HELD_OUT:
        described = [describe_picture(cache, seed + k, k, [preset]) for k in range(min(draws, 3))]
        simulate_crop(cache, described[0])  # tables
        scanned = [cpu_s(simulate_crop, cache, description) for description in described]
        mean, shape = np.mean([seconds for seconds, _ in scanned]), scanned[0][1].hu.shape
        print(f"| test study of {' x '.join(map(str, shape))} ({preset}): CPU s | {mean:.2f} |")


def draw_hard_tests(seed: int, draws: int) -> AnatomyCache:
    """Draw a patient of the hard test cohort."""
    return draw_clinical_anatomy(seed, draws, hard=True)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--crops", type=int, default=12)
    parser.add_argument("--studies", type=int, default=10)
    parser.add_argument("--seed", type=int, default=4)
    parser.add_argument("--keep", type=Path, help="where to leave the stored anatomy")
    arguments = parser.parse_args()
    print(f"load of the machine before: {os.getloadavg()[0]:.1f}\n\n| what | measured |\n| --- | --- |")
    with tempfile.TemporaryDirectory() as scratch:
        cache = report_anatomy(arguments.seed, arguments.keep or Path(scratch))
    report_crops(cache, arguments.crops)
    report_hearts(cache, arguments.crops)
    report_whole(arguments.seed, arguments.crops)
    report_hard(arguments.seed, arguments.crops)
    report_tests(arguments.seed, arguments.studies)
    print(f"| peak memory, GB | {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2:.2f} |")


if __name__ == "__main__":
    main()
