"""Whether a header says that contrast medium was given: all places of the Contrast/Bolus modules, and words of people.

PS3.3 C.7.6.4 (Contrast/Bolus), C.7.6.4b (Enhanced Contrast/Bolus) and C.7.6.16.2.12 (Contrast/Bolus Usage).
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from pydicom import Dataset

from ctacal.dicom.headers.contrast_words import Said, is_enteral, is_into_blood, said_of_agent
from ctacal.dicom.headers.values import items, text

CONTRAST_KEYWORDS = (
    "ContrastBolusAgent", "ContrastBolusAgentSequence", "ContrastBolusRoute",
    "ContrastBolusAdministrationRouteSequence", "ContrastBolusVolume", "ContrastBolusStartTime",
    "ContrastBolusStopTime", "ContrastBolusTotalDose", "ContrastFlowRate", "ContrastFlowDuration",
    "ContrastBolusIngredient", "ContrastBolusIngredientConcentration",
)  # fmt: skip
"""The elements that ``read_agents`` asks an image for."""

_DOSES = {
    "ContrastBolusVolume": "volume", "ContrastBolusTotalDose": "total dose", "ContrastBolusStartTime": "start time",
    "ContrastBolusStopTime": "stop time", "ContrastFlowRate": "flow rate", "ContrastFlowDuration": "flow duration",
}  # fmt: skip
_AMOUNTS = ("volume", "total dose")
_SOME = re.compile(r"[1-9]")
_ZERO = re.compile(r"[-+]?0+([.,]0*)?")

Get = Callable[[str], Any]
"""The value of an element by its keyword, or None."""


@dataclass(frozen=True, slots=True)
class Agent:
    """What a header says of one contrast agent."""

    name: str
    route: str
    doses: tuple[str, ...]
    """Such as ``volume 80``: amounts and times that are not zero."""
    contents: tuple[str, ...]
    """Ingredient and its concentration, which a protocol may name without any being given."""


def read_agents(get: Get) -> tuple[Agent, ...]:
    """Return every agent that an image or a frame names in any of the modules' places; mostly none.

    An agent of Enhanced CT whose administration had not begun with this frame counts as none.
    """
    administered = text(get("ContrastBolusAgentAdministered")).upper()
    if administered == "NO":
        return ()
    listed = items(get("ContrastBolusAgentSequence"))
    written = [_agent(get), *(_agent(_getter(item), _code(item)) for item in listed)]
    agents = tuple(agent for agent in written if agent.name or agent.route or agent.doses or agent.contents)
    return agents or ((Agent("", "", ("administered",), ()),) if administered == "YES" else ())


def _agent(get: Get, name: str = "") -> Agent:
    sources: list[Get] = [get, *(_getter(item) for item in items(get("ContrastAdministrationProfileSequence")))]
    routes = [_code(item) for item in items(get("ContrastBolusAdministrationRouteSequence"))]
    ingredients = [_code(item) for item in items(get("ContrastBolusIngredientCodeSequence"))]
    ingredient, per_ml = text(get("ContrastBolusIngredient")), text(get("ContrastBolusIngredientConcentration"))
    if ingredient and said_of_agent(ingredient) is not Said.NOT_GIVEN:
        ingredients.append(ingredient)
    contents = (*ingredients, *([f"{per_ml} mg/ml"] if _SOME.search(per_ml) else []))
    doses = tuple(dict.fromkeys(dose for source in sources for dose in _doses(source)))
    return Agent(
        name=name or text(get("ContrastBolusAgent")),
        route=" ".join(filter(None, [text(get("ContrastBolusRoute")), *routes])),
        doses=doses,
        contents=contents if doses or not _says_zero(get) else (),
    )


def _says_zero(get: Get) -> bool:
    """Whether an amount is written and is zero: some consoles write the protocol's agent with it into every CT."""
    return any(_ZERO.fullmatch(text(get(keyword))) for keyword in ("ContrastBolusVolume", "ContrastBolusTotalDose"))


def _getter(item: Dataset) -> Get:
    """Return what gets the values of a sequence's item, as written where pydicom cannot convert them."""

    def get(keyword: str) -> Any:
        try:
            return item.get(keyword)
        except ValueError:
            return str(item.get_item(keyword).value)

    return get


def _doses(get: Get) -> list[str]:
    written = ((words, text(get(keyword))) for keyword, words in _DOSES.items())
    return [f"{words} {amount}" for words, amount in written if _SOME.search(amount)]


def _code(item: Dataset) -> str:
    """Return what a code sequence's item means (PS3.3 section 8.8)."""
    return text(item.get("CodeMeaning") or item.get("CodeValue") or item.get("LongCodeValue"))


def said_by(agent: Agent) -> Said:
    """Return what all that is written of an agent comes to.

    An amount outweighs a name that says none; times and flows alone, which a protocol may hold, leave it open.
    """
    named = said_of_agent(agent.name)
    if agent.name and named is Said.NOT_GIVEN and not any(dose.startswith(_AMOUNTS) for dose in agent.doses):
        return Said.OPEN if agent.doses else Said.NOT_GIVEN
    if not (agent.name or agent.doses or agent.contents):
        return Said.OPEN if is_into_blood(agent.route) else Said.NOT_GIVEN
    content = {said_of_agent(content) for content in agent.contents}
    if is_enteral(agent.route) or named is Said.ENTERAL or (not agent.name and content == {Said.ENTERAL}):
        return Said.ENTERAL
    return Said.OPEN if named is Said.OPEN and not (agent.doses or agent.contents) else Said.GIVEN


def contrast_of(agents: Iterable[Agent], wanted: Said) -> str | None:
    """Return the words of the first agent of which ``wanted`` is said, for a message; None if there is none."""
    return next((_in_words(agent) for agent in agents if said_by(agent) is wanted), None)


def _in_words(agent: Agent) -> str:
    named = [f"agent {agent.name!r}"] if agent.name else []
    route = [f"route {agent.route!r}"] if agent.route else []
    return ", ".join([*named, *route, *agent.doses, *agent.contents])
