"""A convolutional LSTM over the slices of a scan (Shi X et al., NeurIPS 2015), in one direction or both."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812, the name that torch users know


class ConvLSTM(nn.Module):
    """One direction, 3 x 3 kernels. The input's part of the gates is convolved for all slices at once."""

    def __init__(self, channels: int, hidden: int, *, to_feet: bool = False) -> None:
        super().__init__()
        self.hidden, self.to_feet = hidden, to_feet
        self.as_scan = False
        """For export: a loop in the graph, for any number of slices, instead of one copy for each slice."""
        self.of_input = nn.Conv2d(channels, 4 * hidden, 3, padding=1)
        self.of_hidden = nn.Conv2d(hidden, 4 * hidden, 3, padding=1, bias=False)
        with torch.no_grad():
            assert self.of_input.bias is not None
            self.of_input.bias[hidden : 2 * hidden] = 1.0  # the forget gate starts open (Jozefowicz 2015)

    def forward(self, x: Tensor) -> Tensor:
        """(sequences, slices, channels, rows, columns) -> the hidden state at every slice, in the same order."""
        gates = self.of_input(x.flatten(0, 1))  # (sequences x slices, 4 hidden, r, c)
        gates = gates.reshape(x.shape[0], x.shape[1], *gates.shape[1:]).transpose(0, 1)  # (slices, sequences, ...)
        states = self._scanned(gates) if self.as_scan else self._looped(gates)  # (slices, sequences, hidden, r, c)
        return states.transpose(0, 1)

    def _looped(self, gates: Tensor) -> Tensor:
        hidden = cell = gates.new_zeros(gates.shape[1], self.hidden, *gates.shape[3:])
        states = []
        for gate in reversed(gates.unbind()) if self.to_feet else gates.unbind():
            hidden, cell = self._step(gate, hidden, cell)
            states.append(hidden)
        return torch.stack(states[::-1] if self.to_feet else states)

    def _scanned(self, gates: Tensor) -> Tensor:
        from torch._higher_order_ops.scan import scan

        zero = torch.zeros(gates.shape[1], self.hidden, *gates.shape[3:], dtype=gates.dtype)

        def step(state: list[Tensor], gate: Tensor) -> tuple[list[Tensor], Tensor]:
            hidden, cell = self._step(gate, *state)
            return [hidden, cell], hidden.clone()

        states: Tensor = scan(step, [zero, zero.clone()], gates, dim=0, reverse=self.to_feet)[1]
        return states

    def _step(self, gate: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
        weight = self.of_hidden.weight
        enter, forget, leave, new = (gate + F.conv2d(hidden, weight, padding=1)).chunk(4, dim=1)
        cell = torch.sigmoid(forget) * cell + torch.sigmoid(enter) * torch.tanh(new)
        return torch.sigmoid(leave) * torch.tanh(cell), cell


class BothWays(nn.Module):
    """A ConvLSTM towards the head and another towards the feet, added to the input."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.to_head = ConvLSTM(channels, hidden)
        self.to_feet = ConvLSTM(channels, hidden, to_feet=True)
        self.fuse = nn.Sequential(
            nn.Conv2d(2 * hidden, channels, 1, bias=False), nn.BatchNorm2d(channels), nn.ReLU(inplace=True)
        )

    def forward(self, x: Tensor, sequences: int) -> Tensor:
        """(sequences x slices, channels, rows, columns) -> the same shape."""
        runs = x.reshape(sequences, -1, *x.shape[1:])
        both = torch.cat([self.to_head(runs), self.to_feet(runs)], dim=2).flatten(0, 1)  # (s, 2 hidden, r, c)
        fused: Tensor = self.fuse(both)
        return x + fused
