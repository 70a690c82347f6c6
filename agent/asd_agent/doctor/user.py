"""Rights of the service's user, computed from owners and modes of files, whichever user runs the doctor."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class BoxUser:
    """User of the box.

    Attributes:
        name: Name for messages.
        uid: User id.
        groups: Ids of every group that it is in.
    """

    name: str
    uid: int
    groups: frozenset[int]

    def may(self, status: os.stat_result, wanted: int) -> bool:
        """Return true where it has the wanted right, 4 to read, 2 to write, 1 to enter, on a file of this status."""
        mode = status.st_mode
        if self.uid == 0:
            return True
        if status.st_uid == self.uid:
            return (mode >> 6) & wanted == wanted
        if status.st_gid in self.groups:
            return (mode >> 3) & wanted == wanted
        return mode & wanted == wanted

    def refused(self, path: Path, wanted: int) -> Path | None:
        """Return the folder on the way, or the path itself, that it has no right on; None where it has all.

        Raises:
            OSError: The path is not there.
        """
        for folder in reversed(path.absolute().parents):
            if not self.may(folder.stat(), stat.S_IXOTH):
                return folder
        return None if self.may(path.stat(), wanted) else path


def find_user(name: str | None, groups: Sequence[str] = ()) -> BoxUser:
    """Return a user by name, with groups that the service manager adds.

    Where the name is None or unknown it is the user that runs this process.
    """
    more = frozenset(g.gr_gid for g in grp.getgrall() if g.gr_name in groups)
    try:
        entry = pwd.getpwnam(name) if name else None
    except KeyError:
        entry = None
    if entry is None:
        own = pwd.getpwuid(os.geteuid()).pw_name if os.geteuid() in {p.pw_uid for p in pwd.getpwall()} else "you"
        return BoxUser(own, os.geteuid(), frozenset([os.getegid(), *os.getgroups()]) | more)
    return BoxUser(entry.pw_name, entry.pw_uid, frozenset(os.getgrouplist(entry.pw_name, entry.pw_gid)) | more)
