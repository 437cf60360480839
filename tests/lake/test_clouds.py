"""Azure Blob and Google Cloud Storage, on emulators: Microsoft's Azurite, and gcp-storage-emulator.

An emulator is not the cloud, and nothing here says that the cloud does the same. The two programs are
installed from the locks in the folder emulators, as components are; Azurite runs on the machine's Node.js.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from millpond.cli.environments import installed, shipped
from millpond.targets.local.installs import InstallRequest, InstallStore

pytestmark = pytest.mark.slow
HERE = Path(__file__).parent

# Azurite's account and key are fixed, and printed in its manual.
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

CALLS = """
import json, os, sys
from click.testing import CliRunner
from millpond.cli.root import root
from millpond.cli.session import Session
answers = []
for arguments in json.loads(sys.argv[1]):
    os.environ["MILLPOND_INSIDE"] = "lake"
    found = CliRunner().invoke(root, ["lake", *arguments], obj=Session())
    answers.append([found.exit_code, found.stdout, str(found.exception or "")])
print(json.dumps(answers))
"""


class Cloud:
    """An emulator, and the command line with what it needs in its environment."""

    def __init__(self, scheme: str, env: dict[str, str], folder: Path) -> None:
        self.scheme = scheme
        install = asyncio.run(installed(shipped("lake")))
        mine = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        self._env = mine | dict(install.env) | env
        self.folder = folder
        self._python = install.bin[0] / "python"

    def calls(self, *calls: list[str]) -> list[tuple[int, str, str]]:
        """Exit code, output and error of each call of ``millpond lake``."""
        command = [str(self._python), "-c", CALLS, json.dumps(calls)]
        found = subprocess.run(
            command, cwd=self.folder, env=self._env, capture_output=True, text=True, timeout=120, check=True
        )
        return [tuple(answer) for answer in json.loads(found.stdout)]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def started(command: list[str], port: int, folder: Path) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert process.poll() is None, f"{command[0]} ended with {process.returncode}"
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return process
    raise AssertionError(f"{command[0]} does not answer")


def program(name: str, kind: str, lock: str) -> str:
    """A program of the folder emulators, installed where it is not there yet."""
    request = InstallRequest(name, HERE / "emulators", {kind: lock})
    (folder,) = asyncio.run(InstallStore().ensure(request)).bin
    return str(folder / name)


@pytest.fixture(params=["az", "abfs", "gs"])
def cloud(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Cloud]:
    port = free_port()
    where = f"http://127.0.0.1:{port}"
    if request.param == "gs":
        emulator = program("gcp-storage-emulator", "pip", "requirements.lock")
        command = [emulator, "start", "--host", "127.0.0.1", "--port", str(port), "--in-memory"]
        env = {"STORAGE_EMULATOR_HOST": where}
    else:
        emulator = program("azurite-blob", "npm", "package-lock.json")
        command = [emulator, "--blobHost", "127.0.0.1", "--blobPort", str(port), "--inMemoryPersistence"]
        command += ["--skipApiVersionCheck", "--silent", "--disableTelemetry"]
        end = f"BlobEndpoint={where}/{ACCOUNT}"
        words = f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};{end}"
        env = {"AZURE_STORAGE_CONNECTION_STRING": words}
    process = started(command, port, tmp_path)
    try:
        yield Cloud(request.param, env, tmp_path)
    finally:
        process.terminate()
        process.wait(20)


def names(answer: tuple[int, str, str]) -> list[Any]:
    assert answer[0] == 0, answer
    return [entry["path"] for entry in json.loads(answer[1])]


def test_files_go_there_and_back(cloud: Cloud) -> None:
    for name in ("a.csv", "b.csv", "in/c.csv"):
        path = cloud.folder / "trees" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{name}\n")
    box = f"{cloud.scheme}://box"
    made, copied, level, every, matched, read, down, again, deleted, left, missing = cloud.calls(
        ["mb", box],
        ["cp", "-r", "./trees", f"{box}/t"],
        ["ls", f"{box}/t", "--json"],
        ["ls", "-r", box, "--json"],
        ["ls", f"{box}/t/**/*.csv", "--json"],
        ["cat", f"{box}/t/in/c.csv"],
        ["sync", f"{box}/t", "./down", "--json"],
        ["sync", f"{box}/t", "./down", "--json"],
        ["rm", f"{box}/t/a.csv"],
        ["ls", "-r", box, "--json"],
        ["cat", f"{box}/nothing"],
    )
    assert (made[0], copied[0], deleted[0]) == (0, 0, 0), (made, copied, deleted)
    assert names(level) == [f"{box}/t/in/", f"{box}/t/a.csv", f"{box}/t/b.csv"]
    assert names(every) == names(matched) == [f"{box}/t/{name}" for name in ("a.csv", "b.csv", "in/c.csv")]
    assert read[1] == "in/c.csv\n"
    assert json.loads(down[1])["files"] == 3 and json.loads(again[1])["files"] == 0
    assert (cloud.folder / "down/in/c.csv").read_text() == "in/c.csv\n"
    assert names(left) == [f"{box}/t/b.csv", f"{box}/t/in/c.csv"]
    assert missing[0] and f"there is no {box}/nothing" in missing[2]
