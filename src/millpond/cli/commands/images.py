"""``millpond images``: a Dockerfile for each component, built and pushed where that is asked for."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click

from millpond.cli import completion
from millpond.cli.session import Session, file_option, json_option, pass_session
from millpond.cli.style import columns, faint, hint, note, out, strong

if TYPE_CHECKING:
    from millpond.catalogue import Catalogue
    from millpond.model.platform import Platform


@click.command("images")
@click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=completion.entries)
@click.option(
    "-o", "folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path),
    help="Where Dockerfiles and contexts are written; images/ without --build",
)  # fmt: skip
@click.option("--build", is_flag=True, help="Build them with docker, podman or buildah")
@click.option("--push", "registry", metavar="REGISTRY", help="Build them and push them to REGISTRY")
@file_option
@json_option
@pass_session
def command(
    session: Session, names: tuple[str, ...], folder: Path | None, build: bool, registry: str | None
) -> None:
    """Write a Dockerfile and its context for each component of the platform, or for those NAMEd.

    The images hold the same hashed packages as the processes on one machine. A component for which the
    flavour names an image of its own, or which a chart installs, has nothing to build.
    """
    rows = _rows(session, names, registry)
    if build or registry:
        _build(rows, session.folder / folder if folder else None, push=bool(registry))
    else:
        where = session.folder / (folder or "images")
        for row in rows:
            if row["context"] is not None:
                row["folder"] = str(where / row["component"])
                row["context"].write(where / row["component"])
    shown = [{key: value for key, value in row.items() if key != "context"} for row in rows]
    if session.json:
        out(json.dumps(shown))
        return
    table = [(row["component"], row["image"], row["why"] or row["folder"]) for row in shown]
    for line in columns(table, heads=("COMPONENT", "IMAGE", ""), paints={0: strong, 2: faint}):
        out(line)
    if not build and not registry:
        hint("`millpond images --build` builds them, `--push REGISTRY` pushes them too")


def _rows(session: Session, names: tuple[str, ...], registry: str | None) -> list[dict[str, Any]]:
    from millpond.model.errors import MillpondError
    from millpond.targets.kubernetes.images.context import context
    from millpond.targets.kubernetes.images.names import named

    catalogue, platform = _platform(session, bool(names))
    nodes = platform.nodes if platform else {}
    where = registry if registry is not None else platform.cluster.registry if platform else ""
    rows: dict[str, dict[str, Any]] = {}
    for name in names or nodes:
        node = nodes.get(name)
        component = node.component if node else catalogue.component(name)
        entry = catalogue.entry(component.name if component else name)
        cuda = bool(node and node.resources.gpu)
        row: dict[str, Any] = {
            "component": name, "image": "", "folder": "", "why": "", "context": None
        }  # fmt: skip
        if node and node.image:
            row |= {"image": node.image, "why": "the flavour's own image: nothing to build"}
        elif (node.recipe if node else entry.component.recipes[0]) == "chart":
            row["why"] = "a chart names its images: nothing to build"
        else:
            found = context(entry, cuda=cuda)
            row |= {"context": found, "image": named(entry, found, where, cuda=cuda)}
        rows[name] = row
    if not rows:
        raise MillpondError("the platform has no components", hint="name some: `millpond images mlflow`")
    return list(rows.values())


def _platform(session: Session, named: bool) -> tuple[Catalogue, Platform | None]:
    """The flavour's platform; names can do without one."""
    from millpond.catalogue import Catalogue
    from millpond.model.errors import MillpondError

    try:
        session.locate()
    except MillpondError:
        if session.file is not None or not named:
            raise
        return Catalogue(), None
    source = session.source()
    catalogue = source.catalogue()
    return catalogue, source.resolve(catalogue)


def _build(rows: list[dict[str, Any]], folder: Path | None, *, push: bool) -> None:
    from millpond.cli.busy import busy
    from millpond.targets.kubernetes.images.builder import Builder

    builder = Builder.find()
    wanted = {row["image"]: row for row in rows if row["context"] is not None}
    for number, (name, row) in enumerate(wanted.items(), start=1):
        note(f"{number} of {len(wanted)}: building {name} with {builder.tool}")
        last = [""]

        def said(line: str, last: list[str] = last) -> None:
            last[0] = line.strip() or last[0]

        with TemporaryDirectory(prefix="millpond-image-") as scratch:
            context = folder / row["component"] if folder else Path(scratch)
            row["context"].write(context)
            row["folder"] = str(folder / row["component"]) if folder else ""
            with busy("building", lambda last=last: last[0]):  # type: ignore[misc]
                builder.build(name, context, said)
        if push:
            with busy(f"pushing {name}"):
                builder.push(name)
    for row in rows:
        if row["context"] is not None and not row["folder"]:
            row["why"] = "pushed" if push else "built"
