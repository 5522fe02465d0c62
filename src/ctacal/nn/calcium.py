"""The network of stage 2: calcium by vessel in the crop around the heart, and its true mass."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from ctacal.labels import NAMED_VESSELS
from ctacal.nn.classes import BY_VESSEL
from ctacal.nn.config import NetworkConfig
from ctacal.nn.inputs import HEART_CHANNEL, HU_CHANNELS
from ctacal.nn.output import Output
from ctacal.nn.unet import SliceUNet

RARE_CLASS_LOGIT = -4.0
"""Initial logit of calcium against background: training starts with calcium as a rare class (Lin 2017, section 3.3)."""

FIRST_MASS_LOGIT = -6.0
"""Initial logit of the mass map: softplus gives 0.0025 mg at each position, close to 0 (own choice)."""


class CalciumNet(nn.Module):
    """(slices, 8, rows, columns), ``inputs.calcium_input`` -> a logit for each class, a mass for each slice and vessel.

    Only voxels at or above 130 HU can score, and the scan itself shows them sharply; the network has to decide *what*
    they are. Hence it has wide context and position at half resolution, not fine features at full resolution.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        width, classes = config.widths[0], len(BY_VESSEL)
        self.trunk = SliceUNet(config)
        self.refine = config.refine_channels > 0
        if self.refine:
            self.to_pixels = _to_pixels(width, config.refine_channels, config.unshuffle)
            self.last = nn.Sequential(
                nn.Conv2d(config.refine_channels + HU_CHANNELS, config.refine_channels, 3, padding=1, bias=False),
                nn.BatchNorm2d(config.refine_channels), nn.ReLU(inplace=True),
                nn.Conv2d(config.refine_channels, classes, 1),
            )  # fmt: skip
        else:
            self.to_pixels = _to_pixels(width, classes, config.unshuffle)
        self.mass = nn.Conv2d(width, len(NAMED_VESSELS), 1) if config.mass_head else None
        self._begin_rare(classes)

    def forward(self, x: Tensor, sequences: int = 1, structures: Tensor | None = None) -> Output:
        """Return logits (slices, 6, rows, columns) and mass_mg (slices, 4). ``structures`` as for ``SliceUNet``."""
        features = self.trunk(x, sequences, structures)  # (s, w0, r/2, c/2)
        logits = self.to_pixels(features)  # (s, 6, r, c)
        if self.refine:
            logits = self.last(torch.cat([logits, x[:, :HU_CHANNELS]], dim=1))
        return Output(logits, self._mass_mg(features, x) if self.mass is not None else None)

    def _mass_mg(self, features: Tensor, x: Tensor) -> Tensor:
        """Return the mg of each vessel: a map, summed over the heart."""
        assert self.mass is not None
        heart = F.avg_pool2d(x[:, HEART_CHANNEL : HEART_CHANNEL + 1], self.trunk.unshuffle)  # (s, 1, r/2, c/2)
        density = F.softplus(self.mass(features).float())  # (s, 4, r/2, c/2); sums in bf16 would lose small masses
        return (density * heart).sum(dim=(2, 3))

    @torch.no_grad()
    def _begin_rare(self, classes: int) -> None:
        last = self.last[-1] if self.refine else self.to_pixels
        assert isinstance(last, nn.Conv2d | nn.ConvTranspose2d) and last.bias is not None
        last.bias.view(classes, -1)[1:] = RARE_CLASS_LOGIT
        last.bias.view(classes, -1)[:1] = 0.0
        if self.mass is not None and self.mass.bias is not None:
            self.mass.bias.fill_(FIRST_MASS_LOGIT)


def _to_pixels(width: int, channels: int, unshuffle: int) -> nn.ConvTranspose2d:
    """Return the layer that expands each position to its n x n pixels."""
    return nn.ConvTranspose2d(width, channels, unshuffle, stride=unshuffle)
