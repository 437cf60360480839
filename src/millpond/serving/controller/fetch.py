"""A short-lived process that finds a model and brings its files here: the only place that needs MLflow.

Reads ``{"uri": ..., "format": ..., "store": folder, "known": {identity: digest}}`` from standard input.
Prints a JSON line ``{"bytes": ..., "files": ...}`` now and then while files come, and at last one with
the artifact or ``{"error": ..., "hint": ...}``. Files land in ``store/<digest>``, complete or not at all;
the digest is of their names and contents. A registered version whose files are known and here is not
downloaded again, because versions do not change; anything else is.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from millpond.model.errors import MillpondError
from millpond.serving.controller.sources import copied, size_of

Tell = Callable[[int, int], None]
"""Told bytes and files."""

_EVERY_SECONDS = 0.5


@dataclass(frozen=True)
class Resolved:
    """What a URI means today; `identity` is set when the same identity always means the same files."""

    uri: str
    identity: str | None = None
    version: str | None = None
    run_id: str | None = None


def main() -> int:
    """Do what standard input asks for."""
    asked = json.load(sys.stdin)
    said = sys.stdout
    sys.stdout = sys.stderr  # whatever a library prints is a log line, not the answer

    def tell(size: int, files: int) -> None:
        print(json.dumps({"bytes": size, "files": files}), file=said, flush=True)

    try:
        answer: dict[str, Any] = fetch(
            asked["uri"],
            Path(asked["store"]),
            asked.get("known") or {},
            model_format=asked.get("format") or "mlflow",
            tell=tell,
        )
    except MillpondError as error:
        answer = {"error": error.message, "hint": error.hint}
    except Exception as error:
        lines = str(error).strip().splitlines() or [""]
        answer = {"error": f"{asked['uri']} cannot be read: {type(error).__name__}: {lines[0][:300]}"}
    print(json.dumps(answer), file=said, flush=True)
    return 1 if "error" in answer else 0


def fetch(
    uri: str,
    store: Path,
    known: dict[str, str],
    *,
    model_format: str = "mlflow",
    tell: Tell = lambda size, files: None,
) -> dict[str, Any]:
    """Resolve, and download unless the files are here.

    Raises:
        MillpondError: there is no such model, or no model at that place.
    """
    endpoint = os.environ.get("AWS_ENDPOINT_URL")
    if endpoint:
        os.environ.setdefault("MLFLOW_S3_ENDPOINT_URL", endpoint)
    resolved = resolve(uri)
    digest = known.get(resolved.identity or "")
    if digest is None or not (store / digest).is_dir():
        digest = _download(resolved, store, tell)
    folder = store / digest
    if model_format == "mlflow" and not (folder / "MLmodel").is_file():
        raise MillpondError(
            f"{resolved.uri} is no MLflow model", hint="the folder must hold a file called MLmodel"
        )
    size, files = size_of(folder)
    return {**asdict(resolved), "digest": digest, "size": size, "files": files}


def resolve(uri: str) -> Resolved:
    """Follow an alias to the version it points to; other URIs stay as they are.

    Raises:
        MillpondError: the registry has no such model, version or alias.
    """
    if not uri.startswith("models:/"):
        run = uri.removeprefix("runs:/").split("/")[0] if uri.startswith("runs:/") else None
        return Resolved(uri, run_id=run)
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    path = unquote(uri.removeprefix("models:/").strip("/"))
    client = MlflowClient()
    try:
        if "@" in path:
            name, alias = path.rsplit("@", 1)
            found = client.get_model_version_by_alias(name, alias)
        elif "/" in path:
            name, version = path.rsplit("/", 1)
            if version == "latest":
                versions = client.search_model_versions(f"name='{name}'")
                if not versions:
                    raise MillpondError(f"the registry has no model {name}")
                found = max(versions, key=lambda item: int(item.version))
            else:
                found = client.get_model_version(name, version)
        else:
            return Resolved(uri, identity=uri)  # models:/m-ID, a logged model
    except MlflowException as error:
        raise MillpondError(
            f"the registry has no {uri}: {str(error).splitlines()[0]}",
            hint="look at its versions and aliases",
        ) from None
    version = str(found.version)
    return Resolved(
        f"models:/{name}/{version}",
        identity=f"models:/{name}/{version}#{found.creation_timestamp}#{found.source}",
        version=version,
        run_id=found.run_id or None,
    )


def _download(resolved: Resolved, store: Path, tell: Tell) -> str:
    store.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=".partial-", dir=store))
    done = threading.Event()
    watching = threading.Thread(target=_watch, args=(partial, done, tell), daemon=True)
    watching.start()
    try:
        folder = copied(resolved.uri, partial)
        tell(*size_of(folder))
        digest = digest_of(folder)
        target = store / digest
        # What stands under its digest is whole: it got there by one rename, and leaves by one.
        try:
            folder.rename(target)
        except OSError:
            if not target.is_dir():
                raise
        return digest
    finally:
        done.set()
        watching.join()
        shutil.rmtree(partial, ignore_errors=True)


def _watch(folder: Path, done: threading.Event, tell: Tell) -> None:
    """Tell how much came so far: from the disk, as each of the ways here counts differently or not at all."""
    before = (0, 0)
    while not done.wait(_EVERY_SECONDS):
        found = size_of(folder)
        if found != before:
            tell(*found)
        before = found


def digest_of(folder: Path) -> str:
    """SHA-256 over the names and contents of all files, shortened to 32 digits."""
    total = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        total.update(f"{path.relative_to(folder).as_posix()}\0{content}\n".encode())
    return total.hexdigest()[:32]


if __name__ == "__main__":
    sys.exit(main())
