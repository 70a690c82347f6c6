"""Dates of certificates, held against openssl's."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path

import pytest

from asd_agent.config.preflight.certificates import Validity, validities
from rigs.broker import make_ca, program


def test_dates_are_those_that_openssl_reads(tmp_path: Path):
    make_ca(tmp_path)
    for name in ("ca.pem", "server.pem"):
        command = [program("openssl"), "x509", "-in", name, "-noout", "-dates"]
        said = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True).stdout
        dates = [ssl.cert_time_to_seconds(line.split("=", 1)[1]) for line in said.splitlines()]
        assert validities(tmp_path / name) == [Validity(*dates)]


def test_a_file_may_hold_several(tmp_path: Path):
    make_ca(tmp_path)
    both = tmp_path / "both.pem"
    both.write_text((tmp_path / "ca.pem").read_text() + "words between\n" + (tmp_path / "server.pem").read_text())
    assert len(validities(both)) == 2


@pytest.mark.parametrize(
    "text", ["", "no certificate", "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"]
)
def test_what_is_none_is_refused(tmp_path: Path, text: str):
    (tmp_path / "x.pem").write_text(text)
    with pytest.raises(ValueError, match="certificate"):
        validities(tmp_path / "x.pem")
