"""Start and end of a capture child: by `Popen`, never forked, with two pipes and the id of the parent to die with."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from asd_agent.audio.protocol import Decoder, Packet

_READ_BYTES = 2**16
"""A pipe of Linux holds as much."""


def spawn(request: dict[str, Any]) -> subprocess.Popen[bytes]:
    """Start a child that serves one request.

    It ends when the calling *thread* does, which is the kernel's idea of a parent; call from one that lives on.

    Args:
        request: See `asd_agent.audio.child`.

    Raises:
        OSError: The system cannot start a process now.
    """
    return subprocess.Popen(
        [sys.executable, "-m", "asd_agent.audio.child", json.dumps({"parent": os.getpid(), **request})],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        # ALSA writes thousands of lines a second when a device is pulled.
        stderr=subprocess.DEVNULL,
    )


def read_packets(child: subprocess.Popen[bytes], timeout: float) -> Iterator[Packet | None]:
    """Yield the packets of a child to the end of its pipe; None whenever nothing came for `timeout` seconds.

    Raises:
        PacketError: The child sends something else.
    """
    assert child.stdout is not None
    pipe = child.stdout.fileno()
    poll = select.poll()
    poll.register(pipe, select.POLLIN)
    decoder = Decoder()
    while True:
        if not poll.poll(timeout * 1000):
            yield None
            continue
        data = os.read(pipe, _READ_BYTES)
        if not data:
            return
        yield from decoder.feed(data)


def end(child: subprocess.Popen[bytes], timeout: float = 0.5) -> bool:
    """Kill a child and close its pipes; False when it hangs inside the kernel and is still there."""
    child.kill()
    for pipe in (child.stdin, child.stdout):
        if pipe is not None:
            pipe.close()
    try:
        child.wait(timeout)
    except subprocess.TimeoutExpired:
        return False
    return True


def exit_reason(child: subprocess.Popen[bytes]) -> str:
    """Return why a child is gone that sent no reason itself."""
    status = child.returncode
    if status is None:
        return "the capture child hangs"
    if status < 0:
        return f"the capture child was killed (signal {-status})"
    return f"the capture child ended (status {status})"
