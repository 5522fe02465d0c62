"""A model folder with random weights, to measure speed; its heart network returns the true heart."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from ctacal.heart import HeartMask
from ctacal.nn.calibration import Calibration
from ctacal.nn.config import NetworkConfig
from ctacal.nn.export import write_onnx
from ctacal.nn.grids import body_part, network_view, resampled, whole_grid
from ctacal.nn.networks import build, classes_of
from ctacal.volume import Volume


def write_random_model(folder: Path, volume: Volume, heart: HeartMask, calcium: NetworkConfig | None = None) -> Path:
    """Export both of our networks. The heart network runs in full, but returns ``heart``, for this scan only."""
    configs = {"heart": NetworkConfig.heart(), "calcium": calcium or NetworkConfig()}
    stages = {}
    for name, config in configs.items():
        path = folder / f"{name}.onnx"
        write_onnx(build(config).eval(), config, path)
        if name == "heart":
            _answer(path, heart_on_its_grid(volume, heart, config))
        stages[name] = {
            "file": path.name,
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "classes": [int(label) for label in classes_of(config)],
            "recipe": {"network": asdict(config)},
        }
    card = {"format": 1, "name": "random", "version": "0", "stages": stages, "calibration": Calibration().to_json()}
    (folder / "model.json").write_text(json.dumps(card))
    return folder


def heart_on_its_grid(volume: Volume, heart: HeartMask, config: NetworkConfig) -> np.ndarray:
    """Return (slices, 1, rows, columns): the output of a perfect heart network."""
    grid = whole_grid(volume.geometry, (config.slice_mm, config.pixel_mm, config.pixel_mm), config.multiple)
    body = body_part(network_view(volume, grid), config.multiple)
    return resampled(heart.mask, volume.geometry, grid.crop(body), fill=0.0)[:, None]


def _answer(path: Path, truth: np.ndarray) -> None:
    """Replace the network's output by ``truth``."""
    model = onnx.load(path)
    graph, said = model.graph, model.graph.output[0].name
    for node in graph.node:
        node.output[:] = ["said" if name == said else name for name in node.output]
    constants = {"nothing": np.zeros((), np.float32), "truth": truth.astype(np.float32)}
    graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
    graph.node.extend(
        [
            helper.make_node("Mul", ["said", "nothing"], ["silenced"]),
            helper.make_node("Add", ["silenced", "truth"], [said]),
        ]
    )
    onnx.save(model, path)
