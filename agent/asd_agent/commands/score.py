"""asd-agent score: scores of recordings by the code that monitors use."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from asd_agent.alarm import ScoredWindow
from asd_agent.bundle import Bundle
from asd_agent.bundle.bundle import SITE
from asd_agent.bundle.overlay import with_site
from asd_agent.commands.console import one_line, print_json, print_table, report_error, warn
from asd_agent.config.file import load_config
from asd_agent.config.model import RaiseAfter
from asd_agent.errors import AsdError, AudioError, UsageError
from asd_agent.inference.isolated_check import check_foreign
from asd_agent.inference.scorer import BundleScorer
from asd_agent.parallel import in_order
from asd_agent.recording_scores import RecordingScores, RecordingSettings, score_recording

_CPU = ("CPUExecutionProvider",)
_DOMAINS = ("source", "target", SITE, "auto")
_LINE_SECONDS = 60.0


def score(
    clips: Annotated[list[Path], typer.Argument(help="wav or flac recordings of at least 10 s.", metavar="CLIP...")],
    bundle: Annotated[Path | None, typer.Option("--bundle", "-b", help="Folder of the bundle.")] = None,
    section: Annotated[str | None, typer.Option(help="Section, two digits. Default: 00.")] = None,
    domain: Annotated[str | None, typer.Option(help="source, target, site, or auto. Default: source.")] = None,
    channel: Annotated[
        int | None, typer.Option(help="Channel, counted from 0. Default: the average of all.", min=0)
    ] = None,
    rule: Annotated[
        str | None, typer.Option(help="Windows over the raise level that make an alarm. Default: 3 of 4.")
    ] = None,
    hop: Annotated[
        float | None, typer.Option(help="Seconds from window to window. Default: 5.", min=0.1, max=3600)
    ] = None,
    monitor: Annotated[
        str | None, typer.Option("--monitor", "-m", help="Monitor of --config whose settings are the defaults.")
    ] = None,
    config: Annotated[Path, typer.Option("--config", "-c", help="Configuration, with --monitor.")] = Path(
        "/etc/asd-agent/agent.yaml"
    ),
    state: Annotated[
        Path | None, typer.Option(help="For --domain site: paths.state of the agent that was calibrated.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Score recordings window by window, and apply a monitor's rule to them.

    A recording is anomalous where the rule would raise an alarm. One with fewer windows than the rule needs is judged
    by the same share of those that it has. Silence and other unusable sound is not scored. Exit code 1 when a
    recording could not be read or had no window that could be scored.

    Example: asd-agent score fan_*.wav --bundle exported_models/fan --section 00 --domain source
    """
    defaults, place, folder = RecordingSettings(), bundle, state or Path("/var/lib/asd-agent")
    if monitor is not None:
        settings = load_config(config)
        if monitor not in settings.monitors:
            names = ", ".join(sorted(settings.monitors))
            raise UsageError(f"{monitor!r} is no monitor of {config}", f"It has: {names}.")
        of = settings.monitors[monitor]
        place, folder = bundle or settings.bundle_path(of.bundle), state or settings.paths.state
        defaults = RecordingSettings(of.section, of.domain, of.hop_seconds, of.alarm.raise_after, None)
    if place is None:
        raise UsageError("no bundle is named", "Give --bundle, or --monitor with --config.")
    wanted = RecordingSettings(
        section if section is not None else defaults.section,
        domain if domain is not None else defaults.domain,
        hop if hop is not None else defaults.hop_seconds,
        _rule(rule) if rule is not None else defaults.raise_after,
        channel,
    )
    if wanted.domain not in _DOMAINS:
        raise UsageError(f"--domain {wanted.domain!r} is not one of {', '.join(_DOMAINS)}")
    scorer = _scorer(place, wanted, folder)
    results: list[RecordingScores] = []
    failed = 0
    with _progress(len(clips)) as progress:

        def score_clip(clip: Path) -> RecordingScores | AsdError:
            try:
                return score_recording(scorer, clip, wanted, partial(progress, len(results) + failed, clip))
            except AsdError as error:
                return error

        for result in in_order(score_clip, clips):
            if isinstance(result, AsdError):
                failed += 1
                report_error("asd-agent", result)
                continue
            results.append(result)
            failed += result.decisive is None
            _report(result)
    if json:
        digest, machine = scorer.bundle.digest, scorer.bundle.manifest.machine
        print_json({"schema": 1, "bundle": digest, "machine": machine, "clips": [_document(r) for r in results]})
    elif results:
        _print(results)
    if failed:
        raise typer.Exit(1)


def _rule(text: str) -> RaiseAfter:
    try:
        return RaiseAfter.model_validate(text)
    except ValidationError as error:
        raise UsageError(f"--rule {text!r} is no rule", "Write it as '3 of 4'.") from error


