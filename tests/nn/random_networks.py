"""Networks with random weights, each of which affects the output, and checkpoints of them."""

from pathlib import Path

import torch
from torch import nn

from ctacal.nn.checkpoint import Checkpoint
from ctacal.nn.config import NetworkConfig, Recipe, SamplingConfig
from ctacal.nn.networks import build

HEART = NetworkConfig(
    kind="heart", widths=(4, 8), lstm_channels=2, pixel_mm=4.0, slice_mm=5.0,
    position=False, neighbours=False, mass_head=False,
)  # fmt: skip


def stirred(config: NetworkConfig) -> nn.Module:
    """Return a network in which every number affects the output, biases and normalisation statistics too."""
    torch.manual_seed(3)
    network = build(config)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for statistic, low, high in ((module.running_mean, -0.3, 0.3), (module.running_var, 0.5, 1.5)):
                assert statistic is not None
                statistic.uniform_(low, high)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.3, 0.3)
    return network.eval()


def checkpoint(config: NetworkConfig, path: Path) -> Path:
    network = stirred(config)
    made = Recipe(name=config.kind, network=config, sampling=SamplingConfig(rows=96, columns=96))
    state = network.state_dict()
    Checkpoint(made, "0" * 64, 7, state, state, {}, torch.get_rng_state(), 0.5).write(path)
    return path
