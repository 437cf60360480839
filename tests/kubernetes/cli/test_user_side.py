"""Programs of this machine on a cluster's platform: a mock of the API server, and of kubectl's forwards."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kubernetes.engine.mockserver import MockServer
from millpond.cli.exit_codes import ExitCode
from model_servers import free_port

from .conftest import Millpond

KUBECTL = """#!{python}
import socket, sys, time
words = sys.argv[1:]
if words[0] == "version":
    print('{{"clientVersion": {{"gitVersion": "v1.36.0"}}}}')
    sys.exit()
held = [socket.create_server(("127.0.0.1", int(word.split(":")[0]))) for word in words if word[0].isdigit()]
time.sleep(60)
"""
PROGRAM = """
from millpond.serving.client import ServingClient, ServingError
client = ServingClient.from_env()
print(client.list(None))
try:
    client.get("flights")
except ServingError as error:
    print(error.status, error.message)
"""
PIPELINE = "name: small\nsteps:\n  say: {use: command, run: [echo, hello]}\n"


@pytest.fixture
def serving(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: MockServer) -> Path:
    """A project with model serving, and a kubectl that takes connections and never answers."""
    flavour = "name: mill\ntarget: kubernetes\ncomponents: [seaweedfs, postgres, mlflow, serving]\n"
    (project / "millpond.yaml").write_text(flavour)
    fake = tmp_path / "bin/kubectl"
    fake.parent.mkdir()
    fake.write_text(KUBECTL.format(python=sys.executable))
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}:/usr/bin:/bin")
    return project


@pytest.mark.slow
def test_a_program_finds_the_deployments_of_the_cluster_as_on_one_machine(
    serving: Path, millpond: Millpond
) -> None:
    assert millpond("up").code == ExitCode.OK
    said = millpond("shell", "--env", sys.executable, "-c", PROGRAM)
    assert said.code == ExitCode.OK, said.err
    assert said.out == "[]\n404 there is no deployment flights\n"


def test_a_command_that_is_told_to_end_leaves_no_kubectl_behind(serving: Path, tmp_path: Path) -> None:
    program = f"""
from millpond.targets.kubernetes.forwarding import Forward, Forwarding
forward = Forward("a", "http", "a", "mill", 80, {free_port()})
with Forwarding([{str(tmp_path / "bin/kubectl")!r}], [forward]) as found:
    print(*(each.pid for each in found._running.values()), flush=True)
    found.wait()
"""
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    kubectl = int(process.stdout.readline())
    process.terminate()
    assert process.wait(20) == 128 + signal.SIGTERM
    with pytest.raises(ProcessLookupError):
        os.kill(kubectl, 0)
    process.stdout.close()


def test_a_run_needs_a_platform_that_is_up(serving: Path, millpond: Millpond) -> None:
    (serving / "pipeline.yaml").write_text(PIPELINE)
    said = millpond("run", ".")
    assert said.code == ExitCode.NOT_READY
    assert "the platform is not ready" in said.err
    assert "`millpond up`" in said.err
