"""A dataset: what it is called, whose it is, what one may do with it, and its versions.

In the lake it is one JSON document, ``datasets/NAME.json``, which any program can read; `as_dict` is its
layout.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from millpond.model.errors import MillpondError

LANGUAGES = ("en", "fr")
"""The languages of titles, descriptions and keywords, the first one first."""

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{1,60}")
_LAYOUT = 1


@dataclass(frozen=True)
class Column:
    """A column, with what was counted in it; values are texts, as types differ."""

    name: str
    type: str
    nulls: float = 0.0
    distinct: int | None = None
    min: str | None = None
    max: str | None = None
    mean: str | None = None
    std: str | None = None


@dataclass(frozen=True)
class File:
    """One file of a version, and exactly which bytes: `version` is the store's word, or the commit."""

    uri: str
    size: int
    version: str


@dataclass(frozen=True)
class Version:
    """What a dataset held at one time.

    Attributes:
        uri: where it is; of a repository with the commit, so that it stays what it was.
        rows, columns, samples: of tables; nothing where the format is not one of those that are read.
    """

    number: int
    uri: str
    added: str
    files: tuple[File, ...]
    format: str
    rows: int | None = None
    columns: tuple[Column, ...] = ()
    samples: tuple[dict[str, Any], ...] = ()

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(file.size for file in self.files)


@dataclass(frozen=True)
class Dataset:
    """A dataset; texts by language."""

    name: str
    title: dict[str, str] = field(default_factory=dict)
    description: dict[str, str] = field(default_factory=dict)
    keywords: dict[str, list[str]] = field(default_factory=dict)
    owner: str = ""
    licence: str = ""
    created: str = ""
    modified: str = ""
    versions: tuple[Version, ...] = ()

    @property
    def latest(self) -> Version:
        """The newest version."""
        return self.versions[-1]

    def version(self, number: int | None) -> Version:
        """One version; the newest when None.

        Raises:
            MillpondError: there is none of that number.
        """
        if number is None:
            return self.latest
        found = next((version for version in self.versions if version.number == number), None)
        if found is None:
            raise MillpondError(
                f"{self.name} has no version {number}", hint=f"it has versions 1 to {self.latest.number}"
            )
        return found

    def told(self, **texts: Any) -> Dataset:
        """With what is newly said of it; nothing is taken away by what is not said."""
        changes: dict[str, Any] = {}
        for key, value in texts.items():
            if value:
                changes[key] = {**getattr(self, key), **value} if isinstance(value, dict) else value
        return replace(self, **changes)

    def with_version(self, version: Version) -> Dataset:
        """With a version more, if its bytes are others than those of the newest."""
        if self.versions and _bytes(self.latest) == _bytes(version):
            # Asked for again, it is counted again: how may have changed, what has not.
            again = replace(version, number=self.latest.number, added=self.latest.added)
            return replace(self, versions=(*self.versions[:-1], again))
        number = self.latest.number + 1 if self.versions else 1
        return replace(
            self, versions=(*self.versions, replace(version, number=number)), modified=version.added
        )

    def text(self, texts: dict[str, str], language: str) -> str:
        """A text in a language, else in another."""
        return texts.get(language) or next((text for text in texts.values() if text), "")

    def missing(self) -> list[str]:
        """What others will look for and nobody has said."""
        lacks = [f"a title in {language}" for language in LANGUAGES if not self.title.get(language)]
        lacks += [] if any(self.description.values()) else ["a description"]
        lacks += [] if self.owner else ["an owner"]
        return lacks + ([] if self.licence else ["a licence"])

    def matches(self, words: list[str]) -> bool:
        """Whether each word is in its texts, keywords, owner or columns."""
        texts = [self.name, self.owner, *self.title.values(), *self.description.values()]
        texts += [word for found in self.keywords.values() for word in found]
        texts += [column.name for column in self.latest.columns]
        everything = "\n".join(texts).casefold()
        return all(word.casefold() in everything for word in words)

    def as_dict(self) -> dict[str, Any]:
        """The document; `from_dict` reads it back."""
        return {"layout": _LAYOUT, **asdict(self)}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Dataset:
        """The inverse of `as_dict`.

        Raises:
            MillpondError: the document is of a later layout, or none.
        """
        if data.get("layout") != _LAYOUT:
            raise MillpondError(
                f"the dataset {data.get('name', '')} has the layout {data.get('layout')}, not {_LAYOUT}",
                hint="a newer Millpond reads it",
            )
        versions = tuple(
            Version(
                **{
                    **version,
                    "files": tuple(File(**file) for file in version["files"]),
                    "columns": tuple(Column(**column) for column in version["columns"]),
                    "samples": tuple(version["samples"]),
                }
            )
            for version in data["versions"]
        )
        rest = {key: value for key, value in data.items() if key not in ("layout", "versions")}
        return cls(**rest, versions=versions)


def _bytes(version: Version) -> list[tuple[str, str]]:
    """What makes two versions the same: names and contents, whatever the commit."""
    return [(file.uri.rsplit("/", 1)[-1], file.version) for file in version.files]


def checked(name: str) -> str:
    """The name, if a dataset can have it.

    Raises:
        MillpondError: it cannot.
    """
    if not _NAME.fullmatch(name):
        raise MillpondError(
            f"{name!r} cannot be a dataset's name",
            hint="small letters, digits and dashes, as in flights-2013",
        )
    return name
