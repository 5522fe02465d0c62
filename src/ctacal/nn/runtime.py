"""Run an exported network by ONNX Runtime or OpenVINO. No torch."""

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Literal

from ctacal.arrays import Floats32
from ctacal.nn.config import NetworkConfig

Run = Callable[[Floats32], list[Floats32]]
"""A network that is ready to run: (slices, channels, rows, columns) -> its outputs."""

RuntimeName = Literal["onnxruntime", "openvino"]


MAX_KEPT_SLICES = 40
"""Number of slices above which ONNX Runtime gives the memory of a run back. For no more than that, as in most CTACs, it
keeps 0.1 GB for the next scan, which saves 0.05 s (own choice)."""


@dataclass(frozen=True, eq=False, slots=True)
class Stage:
    """One network that is ready to run, with its configuration."""

    run: Run
    config: NetworkConfig
    classes: tuple[int, ...]
    """The label value of each class."""


def when_ready(started: "Future[Run]") -> Run:
    """Return a network that waits for its session at the first call."""
    return lambda x: started.result()(x)


def _onnxruntime(content: bytes, threads: int) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.enable_mem_pattern = False  # a pattern is planned for one shape; ours differ, and it takes twice the memory
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    giving_back = onnxruntime.RunOptions()
    giving_back.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
    return lambda x: session.run(None, {"x": x}, giving_back if len(x) > MAX_KEPT_SLICES else None)


def _openvino(content: bytes, threads: int) -> Run:
    import openvino

    core = openvino.Core()
    settings = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    network = core.compile_model(core.read_model(content), "CPU", settings)
    return lambda x: list(network(x).values())


RUNTIMES: dict[str, Callable[[bytes, int], Run]] = {"onnxruntime": _onnxruntime, "openvino": _openvino}
"""For each runtime, the function that starts a network from the bytes of its ONNX file and a number of threads."""
