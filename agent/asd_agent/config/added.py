"""Machines that were added on the page: a file of the service beside agent.yaml, which only people write.

The file has the sources and monitors that the page added, in the form of agent.yaml, and nothing else of it. The
service's user may write it; agent.yaml and its comments stay as a person left them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field

from asd_agent.config.base import Name, Strict
from asd_agent.config.monitors import MonitorSettings
from asd_agent.config.sources import MicrophoneSettings
from asd_agent.whole_files import whole_file

FILE_NAME = "added-machines.yaml"
FORMER_NAME = "added-machines.former.yaml"
"""In `paths.state`: the machines, and those before the last change."""
MOST_MACHINES = 100
_MODE = 0o640
"""The page's own user reads it through the group."""
_HEAD = """\
# Machines that were added on the page of asd-agent, beside those of agent.yaml. The page writes this file.
# To change more than the page does, move the lines to agent.yaml and remove this file.
"""


class AddedMachines(Strict):
    """Sources and monitors that the page added.

    Attributes:
        sources: Microphones, by name.
        monitors: Monitors, by name; their source may also be one of agent.yaml.
    """

    sources: dict[Name, MicrophoneSettings] = Field(default_factory=dict, max_length=MOST_MACHINES)
    monitors: dict[Name, MonitorSettings] = Field(default_factory=dict, max_length=MOST_MACHINES)


def is_there(path: Path) -> bool:
    """Return whether the file exists; for a person who may not look into the state folder there is none."""
    try:
        return path.exists()
    except OSError:
        return False


def joined(root: yaml.MappingNode, added: yaml.MappingNode) -> yaml.MappingNode:
    """Return the keys of agent.yaml with those of the other file; what both have is taken from agent.yaml."""
    found = {name.value: (name, value) for name, value in root.value}
    for name, more in added.value:
        if name.value not in found:
            found[name.value] = (name, more)
            continue
        key, mine = found[name.value]
        if not isinstance(mine, yaml.MappingNode) or not isinstance(more, yaml.MappingNode):
            continue
        own = {k.value for k, _ in mine.value}
        pairs = [*mine.value, *((k, v) for k, v in more.value if k.value not in own)]
        found[name.value] = (key, yaml.MappingNode(mine.tag, pairs, mine.start_mark, mine.end_mark))
    return yaml.MappingNode(root.tag, list(found.values()), root.start_mark, root.end_mark)


@contextmanager
def staged(path: Path, machines: AddedMachines) -> Iterator[Path]:
    """Yield the path of a finished file that takes the place of `path` when the block succeeds.

    Raises:
        OSError: The disk refuses; the file is as it was.
    """
    with whole_file(path, _MODE) as stage:
        stage.write_text(_HEAD + yaml.safe_dump(_plain(machines), sort_keys=False, allow_unicode=True))
        stage.chmod(_MODE)  # whatever the umask took
        if os.geteuid() == 0:  # an administrator writes it for the service's user
            folder = path.parent.stat()
            os.chown(stage, folder.st_uid, folder.st_gid)
        yield stage


def _plain(machines: AddedMachines) -> dict[str, Any]:
    """Return the values that differ from their defaults, so that the lines can be moved to agent.yaml."""
    return machines.model_dump(mode="json", exclude_unset=True, by_alias=True)
