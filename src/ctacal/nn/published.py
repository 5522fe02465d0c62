"""The published system of two networks, built from its description in words; its code was not seen.

Miller RJH et al., J Nucl Med 2023;64:652-658, as described in the project's notes on the science: a fine branch
(ConvLSTM over three slices), a context branch (DenseNet-121 to the end of dense block 2), fused by attention. About
6.01 M parameters each. The context branch starts from random weights: those of ImageNet are not available offline.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from ctacal.nn.classes import CORONARY_OR_OTHER
from ctacal.nn.convlstm import ConvLSTM
from ctacal.nn.output import Output

FINE_CHANNELS = 3
"""Hidden channels of each of the two ConvLSTM layers."""

GROWTH, BOTTLENECK = 32, 128
"""DenseNet-121: channels that each layer adds, and channels of its 1 x 1 convolution (Huang 2017, table 1)."""


class PublishedSystem(nn.Module):
    """Heart and lesion network on (slices, 1, rows, columns), ``inputs.published_input``."""

    def __init__(self) -> None:
        super().__init__()
        self.heart = PublishedNet(2, fuse_by_maximum=False)
        self.lesion = PublishedNet(len(CORONARY_OR_OTHER), fuse_by_maximum=True)

    def forward(self, x: Tensor, sequences: int = 1) -> Output:
        """Return lesion logits (slices, 3, rows, columns) and, to keep lesions inside it, the heart's logit."""
        triples = neighbours(x, sequences)  # (s, 3, r, c)
        heart = self.heart(triples)  # (s, 2, r, c)
        return Output(self.lesion(triples), heart=heart[:, 1:] - heart[:, :1])


class PublishedNet(nn.Module):
    """(slices, 3, rows, columns): the slice below, the slice, the slice above -> class logits of the slice."""

    def __init__(self, classes: int, *, fuse_by_maximum: bool) -> None:
        super().__init__()
        self.fuse_by_maximum = fuse_by_maximum
        self.fine = nn.ModuleList((ConvLSTM(1, FINE_CHANNELS), ConvLSTM(FINE_CHANNELS, FINE_CHANNELS)))
        self.attention = _head(FINE_CHANNELS, classes)
        self.fine_head = _head(FINE_CHANNELS, classes)
        self.context = DenseFeatures()
        self.coarse_head = _head(self.context.channels, classes)

    def forward(self, triples: Tensor) -> Tensor:
        """Return (slices, classes, rows, columns)."""
        state = triples[:, :, None]  # (s, 3, 1, r, c): three slices of one channel
        for layer in self.fine:
            state = layer(state)  # (s, 3, 3, r, c)
        last = state[:, -1]  # (s, 3, r, c): the hidden state after the third slice
        attention, fine = torch.sigmoid(self.attention(last)), self.fine_head(last)  # (s, classes, r, c)
        coarse = self.coarse_head(self.context(triples[:, 1:2]))  # (s, classes, r/8, c/8)
        coarse = F.interpolate(coarse, size=fine.shape[2:], mode="bilinear", align_corners=False)
        near, far = fine * (1 - attention), coarse * attention
        return torch.maximum(near, far) if self.fuse_by_maximum else near + far


class DenseFeatures(nn.Module):
    """DenseNet-121 (Huang 2017) to the end of dense block 2: (s, 1, r, c) -> (s, 512, r/8, c/8)."""

    channels = 512

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(1, 64, 7, stride=2, padding=3, bias=False), nn.BatchNorm2d(64), nn.ReLU(inplace=True),
            nn.MaxPool2d(3, stride=2, padding=1),
        )  # fmt: skip
        self.block1 = nn.Sequential(*(DenseLayer(64 + GROWTH * index) for index in range(6)))
        self.transition = nn.Sequential(
            nn.BatchNorm2d(256), nn.ReLU(inplace=True), nn.Conv2d(256, 128, 1, bias=False), nn.AvgPool2d(2)
        )
        self.block2 = nn.Sequential(*(DenseLayer(128 + GROWTH * index) for index in range(12)))

    def forward(self, x: Tensor) -> Tensor:
        """Return the features of a slice."""
        x = self.block1(self.stem(x))  # (s, 64, r/4, c/4) -> (s, 256, r/4, c/4)
        features: Tensor = self.block2(self.transition(x))  # (s, 128, r/8, c/8) -> (s, 512, r/8, c/8)
        return features


class DenseLayer(nn.Module):
    """A layer that adds ``GROWTH`` channels to its input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.new = nn.Sequential(
            nn.BatchNorm2d(channels), nn.ReLU(), nn.Conv2d(channels, BOTTLENECK, 1, bias=False),
            nn.BatchNorm2d(BOTTLENECK), nn.ReLU(inplace=True), nn.Conv2d(BOTTLENECK, GROWTH, 3, padding=1, bias=False),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """(s, channels, r, c) -> (s, channels + 32, r, c)."""
        return torch.cat([x, self.new(x)], dim=1)


def neighbours(x: Tensor, sequences: int) -> Tensor:
    """(slices, 1, r, c) -> (slices, 3, r, c): below, itself, above; at an end of a sequence the slice itself again."""
    runs = x.reshape(sequences, -1, *x.shape[1:])  # (sequences, slices, 1, r, c)
    below = torch.cat([runs[:, :1], runs[:, :-1]], dim=1)
    above = torch.cat([runs[:, 1:], runs[:, -1:]], dim=1)
    return torch.cat([below, runs, above], dim=2).flatten(0, 1)


def _head(channels: int, classes: int) -> nn.Sequential:
    """Two 3 x 3 convolutions with batch normalisation and leaky ReLU 0.2, then 1 x 1 to the classes."""
    layers: list[nn.Module] = []
    for _ in range(2):
        layers += [nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, nn.Conv2d(channels, classes, 1))
