"""Results as plain values for JSON; what is not finite is refused with its place."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import fields, is_dataclass
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np


def plain(value: Any, place: str = "numbers") -> Any:
    """Mappings, sequences, frozen results, arrays and numpy's numbers as what JSON holds.

    Raises ``ValueError`` naming the place of a NaN, an infinity or a value of unknown kind.

    >>> plain({"kappa": np.float64(0.5), "n": np.int64(3), "table": np.eye(2, dtype=int)})
    {'kappa': 0.5, 'n': 3, 'table': [[1, 0], [0, 1]]}
    """
    if value is None or isinstance(value, bool | str | int):
        return value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist(), place)
    if isinstance(value, float):
        if not isfinite(value):
            raise ValueError(f"{place} is {value}: give None, and say why in a reason")
        return value
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: plain(getattr(value, one.name), f"{place}.{one.name}") for one in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(one, f"{place}.{key}") for key, one in value.items()}
    if isinstance(value, AbstractSet):
        return plain(sorted(value), place)
    if isinstance(value, Sequence):
        return [plain(one, f"{place}[{number}]") for number, one in enumerate(value)]
    raise ValueError(f"{place}: a {type(value).__name__} is nothing that JSON holds")
