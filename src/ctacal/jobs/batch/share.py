"""``Share``: which shards of a run a runner works on, as ``--shard`` says it."""

import os
import re
from dataclasses import dataclass

from ctacal.errors import UsageError

INDEX = {"slurm": "SLURM_ARRAY_TASK_ID", "kubernetes": "JOB_COMPLETION_INDEX"}
"""The variable in which a scheduler tells a task its number, from 0."""


@dataclass(frozen=True, slots=True)
class Share:
    """Every ``parts``-th shard, from number ``index`` on."""

    index: int = 0
    parts: int = 1

    @property
    def text(self) -> str:
        """As ``--shard`` takes it."""
        return f"{self.index}/{self.parts}"

    def of(self, shards: int) -> range:
        """Return the numbers of its shards. Raises ``UsageError`` if there are fewer shards than parts."""
        if self.parts > shards:
            raise UsageError(
                f"--shard {self.text}: the plan has {shards} shards only; use at most {shards} parts, or plan with"
                f" --shards {self.parts}"
            )
        return range(self.index, shards, self.parts)


def share_from(text: str) -> Share:
    """Return the share that ``--shard`` states: ``3/100``, or ``slurm/100`` and ``kubernetes/100``.

    The last two read the number from the environment of an array's task. Raises ``UsageError``.

    >>> share_from("3/100").of(256)
    range(3, 256, 100)
    """
    found = re.fullmatch(r"(\d+|slurm|kubernetes)/(\d+)", text)
    if found is None:
        raise UsageError(f"--shard {text}: expected i/n with i from 0, slurm/n or kubernetes/n")
    index, parts = found[1], int(found[2])
    number = int(index) if index.isdecimal() else _from_environment(text, INDEX[index])
    if not 0 <= number < parts:
        raise UsageError(f"--shard {text}: the number is {number}, and must be from 0 to {parts - 1}")
    return Share(number, parts)


def _from_environment(text: str, name: str) -> int:
    value = os.environ.get(name, "")
    if not value.isdecimal():
        raise UsageError(f"--shard {text}: {name} is {value or 'not set'}; start this as a task of an array")
    return int(value)
