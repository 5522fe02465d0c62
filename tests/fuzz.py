"""Score corrupted copies of the sample that ships: no traceback, no INTERNAL_ERROR, no hang, no other score
without a note.

    python -m tests.fuzz --studies 2000 --seed 1

Each study has a fault in one, some or all of its files: in the bytes of the header, in any byte, or in the value of
an element. Half of the studies are compressed, as the sample is, the others are not. A worker process scores study
after study; one that dies, or is silent for ``PATIENCE_S``, is replaced.
"""

import argparse
import contextlib
import io
import json
import os
import random
import resource
import selectors
import subprocess
import sys
import tempfile
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pydicom.dataelem import DataElement

import ctacal
from ctacal.dicom.header import quiet_pydicom
from ctacal.dicom.series import read_studies
from ctacal.jobs.finders import networks
from ctacal.jobs.score import ScoreJob, score_intake

SAMPLE = Path(ctacal.__file__).parent / "sample" / "simulated_ctac.zip"
TRUE_AGATSTON = 432.3324
USUAL_NOTES = {"KVP_NOT_120", "PIXELS_UNLIKE_TRAINING"}
OUTPUTS = ("json", "html", "seg", "sr")
PATIENCE_S = 60.0
HEADER_BYTES = 1600
"""About the length of the sample's header."""


@lru_cache
def stored_files(*, compressed: bool) -> tuple[bytes, ...]:
    """Return the files of the sample, as they are stored or with uncompressed pixels."""
    with zipfile.ZipFile(SAMPLE) as archive:
        files = [archive.read(name) for name in sorted(archive.namelist()) if not name.endswith("/")]
    if compressed:
        return tuple(files)
    images = [dcmread(io.BytesIO(content)) for content in files]
    for image in images:
        image.decompress()
    return tuple(_written(image) for image in images)


def _written(image: Any) -> bytes:
    file = io.BytesIO()
    image.save_as(file)
    return file.getvalue()


