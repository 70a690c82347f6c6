"""Columns of judged windows and of minutes, and the compact blobs that they are stored as.

A stored window holds all that the alarm machine reads of it, in full precision, so that a replay decides exactly as the
service did. Explanations and the scores of single experts are left out: they are in the alarms' evidence.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from asd_agent.alarm import ScoredWindow
from asd_agent.alarm.window import Verdict
from asd_agent.errors import AsdError

Columns = npt.NDArray[np.void]

WINDOW = np.dtype(
    [
        ("monitor", "<u2"),  # place in the block's list of monitors
        ("context", "<u2"),  # place in the block's list of contexts: levels, domain, reasons
        ("verdict", "u1"),
        ("suspect", "u1"),
        ("index", "<i8"),
        ("start", "<f8"),  # sample time in seconds
        ("end", "<f8"),
        ("utc_start", "<f8"),
        ("utc_end", "<f8"),
        ("score", "<f8"),  # NaN where there is none
    ]
)
MINUTE = np.dtype(
    [
        ("low", "<f4"),
        ("mean", "<f4"),
        ("high", "<f4"),
        ("level", "<f4"),
        ("scored", "<u2"),
        ("over", "<u2"),
        ("invalid", "<u2"),
        ("suspended", "<u2"),
    ]
)
"""Statistics of one minute; scores and level are NaN where no window was scored."""
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
_FORMAT = 1
_HEADER = struct.Struct("<BII")
"""Format, bytes of the JSON header, rows."""
LARGEST_BLOB = 16 << 20
"""Bytes that a block may unpack to: an hour of 16 monitors at a hop of 0.2 s is a fifth of that."""


class BlobError(AsdError):
    """A stored block cannot be read."""


@dataclass(frozen=True)
class Context:
    """Properties that stay the same over many windows of a monitor.

    Attributes:
        threshold: Raise level, None where nothing was scored.
        clear_level: Clear level, likewise.
        domain: Domain that judged, where it is chosen window by window.
        provisional: Whether its level rests on too few clips, likewise.
        reasons: Why the windows are suspect or invalid.
    """

    threshold: float | None = None
    clear_level: float | None = None
    domain: str | None = None
    provisional: bool | None = None
    reasons: tuple[str, ...] = ()

    @classmethod
    def of(cls, window: ScoredWindow) -> Context:
        """Return the context of one window."""
        return cls(window.threshold, window.clear_level, window.domain, window.provisional, window.reasons)


@dataclass(frozen=True)
class WindowBlock:
    """Judged windows of one or more monitors, in the order of their arrival.

    Attributes:
        monitors: Names that the column `monitor` points to.
        contexts: Contexts that the column `context` points to.
        rows: Columns of dtype `WINDOW`, shape (windows,).
    """

    monitors: tuple[str, ...]
    contexts: tuple[Context, ...]
    rows: Columns

    @classmethod
    def of(cls, windows: Iterable[tuple[str, ScoredWindow]]) -> WindowBlock:
        """Collect windows with the names of their monitors."""
        monitors: dict[str, int] = {}
        contexts: dict[Context, int] = {}
        rows = [
            (
                monitors.setdefault(name, len(monitors)),
                contexts.setdefault(Context.of(w), len(contexts)),
                VERDICTS.index(w.verdict),
                w.suspect,
                w.index,
                w.start,
                w.end,
                w.utc_start,
                w.utc_end,
                np.nan if w.score is None else w.score,
            )
            for name, w in windows
        ]
        return cls(tuple(monitors), tuple(contexts), np.array(rows, dtype=WINDOW))

    @classmethod
    def joined(cls, blocks: Sequence[WindowBlock]) -> WindowBlock:
        """Join blocks; their monitors and contexts are listed once."""
        monitors: dict[str, int] = {}
        contexts: dict[Context, int] = {}
        parts = [np.empty(0, WINDOW)]
        for block in blocks:
            names = np.array([monitors.setdefault(m, len(monitors)) for m in block.monitors], np.uint16)
            known = np.array([contexts.setdefault(c, len(contexts)) for c in block.contexts], np.uint16)
            rows = block.rows.copy()
            if len(rows):
                rows["monitor"], rows["context"] = names[rows["monitor"]], known[rows["context"]]
            parts.append(rows)
        return cls(tuple(monitors), tuple(contexts), np.concatenate(parts))

    def __len__(self) -> int:
        return len(self.rows)

    def select(self, mask: npt.NDArray[np.bool_]) -> WindowBlock:
        """Return the rows where a mask, shape (windows,), holds."""
        return WindowBlock(self.monitors, self.contexts, self.rows[mask])

    def of_monitor(self, name: str) -> WindowBlock:
        """Return one monitor's windows."""
        if name not in self.monitors:
            return WindowBlock((), (), self.rows[:0])
        rows = self.rows[self.rows["monitor"] == self.monitors.index(name)].copy()
        rows["monitor"] = 0
        return WindowBlock((name,), self.contexts, rows)

    @property
    def thresholds(self) -> npt.NDArray[np.float64]:
        """Raise level of each window, shape (windows,); NaN where there is none."""
        levels = np.array([np.nan if c.threshold is None else c.threshold for c in self.contexts], np.float64)
        return levels[self.rows["context"]] if len(levels) else np.empty(0)

    def window(self, place: int) -> ScoredWindow:
        """Return one window as the alarm machine takes it."""
        row = self.rows[place]
        context = self.contexts[row["context"]]
        score = float(row["score"])
        return ScoredWindow.model_construct(
            index=int(row["index"]),
            start=float(row["start"]),
            end=float(row["end"]),
            utc_start=float(row["utc_start"]),
            utc_end=float(row["utc_end"]),
            verdict=VERDICTS[row["verdict"]],
            suspect=bool(row["suspect"]),
            reasons=context.reasons,
            score=None if np.isnan(score) else score,
            threshold=context.threshold,
            clear_level=context.clear_level,
            domain=context.domain,
            provisional=context.provisional,
        )

    def windows(self) -> Iterator[ScoredWindow]:
        """Yield the windows as the alarm machine takes them."""
        return (self.window(place) for place in range(len(self.rows)))

    def to_bytes(self) -> bytes:
        """Return the compressed form; columns follow one after the other, by the bytes of their numbers."""
        header = json.dumps([self.monitors, [list(vars(c).values()) for c in self.contexts]]).encode()
        return _packed(header, self.rows)

    @classmethod
    def from_bytes(cls, blob: bytes) -> WindowBlock:
        """Read the compressed form.

        Raises:
            BlobError: It is damaged.
        """
        header, rows = _unpacked(blob, WINDOW)
        try:
            monitors, contexts = json.loads(header)
            known = tuple(Context(t, c, d, p, tuple(r)) for t, c, d, p, r in contexts)
        except (ValueError, TypeError) as error:
            raise BlobError("a block of the history is damaged") from error
        places = (("monitor", monitors), ("context", known), ("verdict", VERDICTS))
        if len(rows) and any(int(rows[column].max()) >= len(names) for column, names in places):
            raise BlobError("a block of the history is damaged")
        return cls(tuple(str(m) for m in monitors), known, rows)


