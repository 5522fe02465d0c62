"""The networks: sizes, shapes, and which slices influence each other."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ctacal.labels import Calcium
from ctacal.nn.calcium import CalciumNet
from ctacal.nn.classes import BY_VESSEL, CORONARY_OR_OTHER, NOT_CORONARY, allowed
from ctacal.nn.config import NetworkConfig
from ctacal.nn.convlstm import ConvLSTM
from ctacal.nn.export import softmax_in_steps
from ctacal.nn.inputs import HEART_CHANNEL, channels_of, own_channels_of
from ctacal.nn.networks import build, parameters_of
from ctacal.nn.published import DenseFeatures, PublishedSystem, neighbours

TINY = NetworkConfig(widths=(4, 8), lstm_channels=3)


def test_published_networks_have_the_published_size() -> None:
    """About 6.01 M parameters each (the description in words)."""
    system = PublishedSystem()
    for network in (system.heart, system.lesion):
        assert parameters_of(network) == pytest.approx(6.01e6, rel=2e-3)


def test_dense_features_have_densenet_121s_size() -> None:
    """By hand from table 1 of Huang 2017: stem 3,264, block 1 335,040, transition 33,280, block 2 919,680."""
    assert parameters_of(DenseFeatures()) == 64 * 49 + 2 * 64 + 335_040 + 33_280 + 919_680
    assert DenseFeatures().eval()(torch.zeros(1, 1, 64, 32)).shape == (1, 512, 8, 4)


def test_published_system_answers() -> None:
    output = PublishedSystem().eval()(torch.zeros(6, 1, 32, 40), 2)
    assert output.logits.shape == (6, len(CORONARY_OR_OTHER), 32, 40)
    assert output.heart is not None
    assert output.heart.shape == (6, 1, 32, 40)


def test_neighbours_stay_within_their_sequence() -> None:
    triples = neighbours(torch.arange(6.0).reshape(6, 1, 1, 1), 2)[:, :, 0, 0]
    assert triples.tolist() == [[0, 0, 1], [0, 1, 2], [1, 2, 2], [3, 3, 4], [3, 4, 5], [4, 5, 5]]


def test_sizes_of_ours() -> None:
    heart, calcium = build(NetworkConfig.heart()), build(NetworkConfig())
    assert parameters_of(heart) < 0.5e6
    assert 4 * (parameters_of(heart) + parameters_of(calcium)) < 20e6, "bytes of weights"


@pytest.mark.parametrize(
    "config",
    [
        TINY,
        replace(TINY, unshuffle=1),
        replace(TINY, refine_channels=4),
        replace(TINY, mid_lstm_channels=2, decoder_convolutions=2),
        replace(TINY, position=False, neighbours=False, mass_head=False),
        replace(TINY, structures=True),
    ],
    ids=["plain", "full resolution", "refined", "two ConvLSTMs", "no position", "structures"],
)
@pytest.mark.parametrize("slices", [1, 5])
def test_calcium_network_answers(config: NetworkConfig, slices: int) -> None:
    channels = channels_of(config)
    output = CalciumNet(config).eval()(torch.zeros(slices, channels, 16, 24))
    assert output.logits.shape == (slices, len(BY_VESSEL), 16, 24)
    assert (output.mass_mg is not None) == config.mass_head
    if output.mass_mg is not None:
        assert output.mass_mg.shape == (slices, 4)


def test_a_new_network_finds_calcium_rare() -> None:
    p = CalciumNet(TINY).eval()(torch.randn(2, 8, 16, 16)).logits.softmax(dim=1)
    assert p[:, 0].min() > 0.7


def test_structures_have_no_effect_until_they_are_trained() -> None:
    network = CalciumNet(replace(TINY, structures=True)).eval()
    x = torch.randn(3, channels_of(NetworkConfig(structures=True)), 16, 24)
    without = x.clone()
    without[:, own_channels_of(TINY) :] = 0
    torch.testing.assert_close(network(x).logits, network(without).logits, rtol=0, atol=0)
    assert network.trunk.structures is not None
    torch.nn.init.ones_(network.trunk.structures.weight)
    assert (network(x).logits - network(without).logits).abs().max() > 1e-3


def test_mass_lies_in_the_heart() -> None:
    network = CalciumNet(TINY).eval()
    x = torch.rand(2, 8, 16, 16)
    x[:, HEART_CHANNEL] = 0.0
    assert (network(x).mass_mg == 0).all()
    x[1, HEART_CHANNEL] = 1.0
    mass_mg = network(x).mass_mg
    assert mass_mg[0].max() == 0 < mass_mg[1].min()


def test_sequences_of_a_batch_do_not_mix() -> None:
    torch.manual_seed(0)
    network = CalciumNet(TINY).eval()
    a, b = torch.randn(3, 8, 16, 16), torch.randn(3, 8, 16, 16)
    both = network(torch.cat([a, b]), 2)
    torch.testing.assert_close(both.logits[:3], network(a).logits, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(both.logits[3:], network(b).logits, atol=1e-5, rtol=1e-5)


def test_every_slice_sees_all_others() -> None:
    """Forwards and backwards: a change in one slice reaches every other slice."""
    torch.manual_seed(0)
    network, x = CalciumNet(TINY).eval(), torch.randn(5, 8, 16, 16)
    changed = x.clone()
    changed[2] += 1.0
    moved = (network(x).logits - network(changed).logits).abs().amax(dim=(1, 2, 3))
    assert (moved > 1e-7).all()


@pytest.mark.parametrize("to_feet", [False, True])
def test_convlstm_looks_one_way(to_feet: bool) -> None:
    torch.manual_seed(0)
    layer, x = ConvLSTM(2, 3, to_feet=to_feet), torch.randn(1, 5, 2, 6, 6)
    changed = x.clone()
    changed[0, 2] += 1.0
    moved = (layer(x) - layer(changed))[0].abs().amax(dim=(1, 2, 3)) > 1e-7
    assert moved.tolist() == ([True] * 3 + [False] * 2 if to_feet else [False] * 2 + [True] * 3)


def test_convlstm_by_hand() -> None:
    """One pixel, one channel, the gates' input biases alone: Shi 2015 without peepholes."""
    layer = ConvLSTM(1, 1)
    with torch.no_grad():
        layer.of_input.weight.zero_()
        layer.of_hidden.weight.zero_()
        layer.of_input.bias.copy_(torch.tensor([0.5, 1.0, -0.3, 0.8]))  # type: ignore[union-attr]
    enter, forget, leave = 1 / (1 + np.exp(-np.array([0.5, 1.0, -0.3])))
    cell, states = 0.0, []
    for _ in range(3):
        cell = forget * cell + enter * np.tanh(0.8)
        states.append(leave * np.tanh(cell))
    np.testing.assert_allclose(layer(torch.zeros(1, 3, 1, 1, 1)).detach().ravel(), states, rtol=1e-6)


def test_the_softmax_of_the_graph_is_a_softmax() -> None:
    logits = 200 * torch.randn(2, 6, 4, 5)  # far beyond what exp() holds in float32
    torch.testing.assert_close(softmax_in_steps(logits), logits.softmax(dim=1))


def test_what_the_truth_allows() -> None:
    ours, published = allowed(BY_VESSEL), allowed(CORONARY_OR_OTHER)
    assert ours[:5].tolist() == np.eye(6, dtype=bool)[:5].tolist()
    assert ours[Calcium.CORONARY].tolist() == [False, True, True, True, True, False]
    assert ours[Calcium.OTHER].tolist() == [False] * 5 + [True]
    assert ours[NOT_CORONARY].tolist() == [True] + [False] * 4 + [True]
    assert all(published[vessel].tolist() == [False, True, False] for vessel in range(1, 6))
    assert published[NOT_CORONARY].tolist() == [True, False, True]
    assert ours.any(axis=1).all()
    assert published.any(axis=1).all()
