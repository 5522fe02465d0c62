"""Make the figures of the site from real outputs, and note beside them what they were made of.

    python docs/make_figures.py [NAME...]

Each figure is a function; ``FIGURES`` names the files that it depends on. ``images/figures.json`` holds the digest of
these for each picture, so that tests/test_figures.py sees a picture that is older than its inputs. The reader's page
needs Chromium and Playwright; the phantom needs the reference data (CTACAL_REFERENCE_DATA, or ../shared/ct beside a
checkout). The others take some seconds.
"""

import hashlib
import inspect
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"
RECORD = IMAGES / "figures.json"
SAMPLE = "src/ctacal/sample/simulated_ctac.zip"
WEIGHTS = tuple(f"src/ctacal/nn/weights/{stage}.onnx" for stage in ("heart", "calcium", "plaque"))
INK, PAPER = "#1c2430", "#ffffff"
VESSELS = {
    "LM": "#ffd166",
    "LAD": "#ef476f",
    "LCX": "#06d6a0",
    "RCA": "#4cc9f0",
    "CORONARY": "#f4a261",
    "OTHER": "#4361ee",
}
WINDOW = (-160, 340)
"""Shown CT values, HU."""


@dataclass(frozen=True)
class Figure:
    """A picture: what draws it, and the files that it depends on beside that function."""

    draw: Callable[[Path], None]
    inputs: tuple[str, ...]

    @property
    def digest(self) -> str:
        """SHA-256 of the function and of its inputs."""
        digest = hashlib.sha256(inspect.getsource(self.draw).encode())
        for pattern in self.inputs:
            for file in sorted(ROOT.glob(pattern)):
                digest.update(file.name.encode() + file.read_bytes())
        return digest.hexdigest()


@cache
def scored() -> tuple[Any, Any, list[Any]]:
    """Return the sample's result, the raw output of the networks, and what went into and came out of each run."""
    from ctacal import load_model, read_studies, score_study

    seen: list[Any] = []

    def watch(run: Any) -> Any:
        def watched(*inputs: Any) -> Any:
            answer = run(*inputs)
            seen.append((inputs, answer))
            return answer

        return watched

    model = load_model(runtime="onnxruntime").watched(watch)
    [study] = read_studies([ROOT / SAMPLE]).studies
    result = score_study(study, model)
    seen.clear()
    raw = model.raw_output(result.scan.volume, result.rule)
    return result, raw, seen


