"""How fast files go into the lake and out of it: ``millpond lake cp`` beside boto3's transfers and aws-cli.

Run it on a platform that is up, with a Python that has boto3:

    python benchmarks/lake/transfers.py PROJECT [--rounds 3] [--aws PROGRAM]

Each round does all of them one after another, so that they share what else the machine does. Prints the
median and all rounds, in seconds; those of commands are of the whole process.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

LARGE = 500_000_000
SMALL, COUNT, THREADS = 1024, 1000, 12


def timed(act: Callable[[], object]) -> float:
    begun = time.perf_counter()
    act()
    return time.perf_counter() - begun


class Ways:
    """The ways of copying, each with the same files."""

    def __init__(self, project: Path, folder: Path, aws: str | None) -> None:
        told = subprocess.run(
            ["millpond", "env", "--format", "json"], cwd=project, check=True, capture_output=True
        )
        self.env = {**os.environ, **json.loads(told.stdout)}
        self.folder, self.project, self.aws = folder, project, aws
        names = {name.lower(): self.env[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
        config = Config(max_pool_connections=32, request_checksum_calculation="when_required")
        self.s3: Any = boto3.client("s3", endpoint_url=self.env["AWS_ENDPOINT_URL"], config=config, **names)
        (folder / "large").write_bytes(os.urandom(LARGE))
        (folder / "small").mkdir()
        for number in range(COUNT):
            (folder / "small" / f"{number:04}").write_bytes(os.urandom(SMALL))

    def command(self, *words: str) -> Callable[[], object]:
        return lambda: subprocess.run(words, cwd=self.project, env=self.env, check=True, capture_output=True)

    def each(self, act: Callable[[str], object]) -> Callable[[], object]:
        def run() -> None:
            with ThreadPoolExecutor(THREADS) as pool:
                list(pool.map(act, [f"{number:04}" for number in range(COUNT)]))

        return run

    def all(self) -> dict[str, dict[str, Callable[[], object]]]:
        folder, s3 = self.folder, self.s3
        (folder / "out").mkdir(exist_ok=True)
        large, small, out = f"{folder}/large", f"{folder}/small", f"{folder}/out"
        lake = ("millpond", "lake", "cp")
        found: dict[str, dict[str, Callable[[], object]]] = {
            "500 MB up": {
                "millpond": self.command(*lake, large, "raw/bench/millpond"),
                "boto3": lambda: s3.upload_file(large, "raw", "bench/boto3"),
            },
            "500 MB down": {
                "millpond": self.command(*lake, "raw/bench/millpond", f"{out}/large"),
                "boto3": lambda: s3.download_file("raw", "bench/boto3", f"{out}/large-boto3"),
            },
            f"{COUNT} x {SMALL} B up": {
                "millpond": self.command(*lake, "-r", small, "raw/bench/m"),
                "boto3": self.each(lambda name: s3.upload_file(f"{small}/{name}", "raw", f"bench/b/{name}")),
            },
            f"{COUNT} x {SMALL} B down": {
                "millpond": self.command(*lake, "-r", "raw/bench/m", f"{out}/m"),
                "boto3": self.each(lambda name: s3.download_file("raw", f"bench/b/{name}", f"{out}/{name}")),
            },
        }
        if self.aws:
            aws = (self.aws, "s3", "cp", "--only-show-errors")
            found["500 MB up"]["aws"] = self.command(*aws, large, "s3://raw/bench/aws")
            found["500 MB down"]["aws"] = self.command(*aws, "s3://raw/bench/aws", f"{out}/large-aws")
            names = list(found)
            found[names[2]]["aws"] = self.command(*aws, "--recursive", small, "s3://raw/bench/a")
            found[names[3]]["aws"] = self.command(*aws, "--recursive", "s3://raw/bench/a", f"{out}/a")
        return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("project", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--aws", default=shutil.which("aws"))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="millpond-bench-") as folder:
        ways = Ways(given.project, Path(folder), given.aws)
        taken: dict[tuple[str, str], list[float]] = {}
        try:
            for _ in range(given.rounds):
                for what, acts in ways.all().items():
                    for who, act in acts.items():
                        taken.setdefault((what, who), []).append(timed(act))
        finally:
            ways.command("millpond", "lake", "rm", "-r", "--yes", "raw/bench")()
        for (what, who), seconds in taken.items():
            rounds = " ".join(f"{second:.1f}" for second in seconds)
            print(f"{what:22} {who:9} {statistics.median(seconds):7.1f}   ({rounds})")


if __name__ == "__main__":
    main()
