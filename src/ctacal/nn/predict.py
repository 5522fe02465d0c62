"""Score a scan by the networks: ``load_model`` gives a ``Model``, which is a ``prediction.Predictor``. No torch.

The way: whole scan at 5 x 4 x 4 mm -> heart (``heart_stage``) -> thin slices averaged, sharp kernels smoothed
(``view``) -> crop at the network's pixels -> class probabilities (``calcium_stage``) -> islands of voxels that can be
calcium (``islands``) -> what each island is (``plaque_stage``) -> which of them count.
"""

import hashlib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ctacal.arrays import Bytes, Floats32, Mask
from ctacal.cores import cores
from ctacal.fields import from_fields
from ctacal.heart import HeartMask
from ctacal.labels import LabelMap
from ctacal.nn.anatomy_stage import AnatomyMap
from ctacal.nn.calcium_stage import Index, classify
from ctacal.nn.calibration import Calibration, LesionDoubts, category_probabilities, interval, lesion_doubts
from ctacal.nn.card import Measured, onnx_bytes, read_card
from ctacal.nn.classes import Classes
from ctacal.nn.config import NetworkConfig
from ctacal.nn.coverage import cut_off
from ctacal.nn.fitness import TrainingRange, doubts_about, figures_of
from ctacal.nn.gated import GatedScale
from ctacal.nn.inputs import MASS_VESSELS
from ctacal.nn.islands import Weighed, weigh
from ctacal.nn.locate import heart_anywhere, locate
from ctacal.nn.mass import MassScale, island_excess_mg
from ctacal.nn.naming import taken_for
from ctacal.nn.plaque_stage import decided
from ctacal.nn.runtime import RUNTIMES, Run, RuntimeName, Stage, fastest_runtime, runtime_of, when_ready
from ctacal.nn.view import View, bright_voxels, faded, view_of
from ctacal.prediction import Interval, ModelInfo, Prediction, ScanFigures, Uncertainty
from ctacal.scores import SCCT_2016, ScoringRule
from ctacal.uncounted import Faded, Uncounted
from ctacal.volume import Volume

WEIGHTS = Path(__file__).with_name("weights")
"""The model that ships with the package."""


@dataclass(frozen=True, eq=False, slots=True)
class RawOutput:
    """The output of both networks on a scan, before the threshold of probability decides what counts."""

    volume: Volume
    rule: ScoringRule
    heart: HeartMask
    figures: ScanFigures
    """Image quality of the scan."""
    view: View
    """What the calcium network saw."""
    at: Index
    """(slice, row, column) of the candidates: voxels that can score."""
    probability: Floats32
    """(candidates, classes)."""
    mass_mg: Mapping[str, float] | None
    anatomy: AnatomyMap | None = None
    """None: stage 1 is a network of the heart alone, which knows no structures."""
    faded: Faded | None = None
    """What only the scan shows, and not the view; None: they are the same."""

    @property
    def seen(self) -> ScanFigures:
        """Image quality of what the calcium network saw: what resembles the training scans, or not."""
        return self.view.figures


@dataclass(frozen=True, eq=False, slots=True)
class Answer:
    """The labels of a scan, and what the networks estimate beside them."""

    labels: LabelMap
    """Only voxels at or above the rule's threshold are labelled."""
    heart: HeartMask
    mass_mg: Mapping[str, float] | None
    """Mass by vessel (``mass``); None if the calcium network did not run, or names no vessel."""
    certainty: float | None
    """Mean probability of being coronary, over the voxels labelled coronary; None if there are none."""
    doubts: LesionDoubts
    uncounted: Uncounted
    """The islands that were weighed and not counted."""
    figures: ScanFigures


