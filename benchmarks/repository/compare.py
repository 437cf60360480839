"""Versioned repositories beside DVC, Oxen and plain copies: wall seconds of whole commands, in one run.

    millpond shell -- PYTHON benchmarks/repository/compare.py [--dvc DVC] [--oxen PYTHON] [--small 10000]
        [--large 500] [--json FILE]

PYTHON is that of the checkout (``.venv/bin/python``); the object store is the one that the environment names.
DVC is the command of an environment with ``dvc[s3]``, Oxen the interpreter of one with ``oxenai``; what
is not named is left out. Oxen's wheel has no server and knows no object store: it writes to this disk only.

The files are random, as they compress worst: --small files of 1 KiB in 100 folders, and one of --large MB, of
which five places with 1 % of it are changed. Every command is a process of its own, its start included.
Checkouts are made with empty caches. The plain copies are threads of one process of boto3's and obstore's,
without any versions: of the files one by one, and of the very objects that Millpond wrote.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from millpond.lake.repository import cache as caches

MILLPOND = Path(sys.executable).parent / "millpond"
THREADS = 16
Figures = dict[str, float]


def timed(work: Callable[[], object]) -> float:
    """Wall seconds."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def called(*words: str | Path, cwd: Path, env: dict[str, str] | None = None) -> None:
    """Run a command to its end; what it printed is shown when it fails."""
    found = subprocess.run(
        [str(word) for word in words],
        cwd=cwd,
        env=env,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    if found.returncode:
        raise SystemExit(f"{' '.join(map(str, words))} failed\n{found.stdout}\n{found.stderr}")


class Data:
    """The files that everyone gets; `change_one` and `change_large` make the second states."""

    def __init__(self, folder: Path, small: int, large: int) -> None:
        self.folder = folder
        source = random.Random(7)
        for number in range(small):
            place = folder / "small" / f"{number % 100:02}" / f"{number:05}.bin"
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(source.randbytes(1024))
        with (folder / "large.bin").open("wb") as file:
            for _ in range(large):
                file.write(source.randbytes(1_000_000))
        self.size = large * 1_000_000
        self._source = source

    def change_one(self) -> None:
        """Another content for one small file."""
        (self.folder / "small/07/00007.bin").write_bytes(self._source.randbytes(1024))

    def change_large(self) -> None:
        """Five places of the large file, 1 % of it together."""
        with (self.folder / "large.bin").open("r+b") as file:
            for _ in range(5):
                file.seek(self._source.randrange(self.size - self.size // 500))
                file.write(self._source.randbytes(self.size // 500))


def millpond(data: Data, home: Path) -> Figures:
    """`millpond repo put` and `get`; a checkout's `commit` for the changes."""
    env = {**os.environ, "MILLPOND_REPOSITORIES": f"repositories/bench-{os.getpid()}"}

    def run(*words: str | Path) -> None:
        called(MILLPOND, "repo", *words, cwd=home, env=env)

    run("list")  # installs the environment
    remembered = set(caches.folder().glob("*.sqlite*"))
    run("create", "bench")
    found = {"first small": timed(lambda: run("put", "bench", data.folder / "small", "--to", "small"))}
    found["first large"] = timed(lambda: run("put", "bench", data.folder / "large.bin"))
    data.change_one()
    found["one file"] = timed(lambda: run("put", "bench", data.folder / "small", "--to", "small"))
    data.change_large()
    found["1 % of large"] = timed(lambda: run("put", "bench", data.folder / "large.bin"))
    for place in set(caches.folder().glob("*.sqlite*")) - remembered:
        place.unlink()
    found["checkout"] = timed(lambda: run("get", "bench", "-o", home / "out"))
    same(data.folder, home / "out")
    found |= plain_objects(env["MILLPOND_REPOSITORIES"] + "/bench/")
    run("delete", "bench", "--yes")
    return found


def same(one: Path, other: Path) -> None:
    """Nobody is quick by forgetting something."""
    for place in one.rglob("*"):
        if place.is_file() and place.read_bytes() != (other / place.relative_to(one)).read_bytes():
            raise SystemExit(f"{place} differs in {other}")


def plain_objects(place: str) -> Figures:
    """The very objects that Millpond wrote, copied there and back by threads."""
    import obstore
    from obstore.store import S3Store

    bucket, _, prefix = place.partition("/")
    store = S3Store(
        bucket,
        endpoint=os.environ["AWS_ENDPOINT_URL"],
        access_key_id=os.environ["AWS_ACCESS_KEY_ID"],
        secret_access_key=os.environ["AWS_SECRET_ACCESS_KEY"],
        region="us-east-1",
        virtual_hosted_style_request=False,
        client_options={"allow_http": True},
    )
    keys = [item["path"] for page in obstore.list(store, prefix) for item in page]
    with ThreadPoolExecutor(THREADS) as pool:
        bodies: list[Any] = []
        down = timed(
            lambda: bodies.extend(pool.map(lambda key: bytes(obstore.get(store, key).bytes()), keys))
        )
        names = [f"{prefix}copy/{number}" for number in range(len(keys))]
        up = timed(
            lambda: list(pool.map(lambda pair: obstore.put(store, *pair), zip(names, bodies, strict=True)))
        )
    for name in names:
        obstore.delete(store, name)
    return {"objects up": up, "objects down": down, "objects": float(len(keys))}


def plain(data: Data, home: Path) -> Figures:
    """One object for each file, the large one in parts, by 16 threads."""
    import boto3
    from boto3.s3.transfer import TransferConfig
    from botocore.config import Config

    client = boto3.client("s3", config=Config(max_pool_connections=THREADS, s3={"addressing_style": "path"}))
    bucket = "repositories"
    files = [place for place in (data.folder / "small").rglob("*") if place.is_file()]
    transfer = TransferConfig(max_concurrency=THREADS, multipart_chunksize=16 << 20)

    def key(place: Path) -> str:
        return f"plain-{os.getpid()}/{place.relative_to(data.folder)}"

    def put(place: Path) -> None:
        client.put_object(Bucket=bucket, Key=key(place), Body=place.read_bytes())

    def get(place: Path) -> None:
        target = home / place.relative_to(data.folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(client.get_object(Bucket=bucket, Key=key(place))["Body"].read())

    large = data.folder / "large.bin"
    with ThreadPoolExecutor(THREADS) as pool:
        found = {"first small": timed(lambda: list(pool.map(put, files)))}
        found["first large"] = timed(
            lambda: client.upload_file(str(large), bucket, key(large), Config=transfer)
        )

        def back() -> None:
            list(pool.map(get, files))
            client.download_file(bucket, key(large), str(home / "large.bin"), Config=transfer)

        found["checkout"] = timed(back)
        list(pool.map(lambda place: client.delete_object(Bucket=bucket, Key=key(place)), [*files, large]))
    return found


def dvc(data: Data, home: Path, command: str) -> Figures:
    """`dvc add` and `dvc push` to the same store; `dvc pull` into an empty clone."""
    env = {**os.environ, "DVC_NO_ANALYTICS": "1"}

    def run(*words: str | Path, cwd: Path = home) -> None:
        called(*words, cwd=cwd, env=env)

    run("git", "init", "-q")
    run(command, "init", "-q")
    run(command, "remote", "add", "-d", "store", f"s3://repositories/dvc-{os.getpid()}")
    run(command, "remote", "modify", "store", "endpointurl", os.environ["AWS_ENDPOINT_URL"])
    shutil.copytree(data.folder / "small", home / "small")
    shutil.copy(data.folder / "large.bin", home / "large.bin")

    def commit(name: str) -> float:
        return timed(lambda: (run(command, "add", "-q", name), run(command, "push", "-q", f"{name}.dvc")))

    found = {"first small": commit("small"), "first large": commit("large.bin")}
    data.change_one()
    shutil.copy(data.folder / "small/07/00007.bin", home / "small/07/00007.bin")
    found["one file"] = commit("small")
    data.change_large()
    shutil.copy(data.folder / "large.bin", home / "large.bin")
    found["1 % of large"] = commit("large.bin")
    for name in ("small", "large.bin"):
        shutil.rmtree(home / name) if (home / name).is_dir() else (home / name).unlink()
    shutil.rmtree(home / ".dvc/cache")
    shutil.rmtree(home / ".dvc/tmp", ignore_errors=True)
    found["checkout"] = timed(lambda: run(command, "pull", "-q"))
    same(data.folder, home)
    return found


OXEN = """
import sys, oxen, oxen.user
oxen.user.config_user("bench", "bench@localhost")
repo = oxen.Repo(sys.argv[1])
if sys.argv[2] == "init":
    repo.init()
else:
    repo.add(sys.argv[2]); repo.commit("bench")
"""


def oxen(data: Data, home: Path, python: str) -> Figures:
    """Oxen's `add` and `commit` into its folder on this disk; no store is written to."""

    env = {**os.environ, "HOME": str(home)}  # where Oxen keeps whom it works for

    def commit(name: str) -> float:
        return timed(lambda: called(python, "-c", OXEN, home, home / name, cwd=home, env=env))

    called(python, "-c", OXEN, home, "init", cwd=home, env=env)
    shutil.copytree(data.folder / "small", home / "small")
    shutil.copy(data.folder / "large.bin", home / "large.bin")
    found = {"first small": commit("small"), "first large": commit("large.bin")}
    data.change_one()
    shutil.copy(data.folder / "small/07/00007.bin", home / "small/07/00007.bin")
    found["one file"] = commit("small")
    data.change_large()
    shutil.copy(data.folder / "large.bin", home / "large.bin")
    found["1 % of large"] = commit("large.bin")
    return found


ROWS = ("first small", "first large", "one file", "1 % of large", "checkout")


def lines(found: dict[str, Figures], small: int, large: int) -> Iterator[str]:
    """The table."""
    names = list(found)
    yield f"{'seconds':<34}" + "".join(f"{name:>12}" for name in names)
    labels = (
        f"{small:,} files of 1 KiB, first",
        f"one file of {large} MB, first",
        "one small file changed",
        "1 % of the large file changed",
        "checkout of all, empty caches",
    )
    for row, label in zip(ROWS, labels, strict=True):
        cells = (f"{found[name][row]:.2f}" if row in found[name] else "-" for name in names)
        yield f"{label:<34}" + "".join(f"{cell:>12}" for cell in cells)
    mine = found["millpond"]
    up = mine["first small"] + mine["first large"] + mine["one file"] + mine["1 % of large"]
    yield f"the same {mine['objects']:.0f} objects copied plainly:"
    yield f"  up {mine['objects up']:.2f} s against {up:.2f} s"
    yield f"  down {mine['objects down']:.2f} s against {mine['checkout']:.2f} s"
    if "dvc" in found:
        for rows, label in (
            (ROWS[:2], "first commits"),
            (ROWS[2:4], "second commits"),
            (ROWS[4:], "checkout"),
        ):
            ratio = sum(found["dvc"][row] for row in rows) / sum(mine[row] for row in rows)
            yield f"DVC takes {ratio:.1f} times as long: {label}"


def main() -> None:
    """Measure, print, and remove what was made."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--dvc")
    parser.add_argument("--oxen")
    parser.add_argument("--small", type=int, default=10_000)
    parser.add_argument("--large", type=int, default=500)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    found: dict[str, Figures] = {}
    contenders: dict[str, Callable[[Data, Path], Figures]] = {"millpond": millpond, "plain": plain}
    if given.dvc:
        contenders["dvc"] = lambda data, home: dvc(data, home, given.dvc)
    if given.oxen:
        contenders["oxen"] = lambda data, home: oxen(data, home, given.oxen)
    for name, contender in contenders.items():
        with tempfile.TemporaryDirectory(prefix="repository-") as top:
            data = Data(Path(top) / "data", given.small, given.large)
            (Path(top) / name).mkdir()
            try:
                found[name] = contender(data, Path(top) / name)
                print(f"{name}: {json.dumps(found[name])}", file=sys.stderr)
            except SystemExit as error:
                print(f"{name} is left out: {error}", file=sys.stderr)
    print("\n".join(lines(found, given.small, given.large)))
    if given.json:
        given.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