def minutes_to_bytes(minutes: Columns) -> bytes:
    """Return the compressed form of minutes, dtype `MINUTE`, shape (minutes,)."""
    return _packed(b"", minutes)


def minutes_from_bytes(blob: bytes) -> Columns:
    """Read the compressed form of minutes.

    Raises:
        BlobError: It is damaged.
    """
    return _unpacked(blob, MINUTE)[1]


def minutes_of(block: WindowBlock, hour: int) -> Columns:
    """Statistics of the sixty minutes of an hour, dtype `MINUTE`, from one monitor's windows.

    Args:
        block: The windows; those that end in another hour do not count.
        hour: Hours since 1970.
    """
    minutes = np.zeros(60, MINUTE)
    for column in ("low", "mean", "high", "level"):
        minutes[column] = np.nan
    if not len(block):
        return minutes
    place = np.floor(block.rows["utc_end"] / 60.0).astype(np.int64) - 60 * hour
    inside = (place >= 0) & (place < 60)
    place, rows, levels = place[inside], block.rows[inside], block.thresholds[inside]
    scored = (rows["verdict"] == 0) & np.isfinite(rows["score"])
    for minute in np.unique(place):
        here = place == minute
        judged = here & scored
        entry: Any = minutes[minute]
        entry["invalid"] = np.count_nonzero(here & (rows["verdict"] == 1))
        entry["suspended"] = np.count_nonzero(here & (rows["verdict"] == 2))
        entry["scored"] = np.count_nonzero(judged)
        if judged.any():
            scores = rows["score"][judged]
            entry["low"], entry["mean"], entry["high"] = scores.min(), scores.mean(), scores.max()
            entry["over"] = np.count_nonzero(scores > levels[judged])
            entry["level"] = levels[judged].max()
    return minutes


def _packed(header: bytes, rows: Columns) -> bytes:
    columns = [np.ascontiguousarray(rows[name]) for name in rows.dtype.names or ()]
    # Bytes of one significance are stored together: times and levels, which hardly change, compress to almost nothing.
    shuffled = b"".join(c.view(np.uint8).reshape(len(rows), -1).T.tobytes() for c in columns) if len(rows) else b""
    return _HEADER.pack(_FORMAT, len(header), len(rows)) + zlib.compress(header + shuffled, 6)


def _unpacked(blob: bytes, dtype: np.dtype[np.void]) -> tuple[bytes, Columns]:
    damaged = BlobError("a block of the history is damaged")
    try:
        version, header, count = _HEADER.unpack_from(blob)
        size = header + count * dtype.itemsize
        if version != _FORMAT or size > LARGEST_BLOB:
            raise damaged
        unpacker = zlib.decompressobj()
        raw = unpacker.decompress(blob[_HEADER.size :], size + 1)
    except (struct.error, zlib.error) as error:
        raise damaged from error
    if len(raw) != size or not unpacker.eof:
        raise damaged
    rows, at = np.empty(count, dtype), header
    for name in dtype.names or ():
        width = dtype[name].itemsize
        part = np.frombuffer(raw, np.uint8, count * width, at).reshape(width, count)
        rows[name] = np.ascontiguousarray(part.T).view(dtype[name]).reshape(count)
        at += count * width
    return raw[:header], rows
