"""What every command has in common: it is listed, lazily loaded, documented, and fails in a readable way."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from millpond.cli import entry
from millpond.cli.exit_codes import ExitCode
from millpond.cli.root import COMMANDS, root

from .conftest import Run, write_flavour


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_is_where_the_list_says(name: str) -> None:
    command = import_module(f"millpond.cli.commands.{COMMANDS[name].module}").command
    assert isinstance(command, click.Command)
    assert command.name == name
    assert command.help
    assert not COMMANDS[name].summary.endswith(".")


def test_help_lists_every_command_but_the_hidden_ones() -> None:
    shown = CliRunner().invoke(root, ["--help"]).output
    for name, found in COMMANDS.items():
        assert (f"  {name} " in shown) is not found.hidden


@pytest.mark.parametrize("name", [name for name, found in COMMANDS.items() if not found.hidden])
def test_each_command_has_help_with_every_option_explained(name: str) -> None:
    command = import_module(f"millpond.cli.commands.{COMMANDS[name].module}").command
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name
            assert not parameter.help.endswith(".")
    assert CliRunner().invoke(root, [name, "--help"]).exit_code == 0


def test_without_a_command_the_help_is_shown(capfd: pytest.CaptureFixture[str]) -> None:
    assert entry.run([]) == 0
    assert "demo flights" in capfd.readouterr().out


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys\nfrom millpond.cli.entry import run\nassert run(['--help']) == 0\n"
        "heavy = {'pydantic', 'rich', 'asyncio', 'yaml'} & set(sys.modules)\nassert not heavy, heavy"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert found.returncode == 0, found.stderr


def test_plan_of_a_settled_platform_imports_neither_rich_nor_translations(look: Run, shared: Path) -> None:
    program = (
        "import sys\nfrom millpond.cli.entry import run\nassert run(['plan']) == 0\n"
        "heavy = {'rich', 'millpond.flavours.datamill.translation'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    found = subprocess.run([sys.executable, "-c", program], cwd=shared, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr


def test_an_unknown_command_names_the_nearest(capfd: pytest.CaptureFixture[str]) -> None:
    assert entry.run(["stauts"]) == ExitCode.USAGE
    said = capfd.readouterr().err
    assert "error: there is no command stauts" in said
    assert "hint: did you mean millpond status?" in said


def test_an_unknown_option_is_a_usage_error(capfd: pytest.CaptureFixture[str]) -> None:
    assert entry.run(["plan", "--colour"]) == ExitCode.USAGE
    assert "error: no such option" in capfd.readouterr().err


def test_exit_codes_are_documented(capfd: pytest.CaptureFixture[str]) -> None:
    assert entry.run(["help", "exit-codes"]) == 0
    shown = capfd.readouterr().out
    for code in ExitCode:
        assert f"{code.value:>4}  {code.meaning}" in shown


def test_help_of_a_subcommand(capfd: pytest.CaptureFixture[str]) -> None:
    assert entry.run(["help", "runs", "show"]) == 0
    assert "millpond runs show" in capfd.readouterr().out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(shell: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert entry.run(["completion", shell]) == 0
    assert "_MILLPOND_COMPLETE" in capfd.readouterr().out


def test_completion_of_component_names(project: Path, millpond: Run) -> None:
    found = millpond(_MILLPOND_COMPLETE="bash_complete", COMP_WORDS="millpond logs p", COMP_CWORD="2")
    assert found.stdout.splitlines() == ["plain,page"]


def test_mistakes_in_the_flavour_are_told_with_their_place(project: Path, millpond: Run) -> None:
    (project / "millpond.yaml").write_text("name: tiny\nkomponents:\n  store:\ntarget: clowd\n")
    found = millpond("plan")
    assert found.returncode == ExitCode.DOCUMENT
    assert "error: 2 mistakes in millpond.yaml" in found.stderr
    assert "millpond.yaml:2:1: unknown key komponents (did you mean components?)" in found.stderr
    assert "millpond.yaml:4:9: target" in found.stderr
    assert not found.stdout


def test_mistakes_for_a_script(project: Path, millpond: Run) -> None:
    (project / "millpond.yaml").write_text("name: tiny\nkomponents:\n")
    found = millpond("plan", "--json")
    assert found.returncode == ExitCode.DOCUMENT
    said = json.loads(found.stderr)
    assert said["line"] == 2
    assert said["hint"] == "did you mean components?"


def test_no_flavour_file(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert entry.run(["-C", str(tmp_path), "status"]) == ExitCode.DOCUMENT
    assert "hint: millpond init starter writes one" in capfd.readouterr().err


def test_init_writes_a_flavour_and_never_overwrites_one(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert entry.run(["-C", str(tmp_path), "init"]) == 0
    written = (tmp_path / "millpond.yaml").read_text()
    assert "components:" in written
    assert "#" in written
    assert entry.run(["-C", str(tmp_path), "init"]) == ExitCode.FAILED
    assert "millpond.yaml is there already" in capfd.readouterr().err
    assert (tmp_path / "millpond.yaml").read_text() == written


def test_init_names_the_nearest_flavour(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert entry.run(["-C", str(tmp_path), "init", "startr"]) == ExitCode.FAILED
    assert "did you mean starter?" in capfd.readouterr().err


def test_a_mistake_of_millpond_itself_leaves_a_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    write_flavour(tmp_path, "store")
    (tmp_path / ".millpond" / "logs").mkdir(parents=True)
    monkeypatch.setattr("millpond.cli.session.Session.target", lambda *_, **__: 1 / 0)
    assert entry.run(["-C", str(tmp_path), "plan"]) == ExitCode.BUG
    said = capfd.readouterr().err
    assert "error: Millpond made a mistake: ZeroDivisionError" in said
    (log,) = (tmp_path / ".millpond" / "logs").glob("crash-*.log")
    assert str(log) in said
    assert "Traceback" in log.read_text()
    assert "Traceback" not in said


def test_a_traceback_on_the_spot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    write_flavour(tmp_path, "store")
    monkeypatch.setenv("MILLPOND_DEBUG", "1")
    monkeypatch.setattr("millpond.cli.session.Session.target", lambda *_, **__: 1 / 0)
    assert entry.run(["-C", str(tmp_path), "plan"]) == ExitCode.BUG
    assert "Traceback" in capfd.readouterr().err


def test_catalogue_and_flavours_for_scripts(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert entry.run(["-C", str(tmp_path), "catalogue", "postgres", "--json"]) == 0
    shown = json.loads(capfd.readouterr().out)
    assert shown["options"]["max_connections"]["type"] == "integer"
    assert shown["provides"] == {"sql": "postgres"}
    assert entry.run(["flavours", "--json"]) == 0
    assert "starter" in [found["name"] for found in json.loads(capfd.readouterr().out)]


def test_catalogue_shows_a_component(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    write_flavour(tmp_path, "page")
    assert entry.run(["-C", str(tmp_path), "catalogue", "page"]) == 0
    shown = capfd.readouterr().out
    assert "integer 1 to 4" in shown
    assert "What the page says" in shown
    assert "default hello" in shown
    assert entry.run(["-C", str(tmp_path), "catalogue", "pag"]) == ExitCode.FAILED
    assert "did you mean page?" in capfd.readouterr().err


def test_run_sh_flags(capfd: pytest.CaptureFixture[str]) -> None:
    assert entry.run(["datamill", "--help"]) == 0
    assert "Usage: run.sh" in capfd.readouterr().out
    assert entry.run(["datamill", "-l", "-i", "-u"]) == ExitCode.USAGE
    assert "contradict each other" in capfd.readouterr().err
    assert entry.run(["datamill", "-h", "-i"]) == ExitCode.FAILED
    assert "--target kubernetes" in capfd.readouterr().err
