"""A simulated table of patients to try ``ctacal outcomes`` on, and the TOML that says what its columns mean."""

from importlib import resources

from ctacal.evaluate.outcomes.published_cohort import cohort_csv, simulate_cohort


def example_csv(seed: int = 0) -> str:
    """Return the text of a CSV: the cohort simulated from the published figures."""
    return cohort_csv(simulate_cohort(seed))


def example_toml() -> str:
    """Return the text of the TOML for the table of ``example_csv``."""
    return (resources.files(__package__) / "example.toml").read_text(encoding="utf-8")
