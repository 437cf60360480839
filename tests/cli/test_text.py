"""Quoting, columns, durations and colour."""

from __future__ import annotations

import doctest
import io
import subprocess
from types import ModuleType

import pytest

from millpond.cli import board, style
from millpond.cli.commands import env
from millpond.cli.commands.env import dotenv_line, shell_line

AWKWARD = [
    "plain",
    "two words",
    "it's",
    'a "quote"',
    "$HOME `id`",
    "back\\slash",
    "",
    "a\nb",
    "ü€",
    "#x",
    "a'$\"\\b",
]


@pytest.mark.parametrize("value", AWKWARD)
def test_shell_lines_survive_a_shell(value: str) -> None:
    script = f'{shell_line("MINE", value)}\nprintf "%s|" "$MINE"'
    assert subprocess.run(["sh", "-c", script], capture_output=True, text=True).stdout == f"{value}|"


@pytest.mark.parametrize("value", [value for value in AWKWARD if "\n" not in value])
def test_dotenv_lines_survive_a_shell_too(value: str) -> None:
    script = f'{dotenv_line("MINE", value)}\nprintf "%s|" "$MINE"'
    assert subprocess.run(["sh", "-c", script], capture_output=True, text=True).stdout == f"{value}|"


@pytest.mark.parametrize("module", [style, env, board])
def test_the_examples_in_docstrings(module: ModuleType) -> None:
    found = doctest.testmod(module)
    assert found.attempted
    assert not found.failed


def test_dotenv_keeps_a_value_on_one_line() -> None:
    assert dotenv_line("A", "a\nb") == 'A="a\\nb"'


def test_columns_leave_out_what_is_empty_and_align_the_rest() -> None:
    rows = [("store", "ready", ""), ("a", "failed", "")]
    assert style.columns(rows, heads=("NAME", "STATE", "MESSAGE")) == [
        "NAME   STATE",
        "store  ready",
        "a      failed",
    ]


def test_wide_letters_are_counted_as_they_are_drawn() -> None:
    lines = style.columns([("湖", "x"), ("pond", "y")])
    assert [style.width(line.split("x")[0].split("y")[0]) for line in lines] == [6, 6]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (59.94, "59.9 s"), (61, "1 min 1 s"), (7300, "2 h 1 min"), (90000, "1 d 1 h")],
)
def test_durations(seconds: float, text: str) -> None:
    assert style.seconds_text(seconds) == text


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("environment", "terminal", "wanted"),
    [
        ({}, True, True),
        ({}, False, False),
        ({"NO_COLOR": "1"}, True, False),
        ({"FORCE_COLOR": "1"}, False, True),
        ({"NO_COLOR": "1", "FORCE_COLOR": "1"}, True, False),
        ({"TERM": "dumb"}, True, False),
    ],
)
def test_colour(
    environment: dict[str, str], terminal: bool, wanted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    stream = _Terminal() if terminal else io.StringIO()
    assert style.coloured(stream) is wanted
    assert ("\x1b[" in style.paint("ready", "ready", stream)) is wanted
