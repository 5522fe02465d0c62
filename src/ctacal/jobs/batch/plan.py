"""``Plan``: what a run scores and how, hashed into shards; its digest names the run."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

from ctacal.errors import UsageError
from ctacal.jobs.batch.finding import Sources, find_rows
from ctacal.jobs.batch.places import Place
from ctacal.jobs.batch.rows import Row, line_of, read_rows, require_apart, shard_of
from ctacal.jobs.batch.settings import Settings, identity, settings_from

FORMAT = 1
PLAN = "plan.json"
ROWS_A_SHARD = 1000
SHARDS = (64, 4096)
"""Fewest and most shards (own choice: enough for an array of tasks; few enough to list)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A planned run, as plan.json holds it."""

    digest: str
    """SHA-256 of rows, shards and all that results depend on."""
    settings: Settings
    identity: Mapping[str, Any]
    """What results depend on beside the images, as it was where the plan was made."""
    rows: tuple[int, ...]
    """Number of rows of each shard."""
    shards: tuple[str, ...]
    """SHA-256 of each shard's manifest."""
    size_bytes: int | None
    """Size of all sources; None if any is unknown."""

    @property
    def name(self) -> str:
        """How people call the run: the beginning of the digest."""
        return self.digest[:12]

    @property
    def total(self) -> int:
        """Number of rows."""
        return sum(self.rows)


def make_plan(sources: Sources, settings: Settings, place: Place, shards: int | None = None) -> Plan:
    """Plan a run into ``place``, or find the same plan there.

    The digest does not depend on the order in which sources are given. Raises ``UsageError`` if there is nothing to
    score, if two rows hold the same source, or if another plan is there already.
    """
    known = identity(settings.score_job())  # what is wrong with it shows before a long scan
    manifest, size_bytes = _manifest(find_rows(sources), shards)
    digests = tuple(hashlib.sha256(content).hexdigest() for content in manifest)
    whole = json.dumps({"format": FORMAT, "identity": known, "shards": digests}, sort_keys=True)
    plan = Plan(
        digest=hashlib.sha256(whole.encode()).hexdigest(),
        settings=settings,
        identity=known,
        rows=tuple(content.count(b"\n") for content in manifest),
        shards=digests,
        size_bytes=size_bytes,
    )
    _store(plan, manifest, place)
    return plan


def _manifest(rows: Iterable[Row], shards: int | None) -> tuple[list[bytes], int | None]:
    """Return the sorted lines of each shard, and the size of all sources if every row knows its own."""
    found: dict[str, bytes] = {}
    sizes: list[int | None] = []
    for row in rows:
        if row.id not in found:
            found[row.id] = line_of(row)
            sizes.append(row.size_bytes)
    if not found:
        raise UsageError("nothing to score: there is no folder, archive or file under what was given")
    number = shards or min(max(len(found) // ROWS_A_SHARD, SHARDS[0]), SHARDS[1])
    parts: list[list[bytes]] = [[] for _ in range(number)]
    for row_id, line in found.items():
        parts[shard_of(row_id, number)].append(line)
    found.clear()
    require_apart(chain.from_iterable(json.loads(line)["sources"] for lines in parts for line in lines))
    known = [size for size in sizes if size is not None]
    return [b"".join(sorted(lines)) for lines in parts], sum(known) if len(known) == len(sizes) else None


def _store(plan: Plan, manifest: Iterable[bytes], place: Place) -> None:
    """Write the shards, then plan.json: its presence means that all shards are there."""
    if place.exists(PLAN):
        _require_same(plan, load_plan(place), place)
        return
    for shard, content in enumerate(manifest):
        if content:
            place.replace(manifest_name(shard), content)
    stored = {
        "format": FORMAT,
        "digest": plan.digest,
        "settings": plan.settings.to_json(),
        "identity": plan.identity,
        "rows": plan.rows,
        "shards": plan.shards,
        "bytes": plan.size_bytes,
    }
    if not place.create(PLAN, json.dumps(stored, indent=1).encode() + b"\n"):
        _require_same(plan, load_plan(place), place)


def _require_same(plan: Plan, there: Plan, place: Place) -> None:
    if plan.digest != there.digest:
        raise UsageError(
            f"{place.text} holds another plan ({there.name}), with {_difference(plan, there)}; plan into a new folder"
        )


def _difference(plan: Plan, there: Plan) -> str:
    differ = [name for name in plan.identity if plan.identity[name] != there.identity.get(name)]
    if differ:
        return f"another value of {', '.join(differ)}"
    if len(plan.shards) != len(there.shards):
        return f"{len(there.shards)} shards instead of {len(plan.shards)}"
    return f"other rows ({there.total} there, {plan.total} now)"


def manifest_name(shard: int) -> str:
    """Return the name of the manifest of a shard."""
    return f"manifest/{shard:04d}.jsonl"


def load_plan(place: Place) -> Plan:
    """Return the plan of a run. Raises ``UsageError`` if there is none, or it is of another version of ctacal."""
    try:
        content = json.loads(place.read(PLAN))
    except FileNotFoundError as problem:
        raise UsageError(f"{place.text}: no plan there; make one with ctacal batch plan") from problem
    except ValueError as problem:
        raise UsageError(f"{place.text}/{PLAN} is damaged ({problem}); plan again into a new folder") from problem
    if content.get("format") != FORMAT:
        raise UsageError(f"{place.text}/{PLAN} is of another version of ctacal; plan again into a new folder")
    return Plan(
        digest=content["digest"],
        settings=settings_from(content["settings"]),
        identity=content["identity"],
        rows=tuple(content["rows"]),
        shards=tuple(content["shards"]),
        size_bytes=content["bytes"],
    )


def rows_of_shard(plan: Plan, place: Place, shard: int) -> tuple[Row, ...]:
    """Return the rows of a shard. Raises ``UsageError`` if its manifest is not the planned one."""
    if not plan.rows[shard]:
        return ()
    name = f"{place.text}/{manifest_name(shard)}"
    try:
        content = place.read(manifest_name(shard))
    except FileNotFoundError as problem:
        raise UsageError(f"{name} is missing; plan again into a new folder") from problem
    if hashlib.sha256(content).hexdigest() != plan.shards[shard]:
        raise UsageError(f"{name} has changed since it was planned; plan again into a new folder")
    return read_rows(content, name)


def require_identity(plan: Plan, here: Mapping[str, Any]) -> None:
    """Raise ``UsageError`` if this machine would score otherwise than was planned: another model, rule or version."""
    for name, planned in plan.identity.items():
        if here.get(name) != planned:
            raise UsageError(
                f"the plan was made with {name} {_short(planned)}, and here it is {_short(here.get(name))}; "
                "use the same installation and model, or plan again into a new folder"
            )


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 150 else f"{text[:150]}..."
