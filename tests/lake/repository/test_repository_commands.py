"""`millpond repo` as it is typed, on a platform with an object store."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from starter import Starter

pytestmark = pytest.mark.slow
Millpond = Callable[..., Any]


@pytest.fixture
def repo(lake: Starter, tmp_path: Path) -> Millpond:
    """Runs `millpond repo` with a place of its own; what it prints, read as JSON where that was asked for."""
    env = {"MILLPOND_REPOSITORIES": f"repositories/{uuid.uuid4().hex[:8]}"}

    def run(*words: str | Path, check: bool = True) -> Any:
        found = lake.millpond("repo", *map(str, words), check=check, env=env)
        if not check:
            assert found.returncode
            return found.stderr
        return json.loads(found.stdout) if "--json" in words else found.stdout

    return run


def test_the_life_of_a_repository(repo: Millpond, tmp_path: Path) -> None:
    source = tmp_path / "in"
    (source / "raw").mkdir(parents=True)
    (source / "raw/t.csv").write_text("id,v\n1,a\n2,b\n3,c\n")
    (source / "note.txt").write_text("hello")
    assert repo("create", "flights", "--json")["branches"] == ["main"]
    first = repo("put", "flights", source, "-m", "November", "--json")
    assert (first["files"], first["message"], first["summary"]["added"]) == (2, "November", 2)
    assert [row["path"] for row in repo("ls", "flights", "--json")] == ["note.txt", "raw/"]
    assert [row["path"] for row in repo("ls", "flights", "**/*.csv", "--json")] == ["raw/t.csv"]

    repo("branch", "flights", "side")
    (source / "raw/t.csv").write_text("id,v\n1,a\n2,x\n4,d\n")
    repo("put", "flights@side", source / "raw/t.csv", "--to", "raw/")
    (found,) = repo("diff", "flights", "main", "side", "--key", "id", "--json")
    assert {key: found["rows"][key] for key in ("added", "changed", "removed", "same")} == {
        "added": 1,
        "changed": 1,
        "removed": 1,
        "same": 1,
    }
    assert found["rows"]["samples"]["changed"] == [{"was": {"id": 2, "v": "b"}, "is": {"id": 2, "v": "x"}}]
    (found,) = repo("diff", "flights", "main", "side", "--rows", "--json")
    assert (found["rows"]["added"], found["rows"]["removed"], found["rows"]["same"]) == (2, 2, 1)
    repo("merge", "flights@side")
    repo("tag", "flights", "v1")
    assert repo("cat", "flights@v1", "raw/t.csv").endswith("4,d\n")
    assert repo("get", "flights@main~1", "note.txt", "-o", tmp_path / "out", "--json")
    assert (tmp_path / "out/note.txt").read_text() == "hello"

    work = tmp_path / "work"
    repo("checkout", "flights", work)
    (work / "more.txt").write_text("1")
    (work / "note.txt").unlink()
    changes = repo("status", work, "--json")["changes"]
    assert [(item["path"], item["change"]) for item in changes] == [
        ("more.txt", "added"),
        ("note.txt", "removed"),
    ]
    repo("commit", work, "-m", "tidy")
    assert [commit["message"] for commit in repo("log", "flights", "-n", "2", "--json")] == [
        "tidy",
        "Put raw/t.csv",
    ]
    assert repo("rm", "flights", "more.txt", "--json")["summary"]["removed"] == 1
    assert repo("fsck", "flights", "--data", "--json")["problems"] == []
    repo("branch", "flights", "side", "--delete")
    assert repo("gc", "flights", "--grace", "0", "--json")["deleted"] == 0, "the merge needs all of it"
    assert [item["name"] for item in repo("list", "--json")] == ["flights"]
    repo("delete", "flights", "--yes")
    assert repo("list", "--json") == []


def test_mistakes_are_told(repo: Millpond, tmp_path: Path) -> None:
    repo("create", "flights")
    assert "did you mean flights?" in repo("ls", "flihgts", check=False)
    assert "did you mean main?" in repo("get", "flights@mian", check=False)
    assert "there is no file" in repo("put", "flights", tmp_path / "nothing", check=False)
    assert "is not a checkout" in repo("commit", tmp_path, check=False)
    assert "name what is merged" in repo("merge", "flights", check=False)
    repo("delete", "flights", "--yes")
