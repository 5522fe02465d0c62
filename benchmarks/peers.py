"""The shapes of other people's networks, for timing alone: random weights, from their papers, no code of theirs.

2-D U-Net with a ResNet34 encoder (He 2016; Ronneberger 2015; decoder widths 256 to 16 as is usual), 3-D U-Net as
nnU-Net plans it (Isensee 2021: 32 to 320 features, instance norm), and SwinUNETR in two dimensions with 96 features
(Hatamizadeh 2022; AI-CAC's configuration).
"""

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812


def conv2d(before: int, after: int, size: int = 3, stride: int = 1) -> nn.Sequential:
    """Convolution, batch norm, ReLU."""
    convolution = nn.Conv2d(before, after, size, stride, size // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(after), nn.ReLU(inplace=True))


class Residual2d(nn.Module):
    """ResNet's basic block."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        second = nn.Sequential(nn.Conv2d(after, after, 3, padding=1, bias=False), nn.BatchNorm2d(after))
        self.way = nn.Sequential(conv2d(before, after, stride=stride), second)
        plain = before == after and stride == 1
        self.short = nn.Identity() if plain else nn.Conv2d(before, after, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.way(x) + self.short(x))


class ResNetUNet(nn.Module):
    """(slices, 1, rows, columns) -> (slices, 6, rows, columns)."""

    def __init__(self, classes: int = 6) -> None:
        super().__init__()
        widths, blocks, decoder = (64, 64, 128, 256, 512), (3, 4, 6, 3), (256, 128, 64, 32, 16)
        self.stem, self.pool = conv2d(1, 64, 7, 2), nn.MaxPool2d(3, 2, 1)
        self.stages = nn.ModuleList()
        for level, ((before, after), count) in enumerate(zip(pairwise(widths), blocks, strict=True)):
            first = Residual2d(before, after, 1 if level == 0 else 2)
            self.stages.append(nn.Sequential(first, *(Residual2d(after, after, 1) for _ in range(count - 1))))
        skips = (*widths[-2::-1], 0)
        inputs = (widths[-1], *decoder[:-1])
        self.up = nn.ModuleList(
            nn.Sequential(conv2d(below + skip, after), conv2d(after, after))
            for below, skip, after in zip(inputs, skips, decoder, strict=True)
        )
        self.head = nn.Conv2d(decoder[-1], classes, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        levels = [self.stem(x)]
        x = self.pool(levels[0])
        for stage in self.stages:
            x = stage(x)
            levels.append(x)
        x = levels.pop()
        for up in self.up:
            x = F.interpolate(x, scale_factor=2.0, mode="nearest")
            x = up(torch.cat([x, levels.pop()], dim=1) if levels else x)
        logits: Tensor = self.head(x)
        return logits


def conv3d(before: int, after: int, kernel: tuple[int, int, int], stride: Any = 1) -> nn.Sequential:
    """Convolution, instance norm, leaky ReLU."""
    convolution = nn.Conv3d(before, after, kernel, stride, (kernel[0] // 2, kernel[1] // 2, kernel[2] // 2))
    return nn.Sequential(convolution, nn.InstanceNorm3d(after, affine=True), nn.LeakyReLU(inplace=True))


class PlannedUNet(nn.Module):
    """(1, 1, slices, rows, columns) -> (1, 6, slices, rows, columns); slices are halved one level later than pixels."""

    def __init__(self, classes: int = 6) -> None:
        super().__init__()
        widths = (32, 64, 128, 256, 320, 320)
        strides = (1, (1, 2, 2), 2, 2, 2, (1, 2, 2))
        self.down, self.across, self.up = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for level, (before, after) in enumerate(pairwise((1, *widths))):
            kernel = (1, 3, 3) if level == 0 else (3, 3, 3)
            self.down.append(nn.Sequential(conv3d(before, after, kernel, strides[level]), conv3d(after, after, kernel)))
        for level in range(len(widths) - 1, 0, -1):
            fine, kernel = widths[level - 1], (1, 3, 3) if level == 1 else (3, 3, 3)
            self.across.append(nn.ConvTranspose3d(widths[level], fine, strides[level], strides[level]))
            self.up.append(nn.Sequential(conv3d(2 * fine, fine, kernel), conv3d(fine, fine, kernel)))
        self.head = nn.Conv3d(widths[0], classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        levels = []
        for down in self.down:
            x = down(x)
            levels.append(x)
        x = levels.pop()
        for across, up in zip(self.across, self.up, strict=True):
            x = up(torch.cat([across(x), levels.pop()], dim=1))
        logits: Tensor = self.head(x)
        return logits


WINDOW = 7
"""Positions along a side of Swin's windows (Liu 2021)."""


class SwinBlock(nn.Module):
    """Attention within windows, shifted by half a window in every other block, and a two-layer perceptron."""

    def __init__(self, width: int, heads: int, *, shift: bool) -> None:
        super().__init__()
        self.heads, self.shift = heads, WINDOW // 2 if shift else 0
        self.norms = nn.ModuleList((nn.LayerNorm(width), nn.LayerNorm(width)))
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.bias = nn.Parameter(torch.zeros(heads, WINDOW**2, WINDOW**2))
        self.perceptron = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        """(slices, rows, columns, width) -> the same."""
        x = x + self._attention(self.norms[0](x))
        added: Tensor = self.perceptron(self.norms[1](x))
        return x + added

    def _attention(self, x: Tensor) -> Tensor:
        s, r, c, w = x.shape
        x = F.pad(x, (0, 0, 0, -c % WINDOW, 0, -r % WINDOW))
        x = torch.roll(x, (-self.shift, -self.shift), (1, 2)) if self.shift else x
        down, across = x.shape[1] // WINDOW, x.shape[2] // WINDOW
        windows = x.reshape(s, down, WINDOW, across, WINDOW, w).transpose(2, 3).reshape(-1, WINDOW**2, w)
        q, k, v = self.qkv(windows).reshape(-1, WINDOW**2, 3, self.heads, w // self.heads).permute(2, 0, 3, 1, 4)
        level = q @ k.transpose(-1, -2) * (w // self.heads) ** -0.5 + self.bias
        if self.shift:
            level = level.reshape(s, down * across, self.heads, WINDOW**2, WINDOW**2)
            level = (level + _apart(down, across, self.shift)[None, :, None]).flatten(0, 1)
        windows = self.out((level.softmax(dim=-1) @ v).transpose(1, 2).reshape(-1, WINDOW**2, w))
        x = windows.reshape(s, down, across, WINDOW, WINDOW, w).transpose(2, 3)
        x = x.reshape(s, down * WINDOW, across * WINDOW, w)
        x = torch.roll(x, (self.shift, self.shift), (1, 2)) if self.shift else x
        return x[:, :r, :c]


def _apart(down: int, across: int, shift: int) -> Tensor:
    """(windows, positions, positions): -100 between what a shifted window joins from opposite sides of the picture."""
    sides = []
    for count in (down, across):
        region = torch.zeros(count * WINDOW)
        region[-WINDOW:-shift], region[-shift:] = 1, 2
        sides.append(region)
    region = sides[0][:, None] * 3 + sides[1]
    windows = region.reshape(down, WINDOW, across, WINDOW).transpose(1, 2).reshape(-1, WINDOW**2)
    return (windows[:, :, None] != windows[:, None]).float() * -100.0


class Residual2dInstance(nn.Module):
    """SwinUNETR's convolution block: two convolutions with instance norm and a short cut."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.way = nn.Sequential(
            nn.Conv2d(before, after, 3, padding=1, bias=False), nn.InstanceNorm2d(after), nn.LeakyReLU(inplace=True),
            nn.Conv2d(after, after, 3, padding=1, bias=False), nn.InstanceNorm2d(after),
        )  # fmt: skip
        self.short = nn.Identity() if before == after else nn.Conv2d(before, after, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu(self.way(x) + self.short(x))


class SwinUNETR2d(nn.Module):
    """(slices, 1, rows, columns) -> (slices, 2, rows, columns)."""

    def __init__(self, features: int = 96, classes: int = 2) -> None:
        super().__init__()
        widths = [features * 2**level for level in range(5)]
        self.widths = widths
        self.embed = nn.Conv2d(1, features, 2, 2)
        self.blocks, self.merge = nn.ModuleList(), nn.ModuleList()
        for width, heads in zip(widths[:4], (3, 6, 12, 24), strict=True):
            self.blocks.append(nn.Sequential(*(SwinBlock(width, heads, shift=shift) for shift in (False, True))))
            self.merge.append(nn.Sequential(nn.LayerNorm(4 * width), nn.Linear(4 * width, 2 * width, bias=False)))
        self.skips = nn.ModuleList(
            Residual2dInstance(before, after)
            for before, after in ((1, features), *((width, width) for width in widths[:3]))
        )
        self.deepest = Residual2dInstance(widths[4], widths[4])
        steps = [*zip(widths[:0:-1], widths[-2::-1], strict=True), (features, features)]
        self.across = nn.ModuleList(nn.ConvTranspose2d(coarse, fine, 2, 2) for coarse, fine in steps)
        self.up = nn.ModuleList(Residual2dInstance(2 * fine, fine) for _, fine in steps)
        self.head = nn.Conv2d(features, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        states, image = [], x
        x = self.embed(x).permute(0, 2, 3, 1)  # (s, r/2, c/2, 96)
        for width, blocks, merge in zip(self.widths, self.blocks, self.merge, strict=False):
            states.append(_normed(x, width))
            x = blocks(x)
            quarters = [x[:, i::2, j::2] for i in (0, 1) for j in (0, 1)]
            x = merge(torch.cat(quarters, dim=-1))  # half the rows and columns, twice the width
        skips = [skip(state) for skip, state in zip(self.skips, (image, *states[:3]), strict=True)]
        skips.append(states[3])
        x = self.deepest(_normed(x, self.widths[4]))
        for across, up in zip(self.across, self.up, strict=True):
            x = up(torch.cat([across(x), skips.pop()], dim=1))
        logits: Tensor = self.head(x)
        return logits


def _normed(x: Tensor, width: int) -> Tensor:
    """(s, r, c, w) -> (s, w, r, c), normalised over the width."""
    return F.layer_norm(x, (width,)).permute(0, 3, 1, 2)
