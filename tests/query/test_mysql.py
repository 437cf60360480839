"""MySQL's tables in a query: a MariaDB from Debian's packages."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from millpond.targets.local.installs import InstallRequest, InstallStore
from query.conftest import Ask

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("apt-get"), reason="needs Debian's apt"),
]

PACKAGES = ("mariadb-server-core", "libaio1", "liburing2")
TABLES = """
FLUSH PRIVILEGES;
CREATE DATABASE shop;
CREATE TABLE shop.orders (id int, who varchar(20), price decimal(8,2));
INSERT INTO shop.orders VALUES (1, 'ann', 2.50), (2, 'bob', 3.00);
CREATE USER reader@'%' IDENTIFIED BY 'let me in';
GRANT ALL ON shop.* TO reader@'%';
"""


@pytest.fixture(scope="module")
def mariadb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """What tells user code of a server that has a table `orders`."""
    folder = tmp_path_factory.mktemp("mariadb")
    lines = []
    for name in PACKAGES:
        record = subprocess.run(
            ["apt-cache", "show", "--no-all-versions", name], capture_output=True, text=True
        ).stdout
        fields = dict(re.findall(r"^(Version|SHA256): (\S+)$", record, re.MULTILINE))
        if len(fields) != 2:
            pytest.skip(f"apt has no {name} for this machine")
        lines.append(f"{name} {fields['Version']} sha256:{fields['SHA256']}\n")
    (folder / "packages.lock").write_text("".join(lines))
    request = InstallRequest("mariadb", folder, {"deb": "packages.lock"})
    prefix = asyncio.run(InstallStore().ensure(request)).paths["deb"]
    data = folder / "data"
    data.mkdir()
    libraries = os.pathsep.join(str(found) for found in sorted(prefix.glob("**/*-linux-gnu")))
    command = [
        str(prefix / "usr/sbin/mariadbd"),
        "--no-defaults",
        "--user=root",
        f"--datadir={data}",
        f"--lc-messages-dir={prefix}/usr/share/mysql",
        f"--plugin-dir={prefix}/usr/lib/mysql/plugin",
    ]
    environment = {**os.environ, "LD_LIBRARY_PATH": libraries}
    share = prefix / "usr/share/mysql"
    script = "CREATE DATABASE mysql;\nUSE mysql;\n" + "".join(
        (share / f"mysql_system_tables{part}.sql").read_text() for part in ("", "_data")
    )
    subprocess.run([*command, "--bootstrap"], input=script + TABLES, text=True, env=environment, check=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = [f"--port={port}", "--bind-address=127.0.0.1", f"--socket={folder / 's'}"]
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen([*command, *address], env=environment, stdout=log, stderr=log) as process,
    ):
        try:
            _wait(port, process, folder / "log")
            yield {
                "MYSQL_HOST": "127.0.0.1",
                "MYSQL_TCP_PORT": str(port),
                "MYSQL_DATABASE": "shop",
                "MYSQL_USER": "reader",
                "MYSQL_PWD": "let me in",
            }
        finally:
            process.terminate()


def _wait(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError(log.read_text())


def test_its_tables_join_others(ask: Ask, mariadb: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "cities.csv").write_text("id,city\n2,Utrecht\n")
    found = ask(
        "select who, price::varchar as price, city from mysql.orders join 'cities.csv' using (id)",
        environment=mariadb,
    )
    assert found == [{"who": "bob", "price": "3.00", "city": "Utrecht"}]


def test_it_is_read_only(ask: Ask, mariadb: dict[str, str]) -> None:
    found = ask("delete from mysql.orders", environment=mariadb)
    assert "read-only" in found["message"]


def test_a_wrong_password_is_told_without_it(ask: Ask, mariadb: dict[str, str]) -> None:
    found = ask("from mysql.orders", environment={**mariadb, "MYSQL_PWD": "not this one"})
    assert "the database mysql (127.0.0.1:" in found["message"]
    assert "Access denied" in found["message"]
    assert "not this one" not in str(found)
