"""The engine with the components that platforms really have: an object store and a database."""

from __future__ import annotations

import asyncio
import json
import os
import pwd
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from millpond.targets.local.supervisor import processes

from .conftest import Project, until

pytestmark = pytest.mark.slow


@pytest.fixture
def lake(project: Project) -> Iterator[Project]:
    """SeaweedFS and PostgreSQL, in a folder that only its owner can enter."""
    project.folder.chmod(0o700)
    project.flavour("seaweedfs", "postgres").up()
    yield project
    project.run("destroy", "--yes")


def _psql(project: Project, statement: str, **env: str) -> str:
    target = project.target()
    install = asyncio.run(target.component_environment("postgres"))
    env = {**target.environment(), "PATH": install["PATH"], **env}
    done = subprocess.run(
        ["psql", "--no-psqlrc", "-qtAc", statement], env=env, capture_output=True, text=True, timeout=20
    )
    if done.returncode:
        raise OSError(done.stderr)
    return done.stdout.strip()


class _Writer(threading.Thread):
    """Keeps on writing rows and objects, and remembers what was acknowledged."""

    def __init__(self, project: Project, python: Path) -> None:
        super().__init__(daemon=True)
        self.acknowledged: dict[str, list[int]] = {"row": [], "object": []}
        env = {**os.environ, **project.target().environment()}
        self.process = subprocess.Popen(
            [str(python), "-c", _WRITE], env=env, stdout=subprocess.PIPE, text=True
        )
        self.start()

    def run(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            kind, number = line.split()
            self.acknowledged[kind].append(int(number))

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        self.join()
        assert self.process.stdout
        self.process.stdout.close()


_WRITE = """
import itertools, os, threading, boto3, psycopg2
from botocore.config import Config

def say(line):
    os.write(1, line.encode())

def rows():
    connection = psycopg2.connect("")
    connection.autocommit = True
    cursor = connection.cursor()
    cursor.execute("create table if not exists kept (number int)")
    for number in itertools.count():
        cursor.execute("insert into kept values (%s)", (number,))
        say(f"row {number}\\n")

def objects():
    s3 = boto3.client("s3", config=Config(retries={"max_attempts": 1}, read_timeout=5, connect_timeout=5))
    for number in itertools.count():
        s3.put_object(Bucket="raw", Key=f"kept/{number}", Body=b"x" * 2000)
        say(f"object {number}\\n")

threads = [threading.Thread(target=work) for work in (rows, objects)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""
_READ = """
import boto3, json, psycopg2
from botocore.config import Config
from botocore.exceptions import ClientError
connection = psycopg2.connect("")
cursor = connection.cursor()
cursor.execute("select number from kept")
rows = sorted(row[0] for row in cursor.fetchall())
s3 = boto3.client("s3", config=Config(retries={"max_attempts": 2}))
objects = []
for page in s3.get_paginator("list_objects_v2").paginate(Bucket="raw", Prefix="kept/"):
    for found in page.get("Contents", []):
        try:
            body = s3.get_object(Bucket="raw", Key=found["Key"])["Body"].read()
        except ClientError:
            continue  # what was on its way when the store was killed may be listed without its bytes
        assert len(body) == 2000
        objects.append(int(found["Key"].split("/")[1]))
print(json.dumps({"row": rows, "object": sorted(objects)}))
"""


@pytest.fixture(scope="session")
def client_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter with boto3 and psycopg2: the environment of the tracking server."""
    from millpond.catalogue import Catalogue
    from millpond.targets.local.installs import InstallRequest, InstallStore

    entry = Catalogue().entry("mlflow")
    request = InstallRequest("mlflow", entry.folder, {"pip": "requirements.lock"})
    return asyncio.run(InstallStore().ensure(request)).paths["pip"] / "bin/python"


def _assert_kept(project: Project, python: Path, acknowledged: dict[str, list[int]]) -> None:
    env = {**os.environ, **project.target().environment()}
    deadline = time.monotonic() + 60
    while True:
        told = subprocess.run(
            [str(python), "-c", _READ], env=env, capture_output=True, text=True, timeout=120
        )
        assert told.returncode == 0, told.stderr
        there = json.loads(told.stdout)
        whole = all(set(numbers) <= set(there[kind]) for kind, numbers in acknowledged.items())
        # The store's parts find each other again in the seconds after it has been killed.
        if whole or time.monotonic() > deadline:
            break
    for kind, numbers in acknowledged.items():
        assert numbers, f"no {kind} was written"
        assert set(numbers) <= set(there[kind]), f"lost {kind}s: {sorted({*numbers} - {*there[kind]})[:5]}"


def test_nothing_outlives_a_killed_supervisor_and_nothing_acknowledged_is_lost(
    lake: Project, client_python: Path
) -> None:
    writer = _Writer(lake, client_python)
    until(lambda: all(len(numbers) > 40 for numbers in writer.acknowledged.values()), 30)
    hello = lake.supervisor.ping()
    os.kill(hello["pid"], signal.SIGKILL)
    until(lambda: lake.marked() == [] and processes.started(hello["guardian"]) is None, 5)
    writer.stop()
    assert "not running" in " ".join(reason for c in lake.target().plan().changes for reason in c.reasons)
    lake.up()
    assert lake.ready() == {"seaweedfs", "postgres"}
    _assert_kept(lake, client_python, writer.acknowledged)
    assert lake.target().plan().empty


@pytest.mark.parametrize("name", ["seaweedfs", "postgres"])
def test_a_killed_component_comes_back_with_what_it_acknowledged(
    lake: Project, client_python: Path, name: str
) -> None:
    writer = _Writer(lake, client_python)
    until(lambda: all(len(numbers) > 40 for numbers in writer.acknowledged.values()), 30)
    before = lake.pids()[name]
    os.kill(before, signal.SIGKILL)
    until(lambda: lake.pids().get(name, before) != before and name in lake.ready(), 30)
    writer.stop()
    _assert_kept(lake, client_python, writer.acknowledged)


def test_an_up_killed_while_a_database_is_made_is_gone_on_with(project: Project) -> None:
    project.flavour("postgres")
    for pause in (0.5, 0.9, 1.3):
        running = project.millpond("up", "--yes")
        time.sleep(pause)
        os.kill(running.pid, signal.SIGKILL)
        running.communicate(timeout=10)
    project.up()
    assert _psql(project, "select 6 * 7") == "42"
    assert project.run("destroy", "--yes").returncode == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_the_database_runs_as_somebody_else_when_root_starts_it(lake: Project) -> None:
    nobody = pwd.getpwnam(os.environ.get("MILLPOND_USER", "nobody")).pw_uid
    leader = lake.pids()["postgres"]
    family = [leader, *processes.children(leader)]
    assert len(family) > 2
    assert {Path(f"/proc/{pid}").stat().st_uid for pid in family} == {nobody}
    assert Path(f"/proc/{lake.pids()['seaweedfs']}").stat().st_uid == 0
    data = lake.workspace.data("postgres").resolve()
    assert data.is_relative_to(lake.workspace.shared_root)
    assert {path.stat().st_uid for path in data.iterdir()} == {nobody}
    made = [path for path in data.parent.rglob("*") if path.is_file() and ".component" not in path.parts]
    assert [path for path in made if path.stat().st_mode & 0o077] == []


def test_no_secret_can_be_seen(lake: Project) -> None:
    lake.flavour("seaweedfs", postgres={"max_connections": 90})
    plan = json.dumps(lake.target().plan().as_dict())
    # The id of an access key is a name, which the store also logs; its secret is another value.
    ids = [key for key in lake.secrets if key.startswith("seaweedfs/") and key.endswith("/key")]
    secrets = {key: value for key, value in lake.secrets.items() if key not in ("fingerprint", *ids)}
    assert len(secrets) > 3
    up = lake.run("up", "--yes", "--json")
    assert up.returncode == 0, up.stderr
    status = lake.run("status", "--json")
    assert status.returncode == 0
    seen = {
        "plan": plan,
        "events": up.stdout + up.stderr,
        "status": status.stdout + status.stderr,
        "state": lake.workspace.state.read_text(),
    }
    for path in (lake.workspace.root / "logs").glob("*"):
        seen[path.name] = path.read_text(errors="replace")
    for path in lake.workspace.run.glob("*"):
        if path.is_file():
            seen[path.name] = path.read_text(errors="replace")
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            seen[f"argv of {entry.name}"] = (entry / "cmdline").read_text(errors="replace")
        except OSError:
            continue
    assert {
        (key, where) for key, value in secrets.items() for where, text in seen.items() if value in text
    } == set()


def test_each_asker_reaches_its_own_database_alone(lake: Project) -> None:
    lake.flavour("seaweedfs", "postgres", "shop").up()
    assert _psql(lake, "select session_user || ' in ' || current_database()") == "user in village"
    with pytest.raises(OSError, match="permission denied for database"):
        _psql(lake, "select 1", PGDATABASE="shop")
    password = lake.secrets["postgres/shop.database/password"]
    assert _psql(lake, "select 1", PGDATABASE="shop", PGUSER="shop", PGPASSWORD=password) == "1"


def test_down_keeps_and_destroy_removes(project: Project) -> None:
    project.flavour("seaweedfs", "postgres").up()
    _psql(project, "create table kept (number int); insert into kept values (42)")
    project.down()
    assert project.marked() == []
    project.up()
    assert _psql(project, "select number from kept") == "42"

    # The database leaves the flavour; what it has is still the platform's to delete.
    project.flavour("seaweedfs").up()
    assert project.ready() == {"seaweedfs"}
    listed = [path for path, _ in project.target().destroy_list()]
    assert set(listed) == {project.workspace.root, project.workspace.shared_root} or os.geteuid() != 0
    done = project.run("destroy", "--yes")
    assert done.returncode == 0, done.stderr
    assert [path for path in listed if path.exists()] == []
    assert project.marked() == []


def test_it_starts_without_network(lake: Project) -> None:
    if os.geteuid() != 0 or not Path("/usr/bin/unshare").exists():
        pytest.skip("needs root and a network of its own to cut off")
    lake.down()
    millpond = f"{sys.executable} -m millpond"
    done = lake.run(
        prefix=["unshare", "--net", "sh", "-c", f"ip link set lo up; {millpond} up --yes && {millpond} down"]
    )
    assert done.returncode == 0, done.stderr
