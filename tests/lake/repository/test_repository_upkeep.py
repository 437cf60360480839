"""What nothing needs goes, what something needs stays, whoever writes meanwhile; and damage is found."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from millpond.lake.repository import places
from millpond.lake.repository.check import check
from millpond.lake.repository.cleanup import clean_up
from millpond.lake.repository.repository import Repository
from millpond.model.errors import MillpondError


def packs(repo: Repository) -> set[str]:
    """The keys of all packs."""
    return {item.key for item in repo.objects.below("packs/")}


def test_what_no_branch_leads_to_goes_after_the_grace(repo: Repository) -> None:
    with repo.commit() as change:
        change.write("kept", os.urandom(1000))
    repo.branch("side")
    with repo.commit(branch="side") as change:
        change.write("gone", os.urandom(1000))
    gone = repo.at("side").id
    before = packs(repo)
    repo.refs.delete("branch", "side")
    made = clean_up(repo, grace=3600)
    assert (made.deleted, made.condemned) == (0, 2), "a pack and a commit"
    assert packs(repo) == before
    made = clean_up(repo, grace=0)
    assert (made.deleted, made.condemned) == (2, 0)
    assert len(packs(repo)) == len(before) - 1
    assert repo.read("kept")
    assert check(repo, data=True).problems == []
    with pytest.raises(MillpondError, match="no branch, tag or commit"):
        repo.at(gone[:20])


def test_what_a_killed_writer_left_goes(repo: Repository) -> None:
    with repo.commit() as change:
        change.write("a", "kept")
    change = repo.commit()
    change.write("b", os.urandom(1000))
    change._packer.flush()
    change.cancel()
    assert clean_up(repo, grace=0).deleted == 1
    assert repo.read("a") == b"kept"


def test_a_writer_that_relies_on_what_is_condemned_keeps_it(
    repo: Repository, environment: dict[str, str], tmp_path: Path
) -> None:
    data = os.urandom(1000)
    repo.branch("side")
    with repo.commit(branch="side") as change:
        change.write("a", data)
    early = repo.commit("relies on the pack of the branch that goes")
    early.write("b", data)
    repo.refs.delete("branch", "side")
    assert clean_up(repo, grace=3600).condemned == 2
    late = repo.commit("began later, so it sends its own")
    late.write("c", data)
    assert late._packer.new_bytes > 0
    assert early._packer.new_bytes == 0
    early.commit()
    assert clean_up(repo, grace=3600).condemned == 1, "the pack is needed again, the commit is not"
    late.commit()
    clean_up(repo, grace=0)
    other = places.find("flights", environment, cache=places.Cache("fresh", tmp_path / "fresh"))
    assert other.read("b") == other.read("c") == data


def test_a_writer_across_a_deletion_is_told(repo: Repository) -> None:
    slow = repo.commit()
    slow.write("a", "1")
    clean_up(repo, grace=0)
    with pytest.raises(MillpondError, match="was cleaned up while this was written"):
        slow.commit()


def test_packs_with_much_waste_are_made_anew(
    repo: Repository, environment: dict[str, str], tmp_path: Path
) -> None:
    repo.branch("side")
    with repo.commit(branch="side") as change:
        change.write("kept", os.urandom(5000))
        for number in range(20):
            change.write(f"waste/{number}", os.urandom(5000))
    kept = repo.entry("kept", "side")
    with repo.commit("takes one file over") as change:
        change.apply({"kept": kept})
    repo.refs.delete("branch", "side")
    before = sum(item.size for item in repo.objects.below("packs/"))
    made = clean_up(repo, grace=0)
    assert made.moved >= 5000
    after = sum(item.size for item in repo.objects.below("packs/"))
    assert after < before - 90_000
    # Its address is the old pack's, so a reader finds it by the index.
    other = places.find("flights", environment, cache=places.Cache("fresh", tmp_path / "fresh"))
    assert len(other.read("kept")) == 5000
    assert check(other, data=True).problems == []


def test_damage_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILLPOND_CACHE_DIR", str(tmp_path / "cache"))
    repo = places.create("flights", {"MILLPOND_LAKE_ROOT": str(tmp_path)})
    with repo.commit() as change:
        change.write("raw/a", os.urandom(1000))
    with repo.commit() as change:
        change.write("raw/b", os.urandom(1000))
    assert check(repo, data=True).problems == []
    top = tmp_path / "repositories/flights"
    place = top / f"packs/{repo.entry('raw/a').blobs[0].pack}.pack"
    data = bytearray(place.read_bytes())
    data[100] ^= 1
    place.write_bytes(data)
    assert check(repo).problems == [], "only --data reads everything"
    (problem,) = check(repo, data=True).problems
    assert "raw/a is damaged" in problem
    (top / f"packs/{repo.entry('raw/b').blobs[0].pack}.pack").unlink()
    assert any("in no pack" in problem for problem in check(repo).problems)
    (top / f"commits/{repo.at('main~1').id}.json").unlink()
    assert any("which is missing" in problem for problem in check(repo).problems)
