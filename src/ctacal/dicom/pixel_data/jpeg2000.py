"""JPEG 2000 on all cores: each thread of ``decoding_threads`` has a process that decodes for it.

A frame of 512 x 512 takes 20 to 30 ms, ten times as long as any other step of reading, and the decoder holds Python's
lock meanwhile, so that threads alone would gain nothing. ``multiprocessing`` is not used, because its processes import
the caller's program again, which must be written for that.
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

from ctacal.cores import cores

MAX_PROCESSES = 4
"""Largest number of decoding processes; each takes 40 MB."""

_of_thread = threading.local()
"""``process``: the process that decodes for this thread, if there is one."""


@contextmanager
def decoding_threads() -> Iterator[ThreadPoolExecutor]:
    """Provide threads that decode JPEG 2000 side by side; work not begun when the block ends is dropped."""
    number = min(cores(), MAX_PROCESSES)
    processes = [process for _ in range(number) if (process := _start_process())]
    waiting = iter(processes)

    def take_process() -> None:
        _of_thread.process = next(waiting, None)

    threads = ThreadPoolExecutor(number, initializer=take_process)
    try:
        yield threads
    finally:
        threads.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            process.kill()  # its thread stops waiting too
        threads.shutdown()
        for process in processes:
            process.communicate()


def _start_process() -> "subprocess.Popen[bytes] | None":
    # -P: no module of the current folder
    command = [sys.executable, "-P", "-m", f"{__package__}.jpeg2000_process"]
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}  # numpy is imported, but calculates nothing
    pipe = subprocess.PIPE
    try:
        return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, env=environment)
    except OSError:  # inside another program, Python may not know its own executable
        return None


def decoded(code_stream: bytes) -> bytearray:
    """Return the pixels of a code stream, in 1, 2 or 4 bytes by its precision. Raises ``RuntimeError`` if broken."""
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
