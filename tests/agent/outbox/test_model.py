"""The outbox against a plain list, through any order of commits, deliveries, full disks, kills and restarts."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from asd_agent.clock import SystemClock
from asd_agent.outbox.schema import Message
from asd_agent.outbox.store import Outbox

TOPICS = ("a", "b")


class OutboxModel(RuleBasedStateMachine):
    """`waiting` is what must still be sent, in order, and whether it lies on disk."""

    @initialize()
    def start(self):
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "o.db"
        self.outbox = Outbox(self.path, SystemClock())
        self.waiting: list[tuple[str, str]] = []
        self.stored: set[str] = set()
        self.delivered_unstored: list[str] = []
        self.state = self.stored_state = None
        self.count = 0
        self.full = False

    @rule(topics=st.lists(st.sampled_from(TOPICS), min_size=1, max_size=3))
    def commit(self, topics):
        messages = []
        for topic in topics:
            self.count += 1
            # Large enough that a full disk refuses it for certain.
            messages.append(Message(f"m{self.count}", topic, "x" * 9000))
        self.state = str(self.count)
        stored = self.outbox.commit("fan", self.state, messages)
        assert stored == (not self.full)
        self.waiting += [(m.id, m.topic) for m in messages]
        if stored:
            self._all_stored()

    @rule(held=st.sampled_from([(), ("a",), ("b",)]))
    def deliver(self, held):
        expected = next(((i, t) for i, t in self.waiting if t not in held), None)
        row = self.outbox.next(held)
        assert (row and (row.message.id, row.message.topic)) == expected
        if row is None:
            return
        assert row.durable == (row.message.id in self.stored)
        self.outbox.done(row)
        self.waiting.remove(expected)
        if not self.full:
            self._all_stored()
        elif row.durable:
            # Taken by the broker, yet the disk may still say that it waits: a kill now brings a second copy.
            self.delivered_unstored.append(row.message.id)

    @rule()
    def fill_disk(self):
        if not self.full:
            pages = self.outbox._db.execute("PRAGMA page_count").fetchone()[0]
            free = self.outbox._db.execute("PRAGMA freelist_count").fetchone()[0]
            if free == 0:
                self.outbox._db.execute(f"PRAGMA max_page_count={pages}")
                self.full = True

    @rule()
    def free_disk(self):
        self.outbox._db.execute("PRAGMA max_page_count=1000000")
        self.full = False
        assert self.outbox.flush()
        self._all_stored()

    @rule()
    def kill(self):
        """Nothing is flushed: what lay in memory is lost, what the disk did not learn comes again."""
        self.outbox._db.close()
        self.full = False
        self.outbox = Outbox(self.path, SystemClock())
        waiting = {i for i, _ in self.waiting}
        again = [row for row in self._on_disk() if row[0] in waiting or row[0] in self.delivered_unstored]
        lost = waiting - {i for i, _ in again}
        assert not lost & self.stored
        self.waiting = again
        self.delivered_unstored = []
        assert self.outbox.load("fan") == self.stored_state
        self.state = self.stored_state

    @rule()
    def restart(self):
        if not self.full:
            self.outbox.close()
            self.outbox = Outbox(self.path, SystemClock())
            assert self.outbox.load("fan") == self.state

    @invariant()
    def depth_is_right(self):
        if hasattr(self, "outbox"):
            assert self.outbox.depth() == len(self.waiting)
            assert self.outbox.dropped == 0

    def teardown(self):
        if hasattr(self, "outbox"):
            self.outbox._db.close()
            self.folder.cleanup()

    def _all_stored(self):
        self.stored |= {i for i, _ in self.waiting}
        self.stored_state = self.state
        self.delivered_unstored = []

    def _on_disk(self):
        query = "SELECT id, topic FROM outbox WHERE sent_utc IS NULL ORDER BY key"
        return [(str(i), str(t)) for i, t in self.outbox._db.execute(query)]


TestOutboxModel = OutboxModel.TestCase
TestOutboxModel.settings = settings(max_examples=40, stateful_step_count=25)
