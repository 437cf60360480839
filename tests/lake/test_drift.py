"""What somebody changes in the store's IAM by hand is told, and put right."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.client import Config
from botocore.exceptions import ClientError

from millpond.lake.access.drift import drifts, mend
from millpond.lake.access.register import Register, arn
from millpond.lake.access.rules import Grant, Level, user_document, user_policy
from millpond.lake.access.wish import fulfil
from starter import Starter

pytestmark = pytest.mark.slow
NAME, GROUP, BUCKET = "fay", "hills", "hill-data"
WISH = {"users": [NAME], "groups": {GROUP: [NAME]}, "projects": {BUCKET: {"read": [GROUP]}}}


def allowing(*actions: str, of: str) -> dict[str, Any]:
    """A policy as a hand would write it."""
    resources = [f"arn:aws:s3:::{of}", f"arn:aws:s3:::{of}/*"]
    return {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": list(actions), "Resource": resources}],
    }


class Hand:
    """Somebody with the store's own key and boto3, and the user whose rights they change."""

    def __init__(self, lake: Starter) -> None:
        self.lake, self.register = lake, Register(lake.env)
        fulfil(self.register, WISH, {})
        key = self.register.make_key(NAME, rotate=bool(self.register.user(NAME).keys))
        self.user = boto3.client(
            "s3",
            endpoint_url=lake.env["AWS_ENDPOINT_URL"],
            region_name="us-east-1",
            aws_access_key_id=key.id,
            aws_secret_access_key=key.secret,
            config=Config(retries={"max_attempts": 1}),
        )
        self.iam, self.s3 = self.register.iam, self.register.s3
        self.s3.put_object(Bucket="raw", Key="secret", Body=b"x")

    def edit(self, policy: str, document: dict[str, Any]) -> None:
        """Replace a user's policy by another of its name."""
        self.iam.detach_user_policy(UserName=NAME, PolicyArn=arn(policy))
        self.iam.delete_policy(PolicyArn=arn(policy))
        self.iam.create_policy(PolicyName=policy, PolicyDocument=json.dumps(document))
        self.iam.attach_user_policy(UserName=NAME, PolicyArn=arn(policy))

    def may_read(self, bucket: str, key: str) -> bool:
        """Whether the store gives the user an object."""
        try:
            self.user.get_object(Bucket=bucket, Key=key)
        except ClientError as error:
            assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 403, error
            return False
        return True


@pytest.fixture
def hand(lake: Starter) -> Iterator[Hand]:
    made = Hand(lake)
    assert drifts(made.register) == []
    yield made
    fulfil(made.register, {}, WISH)


def test_a_policy_that_was_edited_is_told_and_put_right(hand: Hand) -> None:
    """By the command, as its user sees it."""
    lake = hand.lake
    document = user_document(NAME)
    document["Statement"] += allowing("s3:GetObject", of="raw")["Statement"]
    assert not hand.may_read("raw", "secret")
    hand.edit(user_policy(NAME), document)
    assert hand.may_read("raw", "secret")

    said = f"the policy millpond-user-{NAME} is not what its name says"
    shown = lake.millpond("lake", "matrix")
    assert NAME in shown.stdout and f"changed by hand: {said}" in shown.stderr
    checked = lake.millpond("lake", "matrix", "--check", check=False)
    assert (checked.returncode, checked.stdout) == (1, f"{said}\n")
    assert lake.millpond("lake", "matrix", "--mend").stdout == f"put right: {said}\n"
    assert not hand.may_read("raw", "secret")
    hand.user.put_object(Bucket=NAME, Key="mine", Body=b"x")
    assert lake.json("lake", "matrix", "--check", "--json") == []
    assert hand.register.user(NAME).keys, "their key is what it was"


def test_every_way_past_the_matrix_is_found(hand: Hand) -> None:
    iam, wide = hand.iam, json.dumps(allowing("s3:*", of="raw"))
    iam.put_user_policy(UserName=NAME, PolicyName="by-hand", PolicyDocument=wide)
    iam.put_group_policy(GroupName=GROUP, PolicyName="by-hand", PolicyDocument=wide)
    iam.create_policy(PolicyName="wide", PolicyDocument=wide)
    iam.attach_user_policy(UserName=NAME, PolicyArn=arn("wide"))
    iam.attach_group_policy(GroupName=GROUP, PolicyArn=arn("wide"))
    public = allowing("s3:GetObject", of=BUCKET)
    public["Statement"][0]["Principal"] = "*"
    hand.s3.put_bucket_policy(Bucket=BUCKET, Policy=json.dumps(public))
    try:
        assert hand.may_read("raw", "secret")
        told = fulfil(hand.register, WISH, WISH)
        assert told == [
            f"put right: {NAME} has the policy wide, which is none of the lake's",
            f"put right: {NAME} has a policy of their own, by-hand",
            f"put right: the group {GROUP} has the policy wide, which is none of the lake's",
            f"put right: the group {GROUP} has a policy of its own, by-hand",
            f"put right: the bucket {BUCKET} has a policy of its own, past all users and groups",
        ]
        assert not hand.may_read("raw", "secret")
    finally:
        iam.delete_policy(PolicyArn=arn("wide"))


def test_a_right_that_was_taken_away_comes_back(hand: Hand) -> None:
    hand.s3.put_object(Bucket=BUCKET, Key="x", Body=b"x")
    grant = Grant(BUCKET, Level.READ)
    hand.iam.detach_user_policy(UserName=NAME, PolicyArn=arn(user_policy(NAME)))
    assert [drift.told for drift in drifts(hand.register)] == [
        f"{NAME} has lost the right on the bucket {NAME}"
    ]
    mend(hand.register)
    hand.user.put_object(Bucket=NAME, Key="mine", Body=b"x")

    hand.iam.detach_group_policy(GroupName=GROUP, PolicyArn=arn(grant.policy))
    assert not hand.may_read(BUCKET, "x")
    assert fulfil(hand.register, WISH, WISH) == [f"{GROUP} may read {BUCKET}"]
    assert hand.may_read(BUCKET, "x")


def test_up_brings_about_what_the_flavour_says_and_keeps_it_so(hand: Hand) -> None:
    lake = hand.lake
    flavour = lake.project / "millpond.yaml"
    before = flavour.read_text()
    section = "lake:\n  users: [fay]\n  groups: {hills: [fay]}\n  projects: {hill-data: {read: [hills]}}\n"
    try:
        flavour.write_text(before + section)
        assert "`millpond lake matrix` shows" in lake.millpond("up").stderr
        assert "lake: " not in lake.millpond("up").stderr, "there is nothing to do"
        wide = json.dumps(allowing("s3:*", of="raw"))
        hand.iam.put_user_policy(UserName=NAME, PolicyName="by-hand", PolicyDocument=wide)
        assert hand.may_read("raw", "secret")
        said = lake.millpond("up").stderr
        assert f"lake: put right: {NAME} has a policy of their own, by-hand" in said
        assert not hand.may_read("raw", "secret")
    finally:
        flavour.write_text(before)
        lake.millpond("up")
    assert NAME not in {user.name for user in hand.register.users()}, "it left the flavour"
