"""Score a scan by the networks: ONNX Runtime (or OpenVINO) alone, no torch.

The way: whole scan at 5 x 4 x 4 mm -> heart -> crop at the network's pixels -> class probabilities -> a label for each
voxel of the scan that can be calcium.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ctacal.arrays import Floats32, Mask
from ctacal.atomic import write_text
from ctacal.components import parts
from ctacal.dicom.jpeg2000 import cores
from ctacal.errors import Code, Refusal, UsageError
from ctacal.fields import from_fields
from ctacal.geometry import Geometry
from ctacal.heart import HeartMask, grown
from ctacal.labels import LabelMap
from ctacal.nn.calibration import Calibration, LesionDoubts, lesion_doubts, uncertainty_of
from ctacal.nn.classes import is_coronary
from ctacal.nn.config import NetworkConfig
from ctacal.nn.fitness import Figures, Range, doubts_about, figures_of
from ctacal.nn.gated import GatedScale
from ctacal.nn.grids import body_part, crop_grid, end_slices, index_map, network_view, resampled, whole_grid
from ctacal.nn.inputs import HEART_REACH_MM, MASS_VESSELS, heart_centre_index, heart_input, network_input
from ctacal.scores import ScoringRule
from ctacal.study import ModelInfo, Prediction
from ctacal.volume import Volume

WEIGHTS = Path(__file__).with_name("weights")
"""The model that ships with the package."""

MIN_HEART_ML = 100.0
"""What is found of a heart is at least this large, even where the scan cuts it off (own choice)."""

TISSUE_HU, MASS_ABOVE_HU = 40.0, 80.0
"""What lies where calcium is, unenhanced blood; and from where on a voxel holds enough more to be added up: noise
alone seldom reaches it (own choice; the networks are trained from 50 HU on)."""

CONTEXT_SLICES = 2
"""Slices without a candidate that the calcium network still sees at either end (own choice)."""

SHARP_GRAIN_MM, SHARP_NOISE_HU, SOFTENING_MM = 0.6, 25.0, 1.2
"""A scan with finer and louder noise than that comes from a kernel that enhances edges; a Gaussian of this SD brings it
to the resolution of soft-tissue kernels. Soft kernels read 0.7 mm and more (own choice, docs/log.md)."""

HU_PER_MG_CM3 = 1.28
"""Of hydroxyapatite at 120 kVp: 200 mg/cm3 reads 255 to 262 HU (the simulator's beam; QRM phantom). Other voltages are
not corrected for."""

Run = Callable[[Floats32], list[Floats32]]
"""A network: (slices, channels, rows, columns) -> its outputs."""

Box = tuple[slice, slice, slice]

Index = tuple[NDArray[np.int64], ...]
"""(slice, row, column) of some voxels."""


@dataclass(frozen=True, eq=False, slots=True)
class Stage:
    """One network, ready to run."""

    run: Run
    config: NetworkConfig
    classes: tuple[int, ...]
    """The label value of each class."""


@dataclass(frozen=True, eq=False, slots=True)
class Found:
    """What the networks give for one scan, before it is decided what counts."""

    volume: Volume
    rule: ScoringRule
    heart: HeartMask
    figures: Figures
    at: Index
    """(slice, row, column) of the candidates: voxels that can score."""
    probability: Floats32
    """(candidates, classes)."""
    mass_mg: Mapping[str, float] | None


@dataclass(frozen=True, eq=False, slots=True)
class Answer:
    """What the networks say of one scan."""

    labels: LabelMap
    """Only voxels at or above the threshold are labelled."""
    heart: HeartMask
    mass_mg: Mapping[str, float] | None
    """Mass by vessel (``excess_mass_mg``); None where no network ran, or it names no vessel."""
    certainty: float | None
    """Mean probability of being coronary, over the voxels labelled so; None without any."""
    doubts: LesionDoubts
    figures: Figures


@dataclass(frozen=True, eq=False, slots=True)
class Model:
    """Both stages; calling it makes it a ``study.Predictor``."""

    info: ModelInfo
    heart: Stage
    calcium: Stage
    card: Mapping[str, Any]
    calibration: Calibration | None = None
    """None: no probabilities of the categories are told."""
    gated_scale: GatedScale | None = None
    """None: no equivalent of a gated scan's score is told."""
    training_range: Range = field(default_factory=dict)
    least_coronary: float = 0.5
    """A voxel counts from this probability of being coronary on."""

    def watched(self, by: Callable[[Run], Run]) -> "Model":
        """The same model, each network called through ``by``: to time it, or to see what it is given."""
        heart, calcium = (replace(stage, run=by(stage.run)) for stage in (self.heart, self.calcium))
        return replace(self, heart=heart, calcium=calcium)

    def __call__(self, volume: Volume, rule: ScoringRule) -> Prediction:
        """Raises ``Refusal`` (``HEART_NOT_FOUND``)."""
        answer = self.answer(volume, rule)
        told = uncertainty_of(answer.doubts, self.calibration) if self.calibration else {}
        told |= {"coronary_certainty": answer.certainty} if answer.certainty is not None else {}
        told |= {f"excess_mass_mg_{vessel}": mg for vessel, mg in (answer.mass_mg or {}).items()}
        if self.gated_scale:
            mass_mg = sum((answer.mass_mg or {}).values())
            told["gated_equivalent_agatston"] = self.gated_scale.agatston(mass_mg, answer.doubts.score)
        reasons = tuple(doubts_about(answer.figures, self.training_range))
        return Prediction(answer.labels, self.info, answer.heart, told or None, reasons, asdict(answer.figures))

    def answer(self, volume: Volume, rule: ScoringRule) -> Answer:
        """Label the voxels of a canonical volume at or above the rule's threshold. Raises ``Refusal``."""
        return self.answered(self.find(volume, rule))

    def find(self, volume: Volume, rule: ScoringRule) -> Found:
        """Run the networks on a canonical volume. Raises ``Refusal`` (``HEART_NOT_FOUND``)."""
        heart = locate_heart(volume, self.heart)
        figures = figures_of(volume, heart)
        seen = _as_soft_kernel(volume, figures)
        at = _candidates(seen, heart, rule.threshold_hu)
        at = tuple(index[volume.hu[at] >= rule.threshold_hu] for index in at)
        probability, mass_mg = self._calcium_at(seen, heart, at)
        return Found(volume, rule, heart, figures, at, probability, mass_mg)

    def answered(self, found: Found) -> Answer:
        """What counts: voxels whose probability of being coronary reaches ``least_coronary``; then the likeliest."""
        values = np.asarray(self.calcium.classes, np.uint8)
        is_coronary_class = np.array([is_coronary(int(label)) for label in values])
        chance = found.probability[:, is_coronary_class].sum(axis=1)  # (candidates,)
        coronary = chance >= self.least_coronary
        allowed = is_coronary_class == coronary[:, None]  # (candidates, classes)
        taken = np.where(allowed, found.probability, -1.0).argmax(axis=1)
        labels = np.zeros(found.volume.geometry.shape, np.uint8)
        labels[found.at] = values[taken]
        return Answer(
            labels=LabelMap(labels, found.volume.geometry),
            heart=found.heart,
            mass_mg=found.mass_mg,
            certainty=float(chance[coronary].mean()) if coronary.any() else None,
            doubts=_doubts(found, coronary, chance),
            figures=found.figures,
        )

    def _calcium_at(self, volume: Volume, heart: HeartMask, at: Index) -> tuple[Floats32, dict[str, float] | None]:
        """Class probabilities at voxels (candidates, classes), and the mass by vessel; nothing to ask, no network."""
        if not at[0].size:
            return np.zeros((0, len(self.calcium.classes)), np.float32), None
        grid = _about(at, crop_grid(heart, self.calcium.config.pixel_mm, self.calcium.config.multiple), heart.geometry)
        hu = resampled(volume.hu, volume.geometry, grid, fill=None)
        inside = resampled(heart.mask, volume.geometry, grid, fill=0.0) >= 0.5
        box = heart.bounding_box
        centre = heart_centre_index(heart.mask[box]) + [part.start for part in box]  # of all, whatever is looked at
        start, step = index_map(volume.geometry, grid)
        x = network_input(hu, inside, (centre - start) / step, grid.spacing_mm, self.calcium.config)
        probability = self.calcium.run(x)[0]
        near = along_slices(grown(inside, HEART_REACH_MM, grid.spacing_mm[1]), end_slices(heart.geometry))
        mass_mg = excess_mass_mg(hu, probability, near, self.calcium.classes, grid.voxel_volume_mm3)
        return _sampled(probability, volume.geometry, grid, at), mass_mg


def _as_soft_kernel(volume: Volume, figures: Figures) -> Volume:
    """What the calcium network looks at: where an edge-enhancing kernel made the scan, a blurred copy.

    Such kernels (of lungs and bones) lift every border of fat and noise alike above 130 HU. Only where calcium lies is
    taken from the copy; what it scores, from the scan's own HU.
    """
    if figures.noise_grain_mm is None or figures.noise_sd_hu is None:
        return volume
    if figures.noise_grain_mm >= SHARP_GRAIN_MM or figures.noise_sd_hu < SHARP_NOISE_HU:
        return volume
    from scipy import ndimage

    sd = [0.0, *(SOFTENING_MM / mm for mm in volume.geometry.spacing_mm[1:])]
    return Volume(np.asarray(ndimage.gaussian_filter(volume.hu.astype(np.float32), sd), np.float32), volume.geometry)


def _about(at: Index, grid: Geometry, scan: Geometry) -> Geometry:
    """The part of the grid whose slices hold candidates, and ``CONTEXT_SLICES`` beyond: elsewhere nothing is asked."""
    first = round(float(index_map(scan, grid)[0][0]))
    low, high = int(at[0].min()) - first - CONTEXT_SLICES, int(at[0].max()) - first + CONTEXT_SLICES + 1
    slices, rows, columns = grid.shape
    return grid.crop((slice(max(0, low), min(slices, high)), slice(0, rows), slice(0, columns)))


def _doubts(found: Found, coronary: NDArray[np.bool_], chance: Floats32) -> LesionDoubts:
    """Of the candidates, ``coronary`` being those that count, on the part of the scan that holds them."""
    at, shape = found.at, found.volume.hu.shape
    starts = [int(index.min(initial=n - 1)) for index, n in zip(at, shape, strict=True)]
    stops = [int(index.max(initial=start)) + 1 for index, start in zip(at, starts, strict=True)]
    part = found.volume.crop((slice(starts[0], stops[0]), slice(starts[1], stops[1]), slice(starts[2], stops[2])))
    inside = tuple(index - start for index, start in zip(at, starts, strict=True))
    counted, chances = np.zeros(part.hu.shape, bool), np.zeros(part.hu.shape, np.float32)
    counted[inside], chances[inside] = coronary, chance
    return lesion_doubts(part, counted, chances, found.rule, found.figures.noise_sd_hu or 0.0)


def load_model(
    folder: Path = WEIGHTS, *, threads: int | None = None, runtime: Literal["onnxruntime", "openvino"] = "onnxruntime"
) -> Model:
    """Read a model folder (``export.export``) and check its digests; ``threads`` defaults to the cores at hand.

    Raises ``UsageError`` where a file is missing or not the one that the card names.
    """
    card = read_card(folder)
    start = RUNTIMES[runtime]
    threads = threads or cores()
    stages = {}
    digest = hashlib.sha256()
    beside = ThreadPoolExecutor(1)  # networks get ready while the scan is read
    for name in ("heart", "calcium"):
        entry = card["stages"][name]
        content = _checked_bytes(folder / entry["file"], entry["sha256"])
        digest.update(content)
        config = from_fields(NetworkConfig, entry["recipe"]["network"], f"{folder}: {name} network: ")
        stages[name] = Stage(_once_ready(beside.submit(start, content, threads)), config, tuple(entry["classes"]))
    beside.shutdown(wait=False)
    info = ModelInfo(card["name"], card["version"], digest.hexdigest())
    where, calibration, scale = f"{folder}/model.json: ", card.get("calibration"), card.get("gated_scale")
    return Model(
        info, stages["heart"], stages["calcium"], card,
        calibration=None if calibration is None else Calibration.from_json(calibration, f"{where}calibration: "),
        gated_scale=None if scale is None else GatedScale.from_json(scale, f"{where}gated_scale: "),
        training_range=_training_range(card.get("training_range", {}), where),
        least_coronary=_share(card.get("least_coronary", 0.5), f"{where}least_coronary"),
    )  # fmt: skip


def _once_ready(started: "Future[Run]") -> Run:
    return lambda x: started.result()(x)


def _training_range(known: Any, where: str) -> Range:
    try:
        return {name: (float(low), float(high)) for name, (low, high) in known.items()}
    except (AttributeError, TypeError, ValueError) as problem:
        raise UsageError(f"{where}training_range: expected two numbers for each figure ({problem})") from problem


def read_card(folder: Path = WEIGHTS) -> dict[str, Any]:
    """The model card. Raises ``UsageError`` where there is none."""
    try:
        card: dict[str, Any] = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise UsageError(f"{folder} holds no model ({problem})") from problem
    if card.get("format") != 1 or set(card.get("stages", ())) != {"heart", "calcium"}:
        raise UsageError(f"{folder}: model.json is of another format")
    return card


def _share(value: Any, where: str) -> float:
    if not isinstance(value, (int, float)) or not 0 < value < 1:
        raise UsageError(f"{where}: expected a number between 0 and 1, got {value!r}")
    return float(value)


def add_to_card(
    folder: Path,
    *,
    least_coronary: float,
    calibration: Calibration,
    training_range: Range,
    gated_scale: GatedScale | None = None,
) -> None:
    """Write what was measured after export to a model's card; the networks and their digest stay as they are."""
    known = {name: list(ends) for name, ends in training_range.items()}
    card = read_card(folder) | {"least_coronary": least_coronary, "calibration": calibration.to_json()}
    card |= {"training_range": known} | ({"gated_scale": gated_scale.to_json()} if gated_scale else {})
    write_text(folder / "model.json", json.dumps(card, indent=2) + "\n")


def _checked_bytes(path: Path, sha256: str) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as problem:
        raise UsageError(f"{path}: {problem.strerror}") from problem
    if hashlib.sha256(content).hexdigest() != sha256:
        raise UsageError(f"{path} is not the file that model.json names: its SHA-256 differs")
    return content


def _onnxruntime(content: bytes, threads: int) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    return lambda x: session.run(None, {"x": x})


def _openvino(content: bytes, threads: int) -> Run:
    import openvino

    core = openvino.Core()
    settings = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    network = core.compile_model(core.read_model(content), "CPU", settings)
    return lambda x: list(network(x).values())


RUNTIMES: dict[str, Callable[[bytes, int], Run]] = {"onnxruntime": _onnxruntime, "openvino": _openvino}
"""How each runtime starts a network, given the ONNX file's bytes."""


def locate_heart(volume: Volume, stage: Stage) -> HeartMask:
    """The heart on the scan's voxels: stage 1, its largest part.

    Raises ``Refusal`` (``HEART_NOT_FOUND``) where that is too small for one.
    """
    config = stage.config
    grid = whole_grid(volume.geometry, (config.slice_mm, config.pixel_mm, config.pixel_mm), config.multiple)
    hu = network_view(volume, grid)
    body = body_part(hu, config.multiple)
    hu, grid = hu[body], grid.crop(body)
    probability = stage.run(heart_input(hu))[0][:, 0]  # (slices, rows, columns)
    found = parts(probability >= 0.5, neighbours=6)
    largest = found.mask_of(np.arange(found.count) == (found.sizes.argmax() if found.count else 0))
    size_ml = float(np.count_nonzero(largest)) * grid.voxel_volume_mm3 / 1000.0
    if size_ml < MIN_HEART_ML:
        raise Refusal(
            Code.HEART_NOT_FOUND, f"the network finds {size_ml:.0f} mL of heart; score a CT that shows the heart"
        )
    return _on_scan(np.where(_with_rim(largest), probability, 0.0), grid, volume.geometry)


def _with_rim(mask: Mask) -> Mask:
    """One voxel more in plane: the interpolated border runs between the last inside and the first outside."""
    return grown(mask, 1.0, 1.0)


def _on_scan(probability: Floats32, grid: Geometry, scan: Geometry) -> HeartMask:
    """Half probability, interpolated, on the part of the scan that holds it."""
    mask = np.zeros(scan.shape, bool)
    start, step = index_map(scan, grid)
    box = []
    for axis, n in enumerate(scan.shape):
        others = tuple(other for other in range(3) if other != axis)
        at = np.flatnonzero((probability > 0).any(axis=others))
        low = start[axis] + step[axis] * (at[0] - 1)
        high = start[axis] + step[axis] * (at[-1] + 1)
        box.append(slice(max(0, int(np.floor(low))), min(n, int(np.ceil(high)) + 1)))
    part = (box[0], box[1], box[2])
    mask[part] = resampled(probability, grid, scan.crop(part), fill=0.0) >= 0.5
    return HeartMask(mask, scan)


def _candidates(volume: Volume, heart: HeartMask, threshold_hu: float) -> Index:
    """(slice, row, column) of the voxels at or above the threshold in the heart, just beside, above or below it."""
    box = _box_around(heart)
    near = along_slices(
        grown(heart.mask[box], HEART_REACH_MM, heart.geometry.spacing_mm[1]), end_slices(heart.geometry)
    )
    found = np.nonzero(near & (volume.hu[box] >= threshold_hu))
    return tuple(index + part.start for index, part in zip(found, box, strict=True))


def _box_around(heart: HeartMask) -> Box:
    """The heart's box, wider by ``HEART_REACH_MM`` in plane and by ``end_slices`` at either end."""
    slices, *plane = heart.bounding_box
    beyond = end_slices(heart.geometry)
    slices = slice(max(0, slices.start - beyond), slices.stop + beyond)
    reach = [int(np.ceil(HEART_REACH_MM / mm)) for mm in heart.geometry.spacing_mm[1:]]
    rows, columns = (slice(max(0, one.start - by), one.stop + by) for one, by in zip(plane, reach, strict=True))
    return slices, rows, columns


def along_slices(mask: Mask, slices: int) -> Mask:
    """Each slice with what the ``slices`` below and above it hold."""
    wide = mask.copy()
    for by in range(1, slices + 1):
        wide[by:] |= mask[:-by]
        wide[:-by] |= mask[by:]
    return wide


def excess_mass_mg(
    hu: Floats32, probability: Floats32, near: Mask, classes: tuple[int, ...], voxel_mm3: float
) -> dict[str, float] | None:
    """Mass of hydroxyapatite by vessel, from what calcium adds to each voxel; None where no vessel is named.

    ``hu`` and ``near`` (the heart) are (slices, rows, columns), ``probability`` (slices, classes, rows, columns). Blur
    spreads calcium but keeps its sum, so voxels below the threshold of the score are added up too.
    """
    if not set(MASS_VESSELS) <= set(classes):
        return None
    slices, rows, columns = np.nonzero(near & (hu >= MASS_ABOVE_HU))  # few: all else is left untouched
    coronary = np.array([is_coronary(label) for label in classes])
    chance = probability[slices, :, rows, columns][:, coronary]  # (voxels, coronary classes)
    excess = (hu[slices, rows, columns] - TISSUE_HU) * (chance.sum(axis=1) >= 0.5)
    vessel = np.asarray(classes)[coronary][chance.argmax(axis=1)]
    mg_per_hu = voxel_mm3 / 1000 / HU_PER_MG_CM3
    return {one.name: round(float(excess[vessel == one].sum()) * mg_per_hu, 2) for one in MASS_VESSELS}


def _sampled(probability: Floats32, scan: Geometry, grid: Geometry, at: Index) -> Floats32:
    """(candidates, classes): class probabilities at voxels of the scan, linear in plane; slices are the same."""
    start, step = index_map(scan, grid)
    slices, rows, columns = ((index - first) / by for index, first, by in zip(at, start, step, strict=True))
    number = np.rint(slices).astype(np.int64)
    r, c = (np.clip(place, 0, n - 1) for place, n in zip((rows, columns), probability.shape[2:], strict=True))
    r0, c0 = (np.minimum(place.astype(np.int64), n - 2) for place, n in zip((r, c), probability.shape[2:], strict=True))
    fr, fc = (r - r0)[:, None].astype(np.float32), (c - c0)[:, None].astype(np.float32)
    upper = probability[number, :, r0, c0] * (1 - fc) + probability[number, :, r0, c0 + 1] * fc
    lower = probability[number, :, r0 + 1, c0] * (1 - fc) + probability[number, :, r0 + 1, c0 + 1] * fc
    return np.asarray(upper * (1 - fr) + lower * fr, np.float32)
