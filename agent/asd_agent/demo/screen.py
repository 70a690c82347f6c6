"""Live screen of the demo: level, score against threshold, alarm state, events."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

_STATE_STYLE = {"normal": "green", "active": "bold red", "acknowledged": "yellow"}
_BAR = 34
_TRACE = " ▁▂▃▄▅▆▇█"
_LEVEL_FLOOR_DBFS = -60.0


@dataclass
class ScreenContent:
    """Content of the screen; the demo writes it, `render` reads it.

    Attributes:
        seconds: Position in the recording.
        total: Seconds that are played in all.
        truth: Label of the sound that is played now.
        broker: The broker accepts connections.
        score: Newest score; None before the first window.
        threshold: The raise level.
        level_dbfs: Level of the newest sound.
        state: Alarm state.
        scores: Newest scores, oldest first.
        events: Lines of the latest events, newest last.
        waiting: Alerts that the broker has not acknowledged yet.
    """

    title: str
    total: float
    seconds: float = 0.0
    truth: str = ""
    broker: bool = True
    score: float | None = None
    threshold: float = 0.0
    level_dbfs: float = _LEVEL_FLOOR_DBFS
    state: str = "normal"
    scores: deque[tuple[float, bool]] = field(default_factory=lambda: deque(maxlen=_BAR))
    events: deque[str] = field(default_factory=lambda: deque(maxlen=8))
    waiting: int = 0


def render(content: ScreenContent) -> RenderableType:
    """Return the screen for rich to print, while the demo goes on writing the content in another thread."""
    lines = tuple(content.events)  # copied at once: a deque cannot be iterated while it grows
    grid = Table.grid(padding=(0, 2))
    grid.add_column(justify="right", style="dim", min_width=10)
    grid.add_column()
    done = min(1.0, content.seconds / content.total) if content.total else 0.0
    grid.add_row("played", _bar(done, "cyan") + Text(f" {content.seconds:5.0f} of {content.total:.0f} s"))
    grid.add_row("truth", Text(content.truth, style="magenta" if content.truth != "normal" else "green"))
    loudness = 1.0 - content.level_dbfs / _LEVEL_FLOOR_DBFS
    grid.add_row("level", _bar(loudness, "blue") + Text(f" {content.level_dbfs:5.1f} dBFS"))
    if content.score is not None:
        over = content.score > content.threshold
        share = content.score / (2.0 * content.threshold) if content.threshold > 0 else 0.0
        text = f" {content.score:6.1f}, raised above {content.threshold:.1f}"
        grid.add_row("score", _bar(share, "red" if over else "green", mark=0.5) + Text(text))
    grid.add_row("scores", _trace(content))
    grid.add_row("state", Text(content.state, style=_STATE_STYLE.get(content.state, "yellow")))
    broker = Text("listening", style="green") if content.broker else Text("stopped on purpose", style="bold yellow")
    grid.add_row("broker", broker + Text(f", {content.waiting} alerts waiting" if content.waiting else "", style="dim"))
    events = Text("\n").join(Text.from_markup(line) for line in lines) or Text("nothing yet", style="dim")
    return Group(
        Panel(grid, title=content.title, border_style="cyan", width=88),
        Panel(events, title="what happened", border_style="dim", width=88, height=10),
    )


def _bar(share: float, colour: str, mark: float | None = None) -> Text:
    filled = round(max(0.0, min(1.0, share)) * _BAR)
    cells = ["█"] * filled + ["·"] * (_BAR - filled)
    if mark is not None:
        cells[round(mark * _BAR)] = "│"
    return Text("".join(cells[:filled]), style=colour) + Text("".join(cells[filled:]), style="dim")


def _trace(content: ScreenContent) -> Text:
    top = max(2.0 * content.threshold, 1e-9)
    text = Text()
    for score, over in tuple(content.scores):
        height = round(max(0.0, min(1.0, score / top)) * (len(_TRACE) - 1))
        text.append(_TRACE[max(1, height)], style="red" if over else "green")
    return text