def _scorer(path: Path, wanted: RecordingSettings, state: Path) -> BundleScorer:
    """Open a bundle, check its golden scores unless the registry did, and load it."""
    opened = Bundle.open(path)
    bundle = with_site(opened, state, wanted.section) if wanted.domain == SITE else opened
    bundle.domains(wanted.section, wanted.domain)
    check_foreign(opened, _CPU)
    return BundleScorer(bundle)


@contextmanager
def _progress(count: int) -> Iterator[Callable[[int, Path, float], None]]:
    """Show a bar on a terminal, and print a line a minute otherwise."""
    from rich.console import Console
    from rich.progress import Progress

    console, last = Console(stderr=True), time.monotonic()
    with Progress(console=console, disable=not console.is_terminal, transient=True) as bars:
        task = bars.add_task("scoring", total=count)

        def progress(number: int, clip: Path, seconds: float) -> None:
            nonlocal last
            bars.update(task, completed=number)
            if not console.is_terminal and time.monotonic() - last > _LINE_SECONDS:
                last = time.monotonic()
                name = one_line(str(clip))
                sys.stderr.write(f"recording {number + 1} of {count}: {name}: {seconds:.0f} s scored\n")

        yield progress


def _report(result: RecordingScores) -> None:
    """Warn of changed, suspect and unusable sound."""
    for warning in result.warnings:
        warn(warning)
    count = len(result.windows)
    for kind, windows in (
        ("not scored", [w for w in result.windows if w.verdict != "scored"]),
        ("suspect", [w for w in result.windows if w.suspect]),
    ):
        if windows:
            reasons = ", ".join(dict.fromkeys(reason for w in windows for reason in w.reasons)).replace("_", " ")
            warn(f"{result.path}: {len(windows)} of {count} windows {kind} ({reasons})")
    if result.decisive is None:
        report_error("asd-agent", AudioError(f"{result.path}: no window could be scored", "Check the microphone."))


def _document(result: RecordingScores) -> dict[str, Any]:
    decisive = result.decisive
    return {
        "clip": str(result.path),
        "score": decisive.score if decisive else None,
        "threshold": decisive.threshold if decisive else None,
        "anomalous": result.is_anomalous if decisive else None,
        "domain": decisive.domain if decisive else None,
        "experts": decisive.experts if decisive else {},
        "explanation": _explanation(decisive),
        "warnings": list(result.warnings),
        "rule": f"{result.rule.k} of {result.rule.n}",
        "alarms": [{"raised": raised, "cleared": cleared} for raised, cleared in result.alarms],
        "windows": [
            {
                "start": w.start,
                "end": w.end,
                "score": w.score,
                "threshold": w.threshold,
                "verdict": _verdict(w),
                "suspect": w.suspect,
                "reasons": list(w.reasons),
                "domain": w.domain,
                "explanation": _explanation(w),
            }
            for w in result.windows
        ],
    }


def _print(results: list[RecordingScores]) -> None:
    """Print a line for each window, and for each longer recording its verdict."""
    columns, rows = ["clip", "from", "score", "threshold", "verdict", "stood_out"], []
    for result in results:
        name = str(result.path)
        for window in result.windows:
            text = _explanation(window)
            levels = [f"{x:.2f}" if x is not None else None for x in (window.score, window.threshold)]
            row = (name, _clock(window.start), *levels, _verdict_text(window), text)
            rows.append(dict(zip(columns, row, strict=True)))
            name = ""
    print_table(columns, rows, text=("clip", "stood_out"))
    for result in results:
        if len(result.windows) > 1:
            sys.stdout.write(f"{one_line(str(result.path))}: {_summary(result)}\n")


def _summary(result: RecordingScores) -> str:
    scored = [w for w in result.windows if w.verdict == "scored"]
    over = sum(w.over for w in scored)
    rule = f"{over} of {len(scored)} windows over the raise level, rule {result.rule.k} of {result.rule.n}"
    if result.decisive is None:
        return "no window could be scored"
    if not result.alarms:
        return f"normal ({rule})"
    first, cleared = result.alarms[0]
    span = f"from {_clock(first)} " + (f"to {_clock(cleared)}" if cleared is not None else "to the end")
    more = f" and {len(result.alarms) - 1} more" if len(result.alarms) > 1 else ""
    return f"anomalous: alarm {span}{more} ({rule})"


def _verdict(window: ScoredWindow) -> str:
    if window.verdict != "scored":
        return window.verdict
    return "anomalous" if window.over else "normal"


def _verdict_text(window: ScoredWindow) -> str:
    reasons = ", ".join(window.reasons).replace("_", " ")
    if not reasons:
        return _verdict(window)
    return f"{_verdict(window)}{', suspect' if window.suspect else ''}: {reasons}"


def _explanation(window: ScoredWindow | None) -> str:
    return window.explanation.text if window is not None and window.explanation is not None else ""


def _clock(seconds: float) -> str:
    """Return a time in a recording as h:mm:ss, without hours where there are none."""
    hours, rest = divmod(round(seconds), 3600)
    minutes, left = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"
