"""What is installed and whether it works, and what lies in a folder: the facts behind ``ctacal info``."""

import json
import platform
from importlib.metadata import PackageNotFoundError, distribution, requires, version
from importlib.resources import as_file, files
from importlib.util import find_spec
from typing import Any

from ctacal import __version__
from ctacal.dicom.choose import Candidate, candidates, choose_among
from ctacal.dicom.series import Study, read_studies
from ctacal.errors import Refusal, UsageError
from ctacal.jobs.finders import ships_weights
from ctacal.result import NOTICE, ScoredStudy
from ctacal.scores import RULES
from ctacal.study import predict_from_file, score_study

SAMPLES = ("thorax_phantom", "simulated_ctac")
"""A drawn phantom, and a CTAC simulated from physics; benchmarks/make_sample.py makes both."""

SAMPLE_FOLDER = files("ctacal").joinpath("sample")

DECODERS = {
    "JPEG 2000": "openjpeg",
    "RLE": "rle",
    "JPEG-LS": "jpeg_ls",
    "JPEG lossless, baseline": "gdcm",
}
"""The module that decodes each compressed transfer syntax."""


def study_facts(study: Study) -> dict[str, Any]:
    """Return which series of a study would be scored and why, and each series with its points or its fault."""
    ranked = candidates(study)
    try:
        choice = choose_among(ranked, study)
        chosen = f"{choice.series.name}: {choice.why}"
    except Refusal as refusal:
        chosen = f"none: {refusal.reason}"
    series = [_candidate_line(candidate) for candidate in ranked]
    return {"study": study.uid, "taken": chosen, "series": series, "notes": [str(note) for note in study.notes]}


def _candidate_line(candidate: Candidate) -> str:
    series = candidate.series
    verdict = f"unfit, {candidate.unfit}" if candidate.unfit else f"{candidate.points} points, {candidate.why}"
    return f"{series.name} {series.header.modality} {len(series.slices)} images: {verdict} [{series.uid}]"


def installation() -> dict[str, Any]:
    """Return the versions of ctacal and its packages, decoders, rules, predictors and runtimes."""
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
    """Return the shipped model, and whether its files are those that its card names."""
    from ctacal.nn.card import read_card
    from ctacal.nn.predict import WEIGHTS, load_model

    if not ships_weights():
        return "none ships with this version"
    card = read_card(WEIGHTS)
    known = {"name": card["name"], "version": card["version"]}
    try:
        model = load_model(WEIGHTS, threads=1)
    except UsageError as problem:
        return known | {"digest": f"differs: {problem}"}
    return known | {"digest": f"ok, {model.info.digest}"}


def _runtimes() -> dict[str, str]:
    """Return ONNX Runtime's providers, the version of OpenVINO if it is installed, and what is used by default."""
    import onnxruntime

    from ctacal.nn.runtime import fastest_runtime

    providers = ", ".join(onnxruntime.get_available_providers())
    openvino = version("openvino") if _is_installed("openvino") else "not installed"
    return {"onnxruntime": providers, "openvino": openvino, "default": fastest_runtime()}


def licences() -> dict[str, str]:
    """Return the licence of each package that ctacal needs to run, without extras."""
    return {name: licence_of(name) for name in _runtime_packages()}


def _runtime_packages() -> list[str]:
    """Return the packages that ctacal needs to run, and those that they need in turn."""
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


def licence_of(name: str) -> str:
    """Return the licence in the package's metadata: SPDX expression, classifiers, or first line of the free text."""
    metadata: Any = distribution(name).metadata
    classifiers = [line.rpartition(" :: ")[2] for line in metadata.get_all("Classifier") or [] if "License ::" in line]
    free_text = (metadata.get("License") or "").strip().splitlines()
    return metadata.get("License-Expression") or ", ".join(classifiers) or (free_text[0] if free_text else "not stated")


def self_check() -> dict[str, Any]:
    """Score the shipped sample by its true labels: the whole path must give the recorded score exactly."""
    truth = json.loads(SAMPLE_FOLDER.joinpath(f"{SAMPLES[0]}.json").read_text(encoding="utf-8"))
    scan, drawing = (SAMPLE_FOLDER.joinpath(truth[name]) for name in ("scan", "labels"))
    with as_file(scan) as sample, as_file(drawing) as labels:
        result = score_study(read_studies([sample]).studies[0], predict_from_file(labels))
    scored = result.scores.agatston.total if isinstance(result, ScoredStudy) else None
    expected = truth["agatston"]["total"]
    passed = scored is not None and abs(scored - expected) < 1e-3  # the record is rounded to three digits
    return {"passed": passed, "expected": expected, "scored": scored, "status": result.status}
