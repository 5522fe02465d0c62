"""``NodeSite``: what the pages and calls of a node share, and what is wrong with it now."""

from dataclasses import dataclass, field

from ctacal.errors import CtacalError, system_message
from ctacal.jobs.node.alarm import Alarm, Stillness, alarms_of, ledger_alarm, store_alarm
from ctacal.jobs.node.config import NodeConfig
from ctacal.jobs.node.ledger import Ledger
from ctacal.jobs.node.overview import Overview, Overviews
from ctacal.jobs.node.sign_in import Seal
from ctacal.jobs.node.store import Store
from ctacal.web.health import Health
from ctacal.web.signin import Proxy
from ctacal.web.stow_in import StowIn


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSite:
    """What the application serves."""

    config: NodeConfig
    store: Store
    ledger: Ledger
    seal: Seal
    health: Health
    overviews: Overviews
    stow: StowIn | None = None
    """None: no objects are taken by STOW-RS."""
    proxy: Proxy | None = None
    cookie: str = "ctacal_node"
    """Name of the cookie: servers of one machine share the cookies of their ports."""
    stillness: Stillness = field(default_factory=Stillness)

    @property
    def secure(self) -> bool:
        """Whether cookies are sent over TLS only."""
        return self.config.http.tls.used


def alarms_now(site: NodeSite, seen: Overview | None = None) -> list[Alarm]:
    """Return what is wrong now, for those who look; the process ``alarms`` tells those who do not."""
    try:
        seen = seen or site.overviews.now()
    except CtacalError as problem:
        return [ledger_alarm(str(problem))]
    except OSError as problem:
        return [store_alarm(system_message(problem))]
    return alarms_of(seen, site.config, site.stillness.look(seen))
