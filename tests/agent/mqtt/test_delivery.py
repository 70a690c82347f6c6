"""Ten rounds of benchmarks/delivery.py: agents and brokers killed, networks cut, every alert counted."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[3] / "benchmarks"))

pytestmark = pytest.mark.rig


def test_every_alert_arrives_in_order_whatever_is_killed_or_cut(tmp_path):
    import delivery

    survivable = (delivery.AGENT_KILLED, delivery.BROKER_STOPPED, delivery.NETWORK_CUT)
    result = delivery.Rig(tmp_path, seed=1, tls=True).run(10, survivable)
    assert result.committed > 20
    assert result.missing == []
    assert result.received == result.committed
    assert result.disordered == 0


def test_a_killed_broker_disorders_nothing_and_what_it_lost_shows_as_a_gap(tmp_path):
    import delivery

    result = delivery.Rig(tmp_path, seed=2, tls=False).run(4, (delivery.BROKER_KILLED,))
    assert result.disordered == 0
    assert result.received + len(result.missing) == result.committed


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")
def test_on_a_full_disk_alerts_leave_from_memory_say_so_and_none_is_lost(tmp_path):
    import delivery

    result = delivery.Rig(tmp_path, seed=3, tls=False).run(6, (delivery.DISK_FULL,))
    assert result.missing == []
    assert result.received == result.committed
    assert result.disordered == 0
    assert result.from_memory > 0
