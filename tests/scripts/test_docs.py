"""The pages: links resolve, commands and make targets exist, every page is in the index, releases have notes."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer.main

from asd_agent.cli import application as agent_application
from asd_trainer.cli import app as trainer_app

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md")])
NAMES = [page.relative_to(ROOT).as_posix() for page in PAGES]
LINK = re.compile(r"(?<!!)!?\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^\s*```")
COMMAND = re.compile(r"(?<!-u )\basd-(agent|trainer)\s+(?=[a-z-])(.*)")
APPS = {"agent": agent_application(), "trainer": trainer_app}


def fenced(text: str) -> Iterator[tuple[int, str]]:
    """Yield number and text of each line within fences."""
    inside = False
    for number, line in enumerate(text.splitlines(), 1):
        if FENCE.match(line):
            inside = not inside
        elif inside:
            yield number, line


def prose(text: str) -> str:
    """Return the text with fenced lines emptied."""
    kept = dict(fenced(text))
    return "\n".join("" if n in kept else line for n, line in enumerate(text.splitlines(), 1))


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings as GitHub makes them."""
    found = set()
    for line in prose(page.read_text(encoding="utf-8")).splitlines():
        if heading := re.match(r"#+ (.*)", line):
            words = re.sub(r"[^\w\- ]", "", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading.group(1)).lower())
            found.add(words.strip().replace(" ", "-"))
    return found


@pytest.mark.parametrize("name", NAMES)
def test_links_resolve(name: str) -> None:
    page = ROOT / name
    broken = []
    for target in LINK.findall(re.sub(r"`[^`\n]*`", "", prose(page.read_text(encoding="utf-8")))):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        if not there.exists() or (anchor and there.suffix == ".md" and anchor not in anchors(there)):
            broken.append(target)
    assert not broken


def mentions(text: str) -> Iterator[tuple[int, str, str]]:
    """Yield line, program and the rest of each command of ours, in fences and in code within a line."""
    lines = list(fenced(text))
    for number, line in enumerate(prose(text).splitlines(), 1):
        lines += [(number, code) for code in re.findall(r"`([^`\n]+)`", line)]
    for number, line in lines:
        if found := COMMAND.search(line):
            yield number, found.group(1), re.split(r"\s{2,}|\s#|[|;&>…]|\.\.\.|`", found.group(2))[0]


@cache
def command_of(program: str) -> Any:
    return typer.main.get_command(APPS[program])


def mistakes(program: str, rest: str) -> list[str]:
    """Return the commands and options of a call that the program does not have."""
    command, path = command_of(program), [f"asd-{program}"]
    words = shlex.split(rest, comments=True)
    while words and hasattr(command, "commands") and not words[0].startswith("-"):
        word = words.pop(0).rstrip(".,:")
        if word not in command.commands:
            return [f"{' '.join(path)}: no command {word!r}"]
        command = command.commands[word]
        path.append(word)
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    known.add("--help")
    asked = [word.partition("=")[0] for word in words if re.match(r"--?[a-zA-Z]", word)]
    return [f"{' '.join(path)}: no option {word}" for word in asked if word not in known]


@pytest.mark.parametrize("name", [n for n in NAMES if n != "CHANGELOG.md"])
def test_commands_and_options_exist(name: str) -> None:
    found = []
    for number, program, rest in mentions((ROOT / name).read_text(encoding="utf-8")):
        try:
            found += [f"{name}:{number}: {text}" for text in mistakes(program, rest.removesuffix("\\"))]
        except ValueError:  # a quotation that goes on in the next line
            continue
    assert not found, "\n".join(found)


def test_a_wrong_command_or_option_is_found() -> None:
    assert mistakes("agent", "chekc -c agent.yaml") == ["asd-agent: no command 'chekc'"]
    assert mistakes("agent", "check -c agent.yaml --strickt") == ["asd-agent check: no option --strickt"]
    assert mistakes("agent", "alerts hist") == ["asd-agent alerts: no command 'hist'"]
    assert not mistakes("agent", "check -c agent.yaml --strict")


@pytest.mark.parametrize("name", NAMES)
def test_make_targets_exist(name: str) -> None:
    targets = set(
        re.findall(r"^([a-z-]+(?: [a-z-]+)*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    )
    there = {word for row in targets for word in row.split()}
    text = (ROOT / name).read_text(encoding="utf-8")
    code = [line for _, line in fenced(text)] + re.findall(r"`([^`\n]+)`", prose(text))
    asked = {word for line in code for word in re.findall(r"(?<!install )\bmake ([a-z][a-z-]*)\b", line)}
    assert asked <= there


def test_every_page_is_in_the_index() -> None:
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    listed = {target.partition("#")[0] for target in LINK.findall(index)}
    top = {page.name for page in (ROOT / "docs").glob("*.md")} - {"index.md"}
    assert top <= listed
    decisions = (ROOT / "docs" / "adr" / "README.md").read_text(encoding="utf-8")
    assert {page.name for page in (ROOT / "docs" / "adr").glob("0*.md")} <= set(LINK.findall(decisions))


def test_the_version_has_notes() -> None:
    version = re.search(r'^version = "([^"]+)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
    assert version
    assert f"## [{version.group(1)}] - 20" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
