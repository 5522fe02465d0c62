"""A reader study with three sessions, for tests."""

from pathlib import Path
from typing import Any

from ctacal.jobs.reader_study import Plan, Session
from tests.reading_scene import Clock, room

PLAN = Plan(
    name="study",
    seed=5,
    readers=("anna", "ben"),
    adjudicators=("chris",),
    administrators=("dora",),
    sessions=(
        Session(name="first", mode="blind"),
        Session(name="second", mode="aided"),
        Session(name="third", mode="sequential"),
    ),
)
ROLES: dict[str, Any] = {
    "anna": frozenset(("reader",)), "ben": frozenset(("reader",)), "chris": frozenset(("adjudicator",)),
    "dora": frozenset(("administrator",)),
}  # fmt: skip


def planned(folder: Path, clock: Clock, plan: Plan = PLAN, cases: int = 6) -> Any:
    return room(folder, kind="review", model=True, cases=cases, plan=plan, roles=ROLES, clock=clock, phi=True)