@dataclass(frozen=True, eq=False, slots=True)
class Model:
    """The networks and what was measured of them. Calling it makes it a ``prediction.Predictor``.

    Example:
        >>> model = load_model(threads=1)
        >>> isinstance(model, Model), model.info.name, model.rule.name
        (True, 'ctacal-simulated', 'scct2016')
    """

    info: ModelInfo
    heart: Stage
    calcium: Stage
    card: Mapping[str, Any]
    plaque: Stage | None = None
    """None: islands are decided by the calcium network's answer for their voxels."""
    calibration: Calibration | None = None
    """None: results hold no probabilities of the categories."""
    gated_scale: GatedScale | None = None
    """None: results hold no equivalent of a gated scan's score."""
    mass_scale: MassScale | None = None
    """None: mass is what voxels add (``mass.excess_mass_mg``)."""
    training_range: TrainingRange = field(default_factory=dict)
    least_coronary: float = 0.5
    """An island counts if its probability of being coronary is at least this."""
    least_small: float | None = None
    """The same for the smallest islands (``islands.least_probability``); None: as for large ones."""
    rule: ScoringRule = SCCT_2016
    """The scoring rule under which calibration and scales were fitted: they hold for no other."""

    def watched(self, by: Callable[[Run], Run]) -> "Model":
        """Return the same model with each network wrapped by ``by``, to time it or to see its input."""
        heart, calcium = (replace(stage, run=by(stage.run)) for stage in (self.heart, self.calcium))
        plaque = replace(self.plaque, run=by(self.plaque.run)) if self.plaque else None
        return replace(self, heart=heart, calcium=calcium, plaque=plaque)

    def __call__(self, volume: Volume, rule: ScoringRule) -> Prediction:
        """Label a canonical volume. Raises ``Refusal`` (``HEART_NOT_FOUND``)."""
        raw = self.raw_output(volume, rule)
        answer = self.decide(raw)
        reasons = tuple(doubts_about(raw.seen, self.training_range))
        if raw.anatomy and (lacks := cut_off(raw.anatomy, raw.heart)):
            reasons = (*reasons, lacks)
        uncertainty = self._uncertainty(answer, rule)
        return Prediction(
            answer.labels, self.info, answer.heart, uncertainty, reasons, answer.figures, answer.uncounted
        )

    def heart_slices(self, volume: Volume) -> slice:
        """Return the slices of a canonical volume, coarse or not, that hold the heart: a ``whole_body.Locate``.

        Raises ``Refusal`` (``HEART_NOT_FOUND``).
        """
        return heart_anywhere(volume, self.heart).bounding_box[0]

    def _uncertainty(self, answer: Answer, rule: ScoringRule) -> Uncertainty | None:
        """Return how sure the answer is, without what was calibrated under a rule that scores differently."""
        mass_mg = answer.mass_mg or {}
        if not (self.calibration or self.gated_scale or mass_mg) and answer.certainty is None:
            return None
        uncertainty = Uncertainty(rule=self.rule, coronary_certainty=answer.certainty, excess_mass_mg=mass_mg)
        if not self.rule.scores_like(rule):
            return uncertainty
        if self.calibration:
            uncertainty = replace(
                uncertainty,
                category_probabilities=tuple(category_probabilities(answer.doubts, self.calibration).tolist()),
                interval=Interval(*interval(answer.doubts, self.calibration), self.calibration.coverage),
            )
        if self.gated_scale:
            gated = self.gated_scale.agatston(sum(mass_mg.values()), answer.doubts.score)
            uncertainty = replace(uncertainty, gated_equivalent_agatston=gated)
        return uncertainty

    def answer(self, volume: Volume, rule: ScoringRule) -> Answer:
        """Label the voxels of a canonical volume at or above the rule's threshold. Raises ``Refusal``."""
        return self.decide(self.raw_output(volume, rule))

    def raw_output(self, volume: Volume, rule: ScoringRule) -> RawOutput:
        """Run the networks on a canonical volume. Raises ``Refusal`` (``HEART_NOT_FOUND``)."""
        located = locate(volume, self.heart)
        heart, figures = located.heart, figures_of(volume, located.heart)
        view = view_of(volume, heart, figures)
        at = bright_voxels(volume, view, rule.threshold_hu)
        probability, mass_mg = classify(self.calcium, view.volume, view.heart, view.of(at), located.anatomy)
        hidden = faded(volume, heart, view, at, rule)
        return RawOutput(volume, rule, heart, figures, view, at, probability, mass_mg, located.anatomy, hidden)

    def weighed_by_voxels(self, raw: RawOutput) -> Weighed:
        """Return the islands of the candidates, weighed by the calcium network's answer for their voxels."""
        return weigh(raw.volume, raw.at, raw.probability, self.calcium.classes, raw.rule)

    def weighed(self, raw: RawOutput) -> Weighed:
        """Return the islands of the candidates, weighed by all that the model has."""
        by_voxels = self.weighed_by_voxels(raw)
        if self.plaque is None or raw.anatomy is None:
            return by_voxels
        return decided(by_voxels, raw.probability, raw.view.volume, raw.anatomy, raw.figures, self.plaque)

    def decide(self, raw: RawOutput) -> Answer:
        """Count an island if its probability of being coronary suffices; all its voxels get one vessel."""
        classes = self.calcium.classes
        weighed = self.weighed(raw)
        small = self.least_coronary if self.least_small is None else self.least_small
        counted = weighed.counted(self.least_coronary, small)
        values = np.asarray(classes, np.uint8)[weighed.likeliest(counted)]
        labels = np.zeros(raw.volume.geometry.shape, np.uint8)
        labels[raw.at] = values[weighed.islands.number]
        return Answer(
            labels=LabelMap(labels, raw.volume.geometry),
            heart=raw.heart,
            mass_mg=self._mass_mg(raw, weighed, counted, values),
            certainty=_mean_chance(weighed, counted),
            doubts=lesion_doubts(weighed, counted, raw.rule, raw.figures.noise_sd_hu or 0.0),
            uncounted=_uncounted(weighed, ~counted, classes, raw),
            figures=raw.figures,
        )

    def _mass_mg(self, raw: RawOutput, weighed: Weighed, counted: Mask, values: Bytes) -> Mapping[str, float] | None:
        """Return the mass by vessel: of the islands that count, whose labels are ``values``, if the scale is known."""
        if self.mass_scale is None or raw.mass_mg is None or not self.rule.scores_like(raw.rule):
            return raw.mass_mg
        mg = self.mass_scale.mass_mg(island_excess_mg(weighed.islands), raw.figures)
        return {vessel.name: round(float(mg[counted & (values == vessel)].sum()), 2) for vessel in MASS_VESSELS}


