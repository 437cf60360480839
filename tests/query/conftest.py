"""The environment of SQL, and a lake in a folder that queries are asked of."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from millpond.targets.local.installs import InstallRequest, InstallStore
from model_servers import SOURCE

Ask = Callable[..., Any]
LOCK = SOURCE / "millpond/catalogue/environments/sql/requirements.lock"


@pytest.fixture(scope="session")
def sql_python() -> Path:
    """The interpreter of the environment that `millpond sql` goes on in."""
    request = InstallRequest("sql", LOCK.parent, {"pip": LOCK.name})
    return asyncio.run(InstallStore().ensure(request)).paths["pip"] / "bin/python"


@pytest.fixture(scope="session")
def asker(sql_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[subprocess.Popen[str]]:
    home = tmp_path_factory.mktemp("home")
    # What names a network here names nothing that answers.
    closed = {"HTTPS_PROXY": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9"}
    environment = {**os.environ, **closed, "PYTHONPATH": str(SOURCE), "HOME": str(home)}
    command = [str(sql_python), str(Path(__file__).with_name("asker.py"))]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()
    assert not (home / ".duckdb").exists()


@pytest.fixture
def ask(asker: subprocess.Popen[str], tmp_path: Path) -> Ask:
    """Ask a query in a folder of its own, of the lake in it; answers rows, or what went wrong."""
    (tmp_path / "lake").mkdir()

    def asked(query: str, **more: Any) -> Any:
        assert asker.stdin is not None and asker.stdout is not None
        given = {"MILLPOND_LAKE_ROOT": str(tmp_path / "lake")}
        request = {"query": query, "folder": str(tmp_path), "environment": given, **more}
        asker.stdin.write(json.dumps(request) + "\n")
        asker.stdin.flush()
        found = json.loads(asker.stdout.readline())
        return found.get("answer", found)

    return asked
