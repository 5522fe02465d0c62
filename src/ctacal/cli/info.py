"""``ctacal info``: what is installed and whether it works; or what lies in a folder."""

import json
import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, distribution, requires, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import typer

from ctacal import __version__
from ctacal.cli.demo import FOLDER, SAMPLES
from ctacal.cli.score import ships_weights
from ctacal.errors import Refusal, UsageError
from ctacal.result import NOTICE, ScoredStudy
from ctacal.scores import RULES
from ctacal.study import predict_from_file, score_study

DECODERS = {
    "JPEG 2000": "openjpeg",
    "RLE": "rle",
    "JPEG-LS": "jpeg_ls",
    "JPEG lossless, baseline": "gdcm",
}
"""What decodes each compressed transfer syntax, by the module that does it."""


def run(paths: Sequence[Path], *, licences: bool, self_check: bool, as_json: bool) -> int:
    """Print what was asked for; returns the exit status, 1 where the self-check fails."""
    if paths:
        told: Any = [_study_told(study) for study in _studies(paths)]
        if not told:
            typer.echo("no DICOM image series there", err=True)
            return 1
    elif licences:
        told = {name: _licence(name) for name in _runtime_packages()}
    elif self_check:
        told = _self_check()
    else:
        told = _installation()
    typer.echo(json.dumps(told, indent=2) if as_json else _as_text(told))
    return 1 if self_check and not told["passed"] else 0


def _studies(paths: Sequence[Path]) -> Any:
    from ctacal.dicom.series import read_studies

    intake = read_studies(paths)
    for file in intake.skipped:
        typer.echo(f"skipped {file.name}: {file.reason}", err=True)
    return intake.studies


def _study_told(study: Any) -> dict[str, Any]:
    from ctacal.dicom.choose import candidates, choose_series

    try:
        choice = choose_series(study)
        chosen = f"{choice.series.name}: {choice.why}"
    except Refusal as refusal:
        chosen = f"none: {refusal.reason}"
    series = [
        f"{one.series.name} {one.series.header.modality} {len(one.series.slices)} images: "
        + (f"unfit, {one.unfit}" if one.unfit else f"{one.points} points, {one.why}")
        + f" [{one.series.uid}]"
        for one in candidates(study)
    ]
    return {"study": study.uid, "taken": chosen, "series": series, "notes": [str(note) for note in study.notes]}


def _installation() -> dict[str, Any]:
    packages = ("numpy", "scipy", "pydicom", "nibabel", "onnxruntime", "pillow")
    return {
        "ctacal": __version__,
        "python": f"{platform.python_version()} on {platform.system()} {platform.machine()}",
        "packages": {name: version(name) for name in packages},
        "decoders": {syntax: find_spec(module) is not None for syntax, module in DECODERS.items()},
        "rules": {name: rule.source for name, rule in RULES.items()},
        "predictors": {"networks": _model(), "threshold": "baseline without training"},
        "runtimes": _runtimes(),
        "notice": NOTICE,
    }


def _model() -> dict[str, Any] | str:
    """The model that ships, and whether its files are those that its card names."""
    from ctacal.nn.card import read_card
    from ctacal.nn.predict import WEIGHTS, load_model

    if not ships_weights():
        return "none ships with this version"
    card = read_card(WEIGHTS)
    told = {"name": card["name"], "version": card["version"]}
    try:
        model = load_model(WEIGHTS, threads=1)
    except UsageError as problem:
        return told | {"digest": f"differs: {problem}"}
    return told | {"digest": f"ok, {model.info.digest}"}


def _runtimes() -> dict[str, str]:
    """What can run the networks, and on what."""
    import onnxruntime

    providers = ", ".join(onnxruntime.get_available_providers())
    openvino = version("openvino") if _is_installed("openvino") else "not installed (ctacal score --runtime openvino)"
    return {"onnxruntime": providers, "openvino": openvino}


def _runtime_packages() -> list[str]:
    """What ctacal needs to run, and what that needs, without extras."""
    from packaging.requirements import Requirement

    found: dict[str, None] = {}
    waiting = ["ctacal"]
    while waiting:
        name = waiting.pop()
        for line in requires(name) or []:
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                needed = requirement.name.lower()
                if needed not in found and _is_installed(needed):
                    found[needed] = None
                    waiting.append(needed)
    return sorted(found)


def _is_installed(name: str) -> bool:
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True


def _licence(name: str) -> str:
    """What the package's metadata say: the SPDX expression, the classifiers, or the first line of the free text."""
    metadata: Any = distribution(name).metadata
    classifiers = [line.rpartition(" :: ")[2] for line in metadata.get_all("Classifier") or [] if "License ::" in line]
    free_text = (metadata.get("License") or "").strip().splitlines()
    return metadata.get("License-Expression") or ", ".join(classifiers) or (free_text[0] if free_text else "not told")


def _self_check() -> dict[str, Any]:
    """Score the shipped sample by its true labels: the whole path must give the recorded score exactly."""
    from importlib.resources import as_file

    from ctacal.dicom.series import read_studies

    truth = json.loads(FOLDER.joinpath(f"{SAMPLES[0]}.json").read_text(encoding="utf-8"))
    with as_file(FOLDER.joinpath(truth["scan"])) as sample, as_file(FOLDER.joinpath(truth["labels"])) as labels:
        result = score_study(read_studies([sample]).studies[0], predict_from_file(labels))
    scored = result.scores.agatston.total if isinstance(result, ScoredStudy) else None
    expected = truth["agatston"]["total"]
    passed = scored is not None and abs(scored - expected) < 1e-3  # the record is rounded to three digits
    return {"passed": passed, "expected": expected, "scored": scored, "status": result.status}


def _as_text(told: Any, indent: str = "") -> str:
    """Nested dicts and lists as indented lines."""
    if isinstance(told, dict):
        return "\n".join(_entry(f"{name}:", value, indent) for name, value in told.items())
    if isinstance(told, list):
        return "\n".join(_entry("-", value, indent) for value in told)
    return f"{indent}{told}"


def _entry(head: str, value: Any, indent: str) -> str:
    if isinstance(value, dict | list):
        return f"{indent}{head}\n{_as_text(value, indent + '  ')}"
    return f"{indent}{head} {value}"
