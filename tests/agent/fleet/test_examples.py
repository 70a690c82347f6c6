"""Ready files of docs/examples, each tried with the program that it is for."""

from __future__ import annotations

import json
import subprocess
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from asd_agent.demo.broker import free_port
from rigs.agent import running, write_config
from rigs.broker import program
from rigs.bundles import hum, write_wav
from rigs.waiting import wait_until

EXAMPLES = Path(__file__).parents[3] / "docs" / "examples"
QUERIES = [
    target["expr"]
    for panel in json.loads((EXAMPLES / "grafana-dashboard.json").read_text())["panels"]
    for target in panel["targets"]
]


@pytest.mark.parametrize("words", [("check", "rules", "rules.yml"), ("test", "rules", "rules-test.yml")])
def test_promtool_accepts_the_rules(words: tuple[str, ...]):
    done = subprocess.run(
        [program("promtool"), *words], cwd=EXAMPLES / "prometheus", capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_accepts_the_scrape_configuration():
    done = subprocess.run(
        [program("promtool"), "check", "config", "prometheus.yml"],
        cwd=EXAMPLES / "prometheus", capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def ask(port: int, query: str) -> list[Any]:
    url = f"http://127.0.0.1:{port}/api/v1/query?" + urllib.parse.urlencode({"query": query})
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return list(json.load(answer)["data"]["result"])
    except OSError:
        return []


def test_each_query_of_the_dashboard_returns_data_of_a_real_agent(bundle_path: Path, tmp_path: Path):
    sound = write_wav(tmp_path / "sound.wav", hum(30, 1))
    metrics = free_port()
    source = {"kind": "file", "path": str(sound), "loop": True, "speed": 10}
    config = write_config(tmp_path, bundle_path, source, free_port())
    with config.open("a") as file:
        file.write(f"metrics: {{port: {metrics}}}\n")
    text = (EXAMPLES / "prometheus" / "prometheus.yml").read_text()
    text = text.replace('["hall-3-box-1:9108", "hall-3-box-2:9108"]', f'["127.0.0.1:{metrics}"]')
    text = text.replace("30s", "1s")
    (tmp_path / "prometheus.yml").write_text(text)
    (tmp_path / "rules.yml").write_text((EXAMPLES / "prometheus" / "rules.yml").read_text())
    port = free_port()
    with running(config), subprocess.Popen(
        [
            program("prometheus"), f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/data",
            f"--web.listen-address=127.0.0.1:{port}",
        ],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        try:
            for query in QUERIES:
                wait_until(lambda query=query: ask(port, query), f"no data for {query}")
        finally:
            process.kill()
