"""Which runtime runs a network: bfloat16 where OpenVINO is installed and the processor has it."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from ctacal.nn import runtime
from ctacal.nn.inputs import STRUCTURES, own_channels_of
from ctacal.nn.predict import WEIGHTS, load_model
from ctacal.nn.runtime import MAX_KEPT_SLICES, RUNTIMES, fastest_runtime, multiplies_bf16
from tests.nn.hand_model import write_hand_model

ZEN4 = "processor\t: 0\nflags\t\t: fpu avx2 avx512f avx512_bf16 avx512_vnni\nbugs\t\t: none\n"
ZEN3 = "processor\t: 0\nflags\t\t: fpu avx2 vaes\nbugs\t\t: avx512_bf16\n"
SAPPHIRE_RAPIDS = "flags\t\t: fpu amx_bf16 amx_tile\n"
ARM = "processor\t: 0\nFeatures\t: fp asimd bf16\n"


@pytest.mark.parametrize(
    ("cpuinfo", "has_it"), [(ZEN4, True), (ZEN3, False), (SAPPHIRE_RAPIDS, True), (ARM, False), (None, False)]
)
def test_what_the_processor_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cpuinfo: str | None, has_it: bool
) -> None:
    if cpuinfo is not None:
        (tmp_path / "cpuinfo").write_text(cpuinfo)
    monkeypatch.setattr(runtime, "PROCESSOR", tmp_path / "cpuinfo")
    assert multiplies_bf16() is has_it
    monkeypatch.setattr(runtime, "find_spec", lambda name: name)
    assert fastest_runtime() == ("openvino-bf16" if has_it else "onnxruntime")
    monkeypatch.setattr(runtime, "find_spec", lambda name: None)
    assert fastest_runtime() == "onnxruntime"


def test_only_the_calcium_network_is_in_bfloat16(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: dict[str, list[str]] = {}
    folder = write_hand_model(tmp_path / "model")
    names = {(folder / f"{name}.onnx").read_bytes(): name for name in ("heart", "calcium")}
    for kind in RUNTIMES:

        def start(content: bytes, threads: int, kind: str = kind) -> runtime.Run:
            started.setdefault(kind, []).append(names[content])
            return lambda x: [x]

        monkeypatch.setitem(RUNTIMES, kind, start)
    monkeypatch.setattr("ctacal.nn.predict.fastest_runtime", lambda: "openvino-bf16")
    model = load_model(folder)
    for stage in (model.heart, model.calcium):
        stage.run(np.zeros((1, 1, 1, 1), np.float32))
    assert started == {"onnxruntime": ["heart"], "openvino-bf16": ["calcium"]}
    assert model.info.runtime == "openvino-bf16"


@pytest.mark.parametrize("kind", list(RUNTIMES))
def test_answers_stay_the_same(kind: runtime.RuntimeName) -> None:
    """Of the shipped calcium network: for scans of other sizes in between, and in several threads at once."""
    if kind != "onnxruntime":
        pytest.importorskip("openvino", reason="OpenVINO is optional")
    content = (WEIGHTS / "calcium.onnx").read_bytes()
    config = load_model().calcium.config
    rng = np.random.default_rng(0)
    shapes = ((own_channels_of(config), 32, 48), (len(STRUCTURES), 8, 12))
    scans = [[rng.normal(size=(n, *shape)).astype(np.float32) for shape in shapes] for n in (3, MAX_KEPT_SLICES + 1, 2)]
    expected = [RUNTIMES["onnxruntime"](content, 1)(*inputs)[0] for inputs in scans]
    run = RUNTIMES[kind](content, 2)
    with ThreadPoolExecutor(3) as threads:
        found = [run(*inputs)[0] for inputs in scans] + list(threads.map(lambda inputs: run(*inputs)[0], scans * 3))
    for k, probability in enumerate(found):
        np.testing.assert_allclose(probability, expected[k % 3], atol=0.1 if kind == "openvino-bf16" else 1e-4)


def test_a_graph_that_takes_the_structures_as_channels_works_on() -> None:
    """As models of ctacal 0.2.0 do: this one gives back its only input."""
    import onnx
    from onnx import TensorProto, helper

    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ("n", "c", "r", "w")) for name in ("x", "y"))
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "channels", [x], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model)
    run = RUNTIMES["onnxruntime"](model.SerializeToString(), 1)
    own, structures = np.zeros((2, 3, 8, 12), np.float32), np.arange(2 * 8 * 6, dtype=np.float32).reshape(2, 8, 2, 3)
    seen = run(own, structures)[0]
    assert seen.shape == (2, 11, 8, 12) and not seen[:, :3].any()
    np.testing.assert_array_equal(seen[:, 3:, ::4, ::4], structures)
    np.testing.assert_array_equal(seen[:, 3:, 3::4, 3::4], structures)
