"""The HU that calcium adds, compared with the difference of two scans, with and without calcium."""

from dataclasses import replace

import numpy as np
import pytest

from ctacal.simulate.materials import Body
from ctacal.simulate.scanner.calcium import calcium_hu
from ctacal.simulate.scanner.motion import Motion
from ctacal.simulate.scanner.scan import scan
from tests.simulate.bodies import QUIET, cylinder

PROTOCOL = replace(QUIET, fov_mm=180.0, matrix=128, scan_field_mm=220.0, scatter=0.0, rotation_s=1.0, spacing_mm=2.0)
BODY = cylinder(140, slices=11, hydroxyapatite=(((10.0, -20.0, 4.0), 300.0),))
BODY.hydroxyapatite_mg_cm3[:5] = 0
BARE = Body(BODY.tissue, np.zeros_like(BODY.hydroxyapatite_mg_cm3), BODY.geometry)
HEART = (slice(0, 11), slice(46, 106), slice(36, 106))
REGION = (slice(1, 4), slice(50, 100), slice(30, 80))


def beating(phase: float) -> Body:
    added = np.roll(BODY.hydroxyapatite_mg_cm3[HEART], round(6 * (1 - np.cos(2 * np.pi * phase))), axis=1)
    return Body(BODY.tissue[HEART], added, BODY.geometry.crop(HEART))


@pytest.mark.slow
@pytest.mark.parametrize("motion", [Motion(), Motion.of_heart(beating), Motion(breathing_mm=3.0, breathing_s=2.0)])
def test_it_is_what_calcium_adds_to_a_scan(motion: Motion) -> None:
    still = replace(motion, phases=())
    difference = (
        scan(BODY, PROTOCOL, seed=1, motion=motion).hu.astype(float) - scan(BARE, PROTOCOL, seed=1, motion=still).hu
    )
    added = calcium_hu(BODY, PROTOCOL, seed=1, motion=motion, region=REGION)
    assert added.shape == (3, 50, 50)
    assert added.max() > 200
    np.testing.assert_allclose(added, difference[REGION], atol=0.03 * difference.max())
    assert added.sum() == pytest.approx(difference[REGION].sum(), rel=0.03), "calcium hardens the beam a little"


def test_where_there_is_no_calcium_nothing_is_added() -> None:
    assert not calcium_hu(BODY, PROTOCOL, seed=1, region=(slice(0, 1), *REGION[1:])).any()
    assert not calcium_hu(BARE, PROTOCOL, seed=1, region=REGION).any()
