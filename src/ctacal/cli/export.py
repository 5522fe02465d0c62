"""``ctacal export``: export checkpoints as a model folder that scores without torch."""

from pathlib import Path

import typer

from ctacal import __version__
from ctacal.errors import CtacalError, UsageError
from ctacal.jobs.export import ExportedModel, ExportedNetwork, ExportJob, export_model, export_model_again
from ctacal.jobs.train import require_training
from ctacal.nn.config import MOST_BITS


def run(
    heart: Path | None,
    calcium: Path | None,
    out: Path,
    *,
    name: str,
    version: str | None,
    plaque: Path | None = None,
    start: Path | None = None,
    keep: float = 0.0,
    bits: int = MOST_BITS,
    again: Path | None = None,
) -> int:
    """Export and print the model; returns the exit status: 0 exported, 1 the exported networks differ from torch's."""
    require_training()
    try:
        if again:
            model = export_model_again(again, out, version)
        elif heart and calcium:
            job = ExportJob(
                heart=heart, calcium=calcium, plaque=plaque, out=out, name=name, version=version or __version__,
                start=start, keep=keep, bits=bits,
            )  # fmt: skip
            model = export_model(job)
        else:
            raise UsageError("--heart and --calcium name what to export, or --again a model")
    except UsageError:
        raise
    except CtacalError as problem:
        typer.echo(f"ctacal: {problem}", err=True)
        return 1
    print_model(model)
    return 0


def print_model(model: ExportedModel) -> None:
    """Print the size of each network and its difference from torch."""
    for network in model.networks:
        typer.echo(_line(network))
    typer.echo(f"{model.name} {model.version} in {model.folder}")


def _line(network: ExportedNetwork) -> str:
    of = "islands" if network.stage == "plaque" else "slices"
    parity = ", ".join(f"{difference:.1e} ({slices} {of})" for slices, difference in network.parity.items())
    size = f"{network.parameters / 1e6:.2f} M parameters, {network.bytes / 1e6:.1f} MB"
    return f"{network.stage}: {size}; largest difference from torch {parity}"
