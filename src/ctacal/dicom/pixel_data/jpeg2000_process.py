"""``python -m ctacal.dicom.pixel_data.jpeg2000_process``: decodes JPEG 2000 for the process that started it.

It answers each code stream on standard input with its pixels, or an error message, on standard output. It imports as
little as possible (nothing else of ctacal), since its parent waits for its start.
"""

import os
import pickle
import sys
from typing import cast

from openjpeg.utils import decode_pixel_data


def main() -> None:
    """Answer until standard input ends."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # keeps the decoder's prints out of the answers
    while True:
        try:
            code_stream: bytes = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        answer: bytearray | str
        try:
            answer = cast(bytearray, decode_pixel_data(code_stream, version=2))
        except Exception as problem:
            answer = str(problem)
        pickle.dump(answer, answers, pickle.HIGHEST_PROTOCOL)
        answers.flush()


if __name__ == "__main__":
    main()
