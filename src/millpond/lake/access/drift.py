"""What was changed in the store's IAM by hand, and putting it right.

Millpond's rights are policies whose names say what is in them, so that the matrix is read from names alone.
Whoever edits such a policy, adds one of their own to a user or a group, or opens a bucket by a policy of its
own, makes the store do something else than the matrix says. That is found here, by asking the store for all
of it. Programs' own keys, which are nobody of the lake's, are not looked at.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from millpond.lake.access.register import Group, Register, User, arn, asking
from millpond.lake.access.rules import (
    ADMIN,
    SHARED,
    Grant,
    admin_document,
    can_be_bucket,
    user_document,
    user_policy,
)

_NO_POLICY = ("NoSuchBucketPolicy", "NoSuchBucket", "NotImplemented", "MethodNotAllowed")


@dataclass(frozen=True)
class Drift:
    """One difference: a sentence for people, and what takes it away."""

    told: str
    mend: Callable[[], object] = field(compare=False, repr=False)


def drifts(register: Register) -> list[Drift]:
    """All differences between what the store does and what the matrix says.

    Raises:
        MillpondError: the store does not let this key look.
    """
    users, groups = register.users(), register.groups()
    with asking(register.endpoint):
        return [
            *_lost(register, users),
            *_of_users(register, users),
            *_of_groups(register, groups),
            *_of_policies(register, users, groups),
            *_of_buckets(register, users, groups),
        ]


def mend(register: Register) -> list[str]:
    """Put all of it right; says what it was."""
    found = drifts(register)
    with asking(register.endpoint):
        for drift in found:
            drift.mend()
    return [drift.told for drift in found]


def _lost(register: Register, users: list[User]) -> Iterator[Drift]:
    """Who has a bucket of their own and no right on it: their policy was taken from them."""
    known = {user.name for user in users}
    for entry in register.pages("list_users", "Users"):
        name = entry["UserName"]
        if name not in known and can_be_bucket(name) and register.owner(name) == name:
            yield Drift(f"{name} has lost the right on the bucket {name}", partial(register.add_user, name))


def _of_users(register: Register, users: list[User]) -> Iterator[Drift]:
    iam = register.iam
    for user in users:
        who = {"UserName": user.name}
        for policy in register.attached(user.name):
            if policy not in (ADMIN, user_policy(user.name)):
                yield Drift(
                    f"{user.name} has the policy {policy}, which is none of the lake's",
                    partial(iam.detach_user_policy, **who, PolicyArn=arn(policy)),
                )
        for policy in iam.list_user_policies(**who)["PolicyNames"]:
            yield Drift(
                f"{user.name} has a policy of their own, {policy}",
                partial(iam.delete_user_policy, **who, PolicyName=policy),
            )


def _of_groups(register: Register, groups: list[Group]) -> Iterator[Drift]:
    iam = register.iam
    for group in groups:
        who = {"GroupName": group.name}
        for entry in register.pages("list_attached_group_policies", "AttachedPolicies", **who):
            policy = entry["PolicyName"]
            if Grant.of(policy) is None:
                yield Drift(
                    f"the group {group.name} has the policy {policy}, which is none of the lake's",
                    partial(iam.detach_group_policy, **who, PolicyArn=arn(policy)),
                )
        for policy in iam.list_group_policies(**who)["PolicyNames"]:
            yield Drift(
                f"the group {group.name} has a policy of its own, {policy}",
                partial(iam.delete_group_policy, **who, PolicyName=policy),
            )


def _of_policies(register: Register, users: list[User], groups: list[Group]) -> Iterator[Drift]:
    """Policies whose contents are not what their names say."""
    wanted: dict[str, tuple[dict[str, Any], _Holders]] = {}
    for user in users:
        wanted[user_policy(user.name)] = (user_document(user.name), _Holders(users=[user.name]))
        if user.admin:
            wanted.setdefault(ADMIN, (admin_document(), _Holders()))[1].users.append(user.name)
    for group in groups:
        for grant in group.grants:
            held = wanted.setdefault(grant.policy, (grant.document(), _Holders()))[1]
            held.groups.append(group.name)
    for name, (document, holders) in wanted.items():
        version = register.iam.get_policy(PolicyArn=arn(name))["Policy"]["DefaultVersionId"]
        found = register.iam.get_policy_version(PolicyArn=arn(name), VersionId=version)
        if _meaning(found["PolicyVersion"]["Document"]) != _meaning(document):
            yield Drift(
                f"the policy {name} is not what its name says",
                partial(_remake, register, name, document, holders),
            )


@dataclass
class _Holders:
    """Who has a policy."""

    users: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)


def _remake(register: Register, name: str, document: dict[str, Any], holders: _Holders) -> None:
    """Make a policy anew. Whoever has it is without it for a moment: a store keeps one that is attached."""
    iam, named = register.iam, {"PolicyArn": arn(name)}
    for user in holders.users:
        iam.detach_user_policy(UserName=user, **named)
    for group in holders.groups:
        iam.detach_group_policy(GroupName=group, **named)
    for version in iam.list_policy_versions(**named)["Versions"]:
        if not version["IsDefaultVersion"]:
            iam.delete_policy_version(**named, VersionId=version["VersionId"])
    iam.delete_policy(**named)
    register.make_policy(name, document)
    for user in holders.users:
        iam.attach_user_policy(UserName=user, **named)
    for group in holders.groups:
        iam.attach_group_policy(GroupName=group, **named)


def _of_buckets(register: Register, users: list[User], groups: list[Group]) -> Iterator[Drift]:
    from botocore.exceptions import ClientError

    projects = {grant.bucket for group in groups for grant in group.grants}
    for bucket in sorted({*(user.name for user in users), *projects, *([SHARED] if users else [])}):
        try:
            register.s3.get_bucket_policy(Bucket=bucket)
        except ClientError as error:
            if error.response["Error"]["Code"] in _NO_POLICY:
                continue
            raise
        yield Drift(
            f"the bucket {bucket} has a policy of its own, past all users and groups",
            partial(register.s3.delete_bucket_policy, Bucket=bucket),
        )


def _meaning(document: Any) -> list[Any]:
    """A policy without what makes no difference: names of statements, order, one thing or a list of one."""
    found = json.loads(document) if isinstance(document, str) else document
    statements = found["Statement"]
    return sorted(
        json.dumps({key: _several(value) for key, value in statement.items() if key != "Sid"}, sort_keys=True)
        for statement in (statements if isinstance(statements, list) else [statements])
    )


def _several(value: Any) -> Any:
    if isinstance(value, dict):
        return value
    return sorted(value) if isinstance(value, list) else [value]
