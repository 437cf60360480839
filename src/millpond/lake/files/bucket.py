"""A store with the S3 API as one end of a transfer."""

from __future__ import annotations

import mimetypes
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any

from millpond.lake.files.folder import landing
from millpond.lake.files.multipart import LARGE, Upload
from millpond.lake.files.side import Item, Level, Tell
from millpond.model.errors import MillpondError, did_you_mean

_PIECE = 1 << 20
_PARTS_AT_ONCE = 6
_AT_MOST = 1000  # keys that one request deletes


class Buckets:
    """All buckets of a store.

    Args:
        environment: names the store and a key, as for every S3 program.
        profile: a profile of ``~/.aws/config`` in their place, for a store that is not the platform's.
    """

    def __init__(self, environment: Mapping[str, str], profile: str | None = None) -> None:
        import boto3
        from botocore.config import Config
        from botocore.exceptions import ProfileNotFound

        self._scheme = f"s3+{profile}://" if profile else ""
        config = Config(
            s3={"addressing_style": "path"},
            retries={"mode": "standard", "total_max_attempts": 5},
            max_pool_connections=64,
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        names: dict[str, str | None] = {}
        if profile is None:
            names = {
                "endpoint_url": environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL"),
                "aws_access_key_id": environment.get("AWS_ACCESS_KEY_ID"),
                "aws_secret_access_key": environment.get("AWS_SECRET_ACCESS_KEY"),
                "region_name": environment.get("AWS_REGION") or "us-east-1",
            }
        try:
            session = boto3.session.Session(profile_name=profile)
            if profile is not None:
                # The platform's own address would win over the profile's.
                settings = session._session.get_scoped_config()
                names["endpoint_url"] = settings.get("endpoint_url") or "https://s3.amazonaws.com"
            self.client: Any = session.client("s3", config=config, **names)
        except ProfileNotFound:
            raise MillpondError(
                f"~/.aws/config has no profile {profile}",
                hint=did_you_mean(profile or "", boto3.session.Session().available_profiles),
            ) from None

    @cached_property
    def _parts(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(_PARTS_AT_ONCE, thread_name_prefix="part")

    def show(self, key: str) -> str:
        return self._scheme + key

    def stat(self, key: str) -> Item | None:
        bucket, _, inner = key.partition("/")
        if not inner or inner.endswith("/"):
            return None
        with self._asking(key):
            try:
                head = self.client.head_object(Bucket=bucket, Key=inner)
            except self.client.exceptions.ClientError as error:
                if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                    return None
                raise
        return Item(
            key, int(head["ContentLength"]), head["LastModified"].timestamp(), head["ETag"].strip('"')
        )

    def walk(self, folder: str) -> Iterator[Item]:
        bucket, _, prefix = folder.partition("/")
        with self._asking(folder):
            for page in self._pages(Bucket=bucket, Prefix=prefix):
                yield from self._items(bucket, page)

    def level(self, folder: str) -> Level:
        if not folder:
            with self._asking(folder):
                names = [entry["Name"] for entry in self.client.list_buckets()["Buckets"]]
            return Level(tuple(f"{name}/" for name in names), ())
        bucket, _, prefix = folder.partition("/")
        folders: list[str] = []
        items: list[Item] = []
        with self._asking(folder):
            for page in self._pages(Bucket=bucket, Prefix=prefix, Delimiter="/"):
                folders += [f"{bucket}/{entry['Prefix']}" for entry in page.get("CommonPrefixes", [])]
                items += self._items(bucket, page)
        return Level(tuple(folders), tuple(items))

    def _pages(self, **arguments: str) -> Iterator[dict[str, Any]]:
        yield from self.client.get_paginator("list_objects_v2").paginate(**arguments)

    def _items(self, bucket: str, page: dict[str, Any]) -> list[Item]:
        # What ends with a slash is another program's mark for a folder.
        return [
            Item(
                f"{bucket}/{entry['Key']}",
                entry["Size"],
                entry["LastModified"].timestamp(),
                entry["ETag"].strip('"'),
            )
            for entry in page.get("Contents", [])
            if not entry["Key"].endswith("/")
        ]

    def read(self, key: str) -> Iterator[bytes]:
        bucket, _, inner = key.partition("/")
        with self._asking(key):
            yield from self.client.get_object(Bucket=bucket, Key=inner)["Body"].iter_chunks(_PIECE)

    def fetch(self, item: Item, target: Path, tell: Tell) -> None:
        bucket, _, inner = item.key.partition("/")
        with self._asking(item.key), landing(target) as made:
            if item.size >= LARGE:
                self.client.download_file(bucket, inner, str(made), Callback=tell)
                return
            with made.open("wb") as file:
                for piece in self.client.get_object(Bucket=bucket, Key=inner)["Body"].iter_chunks(_PIECE):
                    file.write(piece)
                    tell(len(piece))

    def store(self, source: Path, key: str, tell: Tell) -> None:
        bucket, _, inner = key.partition("/")
        kind = {"ContentType": mimetypes.guess_type(inner)[0] or "application/octet-stream"}
        with self._asking(key):
            if source.stat().st_size >= LARGE:
                Upload(self.client, bucket, inner, source, kind).run(self._parts, tell)
                return
            with source.open("rb") as body:
                self.client.put_object(Bucket=bucket, Key=inner, Body=body, **kind)
            tell(source.stat().st_size)

    def copy(self, item: Item, other: Any, key: str) -> bool:
        if not isinstance(other, Buckets) or other._scheme != self._scheme:
            return False
        bucket, _, inner = item.key.partition("/")
        to_bucket, _, to_inner = key.partition("/")
        with self._asking(f"{item.key} or {key}"):
            self.client.copy({"Bucket": bucket, "Key": inner}, to_bucket, to_inner)
        return True

    def make(self, bucket: str) -> None:
        there = (self.client.exceptions.BucketAlreadyOwnedByYou, self.client.exceptions.BucketAlreadyExists)
        with self._asking(bucket), suppress(*there):
            self.client.create_bucket(Bucket=bucket)

    def delete(self, keys: Iterable[str]) -> dict[str, str]:
        by_bucket: dict[str, list[str]] = {}
        for key in keys:
            bucket, _, inner = key.partition("/")
            by_bucket.setdefault(bucket, []).append(inner)
        refused: dict[str, str] = {}
        for bucket, inner_keys in by_bucket.items():
            for begin in range(0, len(inner_keys), _AT_MOST):
                named = [{"Key": inner} for inner in inner_keys[begin : begin + _AT_MOST]]
                with self._asking(f"{bucket}/"):
                    found = self.client.delete_objects(
                        Bucket=bucket, Delete={"Objects": named, "Quiet": True}
                    )
                for error in found.get("Errors", []):
                    refused[f"{bucket}/{error['Key']}"] = error.get("Message") or error["Code"]
        return refused

    @contextmanager
    def _asking(self, key: str) -> Iterator[None]:
        """Say in words what the store refused."""
        from boto3.exceptions import S3UploadFailedError
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "")
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
            bucket = key.partition("/")[0]
            if code == "NoSuchBucket":
                raise self._no_bucket(bucket) from None
            if code in ("NoSuchKey", "404"):
                raise MillpondError(
                    f"there is no {self.show(key)}", hint=f"`millpond lake ls {bucket}`"
                ) from None
            if status == 403:
                raise MillpondError(
                    f"this key may not do that with {self.show(key) or 'the store'}",
                    hint="`millpond lake matrix` shows who may do what",
                ) from None
            reason = error.response.get("Error", {}).get("Message") or code
            raise MillpondError(f"the store refused {self.show(key)}: {reason} ({code})") from error
        except (BotoCoreError, S3UploadFailedError) as error:
            raise MillpondError(
                f"{self.show(key) or 'the store'}: {error}", hint="`millpond status`"
            ) from None

    def _no_bucket(self, bucket: str) -> MillpondError:
        from botocore.exceptions import ClientError

        try:
            known = [entry["Name"] for entry in self.client.list_buckets()["Buckets"]]
        except ClientError:
            known = []
        here = "; a file of this machine is written ./" + bucket if Path(bucket).exists() else ""
        hint = did_you_mean(bucket, known) or "`millpond lake mb NAME` makes one"
        return MillpondError(f"there is no bucket {self.show(bucket)}", hint=hint + here)
