"""Print how fast the reader's page answers, and how long a scripted reader takes for a study.

    python benchmarks/reader_page.py [--rounds 5] [--studies 10000]

A real server and a real browser (Chromium, found by its name) without a graphics card. The scripted reader moves a real
mouse and presses real keys, with the delays of a person (keystroke-level model: 1.3 s to point and click, 0.3 s for a
key, 0.4 s to look at a slice), and knows the sample's true labels: it measures the page, not a person's skill. Medians;
the load of the machine stands first, since every figure grows with it.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.request import HTTPCookieProcessor, OpenerDirector, build_opener

import numpy as np
from page_reader import SAMPLES, Reader, Room, chromium, new_reader, room

from ctacal.geometry import CANONICAL_DIRECTIONS
from ctacal.labels import LabelMap
from ctacal.simulate.output.series import SeriesDescription, write_series
from ctacal.simulate.phantom.thorax import draw_thorax
from ctacal.volume import load_nifti, reoriented

if TYPE_CHECKING:
    from playwright.sync_api import Browser

CLICK_S, KEY_S, LOOK_S = 1.3, 0.3, 0.4
"""Delays of a person, from the keystroke-level model: point and click, press a key, look at a slice."""

SAMPLE = "simulated_ctac"
LARGE_SHAPE, LARGE_SPACING_MM = (64, 512, 512), (3.0, 0.8, 0.8)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--studies", type=int, default=10_000, help="length of the list whose memory is measured")
    asked = options.parse_args()
    browser_path = shutil.which("chromium")
    if browser_path is None:
        sys.exit("chromium is not installed (Debian: apt-get install chromium)")
    print(f"load of the machine {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores\n")
    with tempfile.TemporaryDirectory() as temporary, chromium(browser_path) as browser:
        folder = Path(temporary)
        print("the samples, 34 and 48 slices of 256 x 256:")
        measure_speed(browser, folder / "small", sorted(SAMPLES.glob("*.zip")), asked.rounds)
        print("phantoms, 64 slices of 512 x 512:")
        measure_speed(browser, folder / "large", large_scans(folder / "large" / "scans"), asked.rounds)
        read_as_a_person(browser, folder)
        measure_memory(folder, asked.studies)


def large_scans(folder: Path) -> list[Path]:
    """Two drawn phantoms of the size of a CTAC with fine pixels."""
    for seed in (1, 2):
        thorax = draw_thorax(LARGE_SHAPE, LARGE_SPACING_MM, seed=seed)
        write_series(thorax.volume, folder / str(seed), header=SeriesDescription(seed=seed))
    return [folder]


def report(what: str, values: list[float], unit: str, bar: str) -> None:
    """Print median and range of a figure, and what it should be."""
    low, middle, high = min(values), statistics.median(values), max(values)
    print(f"  {what:44} {middle:8.1f} {unit}   ({low:.1f} to {high:.1f}, n = {len(values)}; bar {bar})")


@contextmanager
def annotating(folder: Path, paths: list[Path], readers: int) -> Iterator[Room]:
    """A server on which several readers annotate some scans."""
    folder.mkdir(parents=True, exist_ok=True)
    names = [word for number in range(readers) for word in ("--reader", f"r{number}")]
    scans = [str(path) for path in paths]
    with room(folder, "annotate", *scans, "--readings", str(folder / "readings"), *names, readers=readers) as running:
        yield running


def times(reader: Reader, what: str) -> list[float]:
    """The page's own measures in ms: from a key or a button to the frame that answers it."""
    found = reader.page.evaluate(f"performance.getEntriesByName('ctacal:{what}').map((entry) => entry.duration)")
    return [float(value) for value in found]


