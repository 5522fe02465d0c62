"""The card of a model, ``model.json``: read, checked and written. No torch.

``export`` writes the names, the files with their digests, and the recipes. ``ctacal calibrate`` adds what was measured
afterwards on validation studies: ``Measured``.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ctacal.atomic import write_text
from ctacal.errors import UsageError
from ctacal.fields import from_fields
from ctacal.nn.calibration import Calibration
from ctacal.nn.fitness import TrainingRange
from ctacal.nn.gated import GatedScale
from ctacal.nn.mass import MassScale
from ctacal.nn.planes import SUFFIX, from_planes
from ctacal.scores import SCCT_2016, ScoringRule

CARD_NAME = "model.json"

FORMAT = 1
"""Version of the card's layout."""

STAGES = ("heart", "calcium", "plaque")
"""The networks of a model, in the order in which they run; models of ctacal 0.3 and before lack the last."""

NEEDED_STAGES = {"heart", "calcium"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What was measured on validation studies after export."""

    least_coronary: float = 0.5
    """An island of bright voxels counts if its probability of being coronary is at least this."""
    least_small: float | None = None
    """The same for the smallest islands (``islands.least_probability``); None: as for large ones."""
    calibration: Calibration | None = None
    """None: results hold no probabilities of the categories."""
    training_range: TrainingRange = field(default_factory=dict)
    gated_scale: GatedScale | None = None
    """None: results hold no equivalent of a gated scan's score."""
    mass_scale: MassScale | None = None
    """None: mass is what voxels add (``mass.excess_mass_mg``)."""
    rule: ScoringRule = SCCT_2016
    """The scoring rule under which calibration and scales were fitted: they hold for no other."""

    def to_json(self) -> dict[str, Any]:
        """Return the entries of the card; what was not measured is left out."""
        known = {name: list(ends) for name, ends in self.training_range.items()}
        entries: dict[str, Any] = {"least_coronary": self.least_coronary}
        entries |= {} if self.least_small is None else {"least_small": self.least_small}
        entries |= {"calibration": self.calibration.to_json()} if self.calibration else {}
        entries |= {"training_range": known}
        entries |= {"gated_scale": self.gated_scale.to_json()} if self.gated_scale else {}
        entries |= {"mass_scale": self.mass_scale.to_json()} if self.mass_scale else {}
        return entries | {"rule": self.rule.to_json()}

    @classmethod
    def from_card(cls, card: Mapping[str, Any], where: str = "") -> "Measured":
        """Read the entries of a card, each of which may be missing. Raises ``UsageError`` naming a wrong one."""
        calibration, scale, rule = card.get("calibration"), card.get("gated_scale"), card.get("rule")
        small, mass = card.get("least_small"), card.get("mass_scale")
        return cls(
            least_coronary=_share(card.get("least_coronary", 0.5), f"{where}least_coronary"),
            least_small=None if small is None else _share(small, f"{where}least_small"),
            calibration=None if calibration is None else Calibration.from_json(calibration, f"{where}calibration: "),
            training_range=_training_range(card.get("training_range", {}), where),
            gated_scale=None if scale is None else GatedScale.from_json(scale, f"{where}gated_scale: "),
            mass_scale=None if mass is None else MassScale.from_json(mass, f"{where}mass_scale: "),
            rule=SCCT_2016 if rule is None else from_fields(ScoringRule, rule, f"{where}rule: "),
        )


def read_card(folder: Path) -> dict[str, Any]:
    """Read the card of a model folder. Raises ``UsageError`` if there is none, or it has another format."""
    try:
        card: dict[str, Any] = json.loads((folder / CARD_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise UsageError(f"{folder} holds no model ({problem})") from problem
    if card.get("format") != FORMAT or not NEEDED_STAGES <= set(card.get("stages", ())) <= set(STAGES):
        raise UsageError(f"{folder}: {CARD_NAME} has another format")
    return card


def write_card(folder: Path, card: Mapping[str, Any]) -> Path:
    """Write the card, whole or not at all; returns its path."""
    write_text(folder / CARD_NAME, json.dumps(card, indent=2) + "\n")
    return folder / CARD_NAME


def add_to_card(folder: Path, measured: Measured) -> None:
    """Write what was measured after export to a model's card, in place of all that was measured before.

    The networks and their digest stay as they are.
    """
    kept = {name: entry for name, entry in read_card(folder).items() if name not in Measured.__slots__}
    write_card(folder, kept | measured.to_json())


def onnx_bytes(folder: Path, stage: str) -> bytes:
    """Read a network of a model as ONNX, for any runtime. An installed wheel holds it as planes (``planes``).

    Args:
        folder: A model folder, as ``load_model`` reads it.
        stage: ``heart`` or ``calcium``.

    Returns:
        The content of the ONNX file.

    Raises:
        UsageError: There is no such file, or its SHA-256 is not the card's.

    Example:
        >>> from ctacal.nn.predict import WEIGHTS
        >>> len(onnx_bytes(WEIGHTS, "heart")) > 1_000_000
        True
    """
    entry = read_card(folder)["stages"][stage]
    path = folder / entry["file"]
    packed = path.with_name(path.name + SUFFIX)
    try:
        content = path.read_bytes() if path.exists() or not packed.exists() else from_planes(packed.read_bytes())
    except OSError as problem:
        raise UsageError(f"{path}: {problem.strerror}") from problem
    if hashlib.sha256(content).hexdigest() != entry["sha256"]:
        raise UsageError(f"{path} is not the file that {CARD_NAME} names: its SHA-256 differs")
    return content


def _training_range(entry: Any, where: str) -> TrainingRange:
    try:
        return {name: (float(low), float(high)) for name, (low, high) in entry.items()}
    except (AttributeError, TypeError, ValueError) as problem:
        raise UsageError(f"{where}training_range: expected two numbers for each figure ({problem})") from problem


def _share(value: Any, where: str) -> float:
    if not isinstance(value, (int, float)) or not 0 < value < 1:
        raise UsageError(f"{where}: expected a number between 0 and 1, got {value!r}")
    return float(value)
