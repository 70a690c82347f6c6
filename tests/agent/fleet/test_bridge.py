"""The example bridge: a real broker at a site and a central one, with the central one's access list."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from asd_agent.config.base import Secret
from rigs.broker import Broker, Listener, program
from rigs.waiting import wait_until

EXAMPLES = Path(__file__).parents[3] / "docs" / "examples"
USERS = ("site-1", "viewer", "operator", "stranger")
BOX, OTHER = "asd/hall-3-box-1", "asd/hall-4-box-1"
ALERT = "monitor/press/alert"

pytestmark = pytest.mark.rig


@dataclass
class Sites:
    """Both brokers with one client each, and the operator at the central one."""

    central: Listener
    operator: Listener
    box: Listener

    def pass_up(self, topic: str) -> None:
        """Publish at the site until it arrives at the central broker, behind all that was published before."""
        _pass(self.box, self.central, topic)

    def pass_down(self, topic: str) -> None:
        """Publish at the central broker until it arrives at the site, behind all that was published before."""
        _pass(self.operator, self.box, topic)


def _pass(sender: Listener, receiver: Listener, topic: str) -> None:
    text = str(len(receiver.heard))

    def passed() -> bool:
        sender.publish(topic, text)
        return text in receiver.texts(topic)

    wait_until(passed, f"{topic} does not arrive")


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sites]:
    folder = tmp_path_factory.mktemp("sites")
    passwords = folder / "passwords"
    passwords.touch(mode=0o600)
    for user in USERS:
        subprocess.run([program("mosquitto_passwd"), "-b", passwords, user, user], check=True, capture_output=True)
        (folder / user).write_text(user)
    acl = (EXAMPLES / "mosquitto-central.acl").read_text()
    closed = f"password_file {passwords}\nallow_anonymous false"
    with Broker(folder / "central", acl=acl, extra=closed) as central:
        lines = (EXAMPLES / "mosquitto-bridge.conf").read_text().splitlines()
        bridge = "\n".join(line for line in lines if not line.startswith(("#", "bridge_cafile")))
        bridge = bridge.replace("broker.example.org:8883", f"127.0.0.1:{central.port}").replace("replace-me", "site-1")

        def client(user: str) -> Listener:
            settings = central.settings(username=user, password=Secret(file=folder / user))
            return Listener(settings, client_id=user)

        with (
            Broker(folder / "site", extra=bridge) as site,
            client("viewer") as viewer,
            client("operator") as operator,
            Listener(site.settings(), client_id="box") as box,
        ):
            yield Sites(viewer, operator, box)


def test_reports_of_a_site_arrive_under_the_same_topic(sites: Sites):
    for topic in ("status", "health", "event", "source/mic/state", "monitor/press/state", ALERT, "command/result"):
        sites.pass_up(f"{BOX}/{topic}")


def test_scores_and_agents_of_other_sites_do_not_cross(sites: Sites):
    for topic in (f"{BOX}/monitor/press/score", f"{OTHER}/{ALERT}"):
        sites.box.publish(topic, "no")
    sites.pass_up(f"{BOX}/{ALERT}")
    assert sites.central.texts(f"{BOX}/monitor/press/score") == []
    assert sites.central.texts(f"{OTHER}/{ALERT}") == []


def test_a_command_comes_down_only_where_the_access_list_allows_it(sites: Sites):
    for topic in (f"{BOX}/command/install_bundle", f"{OTHER}/command/acknowledge"):
        sites.operator.publish(topic, "no")
    for verb in ("acknowledge", "shelve", "unshelve", "verdict"):
        sites.pass_down(f"{BOX}/command/{verb}")
    assert sites.box.texts(f"{BOX}/command/install_bundle") == []
    assert sites.box.texts(f"{OTHER}/command/acknowledge") == []
