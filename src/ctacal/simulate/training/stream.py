"""``stream_crops``: an endless supply of crops of several anatomies, balanced by their content."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import count, cycle
from pathlib import Path

import numpy as np

from ctacal.simulate.streams import Stream, generator
from ctacal.simulate.training.anatomy_cache import AnatomyCache
from ctacal.simulate.training.crop import Crop, draw_crop
from ctacal.simulate.training.description import FOCUS_SHARES, Focus

IN_MEMORY = 4
"""Number of anatomies in memory at the same time, some 0.2 GB each."""

CROPS_OF_EACH = 40
"""Number of crops of an anatomy before the next takes its place (own choice)."""


def stream_crops(
    seeds: Iterable[int],
    anatomies: Sequence[AnatomyCache | Path],
    *,
    shares: Mapping[Focus, float] = FOCUS_SHARES,
    in_memory: int = IN_MEMORY,
    crops_of_each: int = CROPS_OF_EACH,
) -> Iterator[Crop]:
    """Yield one crop for each seed; the same arguments give the same crops.

    ``anatomies`` are caches, or files that ``AnatomyCache.save`` wrote. At most ``in_memory`` are loaded at a time, and
    the next replaces the oldest after ``crops_of_each`` crops. Workers that share the work take every n-th seed and
    every n-th anatomy. ``shares`` are the frequencies of the contents. Raises ``ValueError`` without an anatomy or
    share.
    """
    if not anatomies:
        raise ValueError("no anatomy to draw crops from")
    kinds, weights = list(shares), np.array(list(shares.values()), float)
    if weights.min(initial=0) < 0 or weights.sum() <= 0:
        raise ValueError(f"shares must be 0 or more, and one of them above 0, got {dict(shares)}")
    turns = _taking_turns(anatomies, in_memory, crops_of_each)
    for seed in seeds:
        rng = generator(seed, Stream.CROP_FOCUS)
        focus = kinds[int(rng.choice(len(kinds), p=weights / weights.sum()))]
        yield draw_crop(next(turns), seed, focus)


def _taking_turns(
    anatomies: Sequence[AnatomyCache | Path], in_memory: int, crops_of_each: int
) -> Iterator[AnatomyCache]:
    """Yield an anatomy for each crop: the loaded ones in turn, with the oldest replaced now and then."""
    queue = cycle(anatomies)
    held = deque(_loaded(next(queue)) for _ in range(min(in_memory, len(anatomies))))
    for number in count(1):
        yield held[number % len(held)]
        if number % crops_of_each == 0 and len(held) < len(anatomies):
            held.popleft()
            held.append(_loaded(next(queue)))


def _loaded(anatomy: AnatomyCache | Path) -> AnatomyCache:
    return AnatomyCache.load(anatomy) if isinstance(anatomy, Path) else anatomy
