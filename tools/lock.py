"""Makes the locks of the catalogue anew: ``python tools/lock.py [NAME ...]``.

NAME is a folder of the catalogue by its last name, such as ``mlflow``; without one, all are done. In each
folder

- ``requirements.in`` becomes ``requirements.lock``, for all platforms, with hashes. Its leading comments
  must say ``# exclude-newer: YYYY-MM-DD``; ``# build: NAME ...`` names packages that have no wheel and may
  be built;
- ``jars.in`` (``group:artifact:version[:classifier]``) becomes ``jars.lock``. What the jars themselves depend
  on is not looked up: name it;
- ``package.json`` becomes ``package-lock.json``;
- ``packages.in`` (names of Debian packages) becomes ``packages.lock``, with what they depend on that the
  minimal system lacks, for the release and architecture of this machine.

No lock names a host: where packages come from is the business of the machine that installs them.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

from millpond.targets.local.installs.python import find_uv
from millpond.targets.locks import Requirements
from millpond.targets.repository import find_repository

CATALOGUE = Path(__file__).resolve().parent.parent / "src" / "millpond" / "catalogue"
PYTHON = "3.11"
PLATFORMS = {
    "linux-x86_64": "x86_64-manylinux_2_31",
    "linux-aarch64": "aarch64-manylinux_2_31",
    "macos-arm64": "aarch64-apple-darwin",
    "macos-x86_64": "x86_64-apple-darwin",
}


class LockError(Exception):
    """A lock cannot be made; says which and why."""


def lock_requirements(source: Path) -> list[str]:
    """Writes ``requirements.lock``; returns the platforms that all of its packages can be installed on."""
    head = [line for line in source.read_text().splitlines() if line.startswith("#")]
    date = _setting(head, "exclude-newer")
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", date):
        raise LockError(f"{source}: no line `# exclude-newer: YYYY-MM-DD` at its head")
    target = source.with_suffix(".lock")
    options = ["--universal", "--generate-hashes", "--python-version", PYTHON, "--exclude-newer", date]
    options += ["--no-emit-index-url", "--no-emit-find-links", "--no-header", "--no-annotate", "--quiet"]
    body = _run([find_uv(), "pip", "compile", *options, source.name], source.parent)
    lines = ["# Made by tools/lock.py from requirements.in", f"# exclude-newer: {date}"]
    builds = _setting(head, "build")
    if builds:
        lines.append(f"# build: {builds}")
    text = "\n".join(lines) + "\n" + body
    platforms = [name for name, triple in PLATFORMS.items() if _installs(text, triple, source)]
    text = "\n".join([*lines, f"# platforms: {' '.join(platforms)}"]) + "\n" + body
    problems = Requirements.parse(text, str(target)).problems
    if problems or "://" in body or str(Path.home()) in body:
        raise LockError("\n".join(problems) or f"{target}: would hold a URL or a path of this machine")
    target.write_text(text)
    return platforms


def lock_jars(source: Path) -> None:
    """Writes ``jars.lock`` with the checksums of the jars as the repository serves them."""
    repository = find_repository()
    if repository is None:
        raise LockError("no Maven repository is known: set MILLPOND_MAVEN_REPOSITORY")
    lines = ["# Made by tools/lock.py from jars.in"]
    for line in source.read_text().splitlines():
        coordinate = line.partition("#")[0].strip()
        if not coordinate:
            continue
        group, artifact, version, *classifier = coordinate.split(":")
        name = "-".join([artifact, version, *classifier]) + ".jar"
        request = urllib.request.Request(
            f"{repository.url}/{group.replace('.', '/')}/{artifact}/{version}/{name}"
        )
        for header, value in repository.headers.items():
            request.add_unredirected_header(header, value)
        with urllib.request.urlopen(request, timeout=60) as response:
            lines.append(f"{coordinate} sha256:{hashlib.file_digest(response, 'sha256').hexdigest()}")
    source.with_suffix(".lock").write_text("\n".join(lines) + "\n")


def lock_npm(source: Path) -> None:
    """Writes ``package-lock.json``, without the addresses that npm would put in it."""
    options = [
        "--package-lock-only",
        "--omit-lockfile-registry-resolved",
        "--ignore-scripts",
        "--no-audit",
        "--no-fund",
    ]
    _run(["npm", "install", *options], source.parent)


def lock_debs(source: Path) -> None:
    """Writes ``packages.lock`` from what apt would install on top of the required packages."""
    names = [word for line in source.read_text().splitlines() for word in line.partition("#")[0].split()]
    kinds = ["recommends", "suggests", "conflicts", "breaks", "replaces", "enhances"]
    closure = _run(
        ["apt-cache", "depends", "--recurse", *(f"--no-{kind}" for kind in kinds), *names], source.parent
    )
    wanted = sorted({line for line in closure.splitlines() if re.fullmatch(r"[a-z0-9][a-z0-9.+-]*", line)})
    essential = _run(["dpkg-query", "-W", "-f", "${Package} ${Priority}\n"], source.parent).splitlines()
    there = {line.split()[0] for line in essential if line.endswith((" required", " important"))}
    lines = ["# Made by tools/lock.py from packages.in"]
    for name in wanted:
        if name in there - set(names):
            continue
        record = _run(["apt-cache", "show", "--no-all-versions", name], source.parent)
        fields = dict(re.findall(r"^(Version|SHA256|Architecture): (\S+)$", record, re.MULTILINE))
        architecture = "" if fields["Architecture"] == "all" else f":{fields['Architecture']}"
        lines.append(f"{name}{architecture} {fields['Version']} sha256:{fields['SHA256']}")
    source.with_suffix(".lock").write_text("\n".join(lines) + "\n")


LOCKERS = {
    "requirements.in": lock_requirements,
    "jars.in": lock_jars,
    "package.json": lock_npm,
    "packages.in": lock_debs,
}


def main(names: list[str]) -> int:
    found = False
    for source in sorted(path for name in LOCKERS for path in CATALOGUE.rglob(name)):
        if names and source.parent.name not in names:
            continue
        found = True
        try:
            covered = LOCKERS[source.name](source)
        except (LockError, subprocess.CalledProcessError, OSError) as error:
            print(f"{source.parent.name}: {getattr(error, 'stderr', None) or error}", file=sys.stderr)
            return 1
        platforms = f" for {', '.join(covered)}" if covered else ""
        print(f"{source.parent.name}: {source.name} locked{platforms}")
    if not found:
        print("nothing in the catalogue has that name", file=sys.stderr)
        return 2
    return 0


def _installs(text: str, triple: str, source: Path) -> bool:
    rules = Requirements.parse(text, str(source)).build_rules
    with tempfile.TemporaryDirectory() as folder:
        lock = Path(folder, "requirements.lock")
        lock.write_text(text)
        argv = [find_uv(), "pip", "install", "--dry-run", "--quiet", "--no-deps", "--require-hashes", *rules]
        argv += [
            "--target",
            str(Path(folder, "target")),
            "--python-platform",
            triple,
            "--python-version",
            PYTHON,
        ]
        return not subprocess.run(
            [*argv, "--requirements", lock],
            cwd=folder,
            capture_output=True,
            check=False,
            # The oldest macOS that the binaries are built for.
            env={**os.environ, "MACOSX_DEPLOYMENT_TARGET": "15.0"},
        ).returncode


def _setting(head: list[str], name: str) -> str:
    for line in head:
        if found := re.match(rf"#\s*{name}:\s*(.*\S)", line):
            return found[1]
    return ""


def _run(argv: list[str], folder: Path) -> str:
    return subprocess.run(argv, cwd=folder, check=True, text=True, capture_output=True).stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
