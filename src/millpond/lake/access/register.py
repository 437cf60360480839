"""Users, groups and grants in the object store's own IAM: made, looked up and taken away.

The store is the only place that knows them; nothing is kept beside it. Every change may be repeated, and one
that was cut off is finished by asking for it again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from millpond.lake.access.rules import (
    ADMIN,
    SHARED,
    Grant,
    Level,
    admin_document,
    checked,
    user_document,
    user_policy,
)
from millpond.model.errors import MillpondError, UsageError, did_you_mean

_OWNER = "millpond-owner"
_ABSENT = ("NoSuchEntity", "NoSuchTagSet", "NoSuchBucket", "404")
_THERE = ("EntityAlreadyExists", "BucketAlreadyOwnedByYou", "BucketAlreadyExists")


@dataclass(frozen=True)
class User:
    """A person, or a program of theirs, with a key of their own."""

    name: str
    groups: tuple[str, ...] = ()
    admin: bool = False
    keys: tuple[str, ...] = ()


@dataclass(frozen=True)
class Group:
    """Users who share rights on projects."""

    name: str
    members: tuple[str, ...] = ()
    grants: tuple[Grant, ...] = field(default=())


@dataclass(frozen=True)
class Key:
    """What a user signs requests with; the store shows the secret this once."""

    id: str
    secret: str


class Register:
    """The users, groups and grants of one store.

    Args:
        environment: names the store and a key that may change them, as for every S3 program.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        import boto3
        from botocore.config import Config

        self.endpoint = environment.get("AWS_ENDPOINT_URL") or None
        names = {
            "endpoint_url": self.endpoint,
            "aws_access_key_id": environment.get("AWS_ACCESS_KEY_ID") or None,
            "aws_secret_access_key": environment.get("AWS_SECRET_ACCESS_KEY") or None,
            "region_name": environment.get("AWS_REGION") or "us-east-1",
        }
        session = boto3.session.Session()
        config = Config(
            s3={"addressing_style": "path"}, retries={"mode": "standard", "total_max_attempts": 4}
        )
        self.iam: Any = session.client("iam", config=config, **names)
        self.s3: Any = session.client("s3", config=config, **names)

    # --- users --------------------------------------------------------------------------------------------

    def users(self) -> list[User]:
        """All users that Millpond made; the store's own and those of components are not among them."""
        found = []
        with asking(self.endpoint):
            for entry in self.pages("list_users", "Users"):
                user = self._user(entry["UserName"])
                if user is not None:
                    found.append(user)
        return sorted(found, key=lambda user: user.name)

    def user(self, name: str) -> User:
        """One user.

        Raises:
            MillpondError: there is none of this name.
        """
        with asking(self.endpoint):
            found = self._user(name)
        if found is None:
            known = [user.name for user in self.users()]
            raise MillpondError(
                f"the lake has no user {name}",
                hint=did_you_mean(name, known) or f"`millpond lake user add {name}` makes one",
            )
        return found

    def add_user(self, name: str, *, admin: bool = False) -> bool:
        """Make a user with a bucket of their own; says whether there was anything to do.

        Raises:
            MillpondError: a bucket of this name is somebody else's, or the name cannot be a bucket's.
        """
        if checked(name, "user") == SHARED:
            raise MillpondError(
                f"{SHARED} is everybody's bucket and cannot be a user", hint="choose another name"
            )
        with asking(self.endpoint):
            before = self._user(name)
            # One whose making was cut off, or whose policy was taken from them, has the bucket.
            if before is None and self._is_known(name) and self.owner(name) != name:
                raise MillpondError(
                    f"{name} is a key of a component or of the store", hint="choose another name"
                )
            self._make_bucket(SHARED, SHARED)
            self._make_bucket(name, name)
            with _there_is_no_matter():
                self.iam.create_user(UserName=name)
            self._attach_user(name, user_policy(name), user_document(name))
            if admin:
                self._attach_user(name, ADMIN, admin_document())
            elif before is not None and before.admin:
                self.iam.detach_user_policy(UserName=name, PolicyArn=arn(ADMIN))
        return before is None or before.admin != admin

    def remove_user(self, name: str) -> None:
        """Take a user's keys, groups and rights away; their bucket and what is in it stay.

        Raises:
            MillpondError: there is none of this name.
        """
        user = self.user(name)
        with asking(self.endpoint):
            for key in user.keys:
                self.iam.delete_access_key(UserName=name, AccessKeyId=key)
            for group in user.groups:
                self.iam.remove_user_from_group(GroupName=group, UserName=name)
            for policy in self.attached(name):
                self.iam.detach_user_policy(UserName=name, PolicyArn=arn(policy))
            self.iam.delete_user(UserName=name)
            with _absent_is_no_matter():
                self.iam.delete_policy(PolicyArn=arn(user_policy(name)))

    def make_key(self, name: str, *, rotate: bool = False) -> Key:
        """Make a key for a user; the store tells its secret now and never again.

        Args:
            rotate: take the keys away that they have, which stop working at once.

        Raises:
            MillpondError: there is no such user, or they have a key and it is not to be replaced.
        """
        user = self.user(name)
        if user.keys and not rotate:
            raise UsageError(
                f"{name} has a key already, and the store tells a secret only once",
                hint=f"`millpond lake user key {name} --rotate` replaces it",
            )
        with asking(self.endpoint):
            made = self.iam.create_access_key(UserName=name)["AccessKey"]
            for key in user.keys:
                self.iam.delete_access_key(UserName=name, AccessKeyId=key)
        return Key(made["AccessKeyId"], made["SecretAccessKey"])

    # --- groups -------------------------------------------------------------------------------------------

    def groups(self) -> list[Group]:
        """All groups, with who is in them and what they may use."""
        with asking(self.endpoint):
            names = sorted(entry["GroupName"] for entry in self.pages("list_groups", "Groups"))
            return [self._group(name) for name in names]

    def group(self, name: str) -> Group:
        """One group.

        Raises:
            MillpondError: there is none of this name.
        """
        with asking(self.endpoint):
            try:
                return self._group(name)
            except self.iam.exceptions.NoSuchEntityException:
                pass
        known = [group.name for group in self.groups()]
        raise MillpondError(
            f"the lake has no group {name}",
            hint=did_you_mean(name, known) or f"`millpond lake group add {name} USER…` makes one",
        )

    def add_group(self, name: str, members: tuple[str, ...] = ()) -> None:
        """Make a group where there is none, and let users join it.

        Raises:
            MillpondError: one of the users is not there.
        """
        checked(name, "group")
        for member in members:
            self.user(member)
        with asking(self.endpoint):
            with _there_is_no_matter():
                self.iam.create_group(GroupName=name)
            for member in members:
                self.iam.add_user_to_group(GroupName=name, UserName=member)

    def leave_group(self, name: str, members: tuple[str, ...]) -> None:
        """Let users leave a group.

        Raises:
            MillpondError: there is no such group, or one of them is not in it.
        """
        group = self.group(name)
        for member in members:
            if member not in group.members:
                raise MillpondError(
                    f"{member} is not in the group {name}", hint=did_you_mean(member, group.members)
                )
        with asking(self.endpoint):
            for member in members:
                self.iam.remove_user_from_group(GroupName=name, UserName=member)

    def remove_group(self, name: str) -> None:
        """Take a group away with its rights; its users and the projects' buckets stay.

        Raises:
            MillpondError: there is no such group.
        """
        group = self.group(name)
        self.leave_group(name, group.members)
        for grant in group.grants:
            self.revoke(name, grant.bucket)
        with asking(self.endpoint):
            self.iam.delete_group(GroupName=name)

    # --- grants -------------------------------------------------------------------------------------------

    def grant(self, group: str, bucket: str, level: Level) -> bool:
        """Let a group use a project's bucket, which is made where there is none; says whether that is new.

        Raises:
            MillpondError: there is no such group, or the bucket is a user's own or the shared one.
        """
        before = self.group(group)
        checked(bucket, "bucket")
        wanted = Grant(bucket, level)
        with asking(self.endpoint):
            owner = self.owner(bucket)
            if bucket == SHARED or owner:
                whose = "the shared bucket" if bucket == SHARED else f"the own bucket of {owner}"
                raise MillpondError(
                    f"{bucket} is {whose}, whose rules are fixed", hint="give a project a bucket of its own"
                )
            self._make_bucket(bucket, "")
            self.make_policy(wanted.policy, wanted.document())
            self.iam.attach_group_policy(GroupName=group, PolicyArn=arn(wanted.policy))
            for old in before.grants:
                if old.bucket == bucket and old != wanted:
                    self.iam.detach_group_policy(GroupName=group, PolicyArn=arn(old.policy))
        return wanted not in before.grants

    def revoke(self, group: str, bucket: str) -> None:
        """Take a group's right on a bucket away.

        Raises:
            MillpondError: it has none.
        """
        mine = [grant for grant in self.group(group).grants if grant.bucket == bucket]
        if not mine:
            raise MillpondError(
                f"the group {group} has no right on {bucket}",
                hint="`millpond lake group list` shows what it has",
            )
        with asking(self.endpoint):
            for grant in mine:
                self.iam.detach_group_policy(GroupName=group, PolicyArn=arn(grant.policy))

    # --- the store's words --------------------------------------------------------------------------------

    def pages(self, operation: str, key: str, **arguments: str) -> Iterator[dict[str, Any]]:
        """The entries of a listing of the IAM API."""
        for page in self.iam.get_paginator(operation).paginate(**arguments):
            yield from page.get(key, [])

    def _is_known(self, name: str) -> bool:
        try:
            self.iam.get_user(UserName=name)
        except self.iam.exceptions.NoSuchEntityException:
            return False
        return True

    def attached(self, user: str) -> list[str]:
        """The names of the policies that a user has."""
        try:
            found = list(self.pages("list_attached_user_policies", "AttachedPolicies", UserName=user))
        except self.iam.exceptions.NoSuchEntityException:
            return []
        return [policy["PolicyName"] for policy in found]

    def _user(self, name: str) -> User | None:
        policies = self.attached(name)
        if user_policy(name) not in policies:
            return None
        groups = [group["GroupName"] for group in self.pages("list_groups_for_user", "Groups", UserName=name)]
        keys = [
            key["AccessKeyId"] for key in self.pages("list_access_keys", "AccessKeyMetadata", UserName=name)
        ]
        return User(name, tuple(sorted(groups)), ADMIN in policies, tuple(keys))

    def _group(self, name: str) -> Group:
        members = sorted(user["UserName"] for user in self.pages("get_group", "Users", GroupName=name))
        policies = self.pages("list_attached_group_policies", "AttachedPolicies", GroupName=name)
        grants = [grant for policy in policies if (grant := Grant.of(policy["PolicyName"]))]
        return Group(name, tuple(members), tuple(sorted(grants, key=lambda grant: grant.bucket)))

    def make_policy(self, name: str, document: dict[str, Any]) -> None:
        """Make a policy; one of this name stays as it is."""
        with _there_is_no_matter():
            self.iam.create_policy(PolicyName=name, PolicyDocument=json.dumps(document))

    def _attach_user(self, user: str, policy: str, document: dict[str, Any]) -> None:
        self.make_policy(policy, document)
        self.iam.attach_user_policy(UserName=user, PolicyArn=arn(policy))

    def owner(self, bucket: str) -> str | None:
        """Whose bucket it is; empty for nobody's, None where there is no such bucket."""
        from botocore.exceptions import ClientError

        try:
            tags = self.s3.get_bucket_tagging(Bucket=bucket)["TagSet"]
        except ClientError as error:
            if _code(error) == "NoSuchTagSet":
                return ""
            if _code(error) in _ABSENT:
                return None
            raise
        return next((tag["Value"] for tag in tags if tag["Key"] == _OWNER), "")

    def _make_bucket(self, bucket: str, owner: str) -> None:
        """Make a bucket, as somebody's own or as nobody's.

        Raises:
            MillpondError: it is there and belongs to another.
        """
        found = self.owner(bucket)
        if found == owner:
            return
        if found is not None and not (owner == bucket == SHARED):
            raise MillpondError(
                f"there is a bucket {bucket} already, and it is not {owner}'s own",
                hint="choose another name; who has it would get all that is in that bucket",
            )
        with _there_is_no_matter():
            self.s3.create_bucket(Bucket=bucket)
        if owner:
            tags = {"TagSet": [{"Key": _OWNER, "Value": owner}]}
            self.s3.put_bucket_tagging(Bucket=bucket, Tagging=tags)


