"""A model folder without training: its graphs are written by hand, which takes no time."""

import dataclasses
import hashlib
import json
from pathlib import Path

import onnx
from onnx import TensorProto, helper

from ctacal.labels import Calcium
from ctacal.nn.classes import BY_VESSEL
from ctacal.nn.config import NetworkConfig, Recipe

OPSET = 20


def write_hand_model(folder: Path, name: str = "by hand", vessel: Calcium = Calcium.LAD) -> Path:
    """Write a model for which soft tissue is the heart, and everything bright in it belongs to ``vessel``."""
    folder.mkdir(parents=True, exist_ok=True)
    stages = {
        "heart": _stage(folder / "heart.onnx", _heart(), NetworkConfig.heart(), (0, 1)),
        "calcium": _stage(folder / "calcium.onnx", _calcium(vessel), NetworkConfig(mass_head=False), BY_VESSEL),
    }
    card = {"format": 1, "name": name, "version": "1.2", "stages": stages, "facts": {}}
    (folder / "model.json").write_text(json.dumps(card))
    return folder


def _stage(path: Path, graph: onnx.GraphProto, network: NetworkConfig, classes: tuple[int, ...]) -> dict[str, object]:
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    recipe = dataclasses.asdict(Recipe(name=path.stem, network=network))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return {"file": path.name, "sha256": digest, "classes": list(map(int, classes)), "recipe": recipe}


def _heart() -> onnx.GraphProto:
    """(HU + 300) / 300 of its window, between 0 and 1: half way at -150 HU."""
    nodes = [
        helper.make_node("Add", ["x", "half"], ["shifted"]),
        helper.make_node("Clip", ["shifted", "zero", "one"], ["probability"]),
    ]
    return _graph(nodes, {"half": [0.5], "zero": [0.0], "one": [1.0]}, channels=1, classes=1)


def _calcium(vessel: Calcium) -> onnx.GraphProto:
    """The same answer everywhere: probability 1 of that vessel."""
    answer = [float(label == vessel) for label in BY_VESSEL]
    nodes = [
        helper.make_node("Slice", ["x", "first", "second", "axis"], ["one_channel"]),
        helper.make_node("Mul", ["one_channel", "nothing"], ["zeros"]),
        helper.make_node("Add", ["zeros", "answer"], ["probability"]),
    ]
    graph = _graph(nodes, {"nothing": [0.0]}, channels=8, classes=len(BY_VESSEL))
    graph.initializer.append(helper.make_tensor("answer", TensorProto.FLOAT, (1, len(answer), 1, 1), answer))
    for name, value in (("first", 0), ("second", 1), ("axis", 1)):
        graph.initializer.append(helper.make_tensor(name, TensorProto.INT64, (1,), [value]))
    return graph


def _graph(
    nodes: list[onnx.NodeProto], numbers: dict[str, list[float]], *, channels: int, classes: int
) -> onnx.GraphProto:
    sides = ("slices", "rows", "columns")
    shapes = {"x": (sides[0], channels, *sides[1:]), "probability": (sides[0], classes, *sides[1:])}
    x, probability = (helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items())
    values = [helper.make_tensor(name, TensorProto.FLOAT, (), value) for name, value in numbers.items()]
    return helper.make_graph(nodes, "by hand", [x], [probability], values)
