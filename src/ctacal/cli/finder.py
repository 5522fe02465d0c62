"""What finds the calcium, as ``--predictor``, ``--model`` and ``--runtime`` say."""

from pathlib import Path

import typer

from ctacal.errors import UsageError
from ctacal.jobs.finders import Finder, Runtime, baseline, networks, ships_weights

PREDICTORS = ("networks", "threshold")


def chosen_finder(predictor: str | None, model: Path | None, runtime: Runtime | None) -> Finder:
    """Return the predictor; without a choice the networks, or the baseline if this ctacal ships no weights.

    Raises ``UsageError`` if there is no such predictor, model or runtime.
    """
    if predictor not in (None, *PREDICTORS):
        raise UsageError(f"no predictor is called {predictor!r}; known: {', '.join(PREDICTORS)}")
    if predictor == "threshold":
        if model:
            raise UsageError("--model is for --predictor networks; threshold has no weights")
        return baseline()
    if predictor is None and model is None and not ships_weights():
        typer.echo("this ctacal ships no weights: scored with the threshold baseline instead of networks", err=True)
        return baseline()
    return networks(model, runtime)
