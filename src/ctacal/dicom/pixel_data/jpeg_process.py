"""``python -m ctacal.dicom.pixel_data.jpeg_process``: decodes JPEG with loss by GDCM, for the process that started it.

GDCM ends the whole process on some damaged images of 12 bits (an exception in C++ that nobody catches), and it prints.
Here it ends only this one. Each image on standard input is answered with its pixels, or with a message.
"""

import atexit
import os
import pickle
import subprocess
import sys
import threading

_lock = threading.Lock()
_running: "list[subprocess.Popen[bytes]]" = []
"""The process that decodes for this one, if there is one."""


def decoded_apart(code_stream: bytes, rows: int, columns: int, bits: int) -> bytes:
    """Decode an image of JPEG with loss in another process. Raises ``ValueError`` if it is damaged."""
    with _lock:
        try:
            return _answer(code_stream, rows, columns, bits)
        except (OSError, EOFError, pickle.UnpicklingError) as problem:
            _end()
            raise ValueError("the decoder of JPEG ended on this image") from problem


def end_decoder() -> None:
    """End the other process, if there is one."""
    with _lock:
        _end()


def _answer(*image: object) -> bytes:
    if not _running:
        command = [sys.executable, "-P", "-m", __name__]
        pipe = subprocess.PIPE
        _running.append(subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL))
    process = _running[0]
    assert process.stdin is not None and process.stdout is not None
    pickle.dump(image, process.stdin)
    process.stdin.flush()
    answer: bytes | str = pickle.load(process.stdout)
    if isinstance(answer, str):
        raise ValueError(answer)
    return answer


def _end() -> None:
    while _running:
        process = _running.pop()
        process.kill()
        process.communicate()


atexit.register(end_decoder)


def main() -> None:
    """Answer until standard input ends."""
    from ctacal.dicom.pixel_data.codecs import JPEG_EXTENDED, by_gdcm

    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # keeps the decoder's prints out of the answers
    while True:
        try:
            image = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        answer: bytes | str
        try:
            answer = by_gdcm(JPEG_EXTENDED, *image)
        except Exception as problem:
            answer = str(problem)
        pickle.dump(answer, answers, pickle.HIGHEST_PROTOCOL)
        answers.flush()


if __name__ == "__main__":
    main()
