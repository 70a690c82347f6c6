"""The check of the project's words: what it finds, what it leaves alone, and its exit codes."""

import subprocess
import sys
from pathlib import Path

import pytest

from rigs.waiting import PATIENCE

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "check-words"


def check(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPT), "--root", str(root), *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )


def write(root: Path, path: str, text: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text, encoding="utf-8")


@pytest.mark.parametrize("word", ["Of", "What", "Whether", "How", "That", "Where", "When", "Which", "Who", "Why"])
def test_a_docstring_opens_with_a_noun_phrase_or_a_verb(tmp_path: Path, word: str) -> None:
    write(tmp_path, "agent/asd_agent/one.py", f'x = 1\n\ndef f():\n    """{word} it is."""\n')
    found = check(tmp_path)
    assert found.returncode == 1
    assert found.stdout.startswith(f'agent/asd_agent/one.py:4: "{word} …": open with ')


def test_a_word_that_only_begins_alike_is_left_alone(tmp_path: Path) -> None:
    write(tmp_path, "agent/one.py", '"""Offsets of samples."""\n\nclass A:\n    """Howling of a bearing."""\n')
    found = check(tmp_path)
    assert (found.returncode, found.stdout) == (0, "")


@pytest.mark.parametrize(
    ("source", "line", "words", "use"),
    [
        ("class Teller:\n    pass\n", 1, "Teller", "Reporter"),
        ("def f(last_words):\n    pass\n", 1, "last_words", "exit reason"),
        ("class A:\n    def farewell(self):\n        pass\n", 2, "farewell", "disconnect"),
        ("x = 1\nself.proof = 2\n", 2, "proof", "evidence"),
        ("x = 1  # the broker hears the will\n", 1, "broker hears", "receive"),
        ('print("the log says why")\n', 1, "says", "report"),
        ('print(f"a wish of {1}: no room")\n', 1, "wish", "request"),
        ('"""A title.\n\nThe clock is told\nto nobody.\n"""\n', 3, "told", "report"),
    ],
)
def test_a_replaced_term_is_found_with_its_line_and_remedy(
    tmp_path: Path, source: str, line: int, words: str, use: str
) -> None:
    write(tmp_path, "agent/asd_agent/one.py", source)
    found = check(tmp_path)
    assert found.returncode == 1
    [row] = found.stdout.splitlines()
    assert row.startswith(f"agent/asd_agent/one.py:{line}: {words}: ")
    assert use in row


@pytest.mark.parametrize(
    "source",
    [
        '"""Embeddings that tell a fan apart from a pump."""\n',
        '"""A level that is hardly told from noise."""\n',
        '"""A waterproof housing."""\n',
        '"""Recordings of what people say near a microphone."""\n',
        "weekdays = moments = essay = 1\n",  # parts of words
        "x = {'told': 1}\n",  # a key, no prose
        "import told_you\n",  # a use, no definition
    ],
)
def test_plain_english_and_parts_of_words_are_left_alone(tmp_path: Path, source: str) -> None:
    write(tmp_path, "agent/asd_agent/one.py", source)
    found = check(tmp_path)
    assert (found.returncode, found.stdout) == (0, "")


def test_prose_of_a_page_counts_and_its_code_does_not(tmp_path: Path) -> None:
    write(
        tmp_path, "docs/page.md", "# A page\n\n```\nthe log says\n```\n\n`told`, [a link](told.md)\n\nIt lies there.\n"
    )
    found = check(tmp_path)
    assert found.stdout == "docs/page.md:9: lies: be, be stored, be at\n"


def test_names_within_tests_are_free_and_their_docstrings_are_not(tmp_path: Path) -> None:
    write(tmp_path, "tests/test_one.py", 'teller = 1\n\ndef test_one():\n    """What the broker is told."""\n')
    found = check(tmp_path)
    assert [row.split(": ")[1] for row in found.stdout.splitlines()] == ['"What …"', "told"]


def test_a_summary_counts_by_folder(tmp_path: Path) -> None:
    for path in ("agent/asd_agent/mqtt/a.py", "agent/asd_agent/mqtt/b.py", "trainer/asd_trainer/fit/c.py"):
        write(tmp_path, path, '"""Of it."""\n')
    found = check(tmp_path, "--summary")
    assert [row.split() for row in found.stdout.splitlines()] == [
        ["2", "agent/asd_agent/mqtt"],
        ["1", "trainer/asd_trainer/fit"],
        ["3", "in", "all"],
    ]
    one = check(tmp_path, "--summary", "trainer/")
    assert one.stdout.split()[:2] == ["1", "trainer/asd_trainer/fit"]


def test_a_script_without_a_suffix_is_read_as_python(tmp_path: Path) -> None:
    write(tmp_path, "scripts/run-it", '#!/usr/bin/env python3\n"""How it runs."""\n')
    write(tmp_path, "scripts/shell-it", "#!/bin/sh\n# How it runs, as told\n")
    found = check(tmp_path)
    assert [row.split(":")[0] for row in found.stdout.splitlines()] == ["scripts/run-it"]


def test_a_wrong_folder_is_a_mistake_in_usage(tmp_path: Path) -> None:
    assert check(tmp_path / "none").returncode == 2
