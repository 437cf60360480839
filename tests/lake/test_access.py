"""Who may do what in the lake, asked of the store itself with each user's own key."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore import UNSIGNED
from botocore.client import Config
from botocore.exceptions import ClientError

from millpond.lake.access.matrix import Right, rights, table
from millpond.lake.access.register import Group, Register, User
from millpond.lake.access.rules import Grant, Level
from millpond.model.errors import MillpondError
from starter import Starter

REFUSED = ("AccessDenied", "403", "InvalidAccessKeyId", "SignatureDoesNotMatch")
Action = Callable[[Any], Any]


class People:
    """Clients by user: ana (group trees), ben (trees), cleo (rivers), dora (none), chief (admin), nobody."""

    def __init__(self, lake: Starter) -> None:
        self.lake = lake
        self.keys: dict[str, dict[str, str]] = {}
        self.register = Register(lake.env)
        for name in ("ana", "ben", "cleo", "dora", "chief"):
            self.register.add_user(name, admin=name == "chief")
            key = self.register.make_key(name)
            self.keys[name] = {"access_key": key.id, "secret_key": key.secret}
        self.register.add_group("trees", ("ana", "ben"))
        self.register.add_group("rivers", ("cleo",))
        self.register.grant("trees", "flights", Level.READ)
        self.register.grant("rivers", "flights", Level.WRITE)
        platform = self.client("platform")
        for bucket, key in (
            ("ben", "x"),
            ("shared", "ben/x"),
            ("shared", "anatole/x"),
            ("flights", "x"),
            ("raw", "x"),
            ("ana", "x"),
        ):
            platform.put_object(Bucket=bucket, Key=key, Body=b"before")

    def client(self, who: str, service: str = "s3") -> Any:
        """A client with someone's key; ``nobody`` signs nothing."""
        env = self.lake.env
        if who == "nobody":
            config = Config(signature_version=UNSIGNED, retries={"max_attempts": 1})
            return boto3.client(
                service, endpoint_url=env["AWS_ENDPOINT_URL"], config=config, region_name="us-east-1"
            )
        key = self.keys.get(who)
        return boto3.client(
            service,
            endpoint_url=env["AWS_ENDPOINT_URL"],
            region_name=env["AWS_REGION"],
            aws_access_key_id=key["access_key"] if key else env["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=key["secret_key"] if key else env["AWS_SECRET_ACCESS_KEY"],
            config=Config(retries={"max_attempts": 1}),
        )

    def rights(self) -> list[Right]:
        """What the matrix says."""
        return rights(self.register.users(), self.register.groups())


@pytest.fixture(scope="module")
def people(lake: Starter) -> People:
    return People(lake)


def put(bucket: str, key: str) -> Action:
    return lambda s3: s3.put_object(Bucket=bucket, Key=key, Body=b"now")


def get(bucket: str, key: str = "x") -> Action:
    return lambda s3: s3.get_object(Bucket=bucket, Key=key)


def head(bucket: str, key: str = "x") -> Action:
    return lambda s3: s3.head_object(Bucket=bucket, Key=key)


def ls(bucket: str, prefix: str = "") -> Action:
    return lambda s3: s3.list_objects_v2(Bucket=bucket, Prefix=prefix)


def delete(bucket: str, key: str) -> Action:
    return lambda s3: s3.delete_object(Bucket=bucket, Key=key)


def delete_many(bucket: str, key: str) -> Action:
    """A bulk deletion answers 200 and refuses object by object."""

    def act(s3: Any) -> None:
        found = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key}]})
        for error in found.get("Errors", []):
            raise ClientError({"Error": {"Code": error["Code"]}}, "DeleteObjects")

    return act


def copy(source: str, bucket: str, key: str) -> Action:
    return lambda s3: s3.copy_object(Bucket=bucket, Key=key, CopySource=source)


def multipart(bucket: str, key: str) -> Action:
    def act(s3: Any) -> None:
        named = {"Bucket": bucket, "Key": key}
        upload = s3.create_multipart_upload(**named)["UploadId"]
        tag = s3.upload_part(**named, UploadId=upload, PartNumber=1, Body=b"part")["ETag"]
        assert len(s3.list_parts(**named, UploadId=upload)["Parts"]) == 1
        parts = {"Parts": [{"ETag": tag, "PartNumber": 1}]}
        s3.complete_multipart_upload(**named, UploadId=upload, MultipartUpload=parts)
        s3.abort_multipart_upload(**named, UploadId=s3.create_multipart_upload(**named)["UploadId"])

    return act


