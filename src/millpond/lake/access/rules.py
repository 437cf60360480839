"""The rules as policy documents that an object store enforces.

The model is the one of a shared data platform: a bucket named like its user is theirs; everybody reads
``shared`` and writes there only below their own name; a project's bucket is read, or read and written, by
groups. Each document is fixed by its name, so that a change of rights is a document attached or detached and
never one edited under its readers.

The documents are IAM's (https://docs.aws.amazon.com/AmazonS3/latest/userguide/list_amazons3.html). Rights on
policies and ACLs are in none of them: a user cannot open a bucket further than the matrix shows.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from millpond.model.errors import MillpondError

SHARED = "shared"
"""The bucket that everybody reads."""

ADMIN = "millpond-admin"
"""The policy of users that may do everything."""

_USER = "millpond-user-"
_PROJECT = "millpond-project-"
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{1,38}[a-z0-9])")

_READ_OBJECTS = ["s3:GetObject", "s3:GetObjectVersion", "s3:GetObjectTagging"]
_WRITE_OBJECTS = [
    "s3:PutObject",
    "s3:PutObjectTagging",
    "s3:DeleteObject",
    "s3:DeleteObjectVersion",
    "s3:DeleteObjectTagging",
    "s3:AbortMultipartUpload",
    "s3:ListMultipartUploadParts",
]
_READ_BUCKET = ["s3:ListBucket", "s3:ListBucketVersions", "s3:GetBucketLocation", "s3:GetBucketVersioning"]
_WRITE_BUCKET = ["s3:ListBucketMultipartUploads"]
_OWN_BUCKET = ["s3:PutBucketVersioning"]


class Level(StrEnum):
    """What somebody may do in an area: `WRITE` is reading, writing and deleting."""

    READ = "read"
    WRITE = "write"


@dataclass(frozen=True)
class Grant:
    """A group's right on a project's bucket."""

    bucket: str
    level: Level

    @property
    def policy(self) -> str:
        """The name of its policy."""
        return f"{_PROJECT}{self.level}-{self.bucket}"

    @classmethod
    def of(cls, policy: str) -> Grant | None:
        """The grant that a policy's name stands for; None for another's policy."""
        level, _, bucket = policy.removeprefix(_PROJECT).partition("-")
        if not policy.startswith(_PROJECT) or level not in tuple(Level) or not bucket:
            return None
        return cls(bucket, Level(level))

    def document(self) -> dict[str, Any]:
        """Its policy."""
        bucket, objects = _READ_BUCKET, _READ_OBJECTS
        if self.level is Level.WRITE:
            bucket, objects = bucket + _WRITE_BUCKET, objects + _WRITE_OBJECTS
        return _document(
            _allow("Bucket", bucket, self.bucket), _allow("Objects", objects, f"{self.bucket}/*")
        )


def user_policy(user: str) -> str:
    """The name of the policy that every user has."""
    return f"{_USER}{user}"


def user_document(user: str) -> dict[str, Any]:
    """A user's policy: their own bucket, and the shared one."""
    return _document(
        _allow("OwnBucket", _READ_BUCKET + _WRITE_BUCKET + _OWN_BUCKET, user),
        _allow("OwnObjects", _READ_OBJECTS + _WRITE_OBJECTS, f"{user}/*"),
        _allow("SharedBucket", _READ_BUCKET, SHARED),
        _allow("SharedObjects", _READ_OBJECTS, f"{SHARED}/*"),
        _allow("SharedOwn", _WRITE_OBJECTS, f"{SHARED}/{user}/*"),
    )


def admin_document() -> dict[str, Any]:
    """An administrator's policy: everything, users and rights too."""
    return _document({"Sid": "All", "Effect": "Allow", "Action": ["s3:*", "iam:*"], "Resource": ["*"]})


def can_be_bucket(name: str) -> bool:
    """Whether a bucket of the lake, and so a user or a group, may be called so."""
    return _NAME.fullmatch(name) is not None


def checked(name: str, what: str) -> str:
    """The name, if a bucket may be called so.

    Raises:
        MillpondError: it is not 3 to 40 small letters, digits and dashes.
    """
    if not can_be_bucket(name):
        raise MillpondError(
            f"{name} cannot be the name of a {what}",
            hint="3 to 40 small letters, digits and dashes, as in ana-lima: buckets are named so",
        )
    return name


def _allow(name: str, actions: list[str], resource: str) -> dict[str, Any]:
    return {"Sid": name, "Effect": "Allow", "Action": actions, "Resource": [f"arn:aws:s3:::{resource}"]}


def _document(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}
