"""``millpond catalogue``: what a flavour can name."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from millpond.cli import completion
from millpond.cli.session import Session, file_option, json_option, pass_session
from millpond.cli.style import columns, faint, hint, out, paint, strong

if TYPE_CHECKING:
    from millpond.catalogue import Catalogue
    from millpond.model.component import Component
    from millpond.model.option import Option


@click.command("catalogue")
@click.argument("name", required=False, shell_complete=completion.entries)
@file_option
@json_option
@pass_session
def command(session: Session, name: str | None) -> None:
    """List the components that a flavour can name, or show component NAME with its options.

    What has been shown of it, on this machine and on a cluster: verified means that the tests of its
    interfaces pass on it, rendered that its files are checked only, none that nothing was.
    """
    catalogue = _catalogue(session)
    if name is not None:
        component = catalogue.component(name) or catalogue.entry(name).component
        if session.json:
            out(json.dumps(as_dict(component)))
        else:
            _show(component)
        return
    components = [entry.component for entry in catalogue]
    if session.json:
        out(json.dumps([as_dict(component) for component in components]))
        return
    rows = [(c.name, c.version, c.status.local, c.status.kubernetes, c.summary) for c in components]
    paints = {0: strong, **dict.fromkeys((2, 3), lambda cell: paint(cell, cell))}
    for line in columns(rows, heads=("NAME", "VERSION", "LOCAL", "CLUSTER", "SUMMARY"), paints=paints):
        out(line)
    hint("`millpond catalogue NAME` shows its options")


def _catalogue(session: Session) -> Catalogue:
    """With the folders that the flavour here adds, where there is one."""
    from millpond.catalogue import Catalogue
    from millpond.model.errors import MillpondError

    try:
        session.locate()
    except MillpondError:
        if session.file is not None:
            raise
        return Catalogue()
    return session.source().catalogue()


def as_dict(component: Component) -> dict[str, Any]:
    """What ``--json`` prints of a component."""
    return {
        "name": component.name,
        "summary": component.summary,
        "description": component.description.strip(),
        "version": component.version,
        "homepage": component.homepage,
        "licence": component.licence,
        "packaged_by": component.packaged_by,
        "aliases": component.aliases,
        "status": component.status.model_dump(),
        "memory": component.service.resources.memory_bytes,
        "options": {name: option.model_dump(exclude_none=True) for name, option in component.options.items()},
        "requires": {
            name: {"interface": wanted.interface, "optional": wanted.optional, **wanted.request}
            for name, wanted in component.requires.items()
        },
        "provides": {name: offered.interface for name, offered in component.provides.items()},
    }


def _show(component: Component) -> None:
    out(f"{strong(component.name)}  {component.summary}")
    if component.description:
        import textwrap

        out()
        for line in textwrap.wrap(component.description, 88, initial_indent="  ", subsequent_indent="  "):
            out(line)
    out()
    facts = [
        ("version", component.version),
        ("licence", component.licence),
        ("homepage", component.homepage or ""),
        ("packaged by", component.packaged_by or ""),
        ("status", f"local: {component.status.local}, kubernetes: {component.status.kubernetes}"),
        ("memory", component.service.resources.memory),
        ("also called", ", ".join(component.aliases)),
    ]
    _section("", [fact for fact in facts if fact[1]])
    _section(
        "Options",
        [(name, _type(option), _default(option), option.help) for name, option in component.options.items()],
    )
    _section(
        "Requires",
        [
            (name, wanted.interface, "optional" if wanted.optional else "")
            for name, wanted in component.requires.items()
        ],
    )
    _section("Provides", [(name, offered.interface) for name, offered in component.provides.items()])


def _section(title: str, rows: list[tuple[str, ...]]) -> None:
    if not rows:
        return
    if title:
        out()
        out(strong(title))
    for line in columns(rows, paints={0: (lambda cell: cell) if title else faint}):
        out(f"  {line}")


def _type(option: Option) -> str:
    text = str(option.type)
    if option.choices:
        text = " | ".join(map(str, option.choices))
    if option.minimum is not None and option.maximum is not None:
        return f"{text} {option.minimum:g} to {option.maximum:g}"
    if option.minimum is not None:
        return f"{text} ≥ {option.minimum:g}"
    return f"{text} ≤ {option.maximum:g}" if option.maximum is not None else text


def _default(option: Option) -> str:
    from millpond.model.option import as_text

    if option.required:
        return "required"
    text = as_text(option.default)
    return f"default {text}" if text else "no default"
