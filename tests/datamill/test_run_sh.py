"""run.sh: its flags, what they mean on this machine, and what needs a cluster."""

from __future__ import annotations

import os
import subprocess
from itertools import permutations
from pathlib import Path

import pytest

from millpond.flavours.datamill.actions import (
    Action,
    Destroy,
    Down,
    NeedsCluster,
    Remove,
    Shell,
    ShowUsage,
    Source,
    Up,
    plan,
)
from millpond.flavours.datamill.flags import USAGE, parse
from millpond.model.errors import UsageError

RUN = Path(__file__).parents[2] / "run.sh"
HERE = Source("default")


def actions(line: str) -> list[Action]:
    return plan(parse(line.split()))


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        # The blog's own example, in each order and spelling: it installs and it starts.
        ("-i -l -s", [Up(HERE, install=True)]),
        ("-ils", [Up(HERE, install=True)]),
        ("-l -i", [Up(HERE, install=True)]),
        ("-l -s", [Up(HERE, install=False)]),
        ("-s -l", [Up(HERE, install=False)]),
        # The README's own example.
        ("-l -s -f flavours/default.yaml", [Up(Source("flavours/default.yaml"), install=False)]),
        ("-l -i -f flavour.yaml -t target.yaml", [Up(Source("flavour.yaml", "target.yaml"), install=True)]),
        ("-li -fflavour.yaml", [Up(Source("flavour.yaml"), install=True)]),
        ("-l -i -c kafka", [Up(Source("default", component="kafka"), install=True)]),
        ("-l -s -c kafka", [Up(Source("default", component="kafka"), install=False)]),
        ("-l -u", [Remove(HERE)]),
        ("-l -u -c kafka", [Remove(Source("default", component="kafka"))]),
        ("-l -a", [Down(HERE)]),
        ("-l -u -a", [Remove(HERE), Down(HERE)]),
        ("-l -x", [Destroy(HERE)]),
        ("-l -x -u -a", [Destroy(HERE)]),
        # A debugging environment, alone and with its argument, before or after other flags.
        ("-d", [Shell(HERE)]),
        ("-d net", [Shell(HERE, "net")]),
        ("-d app", [Shell(HERE, "app")]),
        ("-dapp", [Shell(HERE, "app")]),
        ("-l -d", [Shell(HERE)]),
        ("-d -l", [Shell(HERE)]),
        ("-dl", [Shell(HERE)]),
        ("-d net -f own", [Shell(Source("own"), "net")]),
        ("-d -c mlflow", [Shell(Source("default", component="mlflow"))]),
        ("-l -i -s -d", [Up(HERE, install=True), Shell(HERE)]),
        ("--help", [ShowUsage()]),
        ("-l --help", [ShowUsage()]),
    ],
)
def test_on_this_machine(line: str, wanted: list[Action]) -> None:
    assert actions(line) == wanted


@pytest.mark.parametrize("flags", list(permutations(("-l", "-i", "-s"))))
def test_the_order_of_flags_means_nothing(flags: tuple[str, ...]) -> None:
    assert plan(parse(flags)) == [Up(HERE, install=True)]


@pytest.mark.parametrize("location", ["-r", "-h"])
@pytest.mark.parametrize(
    "action", ["-i", "-s", "-i -s", "-u", "-a", "-x", "-d", "-d net", "-p", "-i -c kafka"]
)
def test_another_place_needs_a_cluster_and_does_nothing_here(location: str, action: str) -> None:
    (found,) = actions(f"{location} {action}")
    assert isinstance(found, NeedsCluster)
    assert str(found) == (
        f"{location} means a cluster, which run.sh does not bring a platform up on; "
        "`millpond up -f FLAVOUR --target kubernetes` does, and on this machine -l"
    )


@pytest.mark.parametrize("line", ["-p", "-l -p"])
def test_the_dashboard_needs_a_cluster(line: str) -> None:
    (found,) = actions(line)
    assert isinstance(found, NeedsCluster)
    assert str(found).startswith("-p shows a cluster's dashboard, and")
    assert "millpond open" in found.instead


