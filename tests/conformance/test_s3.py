"""The interface ``s3``: what every provider of an object store has to do."""

from __future__ import annotations

import hashlib
import os
import threading
import uuid
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
import requests
from botocore.client import Config
from botocore.exceptions import ClientError

pytestmark = pytest.mark.slow


def client(environment: dict[str, str], **other: str) -> Any:
    names = {
        "endpoint_url": environment["AWS_ENDPOINT_URL"],
        "aws_access_key_id": environment["AWS_ACCESS_KEY_ID"],
        "aws_secret_access_key": environment["AWS_SECRET_ACCESS_KEY"],
        "region_name": environment["AWS_REGION"],
    }
    config = Config(retries={"max_attempts": 1}, signature_version="s3v4")
    return boto3.client("s3", config=config, **{**names, **other})


@pytest.fixture
def s3(environment: dict[str, str]) -> Any:
    return client(environment)


@pytest.fixture
def bucket(s3: Any) -> Iterator[str]:
    name = f"conformance-{uuid.uuid4().hex[:8]}"
    s3.create_bucket(Bucket=name)
    yield name
    versions = s3.list_object_versions(Bucket=name)
    for entry in versions.get("Versions", []) + versions.get("DeleteMarkers", []):
        s3.delete_object(Bucket=name, Key=entry["Key"], VersionId=entry["VersionId"])
    s3.delete_bucket(Bucket=name)


def test_the_platforms_buckets_are_there(s3: Any) -> None:
    found = {entry["Name"] for entry in s3.list_buckets()["Buckets"]}
    assert {"raw", "intermediate", "preprocessed", "modelartifacts"} <= found


def test_what_was_put_is_got(s3: Any, bucket: str) -> None:
    body = os.urandom(100_000)
    s3.put_object(Bucket=bucket, Key="a/ä b+c.bin", Body=body, Metadata={"who": "me"})
    found = s3.get_object(Bucket=bucket, Key="a/ä b+c.bin")
    assert found["Body"].read() == body
    assert found["Metadata"] == {"who": "me"}
    assert s3.head_object(Bucket=bucket, Key="a/ä b+c.bin")["ContentLength"] == len(body)


def test_a_range_is_a_part(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="digits", Body=b"0123456789")
    found = s3.get_object(Bucket=bucket, Key="digits", Range="bytes=2-4")
    assert (found["ResponseMetadata"]["HTTPStatusCode"], found["Body"].read()) == (206, b"234")


def test_a_large_object_goes_up_in_parts(s3: Any, bucket: str) -> None:
    parts = [os.urandom(5 << 20), os.urandom(1 << 20)]
    upload = s3.create_multipart_upload(Bucket=bucket, Key="large")["UploadId"]
    tags = [
        s3.upload_part(Bucket=bucket, Key="large", UploadId=upload, PartNumber=number, Body=part)["ETag"]
        for number, part in enumerate(parts, 1)
    ]
    s3.complete_multipart_upload(
        Bucket=bucket,
        Key="large",
        UploadId=upload,
        MultipartUpload={"Parts": [{"ETag": tag, "PartNumber": n} for n, tag in enumerate(tags, 1)]},
    )
    body = s3.get_object(Bucket=bucket, Key="large")["Body"].read()
    assert hashlib.sha256(body).digest() == hashlib.sha256(b"".join(parts)).digest()


def test_listing_goes_by_prefix_delimiter_and_page(s3: Any, bucket: str) -> None:
    for key in ("a/1", "a/2", "b/1", "c"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"")
    top = s3.list_objects_v2(Bucket=bucket, Delimiter="/")
    assert [entry["Prefix"] for entry in top["CommonPrefixes"]] == ["a/", "b/"]
    assert [entry["Key"] for entry in top["Contents"]] == ["c"]
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, PaginationConfig={"PageSize": 2})
    assert [entry["Key"] for page in pages for entry in page["Contents"]] == ["a/1", "a/2", "b/1", "c"]


def test_many_are_deleted_at_once(s3: Any, bucket: str) -> None:
    keys = [f"k{number}" for number in range(20)]
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=b"")
    s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key} for key in keys]})
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_a_missing_object_is_said_to_be(s3: Any, bucket: str) -> None:
    with pytest.raises(ClientError) as caught:
        s3.get_object(Bucket=bucket, Key="nothing")
    assert caught.value.response["Error"]["Code"] == "NoSuchKey"


def test_a_conditional_write_has_one_winner(environment: dict[str, str], bucket: str) -> None:
    won: list[int] = []
    barrier = threading.Barrier(6)

    def write(number: int) -> None:
        own = client(environment)
        barrier.wait()
        try:
            own.put_object(Bucket=bucket, Key="lock", Body=str(number).encode(), IfNoneMatch="*")
        except ClientError as error:
            assert error.response["ResponseMetadata"]["HTTPStatusCode"] in (409, 412)
        else:
            won.append(number)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert client(environment).get_object(Bucket=bucket, Key="lock")["Body"].read() == str(won[0]).encode()


def test_a_stale_match_is_refused(s3: Any, bucket: str) -> None:
    first = s3.put_object(Bucket=bucket, Key="row", Body=b"1")["ETag"]
    s3.put_object(Bucket=bucket, Key="row", Body=b"2", IfMatch=first)
    with pytest.raises(ClientError) as caught:
        s3.put_object(Bucket=bucket, Key="row", Body=b"3", IfMatch=first)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 412


def test_versions_are_kept(s3: Any, bucket: str) -> None:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    first = s3.put_object(Bucket=bucket, Key="doc", Body=b"old")["VersionId"]
    s3.put_object(Bucket=bucket, Key="doc", Body=b"new")
    s3.delete_object(Bucket=bucket, Key="doc")
    assert s3.get_object(Bucket=bucket, Key="doc", VersionId=first)["Body"].read() == b"old"


def test_a_presigned_url_opens_one_object(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="shared", Body=b"hello")
    url = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "shared"}, ExpiresIn=60)
    assert requests.get(url, timeout=10).content == b"hello"
    assert requests.get(url.partition("?")[0], timeout=10).status_code == 403


def test_a_wrong_secret_is_refused(environment: dict[str, str]) -> None:
    with pytest.raises(ClientError) as caught:
        client(environment, aws_secret_access_key="wrong").list_buckets()
    assert caught.value.response["Error"]["Code"] in ("SignatureDoesNotMatch", "AccessDenied")


def test_an_askers_key_opens_its_own_bucket_and_no_other(starter: Any, environment: dict[str, str]) -> None:
    """A component that asked for a bucket gets a key for that one: here the tracking server's."""
    secrets = starter.granted("seaweedfs", "mlflow.artifacts")
    own = client(environment, aws_access_key_id=secrets["key"], aws_secret_access_key=secrets["secret"])
    own.put_object(Bucket="modelartifacts", Key="conformance", Body=b"mine")
    own.delete_object(Bucket="modelartifacts", Key="conformance")
    with pytest.raises(ClientError) as caught:
        own.put_object(Bucket="raw", Key="conformance", Body=b"not mine")
    assert caught.value.response["Error"]["Code"] == "AccessDenied"
