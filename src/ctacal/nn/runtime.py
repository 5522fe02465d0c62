"""Run an exported network by ONNX Runtime or OpenVINO. No torch."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import Literal

import numpy as np

from ctacal.arrays import Floats32
from ctacal.nn.config import NetworkConfig
from ctacal.nn.inputs import with_structures

Run = Callable[..., list[Floats32]]
"""A network that is ready to run: (slices, channels, rows, columns) -> its outputs. One that is told the structures
takes them as a second argument (slices, ``STRUCTURES``, rows / 4, columns / 4)."""

RuntimeName = Literal["onnxruntime", "openvino", "openvino-bf16"]
"""What runs the networks; the last multiplies in bfloat16, the calcium network alone (docs/log.md)."""

BF16_FLAGS = {"avx512_bf16", "amx_bf16"}
"""Names that Linux gives to the instructions that multiply bfloat16."""

PROCESSOR = Path("/proc/cpuinfo")
"""Where Linux describes the processor."""

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
    return lambda *inputs: started.result()(*inputs)


@cache
def _share_memory() -> None:
    """Let all sessions of the process take their memory from one arena: the calcium network uses again what the heart
    network has used, which saves 40 MB, and the time to fetch them from the system."""
    import onnxruntime as ort

    memory = ort.OrtMemoryInfo("Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT)
    ort.create_and_register_allocator(memory, ort.OrtArenaCfg(0, 0, -1, -1))  # as by default


def _onnxruntime(content: bytes, threads: int) -> Run:
    import onnxruntime

    _share_memory()
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.use_env_allocators", "1")
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.enable_mem_pattern = False  # a pattern is planned for one shape; ours differ, and it takes twice the memory
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    giving_back = onnxruntime.RunOptions()
    giving_back.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
    names = [value.name for value in session.get_inputs()]

    def run(x: Floats32, *more: Floats32) -> list[Floats32]:
        options = giving_back if len(x) > MAX_KEPT_SLICES else None
        outputs: list[Floats32] = session.run(None, dict(zip(names, _fitting(names, x, *more), strict=True)), options)
        return outputs

    return run


def _fitting(names: Sequence[str], x: Floats32, *more: Floats32) -> tuple[Floats32, ...]:
    """Return the inputs as the graph takes them: models of ctacal 0.2 take the structures as channels of ``x``."""
    return (with_structures(x, *more),) if len(names) == 1 and more else (x, *more)


def _openvino(content: bytes, threads: int, precision: Literal["f32", "bf16"] = "f32") -> Run:
    import openvino

    core = openvino.Core()
    settings = {
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": precision,
        "ENABLE_CPU_PINNING": False,  # several processes would be pinned to the same cores
    }
    network = core.compile_model(core.read_model(content), "CPU", settings)

    alone = Lock()

    names = [value.any_name for value in network.inputs]

    def run(x: Floats32, *more: Floats32) -> list[Floats32]:
        inputs = list(_fitting(names, x, *more))
        with alone:  # two threads would share one request, and its memory. Never release_memory(): after it, bfloat16
            return [
                np.array(output, np.float32) for output in network(inputs).values()
            ]  # gave wrong answers (2026.4.1)

    return run


RUNTIMES: dict[str, Callable[[bytes, int], Run]] = {
    "onnxruntime": _onnxruntime,
    "openvino": _openvino,
    "openvino-bf16": partial(_openvino, precision="bf16"),
}
"""For each runtime, the function that starts a network from the bytes of its ONNX file and a number of threads."""


def fastest_runtime() -> RuntimeName:
    """Return the fastest runtime: in bfloat16 if OpenVINO is installed and the processor has it (docs/speed.md)."""
    return "openvino-bf16" if find_spec("openvino") and multiplies_bf16() else "onnxruntime"


def multiplies_bf16() -> bool:
    """Whether the processor multiplies bfloat16. False if that is not known: on systems other than Linux."""
    try:
        lines = PROCESSOR.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return False
    flags = next((line for line in lines if line.startswith("flags")), "")
    return not BF16_FLAGS.isdisjoint(flags.split())


def runtime_of(stage: str, runtime: RuntimeName) -> RuntimeName:
    """Return what runs a stage: where bfloat16 is asked for, the heart is still located in float32.

    >>> runtime_of("heart", "openvino-bf16"), runtime_of("calcium", "openvino-bf16"), runtime_of("heart", "openvino")
    ('onnxruntime', 'openvino-bf16', 'openvino')
    """
    return "onnxruntime" if runtime == "openvino-bf16" and stage != "calcium" else runtime
