"""Print the time of ``ctacal compare``: two scans scored anew, compared, and all files written.

    python benchmarks/compare.py [--runs 5]

Both scans are those of a simulated CTAC that ships with ctacal; the later one has other noise and UIDs. Wall clock of
whole processes, and their processor seconds beside it: on a busy machine the one grows, the other hardly.
"""

import argparse
import io
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import numpy as np
from pydicom import dcmread
from pydicom.uid import generate_uid

import ctacal

SAMPLE = Path(ctacal.__file__).parent / "sample" / "simulated_ctac.zip"
NOISE_HU = 6.0


def write_later(folder: Path) -> None:
    """Write the sample as a scan of two years later."""
    random = np.random.default_rng(1)
    uids = {"StudyInstanceUID": generate_uid(), "SeriesInstanceUID": generate_uid()}
    uids["FrameOfReferenceUID"] = generate_uid()
    with zipfile.ZipFile(SAMPLE) as archive:
        for name in archive.namelist():
            image = dcmread(io.BytesIO(archive.read(name)))
            stored = image.pixel_array + random.normal(0, NOISE_HU, image.pixel_array.shape)
            pixels = np.clip(np.rint(stored), 0, 4095).astype(image.pixel_array.dtype)
            image.set_pixel_data(pixels, "MONOCHROME2", int(image.BitsStored))
            for keyword, value in uids.items():
                setattr(image, keyword, value)
            image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = generate_uid()
            image.StudyDate = image.SeriesDate = image.AcquisitionDate = "20260102"
            image.save_as(folder / Path(name).name)


def timed(later: Path, out: Path) -> tuple[float, float]:
    """Return wall and processor seconds of one run."""
    begin, before = time.perf_counter(), os.times()
    command = [sys.executable, "-m", "ctacal", "compare", str(SAMPLE), str(later), "-o", str(out)]
    subprocess.run(command, check=True, capture_output=True)
    after = os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return time.perf_counter() - begin, used


def main() -> None:
    """Print medians."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--runs", type=int, default=5)
    runs = options.parse_args().runs
    with tempfile.TemporaryDirectory() as folder:
        later = Path(folder) / "later"
        later.mkdir()
        write_later(later)
        found = [timed(later, Path(folder) / "out") for _ in range(runs)]
    wall, used = (statistics.median(values) for values in zip(*found, strict=True))
    load = os.getloadavg()[0]
    print(f"{platform.machine()}, {os.cpu_count()} cores, load {load:.1f}: median of {runs} runs")
    print(f"wall {wall:.2f} s, fastest {min(time for time, _ in found):.2f} s; processor {used:.2f} s")


if __name__ == "__main__":
    main()