def part_copy(source: str, bucket: str, key: str) -> Action:
    def act(s3: Any) -> None:
        named = {"Bucket": bucket, "Key": key}
        upload = s3.create_multipart_upload(**named)["UploadId"]
        s3.upload_part_copy(**named, UploadId=upload, PartNumber=1, CopySource=source)

    return act


def tag(bucket: str, key: str) -> Action:
    tags = {"TagSet": [{"Key": "colour", "Value": "blue"}]}
    return lambda s3: s3.put_object_tagging(Bucket=bucket, Key=key, Tagging=tags)


def open_to_all(bucket: str) -> Action:
    statement = {
        "Effect": "Allow",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": f"arn:aws:s3:::{bucket}/*",
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    return lambda s3: s3.put_bucket_policy(Bucket=bucket, Policy=policy)


ALLOWED = [
    # A bucket of one's own: everything with objects.
    ("ana", "own: put", put("ana", "k")),
    ("ana", "own: get", get("ana")),
    ("ana", "own: list", ls("ana")),
    ("ana", "own: multipart", multipart("ana", "parts")),
    ("ana", "own: list uploads", lambda s3: s3.list_multipart_uploads(Bucket="ana")),
    ("ana", "own: copy", copy("ana/x", "ana", "copied")),
    ("ana", "own: tag", tag("ana", "x")),
    ("ana", "own: delete", delete("ana", "k")),
    ("ana", "own: delete many", delete_many("ana", "copied")),
    # The shared bucket: read all, write below one's name.
    ("ana", "shared: list", ls("shared")),
    ("ana", "shared: list another's part", ls("shared", "ben/")),
    ("ana", "shared: get another's", get("shared", "ben/x")),
    ("ana", "shared: head another's", head("shared", "ben/x")),
    ("ana", "shared: put own", put("shared", "ana/k")),
    ("ana", "shared: multipart own", multipart("shared", "ana/parts")),
    ("ana", "shared: copy another's to own", copy("shared/ben/x", "shared", "ana/copied")),
    ("ana", "shared: copy own bucket's to own part", copy("ana/x", "shared", "ana/given")),
    ("ana", "shared: copy another's to own bucket", copy("shared/ben/x", "ana", "taken")),
    ("ana", "shared: delete own", delete("shared", "ana/k")),
    ("ana", "shared: delete many of own", delete_many("shared", "ana/copied")),
    # A project's bucket by group.
    ("ana", "project, read: get", get("flights")),
    ("ana", "project, read: list", ls("flights")),
    ("ana", "project, read: copy to own", copy("flights/x", "ana", "x2")),
    ("cleo", "project, write: get", get("flights")),
    ("cleo", "project, write: list", ls("flights")),
    ("cleo", "project, write: put", put("flights", "k")),
    ("cleo", "project, write: multipart", multipart("flights", "parts")),
    ("cleo", "project, write: copy", copy("flights/x", "flights", "copied")),
    ("cleo", "project, write: delete", delete("flights", "k")),
    ("cleo", "project, write: delete many", delete_many("flights", "copied")),
    # An administrator, and the platform's own key.
    ("chief", "admin: get another's", get("ben")),
    ("chief", "admin: put another's", put("ben", "k")),
    ("chief", "admin: list raw", ls("raw")),
    ("chief", "admin: delete another's", delete("ben", "k")),
    ("chief", "admin: make a bucket", lambda s3: s3.create_bucket(Bucket="made-by-chief")),
    ("platform", "platform: get another's", get("ben")),
]

FORBIDDEN = [
    ("ana", "another's: list", ls("ben")),
    ("ana", "another's: get", get("ben")),
    ("ana", "another's: head", head("ben")),
    ("ana", "another's: put", put("ben", "k")),
    ("ana", "another's: delete", delete("ben", "x")),
    ("ana", "another's: delete many", delete_many("ben", "x")),
    ("ana", "another's: multipart", multipart("ben", "parts")),
    ("ana", "another's: copy from", copy("ben/x", "ana", "stolen")),
    ("ana", "another's: copy to", copy("ana/x", "ben", "planted")),
    ("ana", "another's: copy a part from", part_copy("ben/x", "ana", "stolen")),
    ("ana", "shared: put at the top", put("shared", "k")),
    ("ana", "shared: put another's", put("shared", "ben/k")),
    ("ana", "shared: put below a name that begins like one's own", put("shared", "anatole/k")),
    ("ana", "shared: overwrite another's", put("shared", "ben/x")),
    ("ana", "shared: multipart another's", multipart("shared", "ben/parts")),
    ("ana", "shared: copy to another's", copy("shared/ben/x", "shared", "ben/k")),
    ("ana", "shared: delete another's", delete("shared", "ben/x")),
    ("ana", "shared: delete many of another's", delete_many("shared", "ben/x")),
    ("ana", "shared: tag another's", tag("shared", "ben/x")),
    ("ana", "project, read: put", put("flights", "k")),
    ("ana", "project, read: overwrite", put("flights", "x")),
    ("ana", "project, read: delete", delete("flights", "x")),
    ("ana", "project, read: multipart", multipart("flights", "parts")),
    ("ana", "project, read: copy to", copy("ana/x", "flights", "k")),
    ("dora", "project, none: get", get("flights")),
    ("dora", "project, none: list", ls("flights")),
    ("dora", "project, none: put", put("flights", "k")),
    ("ana", "platform's: list", ls("raw")),
    ("ana", "platform's: get", get("raw")),
    ("ana", "platform's: put", put("raw", "k")),
    ("ana", "make a bucket", lambda s3: s3.create_bucket(Bucket="made-by-ana")),
    ("ana", "delete the shared bucket", lambda s3: s3.delete_bucket(Bucket="shared")),
    ("ana", "open one's bucket to all", open_to_all("ana")),
    ("ana", "open the shared bucket to all", open_to_all("shared")),
    ("ana", "open an object to all", lambda s3: s3.put_object_acl(Bucket="ana", Key="x", ACL="public-read")),
    ("cleo", "project, write: open it to all", open_to_all("flights")),
    ("nobody", "nobody: list shared", ls("shared")),
    ("nobody", "nobody: get shared", get("shared", "ben/x")),
    ("nobody", "nobody: get another's", get("ben")),
    ("nobody", "nobody: put", put("shared", "nobody/k")),
    ("nobody", "nobody: delete", delete("shared", "ben/x")),
]


@pytest.mark.slow
@pytest.mark.parametrize(("who", "what", "act"), ALLOWED, ids=[f"{who}, {what}" for who, what, _ in ALLOWED])
def test_the_store_allows(people: People, who: str, what: str, act: Action) -> None:
    act(people.client(who))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("who", "what", "act"), FORBIDDEN, ids=[f"{who}, {what}" for who, what, _ in FORBIDDEN]
)
def test_the_store_refuses(people: People, who: str, what: str, act: Action) -> None:
    with pytest.raises(ClientError) as caught:
        act(people.client(who))
    assert caught.value.response["Error"]["Code"] in REFUSED
    platform = people.client("platform")
    for bucket, key in (("ben", "x"), ("shared", "ben/x"), ("flights", "x")):
        assert platform.get_object(Bucket=bucket, Key=key)["Body"].read() == b"before"


@pytest.mark.slow
def test_a_name_cannot_be_climbed_out_of(people: People) -> None:
    with pytest.raises(ClientError):
        people.client("ana").put_object(Bucket="shared", Key="ana/../ben/k", Body=b"now")
    assert "ben/k" not in str(people.client("platform").list_objects_v2(Bucket="shared")["Contents"])


@pytest.mark.slow
def test_users_see_the_buckets_that_they_may_read(people: People) -> None:
    seen = {entry["Name"] for entry in people.client("ana").list_buckets()["Buckets"]}
    assert seen == {"ana", "shared", "flights"}


@pytest.mark.slow
def test_users_change_no_rights(people: People) -> None:
    iam = people.client("ana", "iam")
    everything = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [everything]})
    with pytest.raises(ClientError):
        iam.put_user_policy(UserName="ana", PolicyName="more", PolicyDocument=document)
    with pytest.raises(ClientError):
        iam.add_user_to_group(GroupName="rivers", UserName="ana")
    with pytest.raises(ClientError):
        iam.create_access_key(UserName="ben")
    with pytest.raises(ClientError):
        people.client("ana").get_object(Bucket="ben", Key="x")


@pytest.mark.slow
def test_the_matrix_says_what_the_store_does(people: People) -> None:
    found = {(right.user, right.area): right.level for right in people.rights()}
    assert found["ana", "ana"] == found["ana", "shared/ana/"] == found["cleo", "flights"] == "write"
    assert found["ana", "shared"] == found["ana", "flights"] == "read"
    assert ("dora", "flights") not in found and ("ana", "ben") not in found
    assert found["chief", "*"] == "write"


@pytest.mark.slow
def test_rights_end_when_they_are_taken_away(people: People) -> None:
    """The whole life of a user, by the command line."""
    lake = people.lake
    lake.millpond("lake", "user", "add", "eve", "--group", "meadows")
    lake.millpond("lake", "grant", "meadow-data", "meadows", "--write")
    people.keys["eve"] = lake.json("lake", "user", "key", "eve", "--json")
    eve = people.client("eve")
    put("meadow-data", "k")(eve)
    shown = lake.millpond("lake", "matrix").stdout
    heads = " ".join(shown.splitlines()[0].split())
    assert heads == "USER OWN BUCKET shared shared/USER/ flights meadow-data ALL OTHERS"
    assert people.keys["eve"]["secret_key"] not in shown

    people.register.grant("meadows", "meadow-data", Level.READ)
    with pytest.raises(ClientError):
        put("meadow-data", "k2")(eve)
    get("meadow-data", "k")(eve)

    people.register.revoke("meadows", "meadow-data")
    with pytest.raises(ClientError):
        get("meadow-data", "k")(eve)

    again = lake.millpond("lake", "user", "key", "eve", check=False)
    assert again.returncode == 2 and "--rotate" in again.stderr
    new = people.register.make_key("eve", rotate=True)
    with pytest.raises(ClientError):
        ls("eve")(eve)
    people.keys["eve"] = {"access_key": new.id, "secret_key": new.secret}
    ls("eve")(people.client("eve"))

    people.register.remove_user("eve")
    with pytest.raises(ClientError):
        ls("eve")(people.client("eve"))
    assert "eve" in {entry["Name"] for entry in people.client("platform").list_buckets()["Buckets"]}
    people.register.add_user("eve")
    assert people.register.user("eve").keys == () and people.register.user("eve").groups == ()
    people.register.remove_user("eve")
    people.register.remove_group("meadows")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda r: r.add_user("raw"), "there is a bucket raw already"),
        (lambda r: r.add_user("shared"), "everybody's bucket"),
        (lambda r: r.add_user("user"), "a key of a component or of the store"),
        (lambda r: r.add_user("Ana"), "Ana cannot be the name of a user"),
        (lambda r: r.make_key("anna"), "the lake has no user anna"),
        (lambda r: r.grant("trees", "ana", Level.READ), "the own bucket of ana"),
        (lambda r: r.grant("trees", "shared", Level.WRITE), "the shared bucket"),
        (lambda r: r.grant("tree", "flights", Level.READ), "the lake has no group tree"),
        (lambda r: r.leave_group("trees", ("dora",)), "dora is not in the group trees"),
        (lambda r: r.revoke("trees", "raw"), "the group trees has no right on raw"),
    ],
)
def test_mistakes_are_told(people: People, act: Callable[[Register], Any], message: str) -> None:
    with pytest.raises(MillpondError, match=message) as caught:
        act(people.register)
    assert caught.value.hint


@pytest.mark.slow
def test_a_user_is_no_administrator(people: People) -> None:
    key = people.keys["ana"]
    names = {"AWS_ACCESS_KEY_ID": key["access_key"], "AWS_SECRET_ACCESS_KEY": key["secret_key"]}
    with pytest.raises(MillpondError, match="does not let this key change users and rights"):
        Register({**people.lake.env, **names}).users()


def test_writing_outweighs_reading_where_two_groups_differ() -> None:
    users = [User("ana", ("a", "b")), User("ben", ("a",))]
    groups = [
        Group("a", ("ana", "ben"), (Grant("flights", Level.READ),)),
        Group("b", ("ana",), (Grant("flights", Level.WRITE),)),
    ]
    heads, rows = table(rights(users, groups))
    assert heads == ["USER", "OWN BUCKET", "shared", "shared/USER/", "flights", "ALL OTHERS"]
    assert rows == [
        ["ana", "write", "read", "write", "write", "-"],
        ["ben", "write", "read", "write", "read", "-"],
    ]
