"""Scores of one recording by a file source and by a microphone behind a sound server, at 16 and at 48 kHz.

    python benchmarks/same_sound.py --seconds 60

Needs PulseAudio and Mosquitto. The sound is the steady hum of the tests, so windows need not align. The virtual device
has no hardware whose rate the kernel shows, so a device at 16 kHz is opened with `rate: 16000`. Medians of the windows'
scores are compared; exit code 1 where a microphone's is further from the file's than the golden tolerance plus 0.5.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from statistics import median, stdev

import numpy as np
import soundfile
import soxr

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from asd_agent.bundle import Bundle
from rigs.agent import running, write_config
from rigs.broker import Broker, Listener
from rigs.bundles import hum, make_bundle
from rigs.microphone import DEVICE, VirtualMicrophone

SCORES = "asd/box/monitor/m/score"


def scores(
    config: Path, broker: Broker, windows: int, microphone: VirtualMicrophone | None, sound: Path
) -> list[float]:
    """Run the service until it has published so many scores; the first two may hold the start of the sound."""
    with (
        Listener(broker.settings(), "asd/#") as listener,
        running(config, microphone and microphone.environment) as agent,
    ):
        if microphone:
            agent.wait_log("source sound is")
            microphone.play(sound)
        first = len(listener.objects(SCORES)) + 12 if microphone else 0
        listener.wait_for(SCORES, first + windows)
        return [s["score"] for s in listener.objects(SCORES)[first : first + windows]]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0, help="sound of each way in")
    windows = int(parser.parse_args().seconds)
    sound = hum(windows + 60.0, 51)
    found: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        bundle = make_bundle(folder / "bundle").path
        soundfile.write(folder / "one.wav", sound, 16_000, subtype="PCM_16")
        high = soxr.resample(sound, 16_000, 48_000)
        soundfile.write(folder / "high.wav", np.stack([high, high], axis=1), 48_000, subtype="PCM_16")
        for rate, wav in ((16_000, "one.wav"), (48_000, "high.wav")):
            file = {"kind": "file", "path": str(folder / wav), "speed": 10, "channels": [0]}
            device = {
                "kind": "microphone",
                "device": DEVICE,
                "channels": [0],
                **({"rate": rate} if rate < 48_000 else {}),
            }
            for kind, source in (("file", file), ("microphone", device)):
                name = f"{kind}, {rate / 1000:g} kHz"
                with Broker(folder / name) as broker, ExitStack() as stack:
                    config = write_config(folder / name, bundle, source, broker.port, hop_seconds=1)
                    microphone = VirtualMicrophone(rate, 2 if rate > 16_000 else 1) if kind == "microphone" else None
                    if microphone:
                        stack.enter_context(microphone)
                    found[name] = scores(config, broker, windows, microphone, folder / wav)
        tolerance = Bundle.open(bundle).manifest.tolerance
    allowed = tolerance + 0.5
    print(f"{'way in':<40}{'median':>8}{'spread':>8}{'off by':>8}")
    off = {name: abs(median(v) - median(found[f"file,{name.split(',')[1]}"])) for name, v in found.items()}
    for name, values in found.items():
        print(f"{name:<40}{median(values):>8.2f}{stdev(values):>8.2f}{off[name]:>8.2f}")
    print(f"allowed: golden tolerance {tolerance:g} plus 0.5")
    return int(max(off.values()) > allowed)


if __name__ == "__main__":
    sys.exit(main())
