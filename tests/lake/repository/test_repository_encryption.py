"""An encrypted repository: what the store sees, who opens it, and what happens to whoever does not."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
from pathlib import Path

import pyrage
import pytest
from test_repository_format import PAGE

from millpond.lake.repository import keys, places
from millpond.lake.repository.check import check
from millpond.lake.repository.cleanup import clean_up
from millpond.lake.repository.keys import KeyFile, LockedError
from millpond.lake.repository.objects import FolderObjects
from millpond.lake.repository.pack import DamagedError
from millpond.lake.repository.sealed import SEGMENT, SealedObjects
from millpond.model.errors import MillpondError

WORD = b"Montblanc-Meridian"


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A lake in a folder, and a key file that is not there yet."""
    monkeypatch.setenv("MILLPOND_CACHE_DIR", str(tmp_path / "cache"))
    return {"MILLPOND_LAKE_ROOT": str(tmp_path / "lake"), keys.VARIABLE: str(tmp_path / "mine/lake.key")}


def of_another(environment: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """The same lake, with the key file of somebody else."""
    return {**environment, keys.VARIABLE: str(tmp_path / "theirs/lake.key")}


def test_the_store_sees_neither_contents_nor_paths_nor_messages(
    environment: dict[str, str], tmp_path: Path
) -> None:
    repo = places.create("flights", environment, encrypt=True)
    with repo.commit(WORD.decode()) as change:
        change.write(f"{WORD.decode()}/x.csv", WORD * 5)
    assert repo.read(f"{WORD.decode()}/x.csv") == WORD * 5
    stored = [file for file in (tmp_path / "lake").rglob("*") if file.is_file()]
    assert len(stored) >= 5
    key = (tmp_path / "mine/lake.key").read_text().split()[-1].encode()
    for file in stored:
        data = file.read_bytes()
        assert WORD not in data and key not in data, file
        assert b'"commit"' not in data and b"MPACK" not in data, file
    assert (tmp_path / "mine/lake.key").stat().st_mode & 0o777 == 0o600


def test_the_same_bytes_are_kept_once(environment: dict[str, str], tmp_path: Path) -> None:
    repo = places.create("flights", environment, encrypt=True)
    body = random.Random(1).randbytes(3 << 20)
    (tmp_path / "one").write_bytes(body)
    repo.put(tmp_path / "one")
    (tmp_path / "two").write_bytes(body)
    before = sum(item.size for item in repo.objects.below("packs/"))
    with repo.commit("again") as change:
        change.put(tmp_path / "two")
    assert sum(item.size for item in repo.objects.below("packs/")) - before < 5000


@pytest.mark.parametrize("size", [0, 1, SEGMENT - 1, SEGMENT, SEGMENT + 1, 3 * SEGMENT - 20, 3 * SEGMENT])
def test_any_part_of_an_object_is_read(tmp_path: Path, size: int) -> None:
    objects = SealedObjects(FolderObjects(tmp_path), b"k" * 32)
    data = random.Random(size).randbytes(size)
    for key in ("packs/a.pack", "refs/a.json"):
        objects.create(key, data)
        assert objects.read(key) == data
        for length in (1, 20, SEGMENT, SEGMENT + 1, 10 * SEGMENT):
            assert objects.read_tail(key, length) == data[-length:]
        edges = sorted({0, 1, size // 2, SEGMENT - 8, SEGMENT, size - 9, size - 1, size} & set(range(size)))
        for start in edges:
            for end in (*edges, size):
                if start < end:
                    assert objects.read_range(key, start, end - start) == data[start:end], (start, end)


def test_what_was_tampered_with_is_told(tmp_path: Path) -> None:
    objects = SealedObjects(FolderObjects(tmp_path), b"k" * 32)
    data = random.Random(1).randbytes(2 * SEGMENT + 100)
    objects.create("packs/a.pack", data)
    objects.create("packs/b.pack", data[::-1])
    place = tmp_path / "packs/a.pack"
    good = place.read_bytes()
    stored = SEGMENT + 16
    tampered = {
        "a bit": good[:5] + bytes([good[5] ^ 1]) + good[6:],
        "cut off": good[: 2 * stored] + (2 * SEGMENT).to_bytes(8, "big"),
        "segments that changed places": good[stored : 2 * stored] + good[:stored] + good[2 * stored :],
        "another length": good[:-8] + (5).to_bytes(8, "big"),
        "another object": (tmp_path / "packs/b.pack").read_bytes(),
        "nothing": b"",
    }
    for what, body in tampered.items():
        place.write_bytes(body)
        with pytest.raises(DamagedError, match="is not what was encrypted"):
            objects.read("packs/a.pack")
            pytest.fail(what)
        with pytest.raises(DamagedError):
            objects.read_tail("packs/a.pack", 3 * SEGMENT)
            pytest.fail(what)
    place.write_bytes(good[: 2 * stored])
    with pytest.raises(DamagedError):
        objects.read_range("packs/a.pack", 2 * SEGMENT, 100)


def test_without_the_key_nothing_is_read_and_the_way_in_is_told(
    environment: dict[str, str], tmp_path: Path
) -> None:
    repo = places.create("flights", environment, encrypt=True)
    with repo.commit() as change:
        change.write("a", b"mine")
    theirs = of_another(environment, tmp_path)
    with pytest.raises(LockedError, match=r"there is no key in .*theirs") as caught:
        places.find("flights", theirs)
    own = KeyFile(theirs).own()
    with pytest.raises(LockedError, match=r"no key in .*theirs.* opens flights") as caught:
        places.find("flights", theirs)
    assert caught.value.hint == f"who can open it lets yours in: millpond repo key flights --add {own}"

    plain = places.plain_objects("flights", environment)
    mine = keys.opened(plain, "flights", KeyFile(environment))
    keys.rewrite(plain, mine, (*mine.recipients, own))
    assert places.find("flights", theirs).read("a") == b"mine"
    with pytest.raises(MillpondError, match="somebody else changes"):
        keys.rewrite(plain, mine, mine.recipients)
    now = keys.opened(plain, "flights", KeyFile(environment))
    assert now.recipients == (*mine.recipients, own)
    keys.rewrite(plain, now, mine.recipients)
    with pytest.raises(LockedError):
        places.find("flights", theirs)
    assert places.delete("flights", theirs) > 3, "what nobody opens can be thrown away"


def test_a_new_key_opens_what_is_rewritten_and_the_old_one_the_rest(environment: dict[str, str]) -> None:
    for name in ("one", "two"):
        places.create(name, environment, encrypt=True)
    file = KeyFile(environment)
    old = file.own()
    new = file.renew()
    assert [str(found.to_public()) for found in file.identities()] == [new, old]
    places.find("one", environment)
    places.find("two", environment)
    assert places.create("three", environment, encrypt=True).encrypted
    assert keys.opened(places.plain_objects("three", environment), "three", file).recipients == (new,)


@pytest.mark.parametrize(
    ("text", "mode", "said"),
    [
        ("nonsense\n", 0o600, "line 1 of the key file .* is no key of age"),
        ("AGE-SECRET-KEY-1\n", 0o644, "others can read the key file"),
    ],
)
def test_a_key_file_that_cannot_be_used_is_told(
    environment: dict[str, str], text: str, mode: int, said: str
) -> None:
    place = Path(environment[keys.VARIABLE])
    place.parent.mkdir(parents=True)
    place.write_text(text)
    place.chmod(mode)
    with pytest.raises(MillpondError, match=said) as caught:
        places.create("flights", environment, encrypt=True)
    assert "nonsense" not in f"{caught.value} {caught.value.hint}"
    assert places.repositories(environment) == []


def test_a_damaged_segment_is_one_problem_and_no_more(environment: dict[str, str], tmp_path: Path) -> None:
    repo = places.create("flights", environment, encrypt=True)
    with repo.commit() as change:
        for number in range(5):
            change.write(f"f{number}", random.Random(number).randbytes(3 * SEGMENT))
    assert check(repo, data=True).problems == []
    (place,) = (tmp_path / "lake/repositories/flights/packs").iterdir()
    data = bytearray(place.read_bytes())
    data[SEGMENT // 2] ^= 1
    place.write_bytes(data)
    (problem,) = check(repo, data=True).problems
    assert problem.startswith("f0 is damaged")
    assert repo.read("f4") == random.Random(4).randbytes(3 * SEGMENT)
    with pytest.raises(DamagedError):
        repo.read("f0")


def test_what_is_not_needed_goes(environment: dict[str, str]) -> None:
    repo = places.create("flights", environment, encrypt=True)
    repo.branch("side")
    with repo.commit(branch="side") as change:
        change.write("a", random.Random(1).randbytes(100_000))
    with repo.commit() as change:
        change.write("b", b"stays")
    repo.refs.delete("branch", "side")
    assert clean_up(repo, grace=0).deleted
    assert repo.read("b") == b"stays" and check(repo, data=True).problems == []


def test_the_page_s_program_opens_it_without_millpond(environment: dict[str, str], tmp_path: Path) -> None:
    repo = places.create("flights", environment, encrypt=True)
    files = {f"d/{number}": f"text {number} ".encode() * number for number in range(300)}
    files["large"] = random.Random(3).randbytes(2 << 20)
    with repo.commit() as change:
        for name, data in files.items():
            change.write(name, data)
    top = tmp_path / "lake/repositories/flights"
    scripts = {}
    for name in ("open_repository.py", "read_repository.py"):
        found = re.search(rf"```python {name}\n(.*?)```", PAGE.read_text(), re.DOTALL)
        assert found is not None
        scripts[name] = tmp_path / name
        scripts[name].write_text(found[1])
    # What `age -d -i lake.key key.age` prints.
    opened = pyrage.decrypt((top / "key.age").read_bytes(), KeyFile(environment).identities())
    python = [sys.executable, "-I"]
    plain = tmp_path / "plain"
    subprocess.run(
        [*python, str(scripts["open_repository.py"]), str(top), str(plain)], input=opened, check=True
    )
    out = tmp_path / "out"
    subprocess.run([*python, str(scripts["read_repository.py"]), str(plain), "main", str(out)], check=True)
    for name, data in files.items():
        assert (out / name).read_bytes() == data, name


@pytest.mark.slow
def test_as_it_is_typed(tmp_path: Path) -> None:
    """In a folder without a platform, on a lake that is a folder."""
    millpond = Path(sys.executable).parent / "millpond"
    (tmp_path / "x.csv").write_text("a\n1\n")

    def run(*words: str, key: str = "mine", fails: bool = False) -> str:
        env = {
            **os.environ,
            "MILLPOND_LAKE_ROOT": str(tmp_path / "lake"),
            keys.VARIABLE: str(tmp_path / key),
        }
        found = subprocess.run(
            [str(millpond), "repo", *words], cwd=tmp_path, env=env, capture_output=True, text=True
        )
        assert bool(found.returncode) == fails, found.stderr
        assert "AGE-SECRET-KEY" not in found.stdout + found.stderr
        return found.stdout + found.stderr

    assert "without a copy of that file, all of it is lost" in run("create", "flights", "--encrypt")
    run("put", "flights", "x.csv")
    assert run("cat", "flights", "x.csv") == "a\n1\n"
    (before,) = json.loads(run("key", "flights", "--json"))
    assert before["own"] and before["key"].startswith("age1")
    assert "no key in" in run("cat", "flights", "x.csv", key="theirs", fails=True)
    assert "no key here opens it" in run("list", key="theirs")
    (after,) = json.loads(run("key", "flights", "--rotate", "--json"))
    assert after["own"] and after["key"] != before["key"]
    both = json.loads(run("key", "flights", "--add", before["key"], "--json"))
    assert [item["key"] for item in both] == [after["key"], before["key"]]
    run("key", "flights", "--remove", before["key"])
    assert "does not open flights" in run("key", "flights", "--remove", before["key"], fails=True)
    assert run("cat", "flights", "x.csv") == "a\n1\n"
