"""The flavour's ``lake``: users, groups and rights as it says, and no others of those it names."""

from __future__ import annotations

from pathlib import Path

import pytest

from millpond.flavours.loader import read
from millpond.lake.access.matrix import rights
from millpond.lake.access.register import Register
from millpond.lake.access.wish import fulfil
from millpond.model.errors import DocumentError
from starter import Starter

FIRST = {
    "users": ["fay", "gus"],
    "admins": ["hal"],
    "groups": {"owls": ["fay", "gus"], "bats": ["gus"]},
    "projects": {"nests": {"read": ["owls"], "write": ["bats"]}},
}
SECOND = {"users": ["fay"], "groups": {"owls": ["fay"]}, "projects": {"nests": {"write": ["owls"]}}}


def held(register: Register, *names: str) -> set[tuple[str, str, str]]:
    found = rights(register.users(), register.groups())
    return {(r.user, r.area, str(r.level)) for r in found if r.user in names and r.area in ("nests", "*")}


@pytest.mark.slow
def test_rules_are_brought_about_and_taken_back(lake: Starter) -> None:
    register = Register(lake.env)
    people = ("fay", "gus", "hal")
    assert len(fulfil(register, FIRST, {})) == 7
    assert held(register, *people) == {
        ("fay", "nests", "read"),
        ("gus", "nests", "write"),
        ("hal", "*", "write"),
    }
    assert fulfil(register, FIRST, FIRST) == []

    # Somebody's own doings: what the flavour names goes back, what it does not name stays.
    register.add_user("ida")
    register.add_group("owls", ("ida",))
    assert fulfil(register, FIRST, FIRST) == ["ida left the group owls"]

    told = fulfil(register, SECOND, FIRST)
    assert held(register, *people) == {("fay", "nests", "write")}
    assert (
        "the group bats is gone" in told
        and "gus has no key and no right any more; the bucket gus stays" in told
    )
    assert {user.name for user in register.users()} >= {"fay", "ida"}
    fulfil(register, {}, SECOND)
    assert not {"fay", "gus", "hal"} & {user.name for user in register.users()}
    register.remove_user("ida")


@pytest.mark.slow
def test_up_brings_rules_about(lake: Starter) -> None:
    flavour = lake.project / "millpond.yaml"
    before = flavour.read_text()
    try:
        flavour.write_text(before + "lake:\n  users: [kim]\n  groups: {elms: [kim]}\n")
        assert "grant  lake       users and rights differ" in lake.millpond("plan").stdout
        assert "lake: kim is a user of the lake" in lake.millpond("up").stderr
        assert "nothing to do" in lake.millpond("plan").stdout
        assert Register(lake.env).user("kim").groups == ("elms",)
    finally:
        flavour.write_text(before)
        assert "kim has no key and no right any more" in lake.millpond("up").stderr


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "{users: [ana], groups: {owls: [anna]}}",
            "anna is in the group owls and neither under users nor admins",
        ),
        ("{users: [ana], projects: {nests: {read: [owls]}}}", "owls may use nests and is not under groups"),
        ("{user: [ana]}", "user"),
    ],
)
def test_a_wrong_rule_is_told_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "millpond.yaml").write_text(f"components: [seaweedfs]\nlake: {text}\n")
    with pytest.raises(DocumentError, match=message) as caught:
        read(tmp_path / "millpond.yaml")
    assert "millpond.yaml:2:" in str(caught.value)