def measure_speed(browser: "Browser", folder: Path, scans: list[Path], rounds: int) -> None:
    """First slice, score, slice and next study, by a new reader in each round."""
    with annotating(folder, scans, rounds) as running:
        first, score, drawing, slices, following = [], [], [], [], []
        for number in range(rounds):
            reader = new_reader(browser, running.links[f"r{number}"])
            first.append(first_slice_ms(reader))
            mark_all(reader)
            score += times(reader, "score")
            drawing += drawing_ms(reader)
            slices += turn_through(reader)
            following.append(next_study_ms(reader))
            reader.leave()
        report("page to first slice", first, "ms", "< 1000")
        report("click or key to new score", score, "ms", "< 50")
        report("slice change, work of all four views", drawing, "ms", "< 16")
        report("slice change, wheel to frame", slices, "ms", "16 for the next frame")
        report("next study, loaded ahead", following, "ms", "< 300")


def first_slice_ms(reader: Reader) -> float:
    """From the link, with its redirection, to the frame with the first slice."""
    return float(reader.page.evaluate("performance.getEntriesByName('ctacal:case')[0].duration"))


def mark_all(reader: Reader) -> None:
    for _ in range(min(10, len(reader.js("station.listed")))):
        reader.press("n", "2")
        reader.settle()


def drawing_ms(reader: Reader) -> list[float]:
    """Time that the page works to show another slice in all views."""
    script = """[...Array(40)].map((_, i) => {
      const begin = performance.now();
      station.scene.position = station.scene.position.map((at, axis) => at + (i % 2 ? 1 : -1));
      for (const view of station.viewports) view.draw();
      return performance.now() - begin;
    })"""
    return [float(value) for value in reader.js(script)]


def turn_through(reader: Reader) -> list[float]:
    heart = reader.js("station.reading.case.volume.heart")
    reader.scroll_to(heart["origin"][0])
    before = len(times(reader, "slice"))
    reader.scroll_to(heart["origin"][0] + heart["shape"][0] - 1)
    return times(reader, "slice")[before:]


def next_study_ms(reader: Reader) -> float:
    """From the key to the next case, which was loaded while this one was read."""
    reader.wait("window.ctacal.station.ahead.id")
    reader.js("station.ahead.heart")
    one = reader.case_id
    reader.press("Enter")
    reader.wait(f"window.ctacal.station.reading.id !== '{one}'")
    reader.wait_for_case()
    return times(reader, "case")[-1]


# ---- a scripted reader ----------------------------------------------------------------------------------------------


def read_as_a_person(browser: "Browser", folder: Path) -> None:
    """Annotate the sample from scratch, and review what the program made of it, with the delays of a person."""
    print("\nscripted reader with a person's delays, sample:")
    scan = SAMPLES / f"{SAMPLE}.zip"
    with annotating(folder / "scratch", [scan], 1) as running:
        scripted(browser, running, "r0", "annotates from scratch", "< 60")
    out = folder / "run"
    subprocess.run(
        [sys.executable, "-m", "ctacal", "score", str(scan), "-o", str(out)], check=False, capture_output=True
    )
    with room(folder, "review", str(out), "--readings", str(folder / "reviewed"), "--reader", "r0") as running:
        scripted(browser, running, "r0", "reviews the program's result", "< 30")


def scripted(browser: "Browser", running: Room, name: str, what: str, bar: str) -> None:
    reader = new_reader(browser, running.links[name])
    begin = time.perf_counter()
    edits = read_case(reader, true_labels())
    seconds = time.perf_counter() - begin
    score = reader.server_state()["score"]["agatston"]["total"]
    print(f"  {what:44} {seconds:8.1f} s    (bar {bar}; {edits} marks; Agatston {score:.1f}, true {true_score():.1f})")
    reader.leave()