def load_model(folder: Path = WEIGHTS, *, threads: int | None = None, runtime: RuntimeName | None = None) -> Model:
    """Read a model folder (``export.export``) and check its digests.

    Args:
        folder: A model folder, as ``ctacal export`` and ``ctacal finetune`` write it; by default the model that ships.
        threads: Threads of the networks; by default the number of cores.
        runtime: ``onnxruntime``, ``openvino`` or ``openvino-bf16``; by default the fastest that is installed.

    Returns:
        The model, which is a predictor for ``score_study``. Its networks start in the background.

    Raises:
        UsageError: A file is missing, or is not the one that the card names.

    Example:
        >>> model = load_model()
        >>> model.info.name, model.least_coronary
        ('ctacal-simulated', 0.5)
    """
    card = read_card(folder)
    runtime = runtime or fastest_runtime()
    threads = threads or cores()
    digest = hashlib.sha256()
    background = ThreadPoolExecutor(1)  # the networks start while the scan is read
    stages = {}
    for name in card["stages"]:
        content = onnx_bytes(folder, name)
        digest.update(content)
        run = when_ready(background.submit(RUNTIMES[runtime_of(name, runtime)], content, threads))
        stages[name] = _stage(run, card, name, folder)
    background.shutdown(wait=False)
    measured = Measured.from_card(card, f"{folder}/model.json: ")
    return Model(
        ModelInfo(card["name"], card["version"], digest.hexdigest(), runtime),
        stages["heart"],
        stages["calcium"],
        card,
        stages.get("plaque"),
        calibration=measured.calibration,
        gated_scale=measured.gated_scale,
        mass_scale=measured.mass_scale,
        training_range=measured.training_range,
        least_coronary=measured.least_coronary,
        least_small=measured.least_small,
        rule=measured.rule,
    )


def load_locator(folder: Path = WEIGHTS, *, threads: int | None = None) -> Stage:
    """Read stage 1 of a model folder alone, for those who only want to know where the heart lies.

    Args:
        folder: A model folder; by default the model that ships with ctacal.
        threads: Threads of the network; None: one for each core.

    Returns:
        The network of stage 1, which ``ctacal.nn.locate.locate`` takes.

    Raises:
        UsageError: The folder holds no model, or one that does not fit this version.

    Example:
        >>> load_locator(threads=1).config.pixel_mm  # the heart needs no finer pixels
        4.0
    """
    run = RUNTIMES["onnxruntime"](onnx_bytes(folder, "heart"), threads or cores())
    return _stage(run, read_card(folder), "heart", folder)


def _stage(run: Run, card: Mapping[str, Any], name: str, folder: Path) -> Stage:
    entry = card["stages"][name]
    config = from_fields(NetworkConfig, entry["recipe"]["network"], f"{folder}: {name} network: ")
    return Stage(run, config, tuple(entry["classes"]))


def _mean_chance(weighed: Weighed, counted: Mask) -> float | None:
    """Return the mean probability of being coronary, over the voxels of the islands that count; None if none does."""
    voxels = weighed.islands.voxels[counted]
    return float(np.average(weighed.chance[counted], weights=voxels)) if voxels.size else None


def _uncounted(weighed: Weighed, left: Mask, classes: Classes, raw: RawOutput) -> Uncounted:
    islands = weighed.islands.of(left)
    kinds = None if weighed.kinds is None else weighed.kinds[left]
    names = taken_for(islands, weighed.probability[left], classes, raw.anatomy, kinds)
    return Uncounted(islands, names, weighed.chance[left], raw.faded)
