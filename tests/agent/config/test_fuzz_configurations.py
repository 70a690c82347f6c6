"""A short form of scripts/fuzz-configurations, and each kind of hostile configuration by itself."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest

from asd_agent.cli import main
from asd_agent.config.base import Secret
from asd_agent.config.file import ConfigFileError, load_config
from asd_agent.config.preflight.guard import guarded
from asd_agent.demo.assets import demo_bundle
from rigs.bundles import hum, write_wav
from rigs.command import call
from rigs.config_mutations import BOMB, CONFIG_KINDS, MutantConfig, mutate_config
from rigs.full_config import write_full_config

SEED = 20


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    return write_full_config(folder / "agent.yaml", demo_bundle(), write_wav(folder / "clip.wav", hum(10, 1)))


def refusal(tmp_path: Path, text: str) -> str:
    (tmp_path / "agent.yaml").write_text(text, encoding="utf-8", errors="surrogatepass")
    with pytest.raises(ConfigFileError) as caught:
        load_config(tmp_path / "agent.yaml")
    assert caught.value.exit_code == 78
    return str(caught.value)


@contextmanager
def raised_with(mutant: MutantConfig) -> Iterator[None]:
    try:
        yield
    except ConfigFileError as error:
        text = str(error)
        if str(mutant.path) not in text or "cannot be validated" in text:
            pytest.fail(f"{mutant.what}: {text[:1000]}")
        raise


def test_the_configuration_that_is_mutated_is_valid(whole: Path):
    assert load_config(whole).monitors["m"].alarm.stale_after == 12


@pytest.mark.parametrize("kind", CONFIG_KINDS)
def test_a_mutant_is_read_or_refused_with_a_place(tmp_path: Path, whole: Path, kind: str):
    rng = np.random.default_rng([SEED, *kind.encode()])
    for number in range(12):
        folder = tmp_path / str(number)
        folder.mkdir()
        mutant = mutate_config(whole, folder, rng, kind)
        with suppress(ConfigFileError), raised_with(mutant):
            load_config(mutant.path)


@pytest.mark.parametrize("kind", ["named file", "file"])
def test_check_answers_a_mutant_in_words(tmp_path: Path, whole: Path, kind: str):
    mutant = mutate_config(whole, tmp_path, np.random.default_rng([SEED, *kind.encode()]), kind)
    done = call(main, "check", "-c", mutant.path)
    assert done.returncode in {0, 78}, mutant.what
    assert "unexpected" not in done.stderr, mutant.what
    assert all(c.isprintable() or c in "\n\t" for c in done.stdout + done.stderr), mutant.what


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("x: *y", ":8: '*y' refers to another value"),
        ("x: &y [*y]", ":8: '*y' refers to another value"),
        ("x: !!int z", ":8: the tag"),
        ("x: !!python/object/apply:os.getcwd []", ":8: the tag"),
        ("x: " + "9" * 4301, ":8: a number of 4,301 digits"),
        ("x: " + "[" * 500 + "]" * 500, ":8: more than 30 lists or mappings"),
        ("x: " + "{a: " * 500 + "}" * 500, ":8: more than 30 lists or mappings"),
        ("x: [" + "1, " * 60_000 + "1]", ":8: more than 50,000 values"),
        ("x: " + "y" * 20_000, ":8: a text of 20,000 characters"),
        (f"x: {'y' * 1_000_000}", "is larger than 1,000,000 bytes"),
        ('x: "\\0"', ":8: holds the character U+0000"),
        ('x: "\\uD800"', ":8: not valid YAML: found invalid Unicode character"),
        ("x: \x1b[2J", ":8: holds the character U+001B"),
        ("? [a]\n: 1", "a key is a list or a mapping"),
        ("paths: {state: 5}", ":8: paths.state: input is not a valid path"),
        (f"paths: {{state: /{'x' * 256}}}", ":8: paths.state: a path has at most"),
        ("paths: {state: [a]}", ":8: paths.state"),
        ("evidence: {max_megabytes: .inf}", ":8: evidence.max_megabytes: input should be a finite number"),
        ("evidence: {free_megabytes: 1.0e+308}", ":8: evidence.free_megabytes: input should be less than"),
        ("mqtt: {reconnect_seconds: [1, .inf]}", ":8: mqtt.reconnect_seconds"),
        ("2026-13-45: 1", ":8: 2026-13-45: unknown key"),
    ],
    ids=lambda value: value[:24].replace("/", "_"),
)
def test_hostile_lines_are_refused_with_their_line(tmp_path: Path, line: str, message: str):
    good = "agent: {name: box}\nsources:\n  s: {kind: microphone, device: USB}\nmonitors:\n  m:\n    source: s\n"
    assert message in refusal(tmp_path, f"{good}    bundle: b\n{line}\n")


def test_a_date_is_a_text(tmp_path: Path):
    text = "agent: {name: 2026-13-45}\nsources: {s: {kind: microphone, device: USB}}\n"
    (tmp_path / "agent.yaml").write_text(f"{text}monitors: {{m: {{source: s, bundle: 2026-01-01}}}}\n")
    config = load_config(tmp_path / "agent.yaml")
    assert (config.agent.name, config.monitors["m"].bundle) == ("2026-13-45", "2026-01-01")


@pytest.mark.parametrize("text", [BOMB, "".join(f"k{i}: 1\n" for i in range(20_000)), "agent: {name: '" + "x" * 256])
def test_a_file_that_grows_is_refused_in_a_few_lines(tmp_path: Path, text: str):
    assert len(refusal(tmp_path, text)) < 10_000


@pytest.mark.parametrize(
    "make", [os.mkfifo, Path.mkdir, lambda p: p.symlink_to("/dev/zero")], ids=["pipe", "dir", "dev"]
)
def test_what_is_no_regular_file_is_neither_configuration_nor_secret(tmp_path: Path, make: object):
    place = tmp_path / "agent.yaml"
    make(place)  # type: ignore[operator]
    with pytest.raises(ConfigFileError, match="cannot be read: is no regular file"):
        load_config(place)
    with pytest.raises(ValueError, match="cannot be read: is no regular file"):
        Secret(file=place).read()


@pytest.mark.parametrize(
    ("content", "secret"),
    [
        (b"\xef\xbb\xbfhush\r\n", "hush"),
        (b"hush", "hush"),
        (b"", "is empty"),
        (b"\xef\xbb\xbf\n", "is empty"),
        (b"\xff\xfe", "is not UTF-8 text"),
        (b"a\0b", "holds NUL"),
        (b"x" * 20_000, "is larger than 16,384 bytes"),
    ],
)
def test_a_secret_is_a_small_text(tmp_path: Path, content: bytes, secret: str):
    (tmp_path / "secret").write_bytes(content)
    place = Secret(file=tmp_path / "secret")
    if secret == "hush":
        assert place.read() == secret
    else:
        with pytest.raises(ValueError, match=secret):
            place.read()


def test_every_mistake_stays_when_a_source_is_missing_too(tmp_path: Path):
    text = "agent: {name: box}\nsources: {s: {kind: file, path: 5}}\nmonitors: {m: {source: t, bundle: b}}\n"
    found = refusal(tmp_path, text)
    assert "sources.s.path: input is not a valid path" in found
    assert "there is no source 't'" in found


def test_an_exception_of_a_check_is_a_finding():
    def fail() -> list[object]:
        raise RuntimeError("nobody expected this")

    (found,) = guarded("mqtt.tls", fail)  # type: ignore[arg-type]
    assert (found.level, found.where) == ("problem", "mqtt.tls")
    assert "RuntimeError: nobody expected this" in found.what
