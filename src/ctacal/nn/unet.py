"""The trunk of our networks: a 2-D encoder and decoder for each slice, linked across the slices by ConvLSTMs."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from ctacal.nn.config import NetworkConfig
from ctacal.nn.convlstm import BothWays
from ctacal.nn.inputs import STRUCTURE_PIXELS, STRUCTURES, own_channels_of


class SliceUNet(nn.Module):
    """(slices, channels, rows, columns) -> (slices, widths[0], rows / unshuffle, columns / unshuffle).

    The first convolution has a stride of ``unshuffle`` pixels (space to depth and 3 x 3 in one), so that the finest
    level costs a quarter. Skip connections are added, not concatenated: that and a short decoder save 45 % of the
    operations (docs/log.md, 2026-11-23).
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        channels = own_channels_of(config)
        self.unshuffle, widths = config.unshuffle, config.widths
        self.down = nn.ModuleList(
            convolutions(before, after, count=2, stride=2)
            for before, after in zip((channels, *widths), widths, strict=False)
        )
        n, first = self.unshuffle, self.down[0]
        assert isinstance(first, nn.Sequential)
        first[0] = nn.Conv2d(channels, widths[0], 3 * n, stride=n, padding=n, bias=False)
        self.own_channels = channels
        self.structures = _without_effect(len(STRUCTURES), widths[1]) if config.structures else None
        self.over_slices = BothWays(widths[-1], config.lstm_channels)
        self.over_slices_mid = BothWays(widths[-2], config.mid_lstm_channels) if config.mid_lstm_channels else None
        steps = list(zip(widths[:0:-1], widths[-2::-1], strict=True))
        self.narrow = nn.ModuleList(nn.Conv2d(coarse, fine, 1) for coarse, fine in steps)
        self.up = nn.ModuleList(convolutions(fine, fine, count=config.decoder_convolutions) for _, fine in steps)

    def forward(self, x: Tensor, sequences: int = 1, structures: Tensor | None = None) -> Tensor:
        """Return the features; the batch holds ``sequences`` runs of neighbouring slices, one after another.

        ``structures`` (slices, ``STRUCTURES``, rows / 4, columns / 4), if ``x`` does not hold them as channels.
        """
        coarse = None
        if self.structures is not None:
            if structures is None:
                structures = x[:, self.own_channels :, ::STRUCTURE_PIXELS, ::STRUCTURE_PIXELS]
                x = x[:, : self.own_channels]
            coarse = self.structures(structures)
        levels = []
        for level, down in enumerate(self.down):
            x = down(x)
            if level == 1 and coarse is not None:
                x = x + coarse  # (s, w1, r/4, c/4)
            levels.append(x)  # (s, w0, r/2, c/2), (s, w1, r/4, c/4), ...
        x = self.over_slices(levels.pop(), sequences)  # (s, w3, r/16, c/16)
        if self.over_slices_mid is not None:
            levels[-1] = self.over_slices_mid(levels[-1], sequences)  # (s, w2, r/8, c/8)
        for narrow, up in zip(self.narrow, self.up, strict=True):
            x = up(F.interpolate(narrow(x), scale_factor=2.0, mode="nearest") + levels.pop())
        return x


def _without_effect(before: int, after: int) -> nn.Conv2d:
    """Return a 3 x 3 convolution that gives 0 at first: a network trained without these channels starts as it was."""
    layer = nn.Conv2d(before, after, 3, padding=1)
    nn.init.zeros_(layer.weight)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer


def convolutions(before: int, after: int, *, count: int, stride: int = 1) -> nn.Sequential:
    """Return ``count`` blocks of 3 x 3 convolution, batch normalisation and ReLU; the first may have a stride."""
    layers: list[nn.Module] = []
    for index in range(count):
        channels, step = (before, stride) if index == 0 else (after, 1)
        layers += [nn.Conv2d(channels, after, 3, step, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


class ToPixels(nn.Module):
    """(slices, width, rows / n, columns / n) -> (slices, channels, rows, columns): depth to space."""

    def __init__(self, width: int, channels: int, unshuffle: int) -> None:
        super().__init__()
        self.unshuffle = unshuffle
        self.expand = nn.Conv2d(width, channels * unshuffle**2, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Turn the channels of each position into its n x n pixels."""
        if torch.compiler.is_exporting():
            return self._transposed(x)
        return F.pixel_shuffle(self.expand(x), self.unshuffle)

    def _transposed(self, x: Tensor) -> Tensor:
        """Return the same by a transposed convolution, which saves a tenth of the network's time in ONNX Runtime.

        The bias differs from pixel to pixel, so it is the weight of a further channel of ones.
        """
        n, width = self.unshuffle, x.shape[1]
        assert self.expand.bias is not None
        weight = self.expand.weight.reshape(-1, n, n, width).permute(3, 0, 1, 2)  # (width, channels, n, n)
        weight = torch.cat([weight, self.expand.bias.reshape(1, -1, n, n)])
        return F.conv_transpose2d(F.pad(x, (0, 0, 0, 0, 0, 1), value=1.0), weight, stride=n)
