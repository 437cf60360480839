"""``millpond dataset``: what is in the lake, told so that others find and use it."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import click

from millpond.cli.session import Session, file_option, json_option, pass_session, target_options
from millpond.cli.style import bytes_text, columns, faint, hint, note, out, plural, strong, warn

if TYPE_CHECKING:
    from millpond.lake.datasets.dataset import Dataset, Version
    from millpond.lake.datasets.shelf import Shelf


def _shelf(session: Session, environment: str = "lake") -> Shelf:
    """The lake's datasets, from inside an environment that reaches it."""
    from millpond.cli.inside import go_inside

    go_inside(session, environment)
    from millpond.lake.datasets.shelf import Shelf

    return Shelf()


@click.group("dataset")
def command() -> None:
    """Datasets: what is in the lake, with title, owner, licence, columns, samples and versions."""


@command.command("add")
@click.argument("name")
@click.argument("path", required=False)
@click.option("--title", metavar="TEXT", help="Title in English")
@click.option("--title-fr", metavar="TEXT", help="Title in French")
@click.option("--description", metavar="TEXT", help="Description in English")
@click.option("--description-fr", metavar="TEXT", help="Description in French")
@click.option("--owner", metavar="WHO", help="Who answers for it")
@click.option("--licence", metavar="LICENCE", help="Its address, or its name as in SPDX's list: CC-BY-4.0")
@click.option("--keyword", "keywords", multiple=True, metavar="WORD", help="In English; several times")
@click.option("--keyword-fr", "keywords_fr", multiple=True, metavar="WORD", help="In French; several times")
@click.option("--profile/--no-profile", default=True, help="Look into the files for columns, counts and rows")
@click.option(
    "--samples", type=click.IntRange(0, 100), default=5, show_default=True, help="Rows that are shown"
)
@file_option
@target_options
@json_option
@pass_session
def add(session: Session, /, name: str, path: str | None, profile: bool, samples: int, **told: Any) -> None:
    """Tell of the dataset NAME at PATH: a file, folder or pattern of the lake, or lake://REPO@COMMIT/PATH.

    Again with other bytes it is a new version; without PATH, what is said of it changes. CSV, Parquet and
    JSON are looked into, for which they are fetched once.
    """
    from millpond.model.errors import MillpondError, UsageError

    shelf = _shelf(session, "sql")
    from millpond.lake.datasets.dataset import checked

    checked(name)
    texts = {
        "title": _by_language(told["title"], told["title_fr"]),
        "description": _by_language(told["description"], told["description_fr"]),
        "keywords": _by_language(list(told["keywords"]), list(told["keywords_fr"])),
        "owner": told["owner"],
        "licence": told["licence"],
    }
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    version = _look(path, now, profile, samples) if path else None
    if version is None and name not in shelf.names():
        raise UsageError(
            f"there is no dataset {name} yet", hint=f"millpond dataset add {name} PATH tells of one"
        )

    def edit(before: Dataset) -> Dataset:
        after = before.told(**texts, created=before.created or now, modified=now)
        if version is not None:
            after = after.with_version(version)
        if not after.versions:
            raise MillpondError(f"the dataset {name} was taken away meanwhile")
        return after

    found = shelf.change(name, edit)
    if session.json:
        out(json.dumps(found.as_dict(), ensure_ascii=False))
        return
    latest = found.latest
    rows = (
        f", {latest.rows:,} rows, {plural(len(latest.columns), 'column')}" if latest.rows is not None else ""
    )
    size = f"{plural(len(latest.files), 'file')}, {bytes_text(latest.size)}"
    note(f"{name} has version {latest.number}: {size}{rows}")
    if missing := found.missing():
        warn(f"nobody has said of it: {', '.join(missing)}")


def _by_language(english: Any, french: Any) -> dict[str, Any]:
    return {language: text for language, text in (("en", english), ("fr", french)) if text}


def _look(path: str, now: str, profiled: bool, samples: int) -> Version:
    from millpond.cli.busy import busy
    from millpond.lake.datasets.contents import contents
    from millpond.lake.datasets.dataset import Version
    from millpond.lake.datasets.profile import Profile, profile

    with busy(f"looking into {path}"), contents(path) as found:
        suffix = found.files[0].uri.rsplit(".", 1)[-1].lower()
        told = profile(found.copies, samples=samples) if profiled else Profile(suffix)
    return Version(1, found.uri, now, found.files, told.format, told.rows, told.columns, told.samples)


@command.command("list")
@file_option
@target_options
@json_option
@pass_session
def list_(session: Session) -> None:
    """List the datasets."""
    _table(session, _shelf(session).all(), "nobody has told of a dataset")