def panels(number: int, title: str = "") -> tuple[Any, Any]:
    """Return a figure with a row of square panels."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, number, figsize=(2.7 * number, 2.95), facecolor=PAPER, layout="constrained")
    for axis in axes:
        axis.set_axis_off()
    return figure, axes


def show(axis: Any, picture: Any, title: str, **how: Any) -> None:
    """Draw a picture with its title."""
    axis.imshow(picture, interpolation="nearest", **{"cmap": "gray", **how})
    axis.set_title(title, fontsize=9.5, color=INK)


def save(figure: Any, path: Path) -> None:
    """Write the figure as WebP."""
    import matplotlib.pyplot as plt
    from PIL import Image

    figure.canvas.draw()
    pixels = np.asarray(figure.canvas.buffer_rgba())[..., :3]
    Image.fromarray(np.ascontiguousarray(pixels)).save(path, quality=85, method=6)
    plt.close(figure)


def square_about(result: Any, half_mm: float = 90.0) -> tuple[int, slice, slice]:
    """Return the slice with most coronary calcium, and a square about the heart."""
    from ctacal.labels import Calcium

    labels = result.scan.labels.labels
    coronary = (labels > 0) & (labels != Calcium.OTHER)
    best = int(coronary.sum(axis=(1, 2)).argmax())
    rows, columns = np.nonzero(result.scan.heart.mask[best])
    half = round(half_mm / result.scan.volume.geometry.spacing_mm[1])
    middle = (int(rows.mean()), int(columns.mean()))
    return best, *(slice(max(0, at - half), at + half) for at in middle)


def coloured(labels: Any, hu: Any, threshold_hu: float) -> Any:
    """Return an RGBA overlay of the labels that count, by vessel."""
    from ctacal.labels import Calcium

    overlay = np.zeros((*labels.shape, 4))
    for name, colour in VESSELS.items():
        rgb = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        overlay[(labels == Calcium[name]) & (hu >= threshold_hu)] = (*rgb, 1.0)
    return overlay


def way_of_a_study(path: Path) -> None:
    """The sample from the scan to the score."""
    result, raw, _ = scored()
    best, rows, columns = square_about(result)
    scan = result.scan
    hu, labels = scan.volume.hu[best, rows, columns], scan.labels.labels[best, rows, columns]
    structures = raw.anatomy.on(scan.volume.geometry)[best, rows, columns]
    figure, axes = panels(5)
    grey = {"vmin": WINDOW[0], "vmax": WINDOW[1]}
    show(axes[0], scan.volume.hu[best], "1. the CT, in HU", **grey)
    show(axes[1], hu, "2. the structures found", **grey)
    axes[1].imshow(
        np.ma.masked_equal(structures, 0), cmap="tab20", alpha=0.45, vmin=0, vmax=19, interpolation="nearest"
    )
    show(axes[2], hu, f"3. bright: ≥ {result.rule.threshold_hu:g} HU", **grey)
    axes[2].imshow(
        np.ma.masked_less(hu, result.rule.threshold_hu) * 0 + 1, cmap="autumn", vmin=0, vmax=2, interpolation="nearest"
    )
    show(axes[3], hu, "4. coronary, by vessel", **grey)
    axes[3].imshow(coloured(labels, hu, result.rule.threshold_hu), interpolation="nearest")
    tally = result.scores.agatston
    lines = [f"Agatston {tally.total:.0f}", f"category {result.scores.category}", ""]
    lines += [f"{name}  {score:.0f}" for name, score in tally.per_vessel.items() if score]
    interval = result.uncertainty.interval
    lines += ["", f"interval {interval.low:.0f} to {interval.high:.0f}", f"rule {result.rule.name}"]
    axes[4].text(0.05, 0.95, "\n".join(lines), va="top", fontsize=17, color=INK, transform=axes[4].transAxes)
    show(axes[4], np.ones((2, 2, 3)), "5. the score")
    axes[4].texts[0].set_zorder(5)
    for axis in axes:
        axis.title.set_fontsize(16)  # a page shows the figure at half its size
    figure.set_figheight(3.15)
    save(figure, path)


def what_networks_see(path: Path) -> None:
    """The input of both networks and what they answer, for the sample."""
    from ctacal.labels import Calcium
    from ctacal.nn.inputs import STRUCTURES
    from ctacal.nn.predict import load_model

    result, raw, seen = scored()
    anatomy, fine = raw.anatomy, seen[-1][0]
    best, rows, columns = square_about(result)
    scan = result.scan.volume.geometry
    above_mm = scan.to_patient_mm((best, 0, 0))[2] - anatomy.geometry.to_patient_mm((0, 0, 0))[2]
    number = int(np.clip(np.rint(above_mm / anatomy.geometry.slice_spacing_mm), 0, len(anatomy.hu) - 1))
    crop = best - raw.heart.bounding_box[0].start  # the same slice: the sample's crop begins with the heart
    told = fine[1][crop]
    coronary = [k for k, label in enumerate(load_model().calcium.classes) if 0 < label <= Calcium.CORONARY]
    chance = np.full(scan.shape, np.nan)
    chance[raw.at] = raw.probability[:, coronary].sum(axis=1)
    figure, axes = panels(5)
    structures = {"cmap": "tab20", "vmin": 0, "vmax": 19}
    show(axes[0], anatomy.hu[number], "stage 1 sees 5 x 4 x 4 mm", vmin=WINDOW[0], vmax=WINDOW[1])
    show(axes[1], np.ma.masked_equal(anatomy.likeliest[number], 0), "and answers: structures", **structures)
    show(axes[2], fine[0][crop, 0], "stage 2 sees the heart at 1 mm")
    named = np.array([group[0] for group in STRUCTURES])[told.argmax(axis=0)]  # coloured as in the answer of stage 1
    show(axes[3], np.ma.masked_where(told.max(axis=0) < 0.5, named), "is told the structures", **structures)
    show(axes[4], result.scan.volume.hu[best, rows, columns], "and answers: coronary?", vmin=WINDOW[0], vmax=WINDOW[1])
    shown = axes[4].imshow(
        np.ma.masked_invalid(chance[best, rows, columns]), cmap="autumn_r", vmin=0, vmax=1, interpolation="nearest"
    )
    figure.colorbar(shown, ax=axes[4], shrink=0.7, label="probability, at bright voxels").ax.tick_params(labelsize=7)
    save(figure, path)


def simulator_beside_real(path: Path) -> None:
    """The QRM phantom on a real CT (MIT licence) and on the simulator."""
    from ctacal import Volume, read_studies
    from ctacal.dicom import read_volume
    from ctacal.simulate import load_protocol
    from ctacal.simulate.realism import qrm
    from ctacal.simulate.scanner.scan import scan

    folder = Path(os.environ.get("CTACAL_REFERENCE_DATA") or ROOT.parent / "shared" / "ct")
    real: Volume = read_volume(read_studies([folder / "qrm_phantom_canon"]).studies[0].series[0])[0]
    body = qrm.qrm_phantom(qrm.PARTS_MM[0])
    simulated = scan(body, load_protocol("canon_aquilion_one"), seed=1, isocentre_mm=qrm.ISOCENTRE_MM)
    figure, axes = panels(4)
    for left, volume, middle, name in (
        (0, real, (22, -2.83, -0.85), "real: Canon Aquilion ONE"),
        (2, simulated, (len(simulated.hu) // 2, 0.0, 0.0), "simulated, the same protocol"),
    ):
        origin = volume.geometry.to_patient_mm((0, 0, 0))
        mm = volume.geometry.spacing_mm[1]
        row, column = round((middle[2] - origin[1]) / mm), round((middle[1] - origin[0]) / mm)
        show(axes[left], volume.hu[middle[0]], name, vmin=WINDOW[0], vmax=WINDOW[1])
        half = round(50 / mm)
        near = volume.hu[middle[0], row - half : row + half, column - half : column + half]
        show(axes[left + 1], near, "its inserts of calcium", vmin=-100, vmax=500)
    save(figure, path)


def reading_page(path: Path) -> None:
    """The reader's page with the sample, as a screenshot."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    import page_reader
    from PIL import Image

    from ctacal.cli import score

    chromium = shutil.which("chromium") or sys.exit("chromium is not installed")
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "OUT")
        score.run([ROOT / SAMPLE], out, score.Options())
        with page_reader.chromium(chromium) as browser, page_reader.room(Path(folder), "review", str(out)) as room:
            reader = page_reader.new_reader(browser, next(iter(room.links.values())))
            reader.press("n")
            reader.settle()
            shot = Path(folder, "page.png")
            reader.page.screenshot(path=shot)
            reader.leave()
            Image.open(shot).convert("RGB").save(path, quality=80, method=6)


