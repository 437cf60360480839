"""What the shell completes: components, flavours, runs, deployments. When it fails, nothing is offered."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from millpond.cli.session import Session


def _session(context: click.Context) -> Session:
    session = context.find_object(Session) or Session(Path.cwd())
    folder = context.find_root().params.get("folder")
    if folder is not None:
        session.folder = Path(folder).resolve()
    return session


def components(context: click.Context, parameter: click.Parameter, word: str) -> list[CompletionItem]:
    """The components of the folder's platform."""
    with suppress(Exception):
        source = _session(context).source()
        platform = source.resolve(source.catalogue())
        return [
            CompletionItem(name, help=node.component.summary)
            for name, node in platform.nodes.items()
            if name.startswith(word)
        ]
    return []


def entries(context: click.Context, parameter: click.Parameter, word: str) -> list[CompletionItem]:
    """The components of the catalogue."""
    with suppress(Exception):
        from millpond.catalogue import Catalogue

        return [
            CompletionItem(entry.component.name, help=entry.component.summary)
            for entry in Catalogue()
            if entry.component.name.startswith(word)
        ]
    return []


def flavours(context: click.Context, parameter: click.Parameter, word: str) -> list[CompletionItem]:
    """The flavours that ship."""
    with suppress(Exception):
        from millpond.flavours import loader

        return [
            CompletionItem(source.path.stem, help=source.flavour.summary)
            for source in loader.shipped()
            if source.path.stem.startswith(word)
        ]
    return []


def runs(context: click.Context, parameter: click.Parameter, word: str) -> list[CompletionItem]:
    """The runs of the folder's platform, the latest first."""
    with suppress(Exception):
        from millpond.pipelines.record import Runs

        records = Runs(_session(context).workspace().runs).list()[:50]
        return [
            CompletionItem(record.id, help=f"{record.pipeline}, {record.status}")
            for record in records
            if record.id.startswith(word)
        ]
    return []


def deployments(context: click.Context, parameter: click.Parameter, word: str) -> list[CompletionItem]:
    """The deployments of the folder's platform, from what its serving remembers, and from their files."""
    with suppress(Exception):
        project = _session(context).locate()[1]
        remembered = project.glob(".millpond/data/*/data/deployments/*.json")
        names = {path.stem for path in (*remembered, *project.glob("deployments/*.yaml"))}
        return [CompletionItem(name) for name in sorted(names) if name.startswith(word)]
    return []
