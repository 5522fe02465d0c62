"""The networks that see the whole scan at 5 x 4 x 4 mm: the heart alone (stage 1, 0.5 M parameters), or its anatomy."""

from torch import Tensor, nn

from ctacal.anatomy import Anatomy
from ctacal.nn.config import NetworkConfig
from ctacal.nn.output import Output
from ctacal.nn.unet import SliceUNet, ToPixels


class HeartNet(nn.Module):
    """(slices, 1, rows, columns), ``inputs.heart_input`` -> the heart's logit."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.trunk = SliceUNet(config)
        self.head = ToPixels(config.widths[0], 1, config.unshuffle)

    def forward(self, x: Tensor, sequences: int = 1) -> Output:
        """Return logits (slices, 1, rows, columns)."""
        return Output(self.head(self.trunk(x, sequences)))


class AnatomyNet(nn.Module):
    """(slices, 1, rows, columns), ``inputs.heart_input`` -> the logit of each ``Anatomy`` class; the same trunk."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.trunk = SliceUNet(config)
        self.head = ToPixels(config.widths[0], len(Anatomy), config.unshuffle)

    def forward(self, x: Tensor, sequences: int = 1) -> Output:
        """Return logits (slices, ``Anatomy`` classes, rows, columns)."""
        return Output(self.head(self.trunk(x, sequences)))
