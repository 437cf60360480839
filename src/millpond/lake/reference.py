"""What steps hand to each other: where something is in the lake, and exactly which bytes it was.

A reference is small and travels; the data stays where it is. Values too small to be worth an object
(numbers, short JSON, the name of a model) travel inside their reference.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from typing import Any
from urllib.parse import unquote

from millpond.model.errors import MillpondError

VALUE = "value:"
LARGEST_VALUE = 64 * 1024


@dataclass(frozen=True)
class LakePath:
    """A bucket and a key; ``raw/flights/x.csv`` and ``s3://raw/flights/x.csv`` are the same place.

    Or a repository with a branch, a tag or a commit, and a path in it: ``lake://flights@main/raw/x.csv``. A
    slash in a branch's name is written ``%2F``. No bucket has an @ in its name, so the two are told apart.

    >>> LakePath.parse("lake://raw/flights/x.csv").uri
    's3://raw/flights/x.csv'
    >>> LakePath.parse("flights@main/raw/x.csv").uri
    'lake://flights@main/raw/x.csv'
    """

    bucket: str
    key: str

    @classmethod
    def parse(cls, text: str) -> LakePath:
        """Read a path of the lake.

        Raises:
            MillpondError: the text names no bucket or no key, or climbs with ``..``.
        """
        path = text.removeprefix("s3://").removeprefix("lake://")
        bucket, _, key = path.partition("/")
        if not bucket or not key or "://" in path or ".." in key.split("/") or key.startswith("/"):
            raise MillpondError(
                f"{text} is not a path of the lake", hint="write bucket/path, such as raw/flights/flights.csv"
            )
        found = cls(bucket, key)
        if found.versioned and (not found.repository or not found.ref):
            raise MillpondError(
                f"{text} is not a path in a repository",
                hint="write it as lake://flights@main/raw/flights.csv",
            )
        return found

    @property
    def versioned(self) -> bool:
        """Whether it is a file of a repository."""
        return "@" in self.bucket

    @property
    def repository(self) -> str:
        """The name of the repository."""
        return self.bucket.partition("@")[0]

    @property
    def ref(self) -> str:
        """The branch, tag or commit in the repository."""
        return unquote(self.bucket.partition("@")[2])

    def at(self, version: str | None) -> LakePath:
        """The same file at a commit, for good; a path without versions is what it is."""
        return LakePath(f"{self.repository}@{version}", self.key) if self.versioned and version else self

    @property
    def uri(self) -> str:
        """The address as every S3 client writes it; in a repository Millpond's own."""
        return f"{'lake' if self.versioned else 's3'}://{self.bucket}/{self.key}"

    @property
    def suffix(self) -> str:
        """The extension with its dot, in lower case, or nothing."""
        name = self.key.rsplit("/", 1)[-1]
        return f".{name.rsplit('.', 1)[1].lower()}" if "." in name[1:] else ""


@dataclass(frozen=True)
class Reference:
    """One version of one thing.

    Attributes:
        uri: ``s3://bucket/key``, ``lake://repository@commit/path``, or ``value:`` when `value` is the thing.
        version: the store's word for these bytes (object version id, else the etag; a commit's id).
        sha256: digest of the bytes; None for objects that Millpond did not write.
        size: bytes.
        type: the port type it was written as.
        rows: rows of a table.
        options: how to read it, such as the separator of a CSV file.
        value: the thing itself, when it is small.
    """

    uri: str
    version: str | None = None
    sha256: str | None = None
    size: int | None = None
    type: str = "file"
    rows: int | None = None
    options: dict[str, Any] | None = None
    value: Any = None

    @property
    def by_value(self) -> bool:
        """Whether the thing travels in the reference."""
        return self.uri == VALUE

    @property
    def digest(self) -> str:
        """What stands for the content where two references are compared."""
        return self.sha256 or f"{self.uri}#{self.version}"

    @property
    def path(self) -> LakePath:
        """Where it is in the lake."""
        return LakePath.parse(self.uri)

    def as_dict(self) -> dict[str, Any]:
        """Plain data without what is not known; `from_dict` reads it back."""
        found = {item.name: getattr(self, item.name) for item in fields(self)}
        return {name: value for name, value in found.items() if value is not None}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Reference:
        """The inverse of `as_dict`; keys of a later version are passed over."""
        known = {item.name for item in fields(cls)}
        return cls(**{name: value for name, value in data.items() if name in known})

    @classmethod
    def of_value(cls, value: Any, kind: str) -> Reference:
        """A reference that carries a small JSON value of a port type.

        Raises:
            MillpondError: the value is larger than 64 KiB.
            TypeError, ValueError: it is not JSON.
        """
        text = json.dumps(value, sort_keys=True, allow_nan=True).encode()
        if len(text) > LARGEST_VALUE:
            raise MillpondError(
                f"the value is {len(text):,} bytes of JSON and at most {LARGEST_VALUE:,} travel by value",
                hint="give the output a path in the lake",
            )
        return cls(VALUE, None, hashlib.sha256(text).hexdigest(), len(text), kind, value=json.loads(text))


@dataclass(frozen=True)
class ModelReference:
    """A model in MLflow.

    Attributes:
        uri: what ``mlflow.pyfunc.load_model`` takes, such as ``models:/wachttijden_tree/3``.
        name, version: of the registered model, where it is registered.
        run_id: the MLflow run that logged it.
    """

    uri: str
    name: str | None = None
    version: str | None = None
    run_id: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain data; `of` reads it back."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    @classmethod
    def of(cls, value: Any) -> ModelReference:
        """From what MLflow's calls return (``ModelInfo``, ``ModelVersion``), or a mapping.

        Raises:
            TypeError: the value is none of these.
        """
        if isinstance(value, cls):
            return value
        if isinstance(value, dict) and "uri" in value:
            given = {str(name): None if part is None else str(part) for name, part in value.items()}
            return cls(**given)  # type: ignore[arg-type]
        version = getattr(value, "registered_model_version", None) or getattr(value, "version", None)
        name = getattr(value, "registered_model_name", None) or getattr(value, "name", None)
        uri = getattr(value, "model_uri", None)
        run_id = getattr(value, "run_id", None)
        if name and version:
            return cls(f"models:/{name}/{version}", str(name), str(version), run_id)
        if uri:
            return cls(str(uri), run_id=run_id)
        raise TypeError(f"{type(value).__name__} is not a model; return what log_model returned")
