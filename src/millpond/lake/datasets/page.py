"""The catalogue as one page for people, in two languages, with the same as JSON-LD in it for programs."""

from __future__ import annotations

import json
from collections.abc import Iterable
from html import escape
from typing import Any

from millpond.lake.datasets.dataset import LANGUAGES, Dataset, Version

_WORDS = {
    "en": {
        "owner": "Owner",
        "licence": "Licence",
        "rows": "Rows",
        "versions": "Versions",
        "columns": "Columns",
        "samples": "First rows",
        "files": "Files",
        "keywords": "Keywords",
        "type": "Type",
        "missing": "Missing",
        "from": "From",
        "to": "To",
        "mean": "Mean",
    },
    "fr": {
        "owner": "Propriétaire",
        "licence": "Licence",
        "rows": "Lignes",
        "versions": "Versions",
        "columns": "Colonnes",
        "samples": "Premières lignes",
        "files": "Fichiers",
        "keywords": "Mots-clés",
        "type": "Type",
        "missing": "Manquants",
        "from": "De",
        "to": "À",
        "mean": "Moyenne",
    },
}

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
article { border-top: 1px solid #ccc; padding: 1rem 0 }
table { border-collapse: collapse; font-size: 14px; display: block; overflow-x: auto }
th, td { text-align: left; padding: .2rem .8rem .2rem 0; vertical-align: top } th { font-weight: 600 }
code { overflow-wrap: anywhere } summary { cursor: pointer } a { color: #0b5394 }
@media (prefers-color-scheme: dark) { body { background: #161616; color: #e6e6e6 } a { color: #8ab4f8 } }
"""

_PAGE = """<!doctype html>
<html lang="{language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
<link rel="alternate" type="application/ld+json" href="catalogue.jsonld">
<script type="application/ld+json">{data}</script>
</head>
<body>
<h1>{title}</h1>
<p>{links}</p>
{articles}
</body>
</html>
"""


def page(datasets: Iterable[Dataset], document: dict[str, Any], *, name: str, language: str = "en") -> str:
    """A page in one language.

    Args:
        document: the catalogue as JSON-LD.
        name: of the lake or its owner.
    """
    every = list(datasets)
    title = next(text["@value"] for text in document["dct:title"] if text["@language"] == language)
    others = " · ".join(
        f'<a href="{_file(other)}" hreflang="{other}">{other}</a>' for other in LANGUAGES if other != language
    )
    # A script's text ends at the first </ in it, whatever stands around.
    data = json.dumps(document, ensure_ascii=False).replace("</", "<\\/")
    parts = "\n".join(_article(dataset, language) for dataset in every)
    links = f'{others} · <a href="catalogue.jsonld">DCAT</a>'
    return _PAGE.format(
        language=language, title=escape(title), style=_STYLE, data=data, links=links, articles=parts
    )


def _file(language: str) -> str:
    return "index.html" if language == LANGUAGES[0] else f"index.{language}.html"


def _article(dataset: Dataset, language: str) -> str:
    words, version = _WORDS[language], dataset.latest
    keywords = dataset.keywords.get(language) or next(iter(dataset.keywords.values()), [])
    facts = [
        (words["owner"], escape(dataset.owner)),
        (words["licence"], _licence(dataset.licence)),
        (words["keywords"], escape(", ".join(keywords))),
        (words["rows"], "" if version.rows is None else f"{version.rows:,}"),
        (words["files"], "<br>".join(f"<code>{escape(file.uri)}</code>" for file in version.files[:20])),
        (words["versions"], ", ".join(f"{v.number} ({escape(v.added[:10])})" for v in dataset.versions)),
    ]
    rows = "".join(f"<tr><th>{head}</th><td>{cell}</td></tr>" for head, cell in facts if cell)
    title = dataset.text(dataset.title, language) or dataset.name
    text = dataset.text(dataset.description, language)
    return (
        f'<article id="{escape(dataset.name)}">\n<h2>{escape(title)}</h2>\n<p>{escape(text)}</p>\n'
        f"<table>{rows}</table>\n{_columns(version, words)}{_samples(version, words)}</article>"
    )


def _licence(licence: str) -> str:
    if licence.startswith(("http://", "https://")):
        return f'<a href="{escape(licence)}" rel="license">{escape(licence)}</a>'
    return escape(licence)


def _columns(version: Version, words: dict[str, str]) -> str:
    if not version.columns:
        return ""
    heads = ("", words["type"], words["missing"], words["from"], words["to"], words["mean"])
    rows = [
        (c.name, c.type, f"{c.nulls:.1%}" if c.nulls else "", c.min or "", c.max or "", c.mean or "")
        for c in version.columns
    ]
    return f"<details><summary>{words['columns']}: {len(rows)}</summary>{_table(heads, rows)}</details>\n"


def _samples(version: Version, words: dict[str, str]) -> str:
    if not version.samples:
        return ""
    heads = tuple(version.samples[0])
    rows = [tuple("" if row[head] is None else str(row[head]) for head in heads) for row in version.samples]
    return f"<details><summary>{words['samples']}</summary>{_table(heads, rows)}</details>\n"


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    top = "".join(f"<th>{escape(head)}</th>" for head in heads)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{top}</tr>{body}</table>"


def pages(datasets: Iterable[Dataset], document: dict[str, Any], *, name: str) -> dict[str, str]:
    """All files that are published, by name."""
    every = list(datasets)
    found = {"catalogue.jsonld": json.dumps(document, ensure_ascii=False, indent=1) + "\n"}
    return found | {_file(lang): page(every, document, name=name, language=lang) for lang in LANGUAGES}
