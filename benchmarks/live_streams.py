"""Scores of live streams in each codec, against those of the recording that is streamed.

    python benchmarks/live_streams.py
    /usr/bin/python3 benchmarks/rtsp_server.py RECORDING 8554 pcm      # what it starts for RTSP

ffmpeg serves the demo's recording over HTTP, and GStreamer over RTSP where Debian's packages are installed
(`gir1.2-gst-rtsp-server-1.0 python3-gi gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-libav`). All
streams run at once at the recording's own pace, each read by a real capture child; it takes as long as the recording.
A decoder shifts the sound: the shift is measured, and the same sound is scored. Windows with a gap are left out and
counted.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import numpy as np
import soundfile

from asd_agent.alarm import ScoredWindow
from asd_agent.audio.files import SAMPLE_RATE, Signal
from asd_agent.audio.quality import assess
from asd_agent.audio.ring import Missing
from asd_agent.audio.source import CaptureSource
from asd_agent.bundle import Bundle
from asd_agent.config.sources import StreamSettings
from asd_agent.demo.assets import demo_bundle, demo_recording
from asd_agent.demo.broker import free_port
from asd_agent.inference.scorer import BundleScorer
from asd_agent.recording_scores import DEFAULT_RULE, RecordingSettings, alarms, score_recording
from rigs.stream_server import StreamServer

HOP_SECONDS = 5.0
STRETCH_FROM, STRETCH_SECONDS = 60, 20
"""Stretch of the file that is looked for in each stream."""
REACH = 8000
"""Largest shift that is looked for, in samples."""
CODECS: dict[str, tuple[int, tuple[str, ...]]] = {
    "PCM": (16_000, ("-c:a", "pcm_s16le", "-f", "wav")),
    "AAC, 96 kbit/s": (16_000, ("-c:a", "aac", "-b:a", "96k", "-f", "adts")),
    "AAC, 48 kbit/s": (16_000, ("-c:a", "aac", "-b:a", "48k", "-f", "adts")),
    "Opus, 64 kbit/s": (48_000, ("-c:a", "libopus", "-b:a", "64k", "-f", "ogg")),
    "Opus, 24 kbit/s": (48_000, ("-c:a", "libopus", "-b:a", "24k", "-f", "ogg")),
}
"""Rate that arrives, and ffmpeg's arguments."""
RTSP: dict[str, tuple[int, str]] = {
    "PCM": (16_000, "pcm"),
    "AAC, 48 kbit/s": (16_000, "aac"),
    "Opus, 24 kbit/s": (48_000, "opus"),
}


@dataclass(frozen=True)
class Result:
    """Scores of one stream.

    Attributes:
        windows: Windows that were scored.
        gaps: Windows that were left out.
        change: Median difference from the file's scores.
        largest: Largest difference, as its absolute value.
        over: Windows over the raise level.
        alarms: Seconds at which the default rule raises.
        lost: Samples that did not arrive.
        shift: Samples by which the stream comes after the file.
    """

    windows: int
    gaps: int
    change: float
    largest: float
    over: int
    alarms: tuple[float, ...]
    lost: int
    shift: int


@contextmanager
def rtsp_server(recording: Path, port: int, codec: str) -> Iterator[str]:
    """Serve a recording over RTSP; yield its URL."""
    script = Path(__file__).with_name("rtsp_server.py")
    command = ["/usr/bin/python3", str(script), str(recording), str(port), codec]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        if process.stdout.readline().strip() != "ready":
            raise RuntimeError("the RTSP server does not start: see the packages above")
        yield f"rtsp://127.0.0.1:{port}/live"
    finally:
        process.kill()
        process.wait()


def shift_of(source: CaptureSource, sound: Signal) -> int:
    """Return the samples by which a stream comes after the file, by the highest correlation."""
    at, size = STRETCH_FROM * SAMPLE_RATE, STRETCH_SECONDS * SAMPLE_RATE
    stretch = source.ring.read(at - REACH, size + 2 * REACH)
    if isinstance(stretch, Missing):
        return 0
    found = np.fft.rfft(stretch.samples[:, 0], 2 * size) * np.conj(np.fft.rfft(sound[at : at + size], 2 * size))
    return int(np.argmax(np.fft.irfft(found)[: 2 * REACH])) - REACH