@command.command("search")
@click.argument("words", nargs=-1, required=True, metavar="WORD...")
@file_option
@target_options
@json_option
@pass_session
def search(session: Session, words: tuple[str, ...]) -> None:
    """Find datasets that have every WORD in title, description, keywords, owner or columns."""
    found = [dataset for dataset in _shelf(session).all() if dataset.matches(list(words))]
    _table(session, found, f"no dataset has {' and '.join(words)}")


def _table(session: Session, found: list[Dataset], nothing: str) -> None:
    if session.json:
        out(json.dumps([dataset.as_dict() for dataset in found], ensure_ascii=False))
        return
    rows = [
        (
            dataset.name,
            str(dataset.latest.number),
            "" if dataset.latest.rows is None else f"{dataset.latest.rows:,}",
            bytes_text(dataset.latest.size),
            dataset.owner,
            dataset.text(dataset.title, "en"),
        )
        for dataset in found
    ]
    for line in columns(
        rows, heads=("NAME", "VERSION", "ROWS", "SIZE", "OWNER", "TITLE"), paints={0: strong}
    ):
        out(line)
    if not found:
        note(nothing)
        hint("`millpond dataset add NAME PATH` tells of one")


@command.command("show")
@click.argument("name")
@click.option(
    "--version", "number", type=click.IntRange(min=1), metavar="N", help="Which; the newest without it"
)
@file_option
@target_options
@json_option
@pass_session
def show(session: Session, name: str, number: int | None) -> None:
    """Show the dataset NAME: what is said of it, its files, columns and first rows."""
    dataset = _shelf(session).get(name)
    version = dataset.version(number)
    if session.json:
        out(json.dumps({**dataset.as_dict(), "shown": version.number}, ensure_ascii=False))
        return
    facts = [("name", dataset.name)]
    for key in ("title", "description"):
        facts += [(f"{key} ({language})", text) for language, text in getattr(dataset, key).items()]
    facts += [(f"keywords ({language})", ", ".join(words)) for language, words in dataset.keywords.items()]
    facts += [("owner", dataset.owner), ("licence", dataset.licence), ("at", version.uri)]
    facts += [("version", f"{version.number} of {dataset.latest.number}, added {version.added}")]
    facts += [("files", f"{len(version.files)}, {bytes_text(version.size)}, {version.format}")]
    facts += [("rows", "" if version.rows is None else f"{version.rows:,}")]
    for line in columns([fact for fact in facts if fact[1]], paints={0: strong}):
        out(line)
    if version.columns:
        out()
        rows = [
            (c.name, c.type, f"{c.nulls:.1%}" if c.nulls else "", c.min or "", c.max or "", c.mean or "")
            for c in version.columns
        ]
        for line in columns(
            rows, heads=("COLUMN", "TYPE", "MISSING", "FROM", "TO", "MEAN"), paints={1: faint}
        ):
            out(line)
    if version.samples:
        out()
        names = list(version.samples[0])
        cells = [["" if row[name] is None else str(row[name]) for name in names] for row in version.samples]
        for line in columns(cells, heads=names):
            out(line)


@command.command("publish")
@click.argument("where", default="lake://datasets/published", metavar="[PLACE]")
@click.option("--name", metavar="NAME", help="Whose datasets they are; the platform's name without it")
@click.option("--base", default="", metavar="URL", help="Where the pages will be found")
@file_option
@target_options
@json_option
@pass_session
def publish(session: Session, where: str, name: str | None, base: str) -> None:
    """Write the catalogue as DCAT 3 (catalogue.jsonld) and as pages (index.html, index.fr.html) to PLACE.

    PLACE is a folder of the lake or of this machine.
    """
    shelf = _shelf(session)
    from tempfile import TemporaryDirectory

    from millpond.lake.datasets import dcat
    from millpond.lake.datasets.page import pages
    from millpond.lake.files.place import place
    from millpond.model.errors import MillpondError

    found = shelf.all()
    if not found:
        raise MillpondError(
            "there is no dataset to publish", hint="`millpond dataset add NAME PATH` tells of one"
        )
    target = place(where)
    name = name or _platform(session)
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    document = dcat.catalogue(found, name=name, base=base, modified=now)
    if wrong := list(dcat.problems(document)):
        raise MillpondError("the catalogue is not DCAT", details=wrong[:10])
    written = []
    with TemporaryDirectory(prefix="millpond-") as folder:
        from pathlib import Path

        for file, text in pages(found, document, name=name).items():
            copy = Path(folder, file)
            copy.write_text(text, encoding="utf-8")
            target.side.store(copy, f"{target.folder}{file}", lambda count: None)
            written.append(target.side.show(f"{target.folder}{file}"))
    out(json.dumps(written) if session.json else "\n".join(written))
    for dataset in found:
        if missing := dataset.missing():
            warn(f"nobody has said of {dataset.name}: {', '.join(missing)}")


def _platform(session: Session) -> str:
    from millpond.model.errors import MillpondError

    try:
        return session.source().flavour.name
    except MillpondError:
        return "millpond"
