"""Sessions of people who have logged in, and the limit on wrong passwords; both live in this process's memory."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

COOKIE = "asd_session"
IDLE_SECONDS = 12 * 3600.0
"""A session without any request ends after a shift."""
LONGEST_SECONDS = 7 * 86_400.0
MOST_SESSIONS = 1000
FREE_ATTEMPTS = 5
"""Wrong passwords before an address or a name has to wait."""
FIRST_WAIT_SECONDS = 2.0
LONGEST_WAIT_SECONDS = 300.0
FORGET_SECONDS = 3600.0
MOST_REMEMBERED = 2000


@dataclass
class _Session:
    name: str
    began: float
    used: float


class LoginSessions:
    """Sessions by the digest of their token, so that a dump of the memory gives no cookie.

    Args:
        clock: Monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._sessions: OrderedDict[str, _Session] = OrderedDict()

    def begin(self, name: str) -> str:
        """Begin a session and return its token; one that the browser had before is of no use for it."""
        token = secrets.token_urlsafe(32)
        now = self._clock()
        self._sessions[_digest(token)] = _Session(name, now, now)
        while len(self._sessions) > MOST_SESSIONS:
            self._sessions.popitem(last=False)
        return token

    def name(self, token: str, *, is_use: bool = True) -> str | None:
        """Return the user of a session; None where it is over or unknown.

        Args:
            token: Token of the session.
            is_use: The session's time without use begins anew; false where an open stream alone looks.
        """
        key, now = _digest(token), self._clock()
        session = self._sessions.get(key)
        if session is None:
            return None
        if now - session.used > IDLE_SECONDS or now - session.began > LONGEST_SECONDS:
            del self._sessions[key]
            return None
        if is_use:
            session.used = now
            self._sessions.move_to_end(key)
        return session.name

    def end(self, token: str) -> None:
        """End a session."""
        self._sessions.pop(_digest(token), None)


class LoginLimit:
    """Waits that grow with the number of wrong passwords, by address and by name.

    Args:
        clock: Monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def wait(self, *keys: str) -> float:
        """Return the seconds until the next attempt is allowed; 0 where it is now."""
        now, longest = self._clock(), 0.0
        for key in keys:
            count, last = self._failures.get(key, (0, 0.0))
            if count < FREE_ATTEMPTS or now - last > FORGET_SECONDS:
                continue
            pause = min(FIRST_WAIT_SECONDS * 2.0 ** min(count - FREE_ATTEMPTS, 20), LONGEST_WAIT_SECONDS)
            longest = max(longest, last + pause - now)
        return longest

    def failed(self, *keys: str) -> None:
        """Count a wrong password."""
        now = self._clock()
        for key in keys:
            count, last = self._failures.pop(key, (0, 0.0))
            self._failures[key] = (1 if now - last > FORGET_SECONDS else count + 1, now)
        while len(self._failures) > MOST_REMEMBERED:
            self._failures.popitem(last=False)

    def passed(self, *keys: str) -> None:
        """Forget the failures after a right password."""
        for key in keys:
            self._failures.pop(key, None)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
