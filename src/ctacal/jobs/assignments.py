"""``Assignments``: which readings are whose, in which order, and what each may show."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from ctacal.errors import NotPossible, Problem
from ctacal.jobs.adjudication import disagreement, number_of
from ctacal.jobs.reader_study import (
    ADJUDICATION,
    AIDED,
    Plan,
    Session,
    aided_stage,
    free_from,
    moment,
    sessions_in_order,
    stage_of,
)
from ctacal.jobs.reading_folder import ReadingKey
from ctacal.jobs.reading_index import ReadingIndex
from ctacal.jobs.reading_json import Assignment

Role = Literal["reader", "adjudicator", "administrator"]
ROLES: tuple[Role, ...] = ("reader", "adjudicator", "administrator")

Kind = Literal["review", "annotate"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomSettings:
    """Who reads what, and how."""

    kind: Kind
    roles: Mapping[str, frozenset[Role]]
    """The roles of each reader, by name."""
    plan: Plan | None = None
    phi: bool = False
    now: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))


@dataclass(frozen=True, slots=True)
class Assignments:
    """What readers are to do, from the plan and the list."""

    index: ReadingIndex
    settings: RoomSettings

    def roles(self, reader: str) -> frozenset[Role]:
        """Return the roles of a reader. Raises ``NotPossible`` (``FORBIDDEN``) without any."""
        roles = self.settings.roles.get(reader)
        if not roles:
            raise NotPossible(Problem.FORBIDDEN, f"{reader} has no role here; ask the administrator for one")
        return roles

    def require(self, role: Role, reader: str) -> None:
        """Raise ``NotPossible`` (``FORBIDDEN``) if the reader does not have the role."""
        if role not in self.roles(reader):
            raise NotPossible(Problem.FORBIDDEN, f"this is for the {role}")

    def give(self, reader: str) -> None:
        """Give a reader the cases of the plan, or all cases, when first seen."""
        if "reader" not in self.roles(reader) or self.index.assigned(reader):
            return
        cases = [(name, uid) for name, uid, _ in self.index.case_ids()]
        plan = self.settings.plan
        kind = self.settings.kind
        order = sessions_in_order(plan, reader, cases) if plan else [(name, str(kind)) for name, _ in cases]
        numbers: dict[str, int] = {}
        rows = []
        for place, (case_id, session) in enumerate(order):
            numbers[session] = numbers.get(session, 0) + 1
            rows.append((case_id, session, 2 * place, numbers[session]))  # between two there is room for a second stage
        self.index.assign(reader, rows)
        for summary in self.index.readings(reader=reader, state="signed"):
            self.give_second_stage(reader, summary.case_id, summary.session)

    def give_second_stage(self, reader: str, case_id: str, session: str) -> str | None:
        """Give the second stage of a sequential session, whose first is signed; return the name of the reading."""
        plan, (name, stage) = self.settings.plan, stage_of(session)
        item = self.index.item(reader, case_id, session)
        if not plan or not item or stage == AIDED or self._planned(plan, reader, name).mode != "sequential":
            return None
        second = aided_stage(session)
        self.index.assign(reader, [(case_id, second, item["place"] + 1, item["number"])])
        return f"{case_id}.{second}"

    def item(self, reader: str, name: str) -> dict[str, Any]:
        """Return a line of a reader's list. Raises ``NotPossible`` (``NOT_FOUND``) if it is not in it."""
        case_id, _, session = name.partition(".")
        item = self.index.item(reader, case_id, session)
        if item is None:
            raise NotPossible(Problem.NOT_FOUND, "there is no such reading in your list")
        return item

    def assignment(self, reader: str, name: str) -> Assignment:
        """Return what a reading is. Raises ``NotPossible`` (``NOT_FOUND``) if it is not this reader's."""
        case_id, _, session = name.partition(".")
        if session.startswith(ADJUDICATION):
            return self._adjudication(reader, case_id, session)
        self.give(reader)
        return self.of_item(reader, self.item(reader, name))

    def of_item(self, reader: str, item: Mapping[str, Any]) -> Assignment:
        """Return what a line of a reader's list is."""
        plan = self.settings.plan
        case_id, session, number = item["case_id"], item["session"], item["number"]
        if plan is None:
            aided = self.settings.kind == "review" and item["model_category"] is not None
            return Assignment(
                case_id=case_id, session=session, mode="aided" if aided else "scratch", stage=None, number=number,
                hides_identity=False, shows_model=aided,
            )  # fmt: skip
        name, stage = stage_of(session)
        mode = self._planned(plan, reader, name).mode
        sequential = mode == "sequential"
        return Assignment(
            case_id=case_id, session=session, mode=mode, stage=stage if sequential else None, number=number,
            hides_identity=True, shows_model=mode == "aided" or (sequential and stage == AIDED),
        )  # fmt: skip

    def available_from(self, key: ReadingKey) -> datetime | None:
        """Return when a reading that nobody has begun may begin, if that is in the future."""
        plan = self.settings.plan
        if not plan:
            return None
        own = stage_of(key.session)[0]
        earlier = self.index.readings(reader=key.reader, case_id=key.case_id)
        free = free_from(plan, [moment(one.ended) for one in earlier if stage_of(one.session)[0] != own])
        return free if free and free > self.settings.now() else None

    def require_turn(self, key: ReadingKey) -> None:
        """Raise ``NotPossible`` (``WASHOUT``) if a reading may not begin yet.

        The sessions on a case come in the order of the plan: an aided one before a blind one would spoil that. Between
        them lies the washout.
        """
        plan = self.settings.plan
        if plan is None or key.session.startswith(ADJUDICATION):
            return
        done = {one.session for one in self.index.readings(reader=key.reader, case_id=key.case_id, state="signed")}
        for session in plan.sessions_of(key.reader):
            if session.name == stage_of(key.session)[0]:
                break
            last = aided_stage(session.name) if session.mode == "sequential" else session.name
            if self.index.item(key.reader, key.case_id, session.name) and last not in done:
                message = f"sign this case in session {session.name} first: the plan has the sessions in that order"
                raise NotPossible(Problem.WASHOUT, message)
        if free := self.available_from(key):
            message = f"you read this case before; the plan lets you read it again from {free.date().isoformat()} on"
            raise NotPossible(Problem.WASHOUT, message)

    def require_unspoiled(self, key: ReadingKey) -> None:
        """Raise ``NotPossible`` (``LOCKED``) if a signed reading may no longer be amended.

        In a study that is so once the reader has begun a later session on the case, which may show the model's marks,
        or once the reading has come to an adjudicator.
        """
        if self.settings.plan is None or key.session.startswith(ADJUDICATION):
            return
        own = self.index.readings(reader=key.reader, case_id=key.case_id, session=key.session)
        others = self.index.readings(reader=key.reader, case_id=key.case_id)
        later = [one for one in others if own and one.began > own[0].began]
        settled = self.index.readings(case_id=key.case_id, session=ADJUDICATION + key.session)
        if later or settled:
            what = "adjudicated" if settled else f"read again in session {later[0].session}"
            raise NotPossible(Problem.LOCKED, f"this reading can no longer be amended: the case was {what}")

    def _adjudication(self, reader: str, case_id: str, session: str) -> Assignment:
        self.require("adjudicator", reader)
        disagreement(self.index, case_id, session.removeprefix(ADJUDICATION))
        return Assignment(
            case_id=case_id, session=session, mode="adjudication", stage=None,
            number=number_of(self.index, case_id), hides_identity=self.settings.plan is not None, shows_model=False,
        )  # fmt: skip

    def _planned(self, plan: Plan, reader: str, name: str) -> Session:
        for session in plan.sessions_of(reader):
            if session.name == name:
                return session
        raise NotPossible(Problem.NOT_FOUND, "there is no such session in your plan")
