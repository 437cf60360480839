"""What SECURITY.md says of ports and files, held against a starter platform that is up."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

import pytest

from starter import Starter

pytestmark = pytest.mark.slow

LISTENING = "0A"
LOOPBACK = {"0100007F", "00000000000000000000000001000000", "0000000000000000FFFF00000100007F"}


def processes(project: Path) -> dict[int, str]:
    """The processes of a platform, with the service that each belongs to."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            marks = [
                v
                for v in (folder / "environ").read_bytes().split(b"\0")
                if v.startswith(b"MILLPOND_SUPERVISED=")
            ]
        except OSError:
            continue
        if marks and marks[0].endswith(f"@{project}/.millpond/run".encode()):
            found[int(folder.name)] = marks[0].decode().partition("=")[2].partition("@")[0]
    return found


def listening(pid: int) -> set[str]:
    """The addresses that a process listens on, as the kernel writes them."""
    inodes = set()
    for link in Path(f"/proc/{pid}/fd").glob("*"):
        try:
            target = str(link.readlink())
        except OSError:
            continue
        if target.startswith("socket:["):
            inodes.add(target[8:-1])
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            words = line.split()
            if words[3] == LISTENING and words[9] in inodes:
                found.add(words[1].partition(":")[0])
    return found


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
def test_every_port_listens_on_the_loopback_address(starter: Starter) -> None:
    found = processes(starter.project.resolve())
    assert set(found.values()) >= {
        "postgres",
        "seaweedfs",
        "mlflow",
        "dask/scheduler",
        "gateway/envoy",
        "serving/controller",
        "serving/router",
        "serving/monitor",
    }
    heard = [(service, listening(pid)) for pid, service in found.items()]
    assert {service for service, addresses in heard if addresses - LOOPBACK} == set()
    assert any(addresses for _, addresses in heard)


def test_state_and_secrets_are_the_owners_alone(starter: Starter) -> None:
    root = starter.project / ".millpond"
    assert stat.S_IMODE(root.stat().st_mode) == 0o700
    assert stat.S_IMODE((root / "secrets.json").stat().st_mode) == 0o600
