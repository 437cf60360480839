"""``millpond lake ls|cp|cat|rm|du|sync`` on a real store, and on a folder in its place."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from click.testing import CliRunner, Result
from door import Door

from millpond.cli.environments import installed, shipped
from millpond.cli.inside import INSIDE
from millpond.cli.root import root
from millpond.cli.session import Session
from millpond.lake.files import multipart
from millpond.lake.files.folder import Folder
from millpond.lake.files.place import Place, expression, place
from millpond.lake.files.side import Item
from millpond.lake.files.transfer import moves
from millpond.model.errors import MillpondError, UsageError
from model_servers import SOURCE
from starter import Starter

Call = Callable[..., Result]


def caller(folder: Path, monkeypatch: pytest.MonkeyPatch, env: dict[str, str]) -> Call:
    """Calls the command line in this process, as if it were in the lake's environment already."""
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(folder)

    def call(*arguments: str, fails: bool = False) -> Result:
        monkeypatch.setenv(INSIDE, "lake")
        found = CliRunner().invoke(root, ["lake", *arguments], obj=Session(folder), catch_exceptions=True)
        if isinstance(found.exception, MillpondError):
            assert fails, f"{found.exception.message} ({found.exception.hint})"
        elif found.exception is not None and not isinstance(found.exception, SystemExit):
            raise found.exception
        else:
            assert fails == bool(found.exit_code), found.output
        return found

    return call


def message(found: Result) -> str:
    assert isinstance(found.exception, MillpondError)
    return f"{found.exception.message}\n{found.exception.hint}"


@pytest.fixture
def folder_lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Call]:
    """A lake that is a folder, which is what a laptop without a platform has."""
    (tmp_path / "lake/raw").mkdir(parents=True)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    yield caller(tmp_path, monkeypatch, {"MILLPOND_LAKE_ROOT": str(tmp_path / "lake")})


@pytest.fixture
def store_lake(lake: Starter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Call]:
    """The real store, with nothing in the bucket raw."""
    monkeypatch.delenv("MILLPOND_LAKE_ROOT", raising=False)
    monkeypatch.setenv("MILLPOND_CACHE_DIR", str(tmp_path / "cache"))
    call = caller(tmp_path, monkeypatch, lake.env)
    yield call
    call("rm", "-r", "-y", "raw")


@pytest.fixture(params=["folder", pytest.param("store", marks=pytest.mark.slow)])
def call(request: pytest.FixtureRequest) -> Call:
    found: Call = request.getfixturevalue(f"{request.param}_lake")
    return found


@pytest.fixture
def trees(tmp_path: Path) -> Path:
    """A folder with two levels."""
    for name in ("a.csv", "b.csv", "c.txt", "in/d.csv", "in/deep/e.csv"):
        path = tmp_path / "trees" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{name}\n")
    return tmp_path / "trees"


def paths(found: Result) -> list[str]:
    return [entry["path"] for entry in json.loads(found.stdout)]


def test_what_is_copied_is_listed_read_and_counted(call: Call, trees: Path) -> None:
    call("cp", "-r", "./trees", "raw/trees")
    assert paths(call("ls", "--json", "raw/trees")) == [
        "raw/trees/in/",
        "raw/trees/a.csv",
        "raw/trees/b.csv",
        "raw/trees/c.txt",
    ]
    assert len(paths(call("ls", "-r", "--json", "raw/trees"))) == 5
    assert call("cat", "raw/trees/*.csv").stdout == "a.csv\nb.csv\n"
    assert json.loads(call("du", "raw/trees", "--json").stdout) == [
        {"path": "raw/trees", "bytes": 41, "files": 5}
    ]
    assert "raw/" in call("ls").stdout


