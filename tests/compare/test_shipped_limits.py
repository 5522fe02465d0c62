"""The limits that ship hold for the model that ships, at every preset of a CTAC."""

import pytest

from ctacal.compare.limits import Limits, simulated_limits
from ctacal.jobs.rescan_limits import QUANTITIES, protocol_of
from ctacal.nn.predict import load_model
from ctacal.scores import SCCT_2016
from ctacal.simulate.output.simulated import WORDS
from ctacal.simulate.scanner.protocol import load_protocol

SHIPPED = simulated_limits()


def test_every_preset_has_limits() -> None:
    assert sorted(limits.name for limits in SHIPPED) == sorted(WORDS)


@pytest.mark.parametrize("limits", SHIPPED, ids=lambda limits: limits.name)
def test_they_are_of_the_model_the_rule_and_the_preset(limits: Limits) -> None:
    """Other weights need other limits: ``ctacal rescan --limits`` writes them (docs/compare.md)."""
    assert (limits.model_digest, limits.rule) == (load_model(threads=1).info.digest, SCCT_2016.name)
    assert limits.protocol == protocol_of(load_protocol(limits.name))
    assert set(limits.bands) == set(QUANTITIES)
    assert limits.patients >= 8
    for band in limits.bands.values():
        assert all(high > 0 for high in band.high)
