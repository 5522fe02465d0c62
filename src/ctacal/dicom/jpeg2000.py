"""JPEG 2000 on all cores: each thread of ``decoding_threads`` has a process that decodes for it.

A frame of 512 x 512 takes 20 to 30 ms, ten times what any other step of reading takes, and the decoder keeps Python's
lock meanwhile, so threads alone would gain nothing. The processes are not those of ``multiprocessing``, which import
the caller's program again and need it to be written for that.

For pydicom this module is a decoding plugin like pylibjpeg's own; it differs in where the work is done.
"""

import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import cast

from openjpeg.utils import decode_pixel_data
from pydicom.pixels.decoders.base import DecodeRunner, JPEG2000Decoder, JPEG2000LosslessDecoder
from pydicom.pixels.decoders.pylibjpeg import DECODER_DEPENDENCIES, is_available

__all__ = [
    "DECODER_DEPENDENCIES",
    "PLUGIN",
    "cores",
    "decoding_threads",
    "is_available",
]  # pydicom asks for two of them

PLUGIN = "ctacal"

MAX_PROCESSES = 4
"""Each takes 40 MB."""

_of_thread = threading.local()
"""``process``: what decodes for this thread, if anything does."""


def cores() -> int:
    """Those that this process may use, where the system tells."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def decoding_threads() -> Iterator[ThreadPoolExecutor]:
    """Threads in which JPEG 2000 is decoded side by side; what is not begun when the block ends is left undone."""
    number = min(cores(), MAX_PROCESSES)
    processes = [process for _ in range(number) if (process := _start_process())]
    waiting = iter(processes)

    def take_one() -> None:
        _of_thread.process = next(waiting, None)

    threads = ThreadPoolExecutor(number, initializer=take_one)
    try:
        yield threads
    finally:
        threads.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            process.kill()  # ends a thread's waiting too
        threads.shutdown()
        for process in processes:
            process.communicate()


def _start_process() -> "subprocess.Popen[bytes] | None":
    command = [sys.executable, "-P", "-m", "ctacal.dicom.jpeg2000_process"]  # -P: no module of the current folder
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}  # numpy comes along, but calculates nothing
    pipe = subprocess.PIPE
    try:
        return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, env=environment)
    except OSError:  # inside another program Python may not know what started it
        return None


def decode_frame(code_stream: bytes, runner: DecodeRunner) -> bytearray:
    """What pydicom asks of a plugin. Raises ``RuntimeError`` where the code stream is broken."""
    precision = runner.get_option("j2k_precision", runner.bits_stored)
    runner.set_option("bits_allocated", next(bits for bits in (8, 16, 32) if precision <= bits))
    process = getattr(_of_thread, "process", None)
    if process is not None:
        try:
            return _decoded_by(process, code_stream)
        except (OSError, EOFError, pickle.UnpicklingError):  # it could not start, or ended: decode here
            _of_thread.process = None
    return cast(bytearray, decode_pixel_data(code_stream, version=2))


def _decoded_by(process: "subprocess.Popen[bytes]", code_stream: bytes) -> bytearray:
    assert process.stdin is not None and process.stdout is not None
    pickle.dump(bytes(code_stream), process.stdin)
    process.stdin.flush()
    answer: bytearray | str = pickle.load(process.stdout)
    if isinstance(answer, str):
        raise RuntimeError(answer)
    return answer


for _decoder in (JPEG2000Decoder, JPEG2000LosslessDecoder):
    _decoder.add_plugin(PLUGIN, (__name__, decode_frame.__name__))
