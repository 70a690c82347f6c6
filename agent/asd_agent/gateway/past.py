"""Answers from the history and the evidence: series, alarms, replays, clips and pictures."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from asd_agent.config.model import Config, RaiseAfter
from asd_agent.errors import AsdError
from asd_agent.evidence.store import CLIP, FOLDER, PICTURE, RECORD, find_evidence, zip_evidence
from asd_agent.gateway.fields import name_field, number_field, stretch_fields, text_field
from asd_agent.gateway.server import GatewayAnswer
from asd_agent.history import FILE_NAME
from asd_agent.history.reader import Series, open_history
from asd_agent.history.replay import compare, replay

MOST_ALARMS = 500
"""Alarms of one answer."""
MOST_POINTS = 2000
EVENTS_SHOWN = 200
LARGEST_FILE = 64 << 20
"""Bytes of one evidence file: a clip of five minutes of 16-bit sound has a sixth of it."""
REPLAY_SECONDS = 31 * 86_400.0
"""Longest stretch of a replay; windows are kept for 14 days unless configured otherwise."""
_FILES = {"clip": CLIP, "picture": PICTURE, "record": RECORD}
_COLUMNS = ("low", "mean", "high", "level")


class PastAnswers:
    """Reads what the service has stored; each call opens the history by itself, read-only.

    Args:
        config: The configuration.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._history = config.paths.state / FILE_NAME
        self._evidence = config.paths.state / FOLDER

    def monitor(self, document: dict[str, Any]) -> str:
        """Return the monitor that a request names.

        Raises:
            ValueError: There is none.
        """
        name = name_field(document, "monitor")
        if name not in self._config.monitors:
            raise ValueError(f"there is no monitor {name!r}")
        return name

    def series(self, document: dict[str, Any]) -> GatewayAnswer:
        """Return scores of a monitor over time: columns of equal length, null where nothing was scored."""
        start, end = stretch_fields(document)
        points = int(number_field(document, "points", 10, MOST_POINTS, 600))
        with open_history(self._history) as history:
            return GatewayAnswer({"series": series_columns(history.series(self.monitor(document), start, end, points))})

    def overview(self, document: dict[str, Any]) -> GatewayAnswer:
        """Return one short series for each monitor."""
        start, end = stretch_fields(document)
        points = int(number_field(document, "points", 10, 400, 96))
        with open_history(self._history) as history:
            found = {name: series_columns(history.series(name, start, end, points)) for name in self._config.monitors}
        return GatewayAnswer({"series": found})

    def alarms(self, document: dict[str, Any]) -> GatewayAnswer:
        """Return alarms, the newest first; those that stand come too, however old they are."""
        start, end = stretch_fields(document)
        limit = int(number_field(document, "limit", 1, MOST_ALARMS, 100))
        monitor = self.monitor(document) if document.get("monitor") else None
        wanted = text_field(document, "verdict", 10, "")
        with open_history(self._history) as history:
            found = history.alarms(monitor=monitor, since=start, until=end, limit=MOST_ALARMS)
        kept = [a for a in found if not wanted or (a["verdict"] or "none") == wanted]
        return GatewayAnswer({"alarms": kept[:limit], "more": len(kept) > limit})

    def alarm(self, document: dict[str, Any]) -> GatewayAnswer:
        """Return one alarm with its events and, where there is one, the record of its evidence."""
        alarm_id = text_field(document, "alarm_id", 128)
        with open_history(self._history) as history:
            alarm = history.alarm(alarm_id)
        if alarm is None:
            raise AsdError("there is no such alarm", "The list of alarms shows those that are kept.")
        alarm["events"] = alarm["events"][-EVENTS_SHOWN:]
        record = None
        if alarm["evidence_id"] is not None:
            stored = find_evidence(self._evidence, alarm["monitor"], alarm["evidence_id"])
            record = stored.record if stored else None
        return GatewayAnswer({"alarm": alarm, "evidence": record.model_dump(mode="json") if record else None})

    def evidence(self, document: dict[str, Any]) -> GatewayAnswer:
        """Return one file of an alarm's evidence, or all of it as a zip."""
        monitor, evidence_id = name_field(document, "monitor"), name_field(document, "evidence_id")
        kind = text_field(document, "file", 10)
        if kind == "zip":
            found = find_evidence(self._evidence, monitor, evidence_id)
            if found is None:
                raise _gone()
            return GatewayAnswer({}, zip_evidence(found))
        if kind not in _FILES:
            raise ValueError(f"'file' is one of {', '.join(_FILES)}, zip")
        return GatewayAnswer({}, _read_below(self._evidence, self._evidence / monitor / evidence_id / _FILES[kind]))

    def replay(self, document: dict[str, Any]) -> GatewayAnswer:
        """Return the alarms that another level or rule would have given, held against those that were given."""
        monitor = self.monitor(document)
        start, end = stretch_fields(document)
        start = max(start, end - REPLAY_SECONDS)
        level = None if document.get("level") is None else number_field(document, "level", -1e6, 1e6)
        settings = self._config.monitors[monitor].alarm
        k = int(number_field(document, "k", 1, 1000, settings.raise_after.k))
        n = int(number_field(document, "n", 1, 1000, settings.raise_after.n))
        rule = settings.model_copy(update={"raise_after": RaiseAfter.model_validate({"k": k, "n": n})})
        with open_history(self._history) as history:
            block = history.windows(monitor, start, end)
            given = history.alarms(monitor=monitor, since=start, until=end, limit=MOST_ALARMS)
        result = compare(replay(block, rule, level=level), given)
        scored = block.rows["score"][block.rows["verdict"] == 0]
        over = float((scored > level).mean()) if level is not None and len(scored) else None
        hours = float(block.rows["utc_end"].max() - block.rows["utc_end"].min()) / 3600.0 if len(block) else 0.0
        judged = {a["alarm_id"]: a for a in given}
        return GatewayAnswer(
            {
                "windows": len(block),
                "hours": round(hours, 2),
                "given": len([a for a in given if not a["test"]]),
                "rule": {"k": k, "n": n},
                "level": level,
                "share_over": over,
                "alarms": [
                    {"raised_utc": r.raised_utc, "cleared_utc": r.cleared_utc, "peak_score": _finite(r.peak_score),
                     "added": r in result.added}
                    for r in result.alarms[:MOST_ALARMS]
                ],
                "count": len(result.alarms),
                "added": len(result.added),
                **{
                    kind: [_short(judged[i]) for i in ids if i in judged]
                    for kind, ids in (
                        ("lost", result.lost), ("spared", result.spared), ("absent", result.absent),
                    )
                },
            }
        )  # fmt: skip