@pytest.mark.parametrize("form", ["raw/t/a.csv", "s3://raw/t/a.csv", "lake://raw/t/a.csv"])
def test_three_forms_mean_the_same(call: Call, trees: Path, form: str) -> None:
    call("cp", "./trees/a.csv", form)
    assert call("cat", "raw/t/a.csv").stdout == call("cat", form).stdout == "a.csv\n"


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("raw/*.csv", {"a.csv", "b.csv"}),
        ("raw/**/*.csv", {"a.csv", "b.csv", "in/d.csv", "in/deep/e.csv"}),
        ("raw/in/**", {"in/d.csv", "in/deep/e.csv"}),
        ("raw/?.txt", {"c.txt"}),
        ("raw/[!a].csv", {"b.csv"}),
        ("r*/a.csv", {"a.csv"}),
    ],
)
def test_patterns(call: Call, trees: Path, pattern: str, found: set[str]) -> None:
    call("cp", "-r", "./trees", "raw")
    assert set(paths(call("ls", pattern, "--json"))) == {f"raw/{name}" for name in found}


def test_a_file_goes_into_what_is_a_folder(call: Call, trees: Path, tmp_path: Path) -> None:
    call("cp", "./trees/a.csv", "raw")
    call("cp", "./trees/a.csv", "raw/new/")
    call("cp", "./trees/b.csv", "raw/new")
    call("cp", "./trees/a.csv", "raw/renamed.csv")
    call("cp", "./trees/a.csv", "./trees/b.csv", "raw/both")
    expected = {"a.csv", "new/a.csv", "new/b.csv", "renamed.csv", "both/a.csv", "both/b.csv"}
    assert set(paths(call("ls", "-r", "raw", "--json"))) == {f"raw/{name}" for name in expected}
    call("cp", "raw/**/*.csv", "./back")
    assert (tmp_path / "back/both/b.csv").read_text() == "b.csv\n"
    call("cp", "raw/a.csv", "raw/copied.csv")
    assert call("cat", "raw/copied.csv").stdout == "a.csv\n"


def test_folders_are_kept_in_step(call: Call, trees: Path) -> None:
    assert json.loads(call("sync", "./trees", "raw/t", "--json").stdout)["files"] == 5
    found = json.loads(call("sync", "./trees", "raw/t", "--json").stdout)
    assert (found["files"], found["alike"]) == (0, 5)

    (trees / "a.csv").write_text("changed\n")
    (trees / "b.csv").unlink()
    (trees / "c.txt").unlink()
    planned = json.loads(call("sync", "./trees", "raw/t", "--delete", "--dry-run", "--json").stdout)
    assert [(act["act"], act.get("to") or act["path"]) for act in planned] == [
        ("copy", "raw/t/a.csv"),
        ("delete", "raw/t/b.csv"),
        ("delete", "raw/t/c.txt"),
    ]
    assert call("cat", "raw/t/a.csv").stdout == "a.csv\n"
    refused = call("sync", "./trees", "raw/t", "--delete", fails=True)
    assert "2 files of raw/t would be deleted" in message(refused)
    call("sync", "./trees", "raw/t", "--delete", "--yes")
    assert set(paths(call("ls", "-r", "raw", "--json"))) == {
        "raw/t/a.csv",
        "raw/t/in/d.csv",
        "raw/t/in/deep/e.csv",
    }
    assert call("cat", "raw/t/a.csv").stdout == "changed\n"

    found = json.loads(call("sync", "raw/t", "./down", "--json").stdout)
    assert found["files"] == 3
    assert json.loads(call("sync", "raw/t", "./down", "--json").stdout)["files"] == 0


def test_a_change_that_keeps_size_and_time_is_seen_by_checksum(call: Call, trees: Path) -> None:
    call("sync", "./trees", "raw/t")
    old = (trees / "a.csv").stat().st_mtime
    (trees / "a.csv").write_text("A.csv\n")
    os.utime(trees / "a.csv", (old - 100, old - 100))
    assert json.loads(call("sync", "./trees", "raw/t", "--json").stdout)["files"] == 0
    assert json.loads(call("sync", "./trees", "raw/t", "--checksum", "--json").stdout)["files"] == 1


