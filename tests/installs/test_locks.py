"""Every lock that is shipped holds a hash for everything in it."""

from __future__ import annotations

from pathlib import Path

import pytest

import millpond
from millpond.targets.locks import (
    Requirements,
    npm_problems,
    read_debs,
    read_jars,
)

CATALOGUE = Path(millpond.__file__).parent / "catalogue"
HASH = "sha256:" + "a" * 64


def locks(name: str) -> list[Path]:
    return sorted(CATALOGUE.rglob(name))


@pytest.mark.parametrize("path", locks("requirements.lock"), ids=lambda path: path.parent.name)
def test_requirements_of_the_catalogue_are_hashed_and_name_no_host(path: Path) -> None:
    text = path.read_text()
    lock = Requirements.parse(text, path.name)
    assert lock.problems == ()
    assert {"linux-x86_64", "macos-arm64"} <= set(lock.platforms), "make it anew with tools/lock.py"
    assert "://" not in text


@pytest.mark.parametrize("path", locks("requirements.in"), ids=lambda path: path.parent.name)
def test_requirements_and_their_locks_stand_together(path: Path) -> None:
    assert path.with_suffix(".lock").exists()
    assert (
        f"# exclude-newer: {Requirements.parse(path.with_suffix('.lock').read_text(), '').date}"
        in path.read_text()
    )


def test_other_locks_of_the_catalogue_can_be_read() -> None:
    for path in locks("jars.lock"):
        read_jars(path.read_text(), str(path))
    for path in locks("packages.lock"):
        read_debs(path.read_text(), str(path))
    for path in locks("package-lock.json"):
        assert npm_problems(path.read_text(), str(path)) == ()
        assert "://" not in path.read_text().replace("https://opencollective.com", "")


def test_what_a_lock_says() -> None:
    text = f"""# platforms: linux-x86_64 macos-arm64
# build: Old_Thing
old-thing[extra]==1.0 ; sys_platform == 'linux' \\
    --hash={HASH}
    # via something
"""
    lock = Requirements.parse(text, "x")
    assert lock.problems == ()
    (pin,) = lock.pins
    assert (pin.name, pin.version, pin.marker, pin.hashes) == (
        "old-thing",
        "1.0",
        "sys_platform == 'linux'",
        1,
    )
    assert lock.platforms == ("linux-x86_64", "macos-arm64")
    assert lock.builds == {"old-thing"}


@pytest.mark.parametrize(
    "line",
    ["mill", "mill>=1 --hash=" + HASH, "mill==1.0", "mill==1.0 --hash=md5:00", "-r other.txt", "-e .", ""],
)
def test_what_is_not_pinned_or_hashed_is_a_problem(line: str) -> None:
    assert Requirements.parse(line, "x").problems
