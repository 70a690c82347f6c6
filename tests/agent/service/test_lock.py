"""One service for each state folder."""

from __future__ import annotations

import os

import pytest

from asd_agent.errors import AsdError
from asd_agent.service.lock import StateLock


def test_a_second_service_is_refused_with_the_process_of_the_first(tmp_path):
    first = StateLock(tmp_path)
    with pytest.raises(AsdError, match=rf"process {os.getpid()}\)"):
        StateLock(tmp_path)
    first.release()
    StateLock(tmp_path).release()
