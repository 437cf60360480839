"""The reference is complete: whatever can be written, called or set is described."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, get_args

import click
import pytest
from pydantic import BaseModel

from docs.pages import ROOT, page
from millpond.catalogue import Catalogue
from millpond.cli.exit_codes import ExitCode
from millpond.cli.root import root
from millpond.model.component import Component
from millpond.model.flavour import Flavour, FromElsewhere
from millpond.model.interface import Interface
from millpond.pipelines import extension
from millpond.pipelines.document import Pipeline

VARIABLE = re.compile(r"(?<![A-Z_])MILLPOND_[A-Z_]*[A-Z]")


def commands(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    """A command and all below it, with what one types for each."""
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command, info_name=path)
        names = [*command.list_commands(context), *(["datamill"] if path == "millpond" else [])]
        for name in names:
            inner = command.get_command(context, name)
            assert inner is not None
            yield from commands(inner, f"{path} {name}")


COMMANDS = dict(commands(root, "millpond"))


def test_the_reference_is_what_the_code_says() -> None:
    found = subprocess.run(
        [sys.executable, str(ROOT / "tools/docs.py"), "--check"], capture_output=True, text=True, timeout=60
    )
    assert found.returncode == 0, found.stdout + found.stderr


@pytest.mark.parametrize("path", [name for name in COMMANDS if name != "millpond"])
def test_every_command_and_option_is_described(path: str) -> None:
    section = page("docs/reference/cli.md").section(f"## {path}")
    for parameter in COMMANDS[path].params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{path} {parameter.name} has no help"
            for name in parameter.opts:
                assert f"`{name}`" in section, f"{path} {name}"
        else:
            assert parameter.make_metavar(click.Context(COMMANDS[path])) in section


def test_every_exit_code_is_described() -> None:
    text = page("docs/reference/exit-codes.md").text
    for code in ExitCode:
        assert f"| {code.value} | {code.meaning} |" in text


@pytest.mark.parametrize("name", Catalogue().names)
def test_every_component_is_described(name: str) -> None:
    component = Catalogue().entry(name).component
    section = page("docs/reference/components.md").section(f"## {name}")
    words = [*component.options, *component.service.ports, *component.service.processes]
    for word in [*words, *component.requires, *component.provides, *component.aliases]:
        assert f"`{word}`" in section, f"{name}: {word}"


@pytest.mark.parametrize("name", sorted(Catalogue().interfaces))
def test_every_interface_is_described(name: str) -> None:
    interface = Catalogue().interfaces[name]
    section = page("docs/reference/interfaces.md").section(f"## {name}")
    for word in [*interface.properties, *interface.request, *interface.env]:
        assert f"`{word}`" in section, f"{name}: {word}"


def models(found: type[BaseModel], known: dict[type[BaseModel], None]) -> dict[type[BaseModel], None]:
    """A model and every model that stands in it."""

    def walk(annotation: Any) -> None:
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            models(annotation, known)
        for inner in get_args(annotation):
            walk(inner)

    if found not in known:
        known[found] = None
        for field in found.model_fields.values():
            walk(field.annotation)
    return known


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("flavour", Flavour),
        ("flavour", FromElsewhere),
        ("component", Component),
        ("interface", Interface),
        ("pipeline", Pipeline),
        *(
            ("pipeline", extension.find(group, name).keys)
            for group in ("millpond.steps", "millpond.sinks")
            for name in extension.BUILTIN[group]
        ),
    ],
)
def test_every_key_of_every_file_is_described(name: str, model: type[BaseModel]) -> None:
    text = page(f"docs/reference/{name}.md").text
    for each in models(model, {}):
        for key, field in each.model_fields.items():
            assert field.description, f"{each.__name__}.{key} has no description"
            row = f"| `{field.alias or key}` |"
            matching = [line for line in text.splitlines() if line.startswith(row)]
            wanted = field.description.replace("|", "\\|")
            assert any(line.endswith(f"| {wanted} |") for line in matching), f"{each.__name__}.{key}"


def used_variables() -> set[str]:
    """The names that the source, the tests and the scripts speak of."""
    files = [ROOT / "bootstrap", ROOT / "run.sh"]
    for folder in ("src", "tests", "examples"):
        files += [path for suffix in ("py", "yaml", "sh") for path in (ROOT / folder).rglob(f"*.{suffix}")]
    found: set[str] = set()
    for path in files:
        if "docs" not in path.relative_to(ROOT).parts:
            found.update(VARIABLE.findall(path.read_text(encoding="utf-8")))
    # The port's name follows.
    ends = {"MILLPOND_INPUT": "MILLPOND_INPUT_PORT", "MILLPOND_OUTPUT": "MILLPOND_OUTPUT_PORT"}
    return {ends.get(re.sub(r"^(MILLPOND_(?:IN|OUT)PUT)_.*", r"\1", name), name) for name in found}


def test_every_environment_variable_is_described_and_used() -> None:
    text = page("docs/reference/environment.md").text
    described = set(re.findall(r"^\| `(MILLPOND_[A-Z_]+)` \|", text, re.M))
    used = used_variables()
    assert used - described == set(), "used, and not described"
    assert described - used == set(), "described, and used by nothing"
