"""The MQTT topics of one agent, all below `asd/<agent>/`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from asd_agent.config.base import NAME


@dataclass(frozen=True)
class Topics:
    """Names of all topics of an agent.

    Args:
        agent: Name of the agent; letters, digits, `_` and `-`.

    Raises:
        ValueError: A name holds anything else, such as MQTT's `/`, `+` or `#`.
    """

    agent: str

    def __post_init__(self) -> None:
        _checked(self.agent)

    @property
    def base(self) -> str:
        """First part of all topics."""
        return f"asd/{self.agent}"

    @property
    def status(self) -> str:
        """Topic of `online` and `offline`, retained, and of the last will."""
        return f"{self.base}/status"

    @property
    def health(self) -> str:
        """Topic of the health report, retained."""
        return f"{self.base}/health"

    @property
    def event(self) -> str:
        """Topic of notices of the agent as a whole."""
        return f"{self.base}/event"

    def source_state(self, source: str) -> str:
        """Return the topic of a source's state, retained."""
        return f"{self.base}/source/{_checked(source)}/state"

    def monitor_state(self, monitor: str) -> str:
        """Return the topic of a monitor's state, retained."""
        return f"{self.base}/monitor/{_checked(monitor)}/state"

    def alert(self, monitor: str) -> str:
        """Return the topic of a monitor's alerts."""
        return f"{self.base}/monitor/{_checked(monitor)}/alert"

    def score(self, monitor: str) -> str:
        """Return the topic of the scores of a monitor's windows."""
        return f"{self.base}/monitor/{_checked(monitor)}/score"

    def picture(self, monitor: str) -> str:
        """Return the topic of the newest evidence picture of a monitor, retained."""
        return f"{self.base}/monitor/{_checked(monitor)}/picture"

    def command(self, verb: str) -> str:
        """Return the topic on which commands of a verb arrive."""
        return f"{self.base}/command/{_checked(verb)}"

    @property
    def command_result(self) -> str:
        """Topic of the answers to commands."""
        return f"{self.base}/command/result"

    def sources_among(self, topics: Iterable[str]) -> set[str]:
        """Return the names of the sources whose state topics are among these."""
        parts = [
            topic.removeprefix(f"{self.base}/source/") for topic in topics if topic.startswith(f"{self.base}/source/")
        ]
        return {part.removesuffix("/state") for part in parts if part.endswith("/state")}

    def retained(self, monitors: Iterable[str], sources: Iterable[str]) -> frozenset[str]:
        """Return the topics that may hold a retained message; others that once did are cleared."""
        states = [self.monitor_state(m) for m in monitors] + [self.source_state(s) for s in sources]
        return frozenset([self.status, self.health, *states])


def _checked(name: str) -> str:
    if not NAME.match(name):
        raise ValueError(f"{name!r} cannot be part of a topic: it may hold only letters, digits, '_' and '-'")
    return name
