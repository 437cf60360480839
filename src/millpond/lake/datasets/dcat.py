"""Datasets as DCAT 3 in JSON-LD, which catalogues of open data harvest.

Terms are those of https://www.w3.org/TR/vocab-dcat-3/ and of the vocabularies that it takes from, Dublin Core
and FOAF; columns are CSVW's (https://www.w3.org/TR/tabular-metadata/).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from millpond.lake.datasets.dataset import Column, Dataset, Version

CONTEXT = {
    "dcat": "http://www.w3.org/ns/dcat#",
    "dct": "http://purl.org/dc/terms/",
    "foaf": "http://xmlns.com/foaf/0.1/",
    "csvw": "http://www.w3.org/ns/csvw#",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
}
"""The prefixes that the document uses."""

TERMS = {
    "dcat:Catalog": {
        "dct:title",
        "dct:description",
        "dct:publisher",
        "dct:language",
        "dct:modified",
        "dcat:dataset",
    },
    "dcat:Dataset": {
        "dct:title",
        "dct:description",
        "dct:identifier",
        "dct:publisher",
        "dct:license",
        "dct:issued",
        "dct:modified",
        "dcat:keyword",
        "dcat:version",
        "dcat:hasVersion",
        "dcat:isVersionOf",
        "dcat:distribution",
    },
    "dcat:Distribution": {
        "dct:title",
        "dct:license",
        "dcat:accessURL",
        "dcat:downloadURL",
        "dcat:byteSize",
        "dcat:mediaType",
        "csvw:tableSchema",
    },
    "foaf:Agent": {"foaf:name"},
    "dct:LicenseDocument": {"dct:title"},
    "csvw:Schema": {"csvw:column"},
    "csvw:Column": {"csvw:name", "csvw:datatype", "csvw:required"},
}
"""The classes of the document, each with the properties that it may have here."""

REQUIRED = {
    "dcat:Catalog": {"dct:title", "dct:description", "dct:publisher"},
    "dcat:Dataset": {"dct:title", "dct:description"},
    "dcat:Distribution": {"dcat:accessURL"},
}
"""What DCAT-AP, the profile of most catalogues of open data, does not do without."""

_LANGUAGES = "http://id.loc.gov/vocabulary/iso639-1/"
_MEDIA = "http://www.iana.org/assignments/media-types/"
_MEDIA_TYPES = {
    "csv": f"{_MEDIA}text/csv",
    "json": f"{_MEDIA}application/json",
    "parquet": f"{_MEDIA}application/vnd.apache.parquet",
}
_DATATYPES = {
    "BIGINT": "long",
    "INTEGER": "int",
    "SMALLINT": "short",
    "TINYINT": "byte",
    "HUGEINT": "integer",
    "DOUBLE": "double",
    "FLOAT": "float",
    "BOOLEAN": "boolean",
    "DATE": "date",
    "TIME": "time",
    "TIMESTAMP": "datetime",
    "TIMESTAMP WITH TIME ZONE": "datetime",
    "VARCHAR": "string",
    "UUID": "string",
    "BLOB": "base64Binary",
}


def catalogue(
    datasets: Iterable[Dataset], *, name: str, base: str = "", modified: str = ""
) -> dict[str, Any]:
    """The catalogue of some datasets.

    Args:
        name: of the lake or its owner.
        base: where the page will be found; ids are below it. Without one they are ``urn:millpond:…``.
        modified: when it was made, as ISO 8601.
    """
    every = list(datasets)
    found: dict[str, Any] = {
        "@context": CONTEXT,
        "@id": base or f"urn:millpond:{name}",
        "@type": "dcat:Catalog",
        "dct:title": _texts({"en": f"Datasets of {name}", "fr": f"Jeux de données de {name}"}),
        "dct:description": _texts({"en": f"What is in the lake {name}", "fr": f"Le contenu du lac {name}"}),
        "dct:publisher": _agent(name),
        "dct:language": [
            {"@id": f"{_LANGUAGES}{found}"} for found in sorted({x for each in every for x in each.title})
        ],
        "dcat:dataset": [_dataset(each, name, base) for each in every],
    }
    return _without_nothing({**found, "dct:modified": _time(modified)})


def _id(dataset: str, name: str, base: str) -> str:
    return f"{base.rstrip('/')}/#{dataset}" if base else f"urn:millpond:{name}:{dataset}"


def _dataset(dataset: Dataset, name: str, base: str) -> dict[str, Any]:
    at = _id(dataset.name, name, base)
    common = {
        # A title is never left out: the name is one.
        "dct:title": _texts(dataset.title) or _texts({"en": dataset.name}),
        "dct:description": _texts(dataset.description)
        or _texts(dataset.title)
        or _texts({"en": dataset.name}),
        "dct:publisher": _agent(dataset.owner) if dataset.owner else None,
        "dct:license": _licence(dataset.licence),
        "dcat:keyword": [
            {"@value": word, "@language": language}
            for language, words in dataset.keywords.items()
            for word in words
        ],
    }
    versions = [
        {
            "@id": f"{at}-v{version.number}" if base else f"{at}:{version.number}",
            "@type": "dcat:Dataset",
            **common,
            "dct:issued": _time(version.added),
            "dcat:version": str(version.number),
            "dcat:isVersionOf": {"@id": at},
            "dcat:distribution": _distributions(version, dataset.licence),
        }
        for version in dataset.versions
    ]
    found = {
        "@id": at,
        "@type": "dcat:Dataset",
        "dct:identifier": dataset.name,
        **common,
        "dct:issued": _time(dataset.created),
        "dct:modified": _time(dataset.modified),
        "dcat:version": str(dataset.latest.number),
        "dcat:hasVersion": [_without_nothing(version) for version in versions],
        "dcat:distribution": _distributions(dataset.latest, dataset.licence),
    }
    return _without_nothing(found)


def _distributions(version: Version, licence: str) -> list[dict[str, Any]]:
    return [
        _without_nothing(
            {
                "@type": "dcat:Distribution",
                "dct:title": file.uri.rsplit("/", 1)[-1],
                "dct:license": _licence(licence),
                "dcat:accessURL": {"@id": file.uri},
                "dcat:downloadURL": {"@id": file.uri},
                "dcat:byteSize": {"@value": str(file.size), "@type": "xsd:nonNegativeInteger"},
                "dcat:mediaType": {"@id": _MEDIA_TYPES[version.format]}
                if version.format in _MEDIA_TYPES
                else None,
                "csvw:tableSchema": _schema(version.columns),
            }
        )
        for file in version.files
    ]


def _schema(columns: tuple[Column, ...]) -> dict[str, Any] | None:
    if not columns:
        return None
    told = [
        {
            "@type": "csvw:Column",
            "csvw:name": column.name,
            "csvw:datatype": _DATATYPES.get(
                column.type, "decimal" if column.type.startswith("DECIMAL") else "any"
            ),
            "csvw:required": column.nulls == 0,
        }
        for column in columns
    ]
    return {"@type": "csvw:Schema", "csvw:column": {"@list": told}}


def _texts(texts: dict[str, str]) -> list[dict[str, str]]:
    return [{"@value": text, "@language": language} for language, text in texts.items() if text]


def _agent(name: str) -> dict[str, str]:
    return {"@type": "foaf:Agent", "foaf:name": name}


def _licence(licence: str) -> dict[str, Any] | None:
    """An address as it is; a name of SPDX's list or any other as a document of that title."""
    if licence.startswith(("http://", "https://")):
        return {"@id": licence}
    return {"@type": "dct:LicenseDocument", "dct:title": licence} if licence else None


def _time(at: str) -> dict[str, str] | None:
    return {"@value": at, "@type": "xsd:dateTime"} if at else None


def _without_nothing(found: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in found.items() if value not in (None, "", [])}


def problems(document: Any, at: str = "") -> Iterator[str]:
    """What is wrong with a document: terms that its class has not, and those that a harvester will miss."""
    if isinstance(document, list):
        for number, each in enumerate(document):
            yield from problems(each, f"{at}[{number}]")
        return
    if not isinstance(document, dict):
        return
    kind = document.get("@type")
    terms = {key for key in document if not key.startswith("@")}
    if kind is not None and not str(kind).startswith("xsd:"):
        if kind not in TERMS:
            yield f"{at}: {kind} is not a class of the catalogue"
        yield from (f"{at}: {kind} has no {term}" for term in sorted(terms - TERMS.get(kind, terms)))
        yield from (f"{at}: {kind} lacks {term}" for term in sorted(REQUIRED.get(kind, set()) - terms))
    elif terms:
        yield f"{at}: {', '.join(sorted(terms))} of something without a class"
    for key in terms | ({"@list"} & set(document)):
        yield from problems(document[key], f"{at}/{key}")
