"""The output of a network in training, the same for every kind of network."""

from typing import NamedTuple

from torch import Tensor


class Output(NamedTuple):
    """The output of one forward pass; what a network does not have is None."""

    logits: Tensor
    """(slices, classes, rows, columns); the heart network's single class is heart against the rest."""
    mass_mg: Tensor | None = None
    """(slices, 4): true calcium mass of LM, LAD, LCX, RCA in each slice."""
    heart: Tensor | None = None
    """(slices, 1, rows, columns): logit of the heart, if the network finds it too."""