def test_more_than_one_is_not_deleted_unasked(call: Call, trees: Path) -> None:
    call("cp", "-r", "./trees", "raw")
    call("rm", "raw/a.csv")
    assert "4 files (35 B) would be deleted" in message(call("rm", "-r", "raw", fails=True))
    assert "is a folder" in message(call("rm", "raw/in", fails=True))
    assert call("rm", "raw/in/**", "--dry-run").stdout == "delete raw/in/d.csv\ndelete raw/in/deep/e.csv\n"
    call("rm", "raw/**/*.csv", "--yes")
    assert paths(call("ls", "-r", "raw", "--json")) == ["raw/c.txt"]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("cat", "raw/nothing"), "there is no raw/nothing"),
        (("cp", "./nothing", "raw/x"), "there is no ./nothing"),
        (("cp", "./trees", "raw/x"), "-r copies what is in it"),
        (("cp", "raw/*.nothing", "./x"), "nothing matches raw/*.nothing"),
        (("cp", "./trees/a.csv"), "where from and where to"),
        (("rm", "./trees/a.csv"), "is a file of this machine"),
        (("cp", "ftp://host/x", "./x"), "a scheme that the lake does not know"),
        (("cp", "lake://repo@main/x", "./x"), "in a versioned repository"),
        (("cat", "raw/../other/x"), "climbs with .."),
        (("sync", "./empty", "raw/x"), "there is nothing in ./empty"),
    ],
)
def test_mistakes_are_told(call: Call, trees: Path, arguments: tuple[str, ...], text: str) -> None:
    assert text in message(call(*arguments, fails=True))


@pytest.mark.slow
def test_a_missing_bucket_is_told_with_those_there_are(store_lake: Call, trees: Path) -> None:
    assert "did you mean raw?" in message(store_lake("ls", "rwa", fails=True))
    refused = store_lake("cp", "./trees/a.csv", "nowhere/x", fails=True)
    assert "there is no bucket nowhere" in str(message(refused)) + str(refused.exception.details)  # type: ignore[union-attr]
    assert "a file of this machine is written ./trees" in message(store_lake("ls", "trees", fails=True))
    store_lake("mb", "trees-made")
    assert "trees-made/" in store_lake("ls").stdout


def test_a_name_that_climbs_is_not_written_outside(tmp_path: Path) -> None:
    """A store may list any name; this one lists a hostile one."""

    class Hostile(Folder):
        def walk(self, folder: str) -> Iterator[Item]:
            yield Item(f"{folder}../../x", 1)

    with pytest.raises(MillpondError, match="would leave the target"):
        moves([Place("raw/t", Hostile(tmp_path), "raw/t")], place("./down"), recursive=True)


@pytest.mark.slow
def test_names_may_have_any_letter(store_lake: Call, lake: Starter, tmp_path: Path) -> None:
    s3 = boto3.client("s3", endpoint_url=lake.env["AWS_ENDPOINT_URL"])
    s3.put_object(Bucket="raw", Key="t/ä b+c%20.csv", Body=b"1")
    store_lake("cp", "-r", "raw/t", "./down")
    assert (tmp_path / "down/ä b+c%20.csv").read_bytes() == b"1"
    store_lake("rm", "raw/t/ä b+c%20.csv")
    assert paths(store_lake("ls", "-r", "raw", "--json")) == []


