"""``Canvas``: maps of tissue and structure being painted, and the irregularity that all surfaces share."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage
from scipy.interpolate import CubicSpline

from ctacal.arrays import Floats
from ctacal.geometry import CANONICAL_DIRECTIONS, Geometry
from ctacal.simulate.anatomy.compiled import stamp
from ctacal.simulate.anatomy.structures import CODES, Points, Structure
from ctacal.simulate.materials import Tissue
from ctacal.simulate.streams import Stream, generator

REGION_MM = np.array([[-280.0, -210.0, -330.0], [280.0, 210.0, 270.0]])
"""Lower and upper corner of the body that can be built; (0, 0, 0) is the carina."""


@dataclass(frozen=True, eq=False, slots=True)
class Texture:
    """A smooth random field with mean 0 and SD 1 over the whole region, even if only a part of it is built."""

    values: NDArray[np.float32]
    step_mm: float
    origin: Floats = field(default_factory=lambda: REGION_MM[0].copy())

    @classmethod
    def draw(cls, seed: int, step_mm: float) -> "Texture":
        """Draw a field whose irregularities are about 3 steps wide; ``Stream`` has a number for each step."""
        shape = np.ceil((REGION_MM[1] - REGION_MM[0]) / step_mm).astype(int)[::-1] + 1
        values = generator(seed, Stream(round(step_mm * 100))).standard_normal(shape, np.float32)
        values = ndimage.gaussian_filter(values, 1.0, mode="wrap")
        return cls(values / values.std(), step_mm)


@lru_cache(maxsize=4)
def drawn_texture(seed: int, step_mm: float) -> Texture:
    """Return ``Texture.draw``, cached for the next phase of the same patient."""
    return Texture.draw(seed, step_mm)


class Canvas:
    """Maps of tissue and structure with their axes, onto which ellipsoids and tubes are painted."""

    def __init__(self, geometry: Geometry, seed: int) -> None:
        if not np.allclose(geometry.axes_to(CANONICAL_DIRECTIONS)[0], (0, 1, 2)) or not _is_upright(geometry):
            raise ValueError("a body is built on a canonical axial grid: slices to the head, columns to the left")
        self.geometry = geometry
        self.tissue = np.zeros(geometry.shape, np.uint8)
        self.structure = np.zeros(geometry.shape, np.uint8)
        origin = geometry.to_patient_mm((0, 0, 0))
        self.zs, self.ys, self.xs = (
            np.ascontiguousarray(origin[2 - axis] + np.arange(n) * mm, np.float64)
            for axis, (n, mm) in enumerate(zip(geometry.shape, geometry.spacing_mm, strict=True))
        )
        self.coarse, self.fine = drawn_texture(seed, 9.0), drawn_texture(seed, 3.0)

    @property
    def axes(self) -> tuple[Floats, Floats, Floats]:
        """Positions (S, P, L) in mm along the three array axes."""
        return self.zs, self.ys, self.xs

    def ellipsoids(
        self,
        centres: ArrayLike,
        radii_mm: ArrayLike,
        tissue: Tissue,
        structure: Structure,
        *,
        axes: NDArray[np.float64] | None = None,
        over: Iterable[Tissue] = tuple(Tissue),
        within: Iterable[int] = tuple(range(CODES)),
        warp: float = 0.0,
        flat: bool = False,
    ) -> None:
        """Paint ellipsoids with (n, 3) centres, (n, 3) or (3,) radii, and (n, 3, 3) or (3, 3) unit vectors as rows.

        Only voxels with a tissue in ``over`` and a structure in ``within`` are painted.
        """
        where = np.atleast_2d(np.asarray(centres, float))
        radii = np.broadcast_to(np.asarray(radii_mm, float), where.shape)
        frames = np.broadcast_to(np.eye(3) if axes is None else axes, (len(where), 3, 3))
        reach = np.sqrt(((frames * radii[:, :, None]) ** 2).sum(axis=1))
        inverse = np.ascontiguousarray(frames / radii[:, :, None])
        flags = _flags(over), _flags(within)
        stamp(
            self.tissue, self.structure, *self.axes, where, inverse, reach, *flags, int(tissue), int(structure),
            self.coarse.values, self.coarse.step_mm, self.coarse.origin, warp, flat,
        )  # fmt: skip

    def tube(
        self,
        path: Points,
        radius_mm: ArrayLike,
        tissue: Tissue,
        structure: Structure,
        *,
        over: Iterable[Tissue] = tuple(Tissue),
        within: Iterable[int] = tuple(range(CODES)),
        warp: float = 0.0,
    ) -> None:
        """Paint balls along a path, which must be sampled finely enough to leave no gaps."""
        radii = np.broadcast_to(np.asarray(radius_mm, float), len(path))
        self.ellipsoids(
            path, np.repeat(radii[:, None], 3, axis=1), tissue, structure, over=over, within=within, warp=warp
        )


def _flags(values: Iterable[int]) -> NDArray[np.bool_]:
    flags = np.zeros(CODES, np.bool_)
    flags[list(map(int, values))] = True
    return flags


def _is_upright(geometry: Geometry) -> bool:
    turned = geometry.affine[:3, :3] / np.array(geometry.spacing_mm)
    return bool(np.allclose(turned, CANONICAL_DIRECTIONS.T, atol=1e-6))


def curve(through: ArrayLike | Sequence[Any], step_mm: float = 1.0) -> Points:
    """Return a smooth curve through some points, sampled about every ``step_mm``."""
    knots = np.asarray(through, float)
    along = np.append(0, np.cumsum(np.linalg.norm(np.diff(knots, axis=0), axis=1)))
    n = max(2, int(along[-1] / step_mm) + 1)
    return np.asarray(CubicSpline(along, knots)(np.linspace(0, along[-1], n)))
