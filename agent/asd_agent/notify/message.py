"""Messages for people, made from the payloads of alerts and of notices of the agent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from asd_agent.config.notify import NotifySettings
from asd_agent.evidence.store import CLIP, PICTURE

MessageKind = Literal["info", "success", "warning", "failure"]
_FILES = {"picture": PICTURE, "clip": CLIP}
_WORDS = {
    "raised": "alarm",
    "escalated": "alarm has become more severe",
    "realarmed": "alarm still stands",
    "cleared": "alarm has cleared",
    "acknowledged": "alarm acknowledged",
    "evidence": "recording of the alarm",
    "stale": "cannot be judged",
    "resumed": "is judged again",
    "suspended": "machine has stopped",
    "out_of_service": "out of service",
    "source_lost": "sound is lost",
    "source_back": "sound is back",
}
_KINDS: dict[str, MessageKind] = {
    "raised": "failure",
    "escalated": "failure",
    "realarmed": "failure",
    "cleared": "success",
    "resumed": "success",
    "source_back": "success",
    "stale": "warning",
    "source_lost": "warning",
    "out_of_service": "warning",
}
_LONGEST = 500
"""Characters of one line; a text message has room for less, a mail for more."""


@dataclass(frozen=True)
class NotifyMessage:
    """One message to one target.

    Attributes:
        id: Id of the alert or notice; the same in every attempt.
        thread: Id of the alarm, which joins the messages of one alarm where the target can; else `id`.
        title: First line.
        body: The other lines.
        kind: Apprise's kind of message, which chooses icon and colour.
        files: Paths of attachments.
        fields: Plain values for targets that read JSON.
    """

    id: str
    thread: str
    title: str
    body: str
    kind: MessageKind
    files: tuple[str, ...] = ()
    fields: Mapping[str, Any] = field(default_factory=dict)

    def request(self) -> dict[str, Any]:
        """Return the message as the sending process reads it."""
        return asdict(self)


def is_wanted(document: Mapping[str, Any], settings: NotifySettings) -> bool:
    """Return whether a target wants an alert or notice.

    A test alarm is always wanted, its end never. Evidence is wanted with every alarm whose files are attached.
    """
    event = document.get("event")
    if document.get("test"):
        return event == "raised"
    if event == "evidence" and settings.attach:
        return _severity(document) >= settings.least_severity
    return event in settings.events and _severity(document, notice=1000) >= settings.least_severity


def is_urgent(document: Mapping[str, Any], settings: NotifySettings) -> bool:
    """Return whether a message is sent in quiet hours as well."""
    if settings.quiet is None or document.get("test"):
        return True
    return _severity(document) >= settings.quiet.except_severity


def build_message(
    document: Mapping[str, Any], settings: NotifySettings, evidence: Path, *, age: float, late: bool
) -> NotifyMessage:
    """Return the message for an alert or a notice.

    Args:
        document: The payload.
        settings: The target.
        evidence: Folder of all evidence.
        age: Seconds since the event was stored.
        late: The message has waited.
    """
    event, agent = str(document.get("event")), str(document.get("agent", ""))
    alarm = document.get("schema") == "asd.alert/1"
    subject = str(document.get("monitor") if alarm else document.get("subject", ""))
    marks = [mark for mark, given in (("test", document.get("test")), ("late", late)) if given]
    words = _WORDS.get(event, event.replace("_", " "))
    severity = f", severity {document['severity']}" if event in {"raised", "escalated", "realarmed"} else ""
    title = "".join(f"[{mark}] " for mark in marks) + f"{agent} {subject}".strip() + f": {words}{severity}"
    lines = _alert_lines(document) if alarm else [str(document.get("text", ""))]
    lines.append(f"Time: {document.get('time')}" + (f", sent {_duration(age)} late" if late else ""))
    if document.get("clock") not in {"synchronised", None}:
        lines.append("The clock of the box follows no time server")
    files, missing = _attachments(document, settings, evidence)
    lines += [f"The {name} is no longer on the box" for name in missing]
    lines.append(f"Id: {document.get('alarm_id') or document.get('id')}")
    names = ("id", "alarm_id", "event", "agent", "monitor", "severity", "time", "score", "threshold", "evidence_id")
    fields = {name: document.get(name) for name in names if name in document}
    return NotifyMessage(
        id=str(document.get("id")),
        thread=str(document.get("alarm_id") or document.get("id")),
        title=title[:_LONGEST],
        body="\n".join(line[:_LONGEST] for line in lines),
        kind=_KINDS.get(event, "info"),
        files=files,
        fields={**fields, "late": late, "test": bool(document.get("test"))},
    )


def _alert_lines(document: Mapping[str, Any]) -> list[str]:
    lines = [str(document["text"])] if document.get("text") else []
    lines.append(f"Machine: {document.get('machine')}, section {document.get('section')}")
    score, threshold = document.get("score"), document.get("threshold")
    if score is not None and threshold is not None:
        lines.append(f"Score: {score:.2f}, raise level {threshold:.2f}")
    explanation = (document.get("explanation") or {}).get("text")
    if explanation and explanation not in lines[0]:
        lines.append(f"Unusual: {explanation}")
    if document.get("by"):
        lines.append(f"By: {document['by']}")
    if document.get("note"):
        lines.append(f"Note: {document['note']}")
    return lines


def _attachments(
    document: Mapping[str, Any], settings: NotifySettings, evidence: Path
) -> tuple[tuple[str, ...], list[str]]:
    """Return paths of the wanted files, and the names of those that are not there."""
    clip = (document.get("evidence") or {}).get("path")
    if document.get("event") != "evidence" or not clip:
        return (), []
    folder = evidence / PurePosixPath(str(clip)).parent
    if not folder.resolve().is_relative_to(evidence.resolve()):
        return (), []
    paths = {name: folder / _FILES[name] for name in settings.attach}
    there = tuple(str(path) for path in paths.values() if path.is_file())
    return there, [name for name, path in paths.items() if str(path) not in there]


def _severity(document: Mapping[str, Any], notice: int = 1) -> int:
    """Return the severity of an alert; that of a notice of the agent is given."""
    value = document.get("severity")
    return value if isinstance(value, int) else notice


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