def scored(scorer: BundleScorer, source: CaptureSource, sound: Signal, file: tuple[ScoredWindow, ...]) -> Result:
    """Score the windows of a stream that hold the sound of the file's."""
    size = scorer.bundle.manifest.window_samples
    shift = shift_of(source, sound)
    windows, gaps = [], 0
    for window in file:
        stretch = source.ring.read(round(window.start * SAMPLE_RATE) + shift, size)
        if isinstance(stretch, Missing) or stretch.has_gap:
            gaps += 1
            continue
        signal = stretch.samples[:, 0]
        assert assess(signal).scored
        got = scorer.score(signal[None], "00", "source")[0]
        windows.append((window, got.score))
    if not windows:
        return Result(0, gaps, 0.0, 0.0, 0, (), source.counters.samples_lost, shift)
    changes = [score - (window.score or 0.0) for window, score in windows]
    judged = [window.model_copy(update={"score": score}) for window, score in windows]
    return Result(
        len(windows), gaps, median(changes), max(map(abs, changes)),
        sum(score > (window.threshold or 0.0) for window, score in windows),
        tuple(raised for raised, _ in alarms(judged, DEFAULT_RULE)), source.counters.samples_lost,
        shift,
    )  # fmt: skip


def main() -> None:
    recording, bundle = demo_recording(), Bundle.open(demo_bundle())
    sound, _ = soundfile.read(recording, dtype="float32")
    seconds = len(sound) / SAMPLE_RATE
    scorer = BundleScorer(bundle)
    file = score_recording(scorer, recording, RecordingSettings(hop_seconds=HOP_SECONDS)).windows
    file = tuple(window for window in file if window.start % HOP_SECONDS == 0)
    urls: dict[str, tuple[int, str]] = {}
    with ExitStack() as stack:
        for name, (rate, output) in CODECS.items():
            server = stack.enter_context(StreamServer(recording, free_port(), output))
            urls[f"HTTP, {name}"] = rate, server.url
        for name, (rate, codec) in RTSP.items():
            try:
                urls[f"RTSP, {name}"] = rate, stack.enter_context(rtsp_server(recording, free_port(), codec))
            except RuntimeError as error:
                sys.stderr.write(f"{error}\n")
                break
        sources = {
            name: CaptureSource(
                "s",
                # RTP always announces Opus as stereo.
                StreamSettings.model_validate(
                    {
                        "kind": "stream",
                        "url": url,
                        "stream_rate": rate,
                        "stream_channels": 2 if name == "RTSP, Opus, 24 kbit/s" else 1,
                    }
                ),
                seconds=seconds + 120.0,
            )
            for name, (rate, url) in urls.items()
        }
        for source in sources.values():
            source.start()
            stack.callback(source.stop)
        # A stream that ends would be opened again, and the ring fill with a gap: each is stopped before its end.
        end, until, open_ = (seconds - 1) * SAMPLE_RATE, time.monotonic() + seconds + 60.0, dict(sources)
        while open_ and time.monotonic() < until:
            for name, source in list(open_.items()):
                source.tick(time.monotonic())
                for change in source.take_changes():
                    sys.stderr.write(f"{name}: {change.state} {change.reason}\n")
                if source.ring.end >= end:
                    source.stop()
                    del open_[name]
            time.sleep(0.1)
        sys.stdout.write(f"{len(file)} windows; tolerance {bundle.manifest.tolerance:g}\n\n")
        sys.stdout.write(
            "| stream | codec | windows | with a gap | median change | largest | over | alarms | lost | shift |\n"
        )
        sys.stdout.write("|---|---|---|---|---|---|---|---|---|---|\n")
        for name, source in sources.items():
            r = scored(scorer, source, sound, file)
            at = ", ".join(f"{s:.0f} s" for s in r.alarms)
            sys.stdout.write(
                f"| {name} | {source.opened.get('codec')} | {r.windows} | {r.gaps} | {r.change:+.3f} | {r.largest:.3f} "
                f"| {r.over} | {at} | {r.lost} | {r.shift} |\n"
            )


if __name__ == "__main__":
    main()
