"""Copies a model's files from where its URI says: the lake, the registry, or this machine.

A single file is as good as a folder: it becomes a folder with that file in it, as with KServe.
"""

from __future__ import annotations

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import unquote, urlsplit

from millpond.lake.reference import LakePath
from millpond.lake.store import S3Store, Store, open_store
from millpond.model.errors import MillpondError

_AT_ONCE = 8


def copied(uri: str, into: Path) -> Path:
    """Copy what a URI names into a folder below `into`.

    Args:
        uri: one that leads to files: an alias of the registry is followed before.
        into: an empty folder.

    Returns:
        The folder with the model's files.

    Raises:
        MillpondError: there is nothing, or the place does not answer.
    """
    if uri.startswith(("/", "file:")):
        return _from_disk(uri, into / "model")
    if uri.startswith("s3://"):
        return _from_lake(uri, into / "model")
    return _from_registry(uri, into)


def _from_disk(uri: str, target: Path) -> Path:
    place = Path(unquote(urlsplit(uri).path) if uri.startswith("file:") else uri)
    if place.is_dir():
        return Path(shutil.copytree(place, target))
    if not place.is_file():
        raise MillpondError(
            f"there is no folder or file {place}", hint="it is looked for on the machine of the platform"
        )
    target.mkdir()
    shutil.copy2(place, target / place.name)
    return target


def _from_lake(uri: str, target: Path) -> Path:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    key = key.strip("/")
    if not bucket or ".." in key.split("/"):
        raise MillpondError(f"{uri} is not a path of the lake", hint="write s3://bucket/path")
    store = _store()
    keys = _keys(store, bucket, key, uri)
    below = f"{key}/" if key else ""
    # What S3 tools write for an empty folder ends in a slash.
    files = {each: each.removeprefix(below) for each in keys if each.startswith(below) and each[-1] != "/"}
    if not files and key in keys:
        files = {key: key.rsplit("/", 1)[-1]}
    if not files:
        raise MillpondError(f"there is nothing at {uri}", hint="is its path right, and was it written?")

    def fetch(item: tuple[str, str]) -> None:
        path = target / item[1]
        path.parent.mkdir(parents=True, exist_ok=True)
        store.fetch(LakePath(bucket, item[0]), path)

    target.mkdir()
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(fetch, files.items()))
    return target


def _store() -> Store:
    if os.environ.get("AWS_ENDPOINT_URL") or os.environ.get("AWS_ENDPOINT_URL_S3"):
        return open_store()
    if os.environ.get("MILLPOND_LAKE_ROOT"):
        return open_store()
    # No lake of the platform: AWS itself, with whatever credentials boto3 finds.
    return S3Store("", "", "", os.environ.get("AWS_REGION") or "us-east-1")


def _keys(store: Store, bucket: str, prefix: str, uri: str) -> list[str]:
    try:
        return store.list(bucket, prefix)
    except MillpondError:
        raise
    except Exception as error:  # botocore's, which is not imported for a lake that is a folder
        code = getattr(error, "response", {}).get("Error", {}).get("Code", "")
        if type(error).__name__ in ("EndpointConnectionError", "ConnectTimeoutError", "ReadTimeoutError"):
            raise MillpondError(
                f"the object store does not answer, so {uri} cannot be fetched",
                hint="is it up, and is AWS_ENDPOINT_URL its address?",
            ) from error
        if code == "NoSuchBucket":
            raise MillpondError(f"there is no bucket {bucket} for {uri}") from error
        if code in ("AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "403"):
            raise MillpondError(
                f"the object store does not let serving read {uri} ({code})",
                hint="which keys serving has is in the environment of its component",
            ) from error
        raise


def _from_registry(uri: str, into: Path) -> Path:
    from mlflow.artifacts import download_artifacts

    # A registered version's files land in the folder itself, a run's artifact below it.
    landing = into / "download"
    landing.mkdir()
    found = Path(download_artifacts(artifact_uri=uri, dst_path=str(landing)))
    if found.is_dir():
        return found
    folder = into / "model"
    folder.mkdir()
    found.rename(folder / found.name)
    return folder


def size_of(folder: Path) -> tuple[int, int]:
    """Bytes and files that are in a folder so far; what vanishes meanwhile is not counted."""
    size = count = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                size += Path(place, name).stat().st_size
                count += 1
            except OSError:
                continue
    return size, count