def simulated_ctac(path: Path) -> None:
    """The montage of the sample, scored by its true labels."""
    from ctacal.cli import score

    labels = ROOT / SAMPLE.replace(".zip", "_labels.nii.gz")
    with tempfile.TemporaryDirectory() as folder:
        score.run([ROOT / SAMPLE], Path(folder), score.Options(labels=labels, write="png"))
        shutil.copy(next(Path(folder).glob("*/montage.png")), path)


def agreement_figure(path: Path) -> None:
    """The figure of that name in the report on the example of ``ctacal agree``, model_a against reader_1."""
    from ctacal.evaluate.agree import AgreeConfig
    from ctacal.jobs.agree import write_agreement, write_example

    kind = path.stem.partition("_")[2]
    with tempfile.TemporaryDirectory() as folder:
        table, out = Path(folder, "readings.csv"), Path(folder, "report")
        write_example(table)
        write_agreement(AgreeConfig(table=table, patient="patient_id"), out)
        figure = out / "figures" / f"model_a_against_reader_1_{kind}.svg"
        shutil.copy(figure, path)


AGREEMENT = ("src/ctacal/evaluate/agree/figures.py", "src/ctacal/evaluate/agree/example.py")


def demo_report(path: Path) -> None:
    """The first page of the sample's report, as ``ctacal demo`` writes it."""
    import subprocess

    with tempfile.TemporaryDirectory() as name:
        subprocess.run([sys.executable, "-m", "ctacal", "demo", "--out", name], check=True, stdout=subprocess.DEVNULL)
        [report] = Path(name).glob("simulated_ctac/networks/*/report.pdf")
        page = ["pdftoppm", "-r", "90", "-f", "1", "-l", "1", "-singlefile", "-png"]
        subprocess.run([*page, report, path.with_suffix("")], check=True)


FIGURES: Mapping[str, Figure] = {
    "simulated_ctac.png": Figure(simulated_ctac, (SAMPLE, "src/ctacal/report/montage.py")),
    "agreement_matrix.svg": Figure(agreement_figure, AGREEMENT),
    "agreement_bland_altman.svg": Figure(agreement_figure, AGREEMENT),
    "way_of_a_study.webp": Figure(way_of_a_study, (SAMPLE, *WEIGHTS)),
    "what_networks_see.webp": Figure(what_networks_see, (SAMPLE, *WEIGHTS)),
    "simulator_beside_real.webp": Figure(
        simulator_beside_real,
        ("src/ctacal/simulate/realism/qrm.py", "src/ctacal/simulate/scanner/protocols/canon_aquilion_one.toml"),
    ),
    "demo_report.png": Figure(
        demo_report,
        (
            SAMPLE,
            *WEIGHTS,
            "src/ctacal/nn/weights/model.json",
            "src/ctacal/report/pdf*.py",
            "src/ctacal/report/wording.py",
        ),
    ),
    "reading_page.webp": Figure(reading_page, (SAMPLE, *WEIGHTS, "src/ctacal/web/page/*")),
}
"""The pictures that this program makes, in docs/images."""


def main(names: list[str]) -> None:
    """Make the figures of these names, or all."""
    record = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else {}
    for name in names or FIGURES:
        FIGURES[name].draw(IMAGES / name)
        record[name] = FIGURES[name].digest
        RECORD.write_text(json.dumps(record, indent=2, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