@pytest.mark.slow
def test_an_upload_that_was_cut_off_goes_on(
    store_lake: Call, lake: Starter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection breaks after three parts: the second call sends the others only."""
    monkeypatch.setattr(multipart, "_PART", 5 << 20)
    body = os.urandom(42 << 20)
    (tmp_path / "big").write_bytes(body)
    sent: list[int] = []
    send = multipart.Upload._send

    def breaks(self: Any, upload: str, number: int, tell: Any) -> tuple[int, str]:
        if number > 3:
            raise OSError("the cable was pulled")
        return send(self, upload, number, tell)

    def counts(self: Any, upload: str, number: int, tell: Any) -> tuple[int, str]:
        sent.append(number)
        return send(self, upload, number, tell)

    monkeypatch.setattr(multipart.Upload, "_send", breaks)
    refused = store_lake("cp", "./big", "raw/big", fails=True)
    assert "the cable was pulled" in str(refused.exception.details)  # type: ignore[union-attr]
    assert "raw/big" not in paths(store_lake("ls", "raw", "--json"))

    monkeypatch.setattr(multipart.Upload, "_send", counts)
    store_lake("cp", "./big", "raw/big")
    assert sorted(sent) == [4, 5, 6, 7, 8, 9]
    store_lake("cp", "raw/big", "./down")
    assert hashlib.sha256((tmp_path / "down").read_bytes()).digest() == hashlib.sha256(body).digest()
    assert not list((tmp_path / "cache/uploads").glob("*"))


@pytest.mark.slow
def test_a_file_that_changed_meanwhile_is_sent_as_it_is_now(
    store_lake: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(multipart, "_PART", 5 << 20)
    body = bytearray(os.urandom(36 << 20))
    (tmp_path / "big").write_bytes(body)
    send = multipart.Upload._send

    def breaks(self: Any, upload: str, number: int, tell: Any) -> tuple[int, str]:
        if number > 2:
            raise OSError("the cable was pulled")
        return send(self, upload, number, tell)

    monkeypatch.setattr(multipart.Upload, "_send", breaks)
    store_lake("cp", "./big", "raw/big", fails=True)
    monkeypatch.setattr(multipart.Upload, "_send", send)
    body[0] ^= 1
    (tmp_path / "big").write_bytes(body)
    store_lake("cp", "./big", "raw/big")
    store_lake("cp", "raw/big", "./down")
    assert (tmp_path / "down").read_bytes() == body


@pytest.mark.slow
def test_the_store_of_a_profile(
    store_lake: Call, lake: Starter, trees: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``s3+NAME://`` goes by ~/.aws/config alone; here it leads to the same store."""
    env = lake.env
    config = tmp_path / "config"
    config.write_text(
        f"[profile other]\nregion = us-east-1\nendpoint_url = {env['AWS_ENDPOINT_URL']}\n"
        f"aws_access_key_id = {env['AWS_ACCESS_KEY_ID']}\n"
        f"aws_secret_access_key = {env['AWS_SECRET_ACCESS_KEY']}\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    store_lake("cp", "./trees/a.csv", "s3+other://raw/a.csv")
    assert paths(store_lake("ls", "-r", "s3+other://raw", "--json")) == ["s3+other://raw/a.csv"]
    store_lake("cp", "s3+other://raw/a.csv", "raw/b.csv")
    assert store_lake("cat", "raw/b.csv").stdout == "a.csv\n"
    assert "no profile othre" in message(store_lake("ls", "s3+othre://raw", fails=True))


@pytest.mark.slow
def test_the_command_itself(lake: Starter) -> None:
    """In the platform's folder, with nothing set."""
    (lake.project / "x.csv").write_text("1\n")
    lake.millpond("lake", "cp", "./x.csv", "raw/command/x.csv")
    assert lake.millpond("lake", "cat", "raw/command/x.csv").stdout == "1\n"


def test_places_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for text, key in (
        ("./x", f"{tmp_path}/x"),
        (".", f"{tmp_path}/"),
        ("/", "/"),
        ("./d/", f"{tmp_path}/d/"),
    ):
        assert (place(text).local, place(text).key) == (True, key)
    with pytest.raises(UsageError, match="no lake is known"):
        place("raw/x", {})


def test_a_star_stays_in_its_folder() -> None:
    assert re.fullmatch(expression("raw/*/x.csv"), "raw/a/x.csv")
    assert not re.fullmatch(expression("raw/*/x.csv"), "raw/a/b/x.csv")
    assert re.fullmatch(expression("raw/**/x.csv"), "raw/x.csv")
    assert re.fullmatch(expression("raw/a+b.csv"), "raw/a+b.csv")


def test_user_code_has_the_same_in_python(folder_lake: Call, tmp_path: Path) -> None:
    from millpond import lake

    lake.write("raw/note.txt", "so it is")
    assert lake.read("lake://raw/note.txt") == b"so it is"
    assert lake.ls("raw") == ["raw/note.txt"] and lake.ls() == ["raw/"]
    with lake.open("raw/in/other.txt", "w") as file:
        file.write("more")
    with lake.open("raw/in/other.txt", "r") as file:
        assert file.read() == "more"
    assert lake.cp("raw", "./down", recursive=True) == 2
    assert (tmp_path / "down/in/other.txt").read_text() == "more"
    assert lake.exists("raw/note.txt") and not lake.exists("raw/in")
    assert lake.rm("raw/**") == 2


@pytest.mark.slow
def test_a_notebook_opens_files_of_the_store(lake: Starter, science_python: Path, tmp_path: Path) -> None:
    """In the environment of steps and notebooks, with what ``millpond env`` tells and nothing else."""
    code = """
import pandas
from millpond import lake
lake.write("raw/python/x.csv", "a,b\\n1,2\\n")
with lake.open("raw/python/x.csv") as file:
    print(pandas.read_csv(file).b.sum(), lake.ls("raw/python"))
with lake.open("lake://raw/python/y.txt", "w") as file:
    file.write("y")
print(lake.read("raw/python/y.txt"), lake.rm("raw/python", recursive=True))
with open("z.txt", "w") as file:
    file.write("z1")
lake.create_repo("python").put("z.txt")
with lake.open("lake://python@main/z.txt", "r") as file:
    print(file.read(), lake.read("lake://python@main/z.txt"))
"""
    env = {**os.environ, **lake.env, "PYTHONPATH": str(SOURCE)}
    found = subprocess.run(
        [str(science_python), "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True
    )
    assert found.stdout == "2 ['raw/python/x.csv']\nb'y' 2\nz1 b'z1'\n", found.stderr


@pytest.mark.slow
def test_an_interrupted_copy_ends_soon_and_goes_on(lake: Starter, tmp_path: Path) -> None:
    """Control-C on the command itself, while a large file goes up and the network has stalled."""
    body = os.urandom(96 << 20)
    (tmp_path / "big").write_bytes(body)
    address = lake.env["AWS_ENDPOINT_URL"]
    s3 = boto3.client(
        "s3",
        endpoint_url=address,
        aws_access_key_id=lake.env["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=lake.env["AWS_SECRET_ACCESS_KEY"],
    )
    install = asyncio.run(installed(shipped("lake")))
    command = [str(install.bin[0] / "python"), "-m", "millpond", "lake", "cp", "./big", "raw/interrupted"]
    deadline = time.monotonic() + 60

    def parts() -> int:
        for note in (tmp_path / "cache/uploads").glob("*.json"):
            upload = json.loads(note.read_text())["upload"]
            return len(s3.list_parts(Bucket="raw", Key="interrupted", UploadId=upload).get("Parts", []))
        return 0

    with Door(address, parts=3) as door:
        env = {**os.environ, **lake.env, **install.env, INSIDE: "lake", "AWS_ENDPOINT_URL": door.address}
        env["MILLPOND_CACHE_DIR"] = str(tmp_path / "cache")
        process = subprocess.Popen(command, cwd=tmp_path, env=env, stderr=subprocess.PIPE, text=True)
        while parts() < 3:
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        door.slam()
        process.communicate(timeout=60)
        assert process.returncode == 130
        assert parts() == 3

        door.open()
        subprocess.run(command, cwd=tmp_path, env=env, check=True, capture_output=True)
        assert door.passed == 3
    assert s3.get_object(Bucket="raw", Key="interrupted")["Body"].read() == body
    s3.delete_object(Bucket="raw", Key="interrupted")