def corrupted_study(seed: int, number: int) -> tuple[list[bytes], str]:
    """Return the files of a corrupted study, and what was done to it in words."""
    rng = random.Random(f"{seed} {number}")
    compressed = bool(number // 3 % 2)
    files = list(stored_files(compressed=compressed))
    kind, spoil = (("header", _spoiled_header), ("any byte", _spoiled_bytes), ("value", _spoiled_value))[number % 3]
    hit = rng.sample(range(len(files)), rng.choice([1, 1, 3, len(files)]))
    change = rng.random()  # the same element in all files that are hit
    for index in hit:
        files[index] = spoil(files[index], rng, change)
    return files, f"{'compressed' if compressed else 'native'}, {kind}, {len(hit)} files"


def _spoiled_header(content: bytes, rng: random.Random, _: float) -> bytes:
    return _spoiled(content, min(len(content), HEADER_BYTES), rng)


def _spoiled_bytes(content: bytes, rng: random.Random, _: float) -> bytes:
    return _spoiled(content, len(content), rng)


def _spoiled(content: bytes, end: int, rng: random.Random) -> bytes:
    spoiled, at = bytearray(content), rng.randrange(128, end)
    kind = rng.choice(["bit", "byte", "cut", "block", "length", "zero", "moved"])
    match kind:
        case "bit":
            spoiled[at] ^= 1 << rng.randrange(8)
        case "byte":
            spoiled[at] = rng.randrange(256)
        case "cut":
            del spoiled[at:]
        case "block":
            spoiled[at : at + 64] = rng.randbytes(rng.randrange(1, 64))
        case "length":
            spoiled[at : at + 4] = rng.choice([b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", bytes(4), b"\xfe\xff\xff\x7f"])
        case "zero":
            size = rng.randrange(1, 512)
            spoiled[at : at + size] = bytes(size)
        case _:
            size = rng.randrange(1, 4096)
            spoiled[at : at + size] = content[at + size : at + 2 * size]
    return bytes(spoiled)


ODD_VALUES: Sequence[Callable[[Any, random.Random], Any]] = (
    lambda old, rng: None,
    lambda old, rng: "",
    lambda old, rng: [old, old],
    lambda old, rng: "\\".join(str(rng.uniform(-1000, 1000))[:12] for _ in range(rng.randrange(1, 7))),
    lambda old, rng: str(-1),
    lambda old, rng: "0",
    lambda old, rng: "1e400",
    lambda old, rng: "NaN",
    lambda old, rng: "\x00\x1b[31m=cmd|' /C calc'!A0",
    lambda old, rng: "9" * 16,
)


def _spoiled_value(content: bytes, rng: random.Random, change: float) -> bytes:
    """Return the file with one element left out, or with another value."""
    image = dcmread(io.BytesIO(content))
    elements = [element for element in image if element.tag != 0x7FE00010]
    element = elements[int(change * len(elements))]
    old = element.value
    new = rng.choice(ODD_VALUES)(old, rng)
    if new is None:
        del image[element.tag]
    else:
        raw = "\\".join(map(str, new)) if isinstance(new, list) else new
        image[element.tag] = DataElement(element.tag, "LT" if element.VR != "SQ" else "UT", raw)
        image[element.tag].VR = "LO" if element.VR in ("US", "UI") else element.VR if isinstance(raw, str) else "LO"
    try:
        return _written(image)
    except Exception:  # pydicom does not write it: leave the element out instead
        image.pop(element.tag, None)
        try:
            return _written(image)
        except Exception:
            return content


@dataclass(frozen=True)
class Verdict:
    """What became of a study."""

    number: int
    what: str
    outcome: str
    """scored, refused, nothing; or a fault: silent, internal, crash, hang."""
    detail: str = ""


def judged(number: int, seed: int, job: ScoreJob, folder: Path) -> Verdict:
    """Corrupt, write and score a study."""
    files, what = corrupted_study(seed, number)
    source, out = folder / "in", folder / "out"
    for place in (source, out):
        place.mkdir(exist_ok=True)
        for old in sorted(place.rglob("*"), reverse=True):
            old.rmdir() if old.is_dir() else old.unlink()
    for index, content in enumerate(files):
        (source / f"{index:03}").write_bytes(content)
    try:
        run = score_intake(read_studies([source]), out, job)
    except Exception as problem:
        return Verdict(number, what, "crash", f"{type(problem).__name__}: {problem}")
    return _verdict(number, what, run.rows)


def _verdict(number: int, what: str, rows: Sequence[dict[str, Any]]) -> Verdict:
    for row in rows:
        if "INTERNAL_ERROR" in row["reason_codes"]:
            return Verdict(number, what, "internal", row["reasons"])
    for row in rows:
        other = row["status"] != "refused" and abs(float(row["agatston"]) - TRUE_AGATSTON) > 0.5
        if other and not set(row["reason_codes"].split()) - USUAL_NOTES:
            return Verdict(number, what, "silent", str(row["agatston"]))
    scored = any(row["status"] != "refused" for row in rows)
    codes = " ".join(row["reason_codes"] for row in rows)[:200]
    return Verdict(number, what, "scored" if scored else "refused" if rows else "nothing", codes)


def work(numbers: Iterator[int] | Sequence[int], seed: int) -> None:
    """Judge studies, and print a line of JSON for each."""
    job = ScoreJob(finder=networks(), outputs=OUTPUTS)
    with tempfile.TemporaryDirectory() as folder, quiet_pydicom():
        for number in numbers:
            verdict = judged(number, seed, job, Path(folder))
            print(json.dumps(verdict.__dict__), flush=True)


def verdicts(first: int, stop: int, seed: int) -> Iterator[Verdict]:
    """Judge studies in a worker process, which is replaced if it dies or hangs."""
    while first < stop:
        command = [sys.executable, "-m", "tests.fuzz", "--seed", str(seed), "--worker", str(first), str(stop)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as worker:
            assert worker.stdout is not None
            for line in _lines(worker.stdout.fileno()):
                verdict = Verdict(**json.loads(line))
                first = verdict.number + 1
                yield verdict
            ended = worker.poll() is not None or first == stop
            worker.kill()
        if first < stop:
            yield Verdict(first, corrupted_study(seed, first)[1], "crash" if ended else "hang")
            first += 1


def _lines(file: int) -> Iterator[bytes]:
    """Yield the lines that a process prints, until it ends or is silent for too long."""
    rest = b""
    with selectors.DefaultSelector() as selector:
        selector.register(file, selectors.EVENT_READ)
        while selector.select(PATIENCE_S):
            if not (part := os.read(file, 2**16)):
                return
            *lines, rest = (rest + part).split(b"\n")
            yield from lines


def main() -> int:
    """Print a line for each fault, and a total; exit status 1 if there is a fault."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--studies", type=int, default=2000)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--worker", type=int, nargs=2)
    options.add_argument("--all", action="store_true", help="print every study")
    given = options.parse_args()
    if given.worker:
        work(range(*given.worker), given.seed)
        return 0
    counts: Counter[str] = Counter()
    for verdict in verdicts(0, given.studies, given.seed):
        counts[verdict.outcome] += 1
        if given.all or verdict.outcome in ("silent", "internal", "crash", "hang"):
            print(verdict.number, verdict.what, verdict.outcome, verdict.detail, flush=True)
    peak_mb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"{given.studies} studies of seed {given.seed}: {dict(counts)}, peak {peak_mb:.0f} MB")
    return int(any(counts[fault] for fault in ("silent", "internal", "crash", "hang")))


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())
