"""The outbox: alerts stored with the state change that caused them, until a broker has acknowledged them.

It is bounded and counts every drop. While the disk refuses, rows wait in memory and are sent with `durable: false`.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from asd_agent.clock import Clock
from asd_agent.notices import AgentNotice
from asd_agent.outbox import cursors
from asd_agent.outbox.checksums import STATES, checksum, set_rows_aside
from asd_agent.outbox.schema import (
    COLUMNS,
    MEMORY_ROWS,
    CommandRecord,
    DamagedError,
    Message,
    OutboxRow,
    copy_to,
    file_identity,
    insert,
    insert_record,
    insert_states,
    is_damage,
    limit_memory,
    make_room,
    mark_sent,
    open_database,
    open_read_only,
    row_of,
    set_aside,
    transaction,
)
from asd_agent.outbox.state_copy import StateCopy, seq_of

log = logging.getLogger(__name__)

STATE_EVERY_SECONDS = 60.0
"""Time that a state without an event may wait for the disk: one write a minute spares flash memory."""


_REMEDIES = {
    "full": "Free the disk",
    "locked": "Another program holds the file: end it",
    "readonly": "Mount the disk for writing, and let the service's user write there",
    "unable to open": "Let the service's user write there",
    "Permission": "Let the service's user write there",
}
"""Words of an error, and what helps."""


class Outbox:
    """States and messages of one agent; every method may be called from any thread.

    Args:
        path: The SQLite file.
        clock: The clocks.
        max_rows: Number of messages that may wait.
    """

    def __init__(self, path: Path, clock: Clock, max_rows: int = 20_000) -> None:
        self._path, self._clock, self._max_rows = path, clock, max_rows
        self._lock = threading.RLock()
        self._db: sqlite3.Connection | None = None
        self._memory: list[OutboxRow] = []
        self._states: dict[str, str] = {}
        self._unsaved: dict[str, float] = {}
        self._sent: set[int] = set()
        self._dropped_in_memory = 0
        self._dropping = 0
        self._notices: list[AgentNotice] = []
        self._fault: str | None = None
        self._unstored: deque[OutboxRow] = deque(maxlen=MEMORY_ROWS)
        self._copy = StateCopy(path.with_name(f"{path.stem}-states.json"))
        self._file: tuple[int, int] | None = None
        self._read_only: sqlite3.Connection | None = None
        self._reported = False
        self.damaged = 0
        """Counts rows and states that failed their checksum since the start."""
        self.appended = 0
        """Counts messages that were handed over since the start, so that a reader knows when to look again."""
        self._write(lambda _db: None)

    @property
    def fault(self) -> str | None:
        """Reason why the disk refuses, in words; None while it does not."""
        return self._fault

    @property
    def damage(self) -> str | None:
        """Rows and states that were damaged since the start, in words; None where none was."""
        if not self.damaged:
            return None
        return f"{self.damaged} stored rows or states were damaged since the start and set aside. Test the disk"

    def load(self, monitor: str) -> str | None:
        """Return the last committed state of a monitor; None where there is none."""
        with self._lock:
            if monitor in self._states:
                return self._states[monitor]
            rows = self._read("SELECT state FROM monitor WHERE name=?", (monitor,))
            stored, copied = str(rows[0][0]) if rows else None, self._copy.states.get(monitor)
            # The file is not up to date where the disk lets nothing be written and its journal cannot be read.
            if copied is not None and (stored is None or seq_of(stored) < seq_of(copied)):
                return copied
            return stored

    def commit(
        self, monitor: str, state: str, messages: Sequence[Message] = (), record: CommandRecord | None = None
    ) -> bool:
        """Store a state and the messages that its change caused, in one transaction.

        A state without messages may wait a minute for the disk.

        Args:
            monitor: Name of the monitor.
            state: `AlarmState.to_json`.
            messages: Messages about the change of state.
            record: The command that changed it, for the log.

        Returns:
            Whether all is on disk; if not, the messages are sent from memory.
        """
        with self._lock:
            self._states[monitor] = state
            now = self._clock.monotonic()
            self._unsaved.setdefault(monitor, now)
            if not messages and record is None and now - self._unsaved[monitor] < STATE_EVERY_SECONDS:
                return self._fault is None
            return self._store(messages, [record] if record is not None else [])

    def append(
        self,
        messages: Sequence[Message],
        records: Sequence[CommandRecord] = (),
    ) -> bool:
        """Store messages without a change of state, in one transaction; return whether they are on disk."""
        with self._lock:
            return self._store(messages, records)

    def flush(self) -> bool:
        """Write what waits for the disk, states after a minute; return whether nothing waits that should not."""
        with self._lock:
            self._find_file()
            now = self._clock.monotonic()
            overdue = any(now - since >= STATE_EVERY_SECONDS for since in self._unsaved.values())
            return self._store(()) if self._memory or overdue or self._sent or self._fault else True

    def next(self, held: Collection[str] = (), skip: Collection[str] = ()) -> OutboxRow | None:
        """Return the oldest waiting message; answers to commands come last.

        Args:
            held: Topics that are held back.
            skip: Ids of messages that are left out.
        """
        with self._lock:
            skip_topics = ",".join("?" * len(held))
            skip_ids = ",".join("?" * len(skip))
            skip_keys = ",".join(str(k) for k in self._sent)
            found = self._read_rows(
                f"sent_utc IS NULL AND topic NOT IN ({skip_topics})"
                f" AND id NOT IN ({skip_ids}) AND key NOT IN ({skip_keys})"
                " ORDER BY topic LIKE '%/command/result', key LIMIT 1",
                (*held, *skip),
            )
            if found:
                return row_of(found[0])
            return next((r for r in self._memory if r.message.topic not in held and r.message.id not in skip), None)

    def done(self, row: OutboxRow) -> None:
        """Record that a broker has acknowledged a row."""
        with self._lock:
            if row.key is None:
                stored = self._read("SELECT key FROM outbox WHERE id=? AND sent_utc IS NULL", (row.message.id,))
                self._memory = [r for r in self._memory if r.message.id != row.message.id]
                if not stored:
                    return
                row = replace(row, key=int(stored[0][0]))
            if row.key is not None:
                self._sent.add(row.key)
            self._store(())

    def depth(self) -> int:
        """Return the number of waiting messages."""
        with self._lock:
            rows = self._read("SELECT count(*) FROM outbox WHERE sent_utc IS NULL")
            return (int(rows[0][0]) - len(self._sent) if rows else 0) + len(self._memory)

    def oldest_seconds(self) -> float:
        """Return the seconds that the oldest message has waited; 0 where none waits."""
        row = self.next()
        return row.age(self._clock) if row else 0.0

    @property
    def dropped(self) -> int:
        """Number of messages dropped for want of room since the file was created."""
        with self._lock:
            rows = self._read("SELECT value FROM counter WHERE name='dropped'")
            return (int(rows[0][0]) if rows else 0) + self._dropped_in_memory

    def notices(self) -> tuple[AgentNotice, ...]:
        """Return and remove the notices about the outbox itself."""
        with self._lock:
            taken, self._notices = tuple(self._notices), []
            return taken

    def history(self, limit: int = 100) -> list[tuple[Message, bool]]:
        """Return the newest messages, newest first, and whether a broker has acknowledged each."""
        with self._lock:
            rows = self._read_rows("true ORDER BY key DESC LIMIT ?", (limit,))
            waiting = [(r.message, False) for r in reversed(self._memory)]
            return (waiting + [(row_of(r).message, r[8] is not None or r[0] in self._sent) for r in rows])[:limit]

    def recorded(self, command_id: str) -> CommandRecord | None:
        """Return an entry of the command log; None where there is none."""
        with self._lock:
            rows = self._read("SELECT id, request, done, text FROM command WHERE id=?", (command_id,))
            return CommandRecord(rows[0][0], rows[0][1], bool(rows[0][2]), rows[0][3]) if rows else None

    def records(self, limit: int = 100) -> list[tuple[float, CommandRecord]]:
        """Return the newest entries of the command log, newest first, each with its time in seconds since 1970."""
        with self._lock:
            rows = self._read("SELECT utc, id, request, done, text FROM command ORDER BY key DESC LIMIT ?", (limit,))
            return [(r[0], CommandRecord(r[1], r[2], bool(r[3]), r[4])) for r in rows]

    def retained(self) -> frozenset[str]:
        """Return the topics on which a broker may hold a retained message of this agent."""
        with self._lock:
            return frozenset(str(r[0]) for r in self._read("SELECT topic FROM retained"))

    def remember_retained(self, topics: Iterable[str]) -> None:
        """Remember topics before a message is first retained on them, so that they can be cleared later."""
        with self._lock:
            new = sorted(set(topics) - self.retained())
            if new:
                self._write(lambda db: db.executemany("INSERT OR IGNORE INTO retained VALUES(?)", [(t,) for t in new]))

    def forget_retained(self, topic: str) -> None:
        """Forget a topic whose retained message is cleared."""
        with self._lock:
            self._write(lambda db: db.execute("DELETE FROM retained WHERE topic=?", (topic,)))

    def follow(self, readers: Collection[str]) -> None:
        """Keep a cursor for each of these readers beside MQTT, and for no others; a new one begins with what comes."""
        with self._lock:
            self._write(lambda db: cursors.prepare(db, readers))

    def cursor(self, reader: str) -> tuple[int, frozenset[int]]:
        """Return what a reader has dealt with: all rows up to a key, 0 in a file that is new, and some beyond."""
        with self._lock:
            rows = self._read("SELECT key, ahead FROM cursor WHERE name=?", (reader,))
            return (int(rows[0][0]), frozenset(json.loads(rows[0][1]))) if rows else (0, frozenset())

    def move_cursor(self, reader: str, key: int, ahead: Collection[int] = ()) -> None:
        """Store that a reader has dealt with all rows up to this key, and with some beyond it."""
        with self._lock:
            self._write(lambda db: cursors.move(db, reader, key, ahead))

    def rows_after(self, key: int, limit: int) -> list[OutboxRow]:
        """Return alerts and notices with a higher key, the oldest first, whether or not a broker has them."""
        with self._lock:
            where = f"key > ? AND {cursors.READ_BY_PEOPLE} ORDER BY key LIMIT ?"
            return [row_of(values) for values in self._read_rows(where, (key, limit))]

    def unstored(self) -> list[OutboxRow]:
        """Return alerts and notices that came while the disk refused; some of them may be stored by now."""
        with self._lock:
            return [r for r in self._unstored if not r.message.topic.endswith("/command/result")]

    def close(self) -> None:
        """Write all that waits for the disk and close the file."""
        with self._lock:
            self._find_file()
            if self._memory or self._unsaved or self._sent or self._fault:
                self._store(())
            self._save_copy()
            self._close_file()

    def _close_file(self) -> None:
        for db in (self._db, self._read_only):
            if db is not None:
                db.close()
        self._db = self._read_only = None

    def _store(self, messages: Sequence[Message], records: Sequence[CommandRecord] = ()) -> bool:
        """Write all that waits for the disk, and these messages, in one transaction."""
        self._find_file()
        now, utc, boot_id = self._clock.monotonic(), self._clock.utc(), self._clock.boot_id
        new = [OutboxRow(None, m, utc, now, boot_id) for m in messages]
        rows = self._memory + new
        self.appended += len(new)
        dropped: list[int] = []

        def work(db: sqlite3.Connection) -> None:
            dropped.clear()  # it runs a second time where the first one finds the file damaged
            insert(db, rows)
            for record in records:
                insert_record(db, record, utc)
            insert_states(db, [(name, self._states[name]) for name in self._unsaved])
            mark_sent(db, self._sent, utc)
            dropped.append(make_room(db, self._max_rows))

        if self._write(work):
            stored = {r.message.id for r in self._memory}
            if stored:
                self._unstored = deque((r for r in self._unstored if r.message.id not in stored), MEMORY_ROWS)
            self._memory, self._unsaved, self._sent = [], {}, set()
            self._count_drops(dropped[0])
            if rows:
                self._save_copy()
            return True
        kept, lost = limit_memory(rows)
        self._memory = kept
        self._unstored.extend(new)
        self._dropped_in_memory += lost
        self._count_drops(lost)
        return False

    def _write(self, work: Callable[[sqlite3.Connection], object]) -> bool:
        for _attempt in range(2):
            try:
                db = self._db or self._open()
                with transaction(db):
                    work(db)
            except (sqlite3.Error, DamagedError, OSError) as error:
                if is_damage(error):
                    self._reset(str(error))
                    continue
                if "readonly" in str(error):
                    self._close_file()  # opened for reading alone, it stays so when the disk is writable again
                self._refuse(str(error))
                return False
            else:
                self._accept()
                return True
        return False

    def _open(self) -> sqlite3.Connection:
        """Open the file, with what its checksums and the copy of the states show to be lost."""
        known = dict(self._copy.states)
        new = not self._path.exists() or not self._path.stat().st_size
        if self._read_only is not None:
            self._read_only.close()
            self._read_only = None
        db = self._db = open_database(self._path)
        self._file = file_identity(self._path)
        with transaction(db):
            rows = set_rows_aside(db, self._clock.utc())
        if rows:
            self._note_damage(rows, f"{rows} rows of {self._path} were damaged")
        stored = {str(name): (str(state), crc) for name, state, crc in db.execute(STATES)}
        behind = []
        for name in {*known, *stored}:
            state, crc = stored.get(name, ("", None))
            wrong = crc is not None and crc != checksum(name, state)
            if wrong and name not in self._states:
                self._note_damage(1, f"the state of monitor {name} in {self._path} was damaged")
            copied = known.get(name)
            if copied is not None and (wrong or name not in stored or seq_of(state) < seq_of(copied)):
                behind += [name] if name in stored and not wrong else []
                self._states.setdefault(name, copied)
            elif wrong:
                db.execute("DELETE FROM monitor WHERE name=?", (name,))
        if known and not self._reported and (new or behind):
            what = "was absent or empty" if new else "lacked its last commits"
            text = f"{self._path} {what}; the states come from {self._copy.path.name}"
            log.error("outbox: %s. Alerts that waited may be lost and show as gaps in 'seq'; test the disk", text)
            self._notices.append(AgentNotice("outbox_reset", "outbox", text))
        self._reported = False
        # A new file after damage: all states are written again.
        self._unsaved = {**dict.fromkeys(self._states, 0.0), **self._unsaved}
        return db

    def _find_file(self) -> None:
        """Write the open file again where its name was deleted or given to another file; it holds everything still."""
        if self._db is None or self._file == file_identity(self._path):
            return
        log.error("outbox: %s was deleted or replaced while the agent ran; it is written again", self._path)
        old, self._db = self._db, None
        try:
            if self._path.exists():
                set_aside(self._path, self._clock.utc())
            for suffix in ("-wal", "-shm"):
                self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
            if old is not None:
                copy_to(old, self._path)
            text = (
                f"{self._path} was deleted or replaced while the agent ran and has been written again; nothing is lost"
            )
            self._notices.append(AgentNotice("outbox_restored", "outbox", text))
        except (sqlite3.Error, OSError) as error:
            text = f"{self._path} was deleted or replaced while the agent ran and cannot be copied ({error})"
            self._notices.append(AgentNotice("outbox_reset", "outbox", text))
        finally:
            if old is not None:
                old.close()
            self._reported = True
        self._sent.clear()
        self._write(lambda _db: None)

    def _save_copy(self) -> None:
        if not self._states:
            return
        try:
            self._copy.write(self._states)
        except OSError as error:
            log.debug("outbox: %s cannot be written (%s)", self._copy.path, error.strerror)

    def _note_damage(self, count: int, text: str) -> None:
        self.damaged += count
        log.error("outbox: %s and set aside. What they held shows as a gap in 'seq'; test the disk", text)
        self._notices.append(AgentNotice("outbox_damaged", "outbox", f"{text} and set aside", count))

    def _read_rows(self, where: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """Return rows as `COLUMNS`, `sent_utc` and checksum; those that fail it are set aside first."""
        query = f"SELECT {COLUMNS}, sent_utc, crc FROM outbox WHERE {where}"  # noqa: S608
        rows = self._read(query, values)
        if all(r[9] is None or r[9] == checksum(*r[1:9]) for r in rows):
            return rows
        set_: list[int] = []
        if not self._write(lambda db: set_.append(set_rows_aside(db, self._clock.utc()))):
            return [r for r in rows if r[9] is None or r[9] == checksum(*r[1:9])]
        self._note_damage(set_[-1], f"{set_[-1]} rows of {self._path} were damaged")
        return self._read(query, values)

    def _read(self, query: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        try:
            db = self._db or self._read_only
            if db is None:
                db = self._read_only = open_read_only(self._path)
            return db.execute(query, values).fetchall()
        except sqlite3.Error as error:
            if self._db is None:
                return []  # writing it has failed as well, and that is reported
            if is_damage(error):
                self._reset(str(error))
                self._write(lambda _db: None)
            else:
                self._refuse(str(error))
            return []

    def _reset(self, reason: str) -> None:
        self._close_file()
        self._reported = True
        try:
            aside = set_aside(self._path, self._clock.utc())
        except OSError as error:
            self._refuse(f"damaged ({reason}) and cannot be renamed: {error}")
            return
        self._sent.clear()
        text = f"{self._path} was damaged ({reason}); it was set aside as {aside.name} and a new one started"
        log.error("outbox: %s. Alerts that waited in it are lost and show as gaps in 'seq'; test the disk", text)
        self._notices.append(AgentNotice("outbox_reset", "outbox", text))

    def _refuse(self, reason: str) -> None:
        if self._fault is None:
            log.error(
                "outbox: %s cannot be written (%s); alerts are sent from memory with durable: false. %s",
                self._path,
                reason,
                next((remedy for words, remedy in _REMEDIES.items() if words in reason), "Test the disk"),
            )
        self._fault = f"{self._path} cannot be written: {reason}"

    def _accept(self) -> None:
        if self._fault is not None:
            log.info("outbox: %s can be written again", self._path)
        self._fault = None

    def _count_drops(self, dropped: int) -> None:
        if dropped and not self._dropping:
            log.warning(
                "outbox: full (%d rows), the oldest are dropped. Mend the way to the broker, or raise mqtt.outbox_rows",
                self._max_rows,
            )
        self._dropping += dropped
        if self._dropping and not dropped and self.depth() < 0.9 * self._max_rows:
            text = f"the outbox was full; {self._dropping} messages were dropped"
            log.warning("outbox: %s", text)
            self._notices.append(AgentNotice("drops", "outbox", text, self._dropping))
            self._dropping = 0
