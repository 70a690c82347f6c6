"""One plain sentence for an event of an alarm, as a person reads it first."""

from __future__ import annotations

from datetime import datetime

from asd_agent.alarm.state import Event

_TEMPLATES = {
    "raised": "{monitor} has sounded different since {since}",
    "escalated": "{monitor} sounds more different than when its alarm was raised",
    "realarmed": "{monitor} still sounds different, and nobody has acknowledged its alarm",
    "cleared": "{monitor} sounds normal again",
    "stale": "{monitor} cannot be judged",
    "resumed": "{monitor} is judged again",
}


def sentence_of(event: Event, monitor: str, *, never_normal: bool = False) -> str:
    """Return the sentence, with the box's local time; empty for actions of a person.

    Args:
        event: The event.
        monitor: Name of the monitor.
        never_normal: Whether it has judged no window as normal so far.
    """
    window = event.window
    begun = datetime.fromtimestamp(window.utc_start if window else event.clock.utc).astimezone()
    text = _TEMPLATES.get(event.event, "").format(monitor=monitor, since=f"{begun:%H:%M}")
    if event.event in {"raised", "escalated", "realarmed"} and window and window.explanation:
        text += f": {window.explanation.text}"
    if never_normal and event.event in {"raised", "escalated", "realarmed"}:
        text += ". No window has been normal since the start: if the machine is healthy, calibrate"
    if event.event == "stale" and window and window.reasons:
        text += f": {', '.join(window.reasons)}"
    return text