def series_columns(series: Series) -> dict[str, Any]:
    """Return a series as JSON columns: `step` and `time` in seconds, scores or null, and counts."""
    rows = series.rows
    return {
        "step": series.step_seconds,
        "time": [float(t) for t in series.utc],
        **{c: _numbers(rows[c].tolist()) for c in _COLUMNS},
        "scored": rows["scored"].tolist(),
        "invalid": rows["invalid"].tolist(),
    }


def _numbers(values: Iterable[float]) -> list[float | None]:
    return [round(v, 4) if math.isfinite(v) else None for v in values]


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _short(alarm: dict[str, Any]) -> dict[str, Any]:
    return {key: alarm[key] for key in ("alarm_id", "raised_utc", "cleared_utc", "peak_score", "verdict", "label")}


def _gone() -> AsdError:
    return AsdError("this evidence is not kept any more", "Its days or its place on the disk were used up.")


def _read_below(folder: Path, path: Path) -> bytes:
    """Return a file's bytes; a link out of the folder, or a file too large, is refused."""
    real = path.resolve()
    if not real.is_relative_to(folder.resolve()) or not real.is_file():
        raise _gone()
    if real.stat().st_size > LARGEST_FILE:
        raise AsdError(f"{path.name} is larger than {LARGEST_FILE >> 20} MiB", "Copy it with `asd-agent evidence`.")
    return real.read_bytes()
