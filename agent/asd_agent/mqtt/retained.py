"""Retained states: the newest value of each topic, and which of them the broker does not have yet."""

from __future__ import annotations

import threading
from collections.abc import Collection

from asd_agent.outbox.store import Outbox


class RetainedStates:
    """Values of the retained topics; every method may be called from any thread.

    The outbox remembers every topic that was ever retained, so that topics of removed monitors are cleared by a later
    run of the agent.

    Args:
        outbox: Memory of the retained topics.
        status: Topic of the last will, which is never cleared.
    """

    def __init__(self, outbox: Outbox, status: str) -> None:
        self._outbox, self._status = outbox, status
        self._lock = threading.Lock()
        self._keep: frozenset[str] = frozenset()
        self._latest: dict[str, str] = {}
        self._dirty: dict[str, None] = {}  # ordered: topics to send, an absent value clears the topic

    @property
    def waiting(self) -> bool:
        """True while any topic is still to be sent."""
        return bool(self._dirty)

    def keep(self, topics: Collection[str]) -> None:
        """Set the topics that may stay retained; others that the outbox remembers are cleared on connecting."""
        self._keep = frozenset(topics)

    def set(self, topic: str, text: str) -> None:
        """Make this the value of a topic; an older one that was not sent yet is dropped."""
        with self._lock:
            known = topic in self._latest
            self._latest[topic] = text
            self._dirty[topic] = None
        if not known:
            self._outbox.remember_retained([topic])

    def clear(self, topics: Collection[str]) -> None:
        """Clear these topics at the broker."""
        with self._lock:
            for topic in topics:
                self._latest.pop(topic, None)
                self._dirty[topic] = None

    def resend(self) -> None:
        """Send every value again, in the order in which each was first given."""
        with self._lock:
            self._dirty = dict.fromkeys([*self._latest, *self._dirty])

    def connected(self) -> None:
        """Start a new connection: send every value, and clear the topics that are no longer used."""
        self._outbox.remember_retained([self._status])
        with self._lock:
            gone = self._outbox.retained() - self._keep - set(self._latest) - {self._status}
            self._dirty = dict.fromkeys([*self._latest, *sorted(gone)])

    def next(self, held: Collection[str]) -> tuple[str, str] | None:
        """Remove and return the next topic to send with its value, empty to clear it; None where there is none."""
        with self._lock:
            topic = next((t for t in self._dirty if t not in held), None)
            if topic is None:
                return None
            del self._dirty[topic]
            return topic, self._latest.get(topic, "")

    def settle(self, refused: Collection[str], cleared: Collection[str]) -> None:
        """Record the broker's answers: refused topics are sent again, cleared ones forgotten."""
        with self._lock:
            self._dirty.update(dict.fromkeys(refused))
            # Under the lock: a state that is set meanwhile must be remembered after this, not before.
            for topic in cleared:
                if topic not in self._latest:
                    self._outbox.forget_retained(topic)
