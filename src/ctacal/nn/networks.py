"""Build a network from its configuration."""

from torch import nn

from ctacal.anatomy import Anatomy
from ctacal.nn.calcium import CalciumNet
from ctacal.nn.classes import BY_VESSEL, CORONARY_OR_OTHER, PLAQUE_CLASSES, Classes
from ctacal.nn.config import NetworkConfig
from ctacal.nn.heart import AnatomyNet, HeartNet
from ctacal.nn.plaque import PlaqueNet
from ctacal.nn.published import PublishedSystem


def build(config: NetworkConfig) -> nn.Module:
    """Return the network, with random initial weights; it maps (x, sequences) to an ``Output``, that of
    plaques ``PlaqueInputs`` to logits."""
    if config.sees_whole_scan:
        return HeartNet(config) if config.kind == "heart" else AnatomyNet(config)
    if config.kind == "plaque":
        return PlaqueNet(config)
    return PublishedSystem() if config.kind == "published" else CalciumNet(config)


def classes_of(config: NetworkConfig) -> Classes:
    """Return the label value of each class."""
    if config.kind == "anatomy":
        return tuple(Anatomy)
    if config.kind == "plaque":
        return tuple(kind.label for kind in PLAQUE_CLASSES)
    return CORONARY_OR_OTHER if config.kind == "published" else BY_VESSEL


def parameters_of(network: nn.Module) -> int:
    """Return the number of parameters."""
    return sum(parameter.numel() for parameter in network.parameters())
