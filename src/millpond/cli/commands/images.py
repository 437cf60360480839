"""``millpond images``: a Dockerfile for each component or model, built and pushed where that is asked for."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click

from millpond.cli import completion
from millpond.cli.session import Session, file_option, json_option, pass_session
from millpond.cli.style import columns, faint, hint, note, out, strong

if TYPE_CHECKING:
    from millpond.catalogue import Catalogue
    from millpond.model.platform import Node, Platform

_FORMATS = ("mlflow", "sklearn", "xgboost", "lightgbm", "onnx", "pytorch", "keras", "python")
_SERVING = "serving"


@click.command("images")
@click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=completion.entries)
@click.option(
    "-o", "folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path),
    help="Where Dockerfiles and contexts are written; images/ without --build",
)  # fmt: skip
@click.option("--build", is_flag=True, help="Build them with docker, podman or buildah")
@click.option("--push", "registry", metavar="REGISTRY", help="Build them and push them to REGISTRY")
@click.option(
    "--model", "models", multiple=True, metavar="MODEL",
    help="This model with its environment: NAME, NAME/VERSION, NAME@ALIAS, s3://BUCKET/PATH or ./FOLDER",
)  # fmt: skip
@click.option(
    "--format", "model_format", type=click.Choice(_FORMATS), default="mlflow", show_default=True,
    help="What wrote the model",
)  # fmt: skip
@file_option
@json_option
@pass_session
def command(
    session: Session,
    names: tuple[str, ...],
    folder: Path | None,
    build: bool,
    registry: str | None,
    models: tuple[str, ...],
    model_format: str,
) -> None:
    """Write a Dockerfile and its context for each component of the platform, or for those NAMEd.

    The images hold the same hashed packages as the processes on one machine. A component for which the
    flavour names an image of its own, or which a chart installs, has nothing to build. With --model it is
    the image of a model: serving's with the model's own packages and its files.
    """
    with ExitStack() as stack:
        if models:
            from millpond.cli.inside import go_inside

            registered = any(not model.startswith((".", "/", "~")) for model in models)
            go_inside(session, "science", interfaces=("mlflow", "s3") if registered else ())
            scratch = Path(stack.enter_context(TemporaryDirectory(prefix="millpond-models-")))
            rows = _model_rows(session, models, model_format, registry, scratch)
            rows += _rows(session, names, registry) if names else []
        else:
            rows = _rows(session, names, registry)
        _make(session, rows, folder, build=build, registry=registry)


def _make(
    session: Session, rows: list[dict[str, Any]], folder: Path | None, *, build: bool, registry: str | None
) -> None:
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
    table = [(row["component"], row["image"], row["folder"] or row["why"]) for row in shown]
    for line in columns(table, heads=("COMPONENT", "IMAGE", ""), paints={0: strong, 2: faint}):
        out(line)
    if not build and not registry:
        hint("`millpond images --build` builds them, `--push REGISTRY` pushes them too")


def _rows(session: Session, names: tuple[str, ...], registry: str | None) -> list[dict[str, Any]]:
    from millpond.model.errors import MillpondError

    catalogue, platform = _platform(session, bool(names))
    nodes = platform.nodes if platform else {}
    where = registry if registry is not None else platform.cluster.registry if platform else ""
    rows: dict[str, dict[str, Any]] = {}
    for name in names or nodes:
        rows[name] = _row(catalogue, name, nodes.get(name), where)
    if not rows:
        raise MillpondError("the platform has no components", hint="name some: `millpond images mlflow`")
    return list(rows.values())


def _row(catalogue: Catalogue, name: str, node: Node | None, registry: str) -> dict[str, Any]:
    from millpond.targets.kubernetes.images.context import context
    from millpond.targets.kubernetes.images.names import named

    component = node.component if node else catalogue.component(name)
    entry = catalogue.entry(component.name if component else name)
    cuda = bool(node and node.resources.gpu)
    row: dict[str, Any] = {"component": name, "image": "", "folder": "", "why": "", "context": None}
    if node and node.image:
        return row | {"image": node.image, "why": "the flavour's own image: nothing to build"}
    recipes = (node.recipe,) if node else entry.component.cluster_recipes
    if not recipes:
        return row | {"why": "it runs on one machine only: nothing to build"}
    if recipes[0] == "chart":
        return row | {"why": "a chart names its images: nothing to build"}
    found = context(entry, cuda=cuda)
    return row | {"context": found, "image": named(entry, found, registry, cuda=cuda)}


def _model_rows(
    session: Session, models: tuple[str, ...], model_format: str, registry: str | None, files: Path
) -> list[dict[str, Any]]:
    """The models' images; before them that of serving, where one stands on it."""
    from millpond.cli import model_images
    from millpond.targets.kubernetes.images.model import model_context, model_image
    from millpond.targets.local.installs import default_root

    catalogue, platform = _platform(session, True)
    where = registry if registry is not None else platform.cluster.registry if platform else ""
    nodes = platform.nodes if platform else {}
    # What a chart serves with has images of its own; a model's stands on Millpond's.
    serves = [name for name, node in nodes.items() if node.component.name == _SERVING]
    node = nodes[serves[0]] if serves else None
    serving = _row(catalogue, node.name if node else _SERVING, node, where)
    serving["why"] = "models stand on it"
    cuda = bool(node and node.resources.gpu)
    kept = (session.workspace().root if platform else default_root()) / "images"
    rows: list[dict[str, Any]] = []
    for found in model_images.found(models, model_format, session.folder, files, kept):
        made = model_context(catalogue.entry(_SERVING), found.model, found.lock, serving["image"], cuda=cuda)
        image = model_image(found.model, made, where, cuda=cuda)
        if found.lock is None and serving["context"] is not None and serving not in rows:
            rows.insert(0, serving)
        called, _, tag = image.rpartition("/")[2].removeprefix("millpond-").partition(":")
        rows.append(
            {
                "component": f"{called}-{tag.removesuffix('-cuda').rpartition('-')[0]}",
                "image": image,
                "folder": "",
                "why": "",
                "context": made,
                "uri": found.model.uri,
                "environment": found.reason,
            }
        )
    return rows


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
        there = bool(row["why"]) and builder.has(name)
        note(f"{number} of {len(wanted)}: {'there is' if there else 'building'} {name} with {builder.tool}")
        last = [""]

        def said(line: str, last: list[str] = last) -> None:
            last[0] = line.strip() or last[0]

        if not there:
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
