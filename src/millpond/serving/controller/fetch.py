"""A short-lived process that finds a model and brings its files here: the only place that needs MLflow.

Reads ``{"uri": ..., "store": folder, "known": {identity: digest}}`` from standard input and prints one JSON
line: the artifact, or ``{"error": ..., "hint": ...}``. Files land in ``store/<digest>``, complete or not at
all; the digest is of their names and contents. A registered version whose files are known and
here is not downloaded again, because versions do not change; anything else is.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from millpond.model.errors import MillpondError


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
    try:
        answer: dict[str, Any] = fetch(asked["uri"], Path(asked["store"]), asked.get("known") or {})
    except MillpondError as error:
        answer = {"error": error.message, "hint": error.hint}
    except Exception as error:
        lines = str(error).strip().splitlines() or [""]
        answer = {"error": f"{asked['uri']} cannot be read: {type(error).__name__}: {lines[0][:300]}"}
    print(json.dumps(answer), file=said, flush=True)
    return 1 if "error" in answer else 0


def fetch(uri: str, store: Path, known: dict[str, str]) -> dict[str, Any]:
    """Resolve, and download unless the files are here.

    Raises:
        MillpondError: there is no such model, or no model at that place.
    """
    endpoint = os.environ.get("AWS_ENDPOINT_URL")
    if endpoint:
        os.environ.setdefault("MLFLOW_S3_ENDPOINT_URL", endpoint)
    resolved = resolve(uri)
    digest = known.get(resolved.identity or "")
    if digest is None or not (store / digest / "MLmodel").is_file():
        digest = _download(resolved, store)
    return {**asdict(resolved), "digest": digest}


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


def _download(resolved: Resolved, store: Path) -> str:
    store.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=".partial-", dir=store))
    try:
        folder = _copied(resolved.uri, partial)
        if not (folder / "MLmodel").is_file():
            raise MillpondError(
                f"{resolved.uri} is no MLflow model", hint="the folder must hold a file called MLmodel"
            )
        digest = digest_of(folder)
        target = store / digest
        if not (target / "MLmodel").is_file():
            shutil.rmtree(target, ignore_errors=True)
            folder.rename(target)
        return digest
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _copied(uri: str, into: Path) -> Path:
    local = Path(unquote(urlsplit(uri).path)) if uri.startswith("file://") else Path(uri)
    if uri.startswith(("/", "file://")):
        if not local.is_dir():
            raise MillpondError(f"there is no folder {local}")
        return Path(shutil.copytree(local, into / "model"))
    from mlflow.artifacts import download_artifacts

    return Path(download_artifacts(artifact_uri=uri, dst_path=str(into)))


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
