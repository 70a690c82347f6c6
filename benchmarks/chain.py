"""What a window costs, stage by stage, what a log-mel costs beside librosa's, and what the service costs at rest.

    python benchmarks/chain.py [--bundle exported_models/demo-fan] [--service-seconds 60]

Medians with the 5th and 95th percentile; ratios are taken pair by pair in one run. One thread each.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

import numpy as np
import soundfile
import yaml

from asd_agent.bundle import Bundle
from asd_agent.demo.assets import demo_bundle, demo_recording
from asd_agent.features import FeatureSpec, log_mel
from asd_agent.quality import Limits, assess
from asd_agent.ring import Ring
from asd_agent.scoring.observe import WindowFeatures
from asd_agent.scoring.scorer import BundleScorer, member_scores, scorer_arrays
from asd_agent.scoring.sessions import Sessions

REPEATS = 40


def milliseconds(work: Callable[[], object], repeats: int = REPEATS) -> np.ndarray:
    work()
    times = []
    for _ in range(repeats):
        begun = time.perf_counter()
        work()
        times.append(time.perf_counter() - begun)
    return 1000 * np.array(times)


def once(work: Callable[[], object]) -> float:
    return float(milliseconds(work, 1)[0])


def told(times: np.ndarray) -> str:
    low, middle, high = np.quantile(times, [0.05, 0.5, 0.95])
    return f"{middle:8.2f} ms  ({low:.2f} to {high:.2f})"


def machine() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((x.split(":")[1].strip() for x in lines if x.startswith("model name")), "")
    names = ("numpy", "scipy", "onnxruntime", "librosa")
    return f"{model or platform.machine()}, {os.cpu_count()} cores, " + ", ".join(f"{n} {version(n)}" for n in names)


def log_mels(window: np.ndarray) -> None:
    import librosa

    print("\nlog-mel of 10 s, and the ratio to librosa (float32) pair by pair")
    for n_fft, hop in ((1024, 512), (2048, 1024)):
        spec = FeatureSpec(n_fft=n_fft, hop_length=hop)

        def theirs(n_fft: int = n_fft, hop: int = hop) -> object:
            mel = librosa.feature.melspectrogram(y=window, sr=16_000, n_fft=n_fft, hop_length=hop, n_mels=128)
            return librosa.power_to_db(mel, top_db=None)

        theirs()
        pairs = np.array([[once(lambda s=spec: log_mel(window, s)), once(theirs)] for _ in range(REPEATS)])
        low, middle, high = np.quantile(pairs[:, 0] / pairs[:, 1], [0.05, 0.5, 0.95])
        ratio = f"ratio {middle:.2f} ({low:.2f} to {high:.2f})"
        print(f"  n_fft {n_fft}: {told(pairs[:, 0])}   librosa {told(pairs[:, 1])}   {ratio}")


def stages(path: Path, window: np.ndarray) -> None:
    bundle = Bundle.open(path)
    scorer = BundleScorer(bundle, Sessions(threads=1))
    condition = bundle.manifest.conditions[0]
    section, domain = condition.section, condition.domain
    ring = Ring(60, 1)
    ring.write(np.tile(window, 6)[:, None])
    limits = Limits(*condition.level_dbfs)
    print(f"\none window through {path.name}, stage by stage")
    print(f"  ring copy        {told(milliseconds(lambda: ring.read(1000, len(window))))}")
    print(f"  quality          {told(milliseconds(lambda: assess(window, limits=limits)))}")
    for use in condition.experts[0].members:
        member = bundle.manifest.member(use.member)
        if member.features:
            print(
                f"  features         {told(milliseconds(lambda s=member.features: log_mel(window, s)))}   {use.member}"
            )
        observe = scorer._observers[use.member]
        ready = WindowFeatures(window[None])
        seen = observe(ready, section)
        arrays = scorer_arrays(bundle.scorers, use.scorer)
        network = milliseconds(lambda o=observe, r=ready: o(r, section))
        density = milliseconds(lambda s=seen, u=use, a=arrays: member_scores(s, u, a))
        print(f"  network          {told(network)}   {use.member}, all replicas")
        print(f"  density, pooling {told(density)}   {use.member}")
    whole = milliseconds(lambda: scorer.score(window[None], section, domain, explained=True))
    print(f"  all of it        {told(whole)}   with its explanation")


def service(path: Path, seconds: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        settings = {
            "agent": {"name": "bench"},
            "mqtt": {"host": "127.0.0.1", "port": 1},
            "sources": {"sound": {"kind": "file", "path": str(demo_recording()), "loop": True}},
            "monitors": {"m": {"source": "sound", "bundle": str(path.resolve()), "section": "00"}},
            "paths": {"state": f"{folder}/state"},
        }
        config = Path(folder) / "agent.yaml"
        config.write_text(yaml.safe_dump(settings))
        command = [sys.executable, "-c", "from asd_agent.cli import main; main()", "run", "-c", str(config)]
        begun = time.monotonic()
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        try:
            assert process.stderr is not None
            for line in process.stderr:
                if "listening" in line:
                    break
            ready = time.monotonic() - begun
            time.sleep(15)
            used, since = cpu_seconds(process.pid), time.monotonic()
            time.sleep(seconds)
            share = (cpu_seconds(process.pid) - used) / (time.monotonic() - since)
            resident = sum(resident_bytes(pid) for pid in family(process.pid))
        finally:
            process.terminate()
            process.wait(10)
    print(f"\nthe service, one monitor at hop 5 s, broker away, for {seconds:g} s")
    print(f"  ready after {ready:.1f} s; {100 * share:.1f} % of one core")
    print(f"  {resident / 2**20:.0f} MiB resident, its capture child included")


def family(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(int(c) for c in children)]


def cpu_seconds(pid: int) -> float:
    ticks = 0
    for one in family(pid):
        fields = Path(f"/proc/{one}/stat").read_text().rsplit(")", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, default=None)
    parser.add_argument("--service-seconds", type=float, default=60)
    asked = parser.parse_args()
    path = asked.bundle or demo_bundle()
    window = soundfile.read(demo_recording(), frames=160_000, dtype="float32")[0]
    print(machine())
    log_mels(window)
    stages(path, window)
    if asked.service_seconds > 0:
        service(path, asked.service_seconds)


if __name__ == "__main__":
    main()