def arn(policy: str) -> str:
    """What the IAM API calls a policy."""
    return f"arn:aws:iam:::policy/{policy}"


def _code(error: Any) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


@contextmanager
def _passing(codes: tuple[str, ...]) -> Iterator[None]:
    from botocore.exceptions import ClientError

    try:
        yield
    except ClientError as error:
        if _code(error) not in codes:
            raise


def _there_is_no_matter() -> Any:
    return _passing(_THERE)


def _absent_is_no_matter() -> Any:
    return _passing(_ABSENT)


@contextmanager
def asking(endpoint: str | None) -> Iterator[None]:
    """Say in words what the store refused."""
    from botocore.exceptions import BotoCoreError, ClientError

    where = f"the store at {endpoint}" if endpoint else "the store"
    try:
        yield
    except ClientError as error:
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        if status == 403:
            raise MillpondError(
                f"{where} does not let this key change users and rights",
                hint="only administrators may: the platform's own key, or that of a user added with --admin",
            ) from None
        if status in (404, 405, 501) and _code(error) not in _ABSENT:
            raise MillpondError(
                f"{where} has no IAM API", hint="seaweedfs of the catalogue has one"
            ) from None
        if _code(error) in _ABSENT:
            raise
        reason = error.response.get("Error", {}).get("Message") or _code(error)
        raise MillpondError(f"{where} refused: {reason}") from error
    except BotoCoreError as error:
        raise MillpondError(f"{where} does not answer: {error}", hint="`millpond status`") from None
