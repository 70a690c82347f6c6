"""The MQTT topics of one agent, all below `asd/<agent>/`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from asd_agent.config.base import NAME


@dataclass(frozen=True)
class Topics:
    """Names every topic of an agent.

    Args:
        agent: Its name; letters, digits, `_` and `-`.

    Raises:
        ValueError: A name holds anything else, such as MQTT's `/`, `+` or `#`.
    """

    agent: str

    def __post_init__(self) -> None:
        _checked(self.agent)

    @property
    def base(self) -> str:
        """What all of them start with."""
        return f"asd/{self.agent}"

    @property
    def status(self) -> str:
        """`online` or `offline`, retained; the last will lies here."""
        return f"{self.base}/status"

    @property
    def health(self) -> str:
        """How the agent fares, retained."""
        return f"{self.base}/health"

    @property
    def event(self) -> str:
        """What concerns the agent as a whole."""
        return f"{self.base}/event"

    def source_state(self, source: str) -> str:
        """State of a source, retained."""
        return f"{self.base}/source/{_checked(source)}/state"

    def monitor_state(self, monitor: str) -> str:
        """State of a monitor's alarm, retained."""
        return f"{self.base}/monitor/{_checked(monitor)}/state"

    def alert(self, monitor: str) -> str:
        """A monitor's alarm events."""
        return f"{self.base}/monitor/{_checked(monitor)}/alert"

    def score(self, monitor: str) -> str:
        """A monitor's every window."""
        return f"{self.base}/monitor/{_checked(monitor)}/score"

    def command(self, verb: str) -> str:
        """Where a command of this verb is asked for."""
        return f"{self.base}/command/{_checked(verb)}"

    @property
    def command_result(self) -> str:
        """Where commands are answered."""
        return f"{self.base}/command/result"

    def retained(self, monitors: Iterable[str], sources: Iterable[str]) -> frozenset[str]:
        """Every topic of this agent that a broker may keep a message of; all others that it once kept are cleared."""
        states = [self.monitor_state(m) for m in monitors] + [self.source_state(s) for s in sources]
        return frozenset([self.status, self.health, *states])


def _checked(name: str) -> str:
    if not NAME.match(name):
        raise ValueError(f"{name!r} cannot stand in a topic: it may hold only letters, digits, '_' and '-'")
    return name