def read_case(reader: Reader, truth: "np.ndarray[Any, Any]") -> int:
    """Look through the heart from top to bottom, label what differs from the truth, and sign; returns the marks."""
    heart = reader.js("station.reading.case.volume.heart")
    wanted = [(candidate, label_of(candidate, truth)) for candidate in reader.js("station.listed")]
    edits = 0
    for slice_index in reversed(range(heart["origin"][0], heart["origin"][0] + heart["shape"][0])):
        reader.scroll_to(slice_index)
        wait(LOOK_S)
        for candidate, label in wanted:
            if candidate["peak_voxel"][0] == slice_index and own_label(reader, candidate) != label:
                correct(reader, candidate, label)
                edits += 1
    wait(KEY_S)
    reader.press("Enter")
    reader.page.locator("#empty").wait_for()
    return edits


def correct(reader: Reader, candidate: dict[str, Any], label: int) -> None:
    """Choose the label by its key unless it is chosen already, and click."""
    if reader.js("station.label") != label:
        wait(KEY_S)
        reader.press(str(label))
    wait(CLICK_S)
    reader.click(candidate["peak_voxel"])


def own_label(reader: Reader, candidate: dict[str, Any]) -> int:
    return int(reader.js("station.reading.labelOf(station.reading.candidates.get(given))", candidate["number"]))


def label_of(candidate: dict[str, Any], truth: "np.ndarray[Any, Any]") -> int:
    """The true label of most of a candidate's calcium; 0: it is none."""
    firsts, lengths = candidate["runs"][::2], candidate["runs"][1::2]
    voxels = np.concatenate([np.arange(a, a + n) for a, n in zip(firsts, lengths, strict=True)])
    votes = np.bincount(truth.ravel()[voxels], minlength=7)
    return int(votes[1:].argmax() + 1) if votes[1:].any() else 0


def true_labels() -> "np.ndarray[Any, Any]":
    array, geometry = load_nifti(SAMPLES / f"{SAMPLE}_labels.nii.gz")
    labels, turned = reoriented(array, geometry, CANONICAL_DIRECTIONS)
    return LabelMap(labels.astype(np.uint8), turned).labels


def true_score() -> float:
    return float(json.loads((SAMPLES / f"{SAMPLE}.json").read_text(encoding="utf-8"))["agatston"]["total"])


def wait(seconds: float) -> None:
    """A person's delay."""
    time.sleep(seconds)


# ---- a long list ----------------------------------------------------------------------------------------------------


def measure_memory(folder: Path, studies: int) -> None:
    """Memory of the server, and the time of a page of the list, with many studies in it."""
    out = folder / "many"
    content = json.loads(next((folder / "run").rglob("result.json")).read_text(encoding="utf-8"))
    for number in range(studies):
        content["study"] |= {"study_uid": f"1.2.3.{number}", "series_uid": f"1.2.3.{number}.1"}
        (out / str(number)).mkdir(parents=True)
        (out / str(number) / "result.json").write_text(json.dumps(content), encoding="utf-8")
    scan = str(SAMPLES / f"{SAMPLE}.zip")
    arguments = ("review", str(out), "--images", scan, "--readings", str(folder / "long"), "--reader", "r0")
    with room(folder, *arguments) as running:
        print(f"\n{studies:,} studies in the list:")
        opener = build_opener(HTTPCookieProcessor())
        opener.open(running.links["r0"]).read()
        offsets = (0, studies // 2, max(0, studies - 100))
        lists_ms = [1000 * page_of_list_s(opener, running, offset) for offset in offsets]
        report("a hundred lines of the list", lists_ms, "ms", "none")
        print(f"  {'memory of the server':44} {memory_mb(running):8.0f} MB   (bar < 400)")


def page_of_list_s(opener: OpenerDirector, running: Room, offset: int) -> float:
    """Seconds for a part of the list, as the page asks for it."""
    begin = time.perf_counter()
    opener.open(f"http://127.0.0.1:{running.port}/api/worklist?offset={offset}&limit=100&state=all").read()
    return time.perf_counter() - begin


def memory_mb(running: Room) -> float:
    """Resident memory of the server process now."""
    assert running.process
    status = Path(f"/proc/{running.process.pid}/status").read_text(encoding="utf-8")
    (line,) = [line for line in status.splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    main()
