"""Slices a second that the calcium network trains on: float32 against bfloat16, interleaved, random voxels.

    python benchmarks/training_speed.py [--recipe recipes/calcium.toml] [--threads 2] [--rounds 5]

On a busy machine look at the CPU seconds. Preparing samples is not in the figures.
"""

import argparse
import statistics
import time
from dataclasses import replace
from pathlib import Path

import torch

from ctacal.nn.batches import Batch
from ctacal.nn.config import Recipe, read_recipe
from ctacal.nn.inputs import channels_of
from ctacal.nn.train import Run


def main() -> None:
    parser = argparse.ArgumentParser(description="Slices a second in training")
    parser.add_argument("--recipe", type=Path, default=Path(__file__).parents[1] / "recipes" / "calcium.toml")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    recipe = read_recipe(options.recipe)
    runs = {
        name: Run.begun(replace(recipe, train=replace(recipe.train, bf16=bf16)), "", Path("nowhere"))
        for name, bf16 in (("float32", False), ("bfloat16", True))
    }
    batch = random_batch(recipe)
    wall: dict[str, list[float]] = {name: [] for name in runs}
    cpu: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(options.rounds + 1):
        for name, run in runs.items():
            began, cpu_began = time.perf_counter(), time.process_time()
            run.take_step(batch)
            wall[name].append(time.perf_counter() - began)
            cpu[name].append(time.process_time() - cpu_began)
    slices = len(batch.x)
    print(f"{slices} slices of {batch.x.shape[2]} x {batch.x.shape[3]} a step, {options.threads} threads")
    for name in runs:
        seconds, cpu_seconds = (statistics.median(times[name][1:]) for times in (wall, cpu))  # the first step warms up
        print(f"{name}: {slices / seconds:.1f} slices/s, {slices / cpu_seconds:.1f} slices per CPU second")


def random_batch(recipe: Recipe) -> Batch:
    """Noise about 40 HU: a few voxels can score, as in a scan."""
    sampling = recipe.sampling
    shape = (recipe.train.sequences * sampling.slices, sampling.rows, sampling.columns)
    random = torch.Generator().manual_seed(0)
    hu = 40 + 40 * torch.randn(shape, generator=random)
    truth = torch.where(hu > 150, 2, 0)
    x = torch.randn(shape[0], channels_of(recipe.network), *shape[1:], generator=random)
    return Batch(x, hu, truth, torch.ones(shape), torch.full((shape[0], 4), 1.0))


if __name__ == "__main__":
    main()