def test_the_dashboard_does_not_keep_the_rest_from_being_done() -> None:
    up, dashboard, shell = actions("-l -i -p -d")
    assert (up, shell) == (Up(HERE, install=True), Shell(HERE))
    assert isinstance(dashboard, NeedsCluster)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("", "nothing says what to do; give -i, -s, -a, -u, -x, -d or -p"),
        ("-l", "nothing says what to do; give -i, -s, -a, -u, -x, -d or -p"),
        ("-i -s", "nothing says where; give -l, -r or -h"),
        ("-u", "nothing says where; give -l, -r or -h"),
        ("-l -r -i", "-l -r name different places; give one of them"),
        ("-lrh -i", "-l -r -h name different places; give one of them"),
        ("-l -i -u", "-i and -u contradict each other; call run.sh once for each"),
        ("-l -s -a", "-s and -a contradict each other; call run.sh once for each"),
        ("-l -i -s -x", "-i -s and -x contradict each other; call run.sh once for each"),
        ("-l -d -x", "-d and -x contradict each other; call run.sh once for each"),
        ("-l -a -c kafka", "-c names one component, but -a means the whole platform"),
        (
            "-l -x -c kafka",
            "-c names one component, but -x means the whole platform; to remove one component, use -u -c",
        ),
        ("-l -i -z", "there is no flag -z"),
        ("-l -i kafka", "kafka is not a flag"),
        ("-l -i --start", "--start is not a flag"),
        ("-l -i -f", "-f needs a flavour after it"),
        ("-l -i -f -s", "-f needs a flavour after it"),
        ("-l -i -t", "-t needs a target file after it"),
        ("-l -i -c", "-c needs a component after it"),
        ("-l -i -f a -f b", "-f is given twice"),
        ("-d shell", "-d takes net or app, not shell"),
        ("-d net -d app", "-d is given twice"),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_sentence(line: str, reason: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(line.split())
    assert caught.value.message == reason
    assert caught.value.hint == "run.sh --help tells all flags"
    assert caught.value.exit_code == 2


def test_the_usage_tells_every_flag() -> None:
    for letter in "lrhsaiuxpdftc":
        assert f"  -{letter} " in USAGE


@pytest.fixture
def fake(tmp_path: Path) -> Path:
    """A `millpond` that prints how it was called."""
    program = tmp_path / "bin" / "millpond"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\nfor word in "$@"; do printf "<%s>" "$word"; done\nexit 7\n')
    program.chmod(0o755)
    return program


def call(script: Path, path: Path | None, cwd: Path) -> subprocess.CompletedProcess[str]:
    folders = [str(path)] if path else []
    environment = {"PATH": os.pathsep.join([*folders, "/usr/bin", "/bin"])}
    command = [str(script), "-h", "-f", "my flavour.yaml"]
    return subprocess.run(command, cwd=cwd, env=environment, text=True, capture_output=True, check=False)


def test_the_script_hands_its_words_on_as_they_are(fake: Path, tmp_path: Path) -> None:
    found = call(RUN, fake.parent, tmp_path)
    assert (found.stdout, found.returncode) == ("<datamill><-h><-f><my flavour.yaml>", 7)


def test_the_script_finds_the_environment_beside_it(fake: Path, tmp_path: Path) -> None:
    copy = tmp_path / "clone" / "run.sh"
    (copy.parent / ".venv" / "bin").mkdir(parents=True)
    copy.write_bytes(RUN.read_bytes())
    copy.chmod(0o755)
    found = call(copy, None, tmp_path)
    assert found.returncode == 127
    assert found.stderr == f"millpond is not installed; run {copy.parent}/bootstrap first\n"
    fake.rename(copy.parent / ".venv" / "bin" / "millpond")
    assert call(copy, None, tmp_path).stdout == "<datamill><-h><-f><my flavour.yaml>"
