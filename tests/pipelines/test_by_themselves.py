"""Runs that nobody starts by hand: each instant and each commit once, whatever dies and when."""

from __future__ import annotations

import datetime
import hashlib
import io
import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from millpond.lake.repository import places
from millpond.lake.repository.repository import Repository
from millpond.model.errors import MillpondError
from millpond.pipelines.bundle import pack
from millpond.pipelines.server.ledger import Asked, Code, Handed, Ledger
from millpond.pipelines.server.schedules import Schedules, following, instants
from millpond.pipelines.server.sent import SentCode
from millpond.pipelines.server.tokens import Tokens
from millpond.pipelines.server.triggers import Triggers

CODE = Code("0" * 64, "pipeline.yaml", "abc")
TRIGGER = {"repository": "flights", "branch": "main", "parameter": "commit"}


def _at(text: str) -> float:
    return datetime.datetime.fromisoformat(text).timestamp()


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "pipelines.sqlite")


def _again(ledger: Ledger, tmp_path: Path) -> Ledger:
    """The ledger as the next life of the process finds it."""
    ledger.close()
    return Ledger(tmp_path / "pipelines.sqlite")


# By the clock


def _scheduled(cron: str, at: str, timezone: str = "UTC") -> Handed:
    return Handed(
        "nightly",
        CODE,
        parameters={"a": 1, "b": 1},
        schedule=cron,
        timezone=timezone,
        scheduled={"b": 2},
        at=_at(at),
    )


def test_an_instant_starts_one_run_also_after_a_restart(ledger: Ledger, tmp_path: Path) -> None:
    ledger.hand(_scheduled("0 5 * * *", "2026-03-01T04:00:00Z"))
    assert Schedules(ledger).look(_at("2026-03-01T04:59:59Z")) == []
    (entry,) = Schedules(ledger).look(_at("2026-03-01T05:00:00Z"))
    assert entry.asked.parameters == {"a": 1, "b": 2}, "the schedule's values come before the others"
    assert "0 5 * * * at 2026-03-01 05:00 UTC" in entry.asked.cause
    ledger = _again(ledger, tmp_path)
    assert Schedules(ledger).look(_at("2026-03-01T05:00:01Z")) == []
    # A clock that was put back tells the same instant a second time.
    assert Schedules(ledger).look(_at("2026-03-01T04:59:00Z")) == []
    assert Schedules(ledger).look(_at("2026-03-01T05:00:00Z")) == []
    assert [found.id for found in ledger.open()] == [entry.id]


def test_of_missed_instants_the_latest_is_made_up_for(ledger: Ledger, tmp_path: Path) -> None:
    ledger.hand(_scheduled("*/10 * * * *", "2026-03-01T00:01:00Z"))
    ledger = _again(ledger, tmp_path)
    (entry,) = Schedules(ledger).look(_at("2026-03-04T12:35:00Z"))
    assert "2026-03-04 12:30" in entry.asked.cause
    (entry,) = Schedules(ledger).look(_at("2026-03-04T12:40:00Z"))
    assert "2026-03-04 12:40" in entry.asked.cause


def test_what_was_missed_too_long_ago_is_not(ledger: Ledger) -> None:
    ledger.hand(_scheduled("0 5 * * *", "2026-03-01T00:00:00Z"))
    assert Schedules(ledger, late=3600).look(_at("2026-03-02T06:00:01Z")) == []
    assert Schedules(ledger, late=3600).look(_at("2026-03-02T06:00:02Z")) == []
    assert len(Schedules(ledger, late=3600).look(_at("2026-03-03T05:59:00Z"))) == 1


def test_the_same_schedule_goes_on_with_a_new_version_and_another_begins_anew(ledger: Ledger) -> None:
    ledger.hand(_scheduled("0 * * * *", "2026-03-01T00:30:00Z"))
    assert len(Schedules(ledger).look(_at("2026-03-01T01:00:00Z"))) == 1
    ledger.hand(_scheduled("0 * * * *", "2026-03-01T01:30:00Z"))
    assert len(Schedules(ledger).look(_at("2026-03-01T02:00:00Z"))) == 1
    ledger.looked("nightly", _at("2099-01-01T00:00:00Z"))
    assert Schedules(ledger).look(_at("2026-03-01T03:00:00Z")) == []
    ledger.hand(_scheduled("0 * * * *", "2026-03-01T02:20:00Z"))
    assert len(Schedules(ledger).look(_at("2026-03-01T03:00:01Z"))) == 1, "the clock was wrong for a while"
    ledger.hand(_scheduled("30 * * * *", "2026-03-01T02:35:00Z"))
    assert Schedules(ledger).look(_at("2026-03-01T02:40:00Z")) == [], "02:30 was before it was handed over"


@pytest.mark.parametrize(
    ("cron", "zone", "after", "expected"),
    [
        ("30 9 * * 1-5", "Europe/Brussels", "2026-11-20T20:00Z", ["2026-11-23T08:30Z"]),
        ("30 9 * * *", "Europe/Brussels", "2026-07-01T00:00Z", ["2026-07-01T07:30Z"]),
        ("0 0 29 2 *", "UTC", "2026-01-01T00:00Z", ["2028-02-29T00:00Z"]),
        ("0 12 1 jan,jul sun", "UTC", "2026-06-29T00:00Z", ["2026-07-01T12:00Z", "2026-07-05T12:00Z"]),
        # Put forward at 02:00: 02:30 is not there, and comes at once.
        ("30 2 * * *", "Europe/Brussels", "2026-03-28T12:00Z", ["2026-03-29T01:00Z", "2026-03-30T00:30Z"]),
        # Put back at 03:00: 02:30 is there twice, and comes once.
        ("30 2 * * *", "Europe/Brussels", "2026-10-24T12:00Z", ["2026-10-25T00:30Z", "2026-10-26T01:30Z"]),
        # What comes every hour goes on every hour.
        ("0 * * * *", "Europe/Brussels", "2026-10-24T23:30Z", [f"2026-10-25T0{h}:00Z" for h in range(4)]),
    ],
)
def test_time_zones_and_changes_of_the_clock(cron: str, zone: str, after: str, expected: list[str]) -> None:
    found = instants(cron, zone, _at(after))
    told = [next(found).astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%MZ") for _ in expected]
    assert told == expected


def test_a_wrong_schedule_is_told() -> None:
    with pytest.raises(MillpondError, match="no time zone Europe/Brussel"):
        instants("0 5 * * *", "Europe/Brussel", 0)
    with pytest.raises(MillpondError, match="cannot be read"):
        instants("0 25 * * *", "UTC", 0)
    assert following(Handed("by-hand", CODE), 0) is None


# By commits


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    monkeypatch.setenv("MILLPOND_LAKE_ROOT", str(tmp_path / "lake"))
    monkeypatch.setenv("MILLPOND_CACHE_DIR", str(tmp_path / "cache"))
    made = places.create("flights")
    _commit(made, "first")
    return made


def _commit(repo: Repository, text: str) -> str:
    with repo.commit(text) as change:
        change.write("raw.csv", text)
    return repo.at("main").id


def _triggers(ledger: Ledger, tmp_path: Path) -> Triggers:
    return Triggers(ledger, tmp_path / "branches", places.find)


def _commits(ledger: Ledger) -> list[str]:
    return [entry.asked.parameters["commit"] for entry in ledger.open()]


def test_a_commit_starts_one_run_also_after_a_restart(
    repo: Repository, ledger: Ledger, tmp_path: Path
) -> None:
    ledger.hand(Handed("flow", CODE, triggers=[TRIGGER], at=datetime.datetime.now().timestamp()))
    assert _triggers(ledger, tmp_path).look() == [], "what was there before is none of its own"
    made = [_commit(repo, "second"), _commit(repo, "third")]
    assert len(_triggers(ledger, tmp_path).look()) == 2
    ledger = _again(ledger, tmp_path)
    assert _triggers(ledger, tmp_path).look() == []
    made.append(_commit(repo, "fourth"))
    assert len(_triggers(ledger, tmp_path).look()) == 1
    assert _commits(ledger) == made
    assert "on flights@main" in ledger.open()[0].asked.cause


_LIFE = """
import os, signal, sys
from pathlib import Path
from millpond.lake.repository import places, watch
from millpond.pipelines.server.ledger import Ledger
from millpond.pipelines.server.triggers import Triggers

folder, point = Path(sys.argv[1]), sys.argv[2]

def die_after(owner, name):
    before = getattr(owner, name)
    def dying(*args, **kwargs):
        found = before(*args, **kwargs)
        os.kill(os.getpid(), signal.SIGKILL)
        return found
    setattr(owner, name, dying)

{"seen": lambda: die_after(watch.Watch, "new"), "written": lambda: die_after(Ledger, "start"),
 "marked": lambda: die_after(watch.Watch, "done")}[point]()
Triggers(Ledger(folder / "pipelines.sqlite"), folder / "branches", places.find).look()
"""


@pytest.mark.parametrize("point", ["seen", "written", "marked"])
def test_a_kill_at_any_point_neither_loses_nor_repeats_a_commit(
    repo: Repository, ledger: Ledger, tmp_path: Path, point: str
) -> None:
    ledger.hand(Handed("flow", CODE, triggers=[TRIGGER], at=datetime.datetime.now().timestamp()))
    _triggers(ledger, tmp_path).look()
    made = [_commit(repo, "second"), _commit(repo, "third")]
    ledger.close()
    died = subprocess.run([sys.executable, "-c", _LIFE, str(tmp_path), point], env=os.environ, timeout=60)
    assert died.returncode == -signal.SIGKILL
    ledger = Ledger(tmp_path / "pipelines.sqlite")
    _triggers(ledger, tmp_path).look()
    _triggers(ledger, tmp_path).look()
    assert _commits(ledger) == made


def test_a_branch_that_comes_later_begins_with_its_commit(
    repo: Repository, ledger: Ledger, tmp_path: Path
) -> None:
    trigger = {**TRIGGER, "branch": "results"}
    ledger.hand(Handed("flow", CODE, triggers=[trigger], at=datetime.datetime.now().timestamp()))
    triggers = _triggers(ledger, tmp_path)
    assert triggers.look() == []
    assert "no branch results" in triggers.troubles["flow", "flights@results"]
    newest = _commit(repo, "second")
    repo.branch("results")
    triggers.look()
    assert _commits(ledger) == [newest]
    assert not triggers.troubles


def test_a_trigger_that_was_taken_away_begins_anew(repo: Repository, ledger: Ledger, tmp_path: Path) -> None:
    handed = Handed("flow", CODE, triggers=[TRIGGER], at=datetime.datetime.now().timestamp())
    ledger.hand(handed)
    triggers = _triggers(ledger, tmp_path)
    triggers.look()
    triggers.forget("flow", [])
    _commit(repo, "meanwhile")
    ledger.hand(Handed("flow", CODE, triggers=[TRIGGER], at=datetime.datetime.now().timestamp()))
    assert triggers.look() == []


# What is kept


def test_a_key_is_taken_once_and_runs_of_one_second_differ(ledger: Ledger) -> None:
    asked = Asked("flow", CODE, {}, "a test")
    first, new = ledger.start(asked, "key")
    assert new and ledger.start(asked, "key") == (first, False)
    assert len({ledger.start(asked)[0].id for _ in range(30)}) == 30
    assert ledger.begun(first.id) == 1
    assert ledger.begun(first.id) == 2
    ledger.over(first.id, "succeeded")
    assert ledger.run(first.id).over and first.id not in [entry.id for entry in ledger.open()]


def test_a_token_is_limited_revocable_and_not_kept(ledger: Ledger, tmp_path: Path) -> None:
    tokens = Tokens(ledger)
    secret = tokens.mint("ci", ["flights-*"], days=1)
    token = tokens.find(secret)
    assert token is not None and token.may("flights-daily") and not token.may("other")
    assert tokens.find(secret[:-1]) is None and tokens.find("") is None
    assert tokens.find(tokens.mint("old", days=-1)) is None, "it has expired"
    with pytest.raises(MillpondError, match="there is a token ci already"):
        tokens.mint("ci")
    with pytest.raises(MillpondError, match="no token c") as told:
        tokens.revoke("c")
    assert told.value.hint == "did you mean ci?"
    tokens.revoke("ci")
    assert tokens.find(secret) is None
    tokens.mint("ci")
    ledger.close()
    kept = b"".join(file.read_bytes() for file in tmp_path.glob("pipelines.sqlite*"))
    assert secret.encode() not in kept
    assert (tmp_path / "pipelines.sqlite").stat().st_mode & 0o077 == 0


def test_code_is_unpacked_whole_and_nowhere_else(tmp_path: Path) -> None:
    source = tmp_path / "flow"
    source.mkdir()
    (source / "pipeline.yaml").write_text("name: x\n")
    (source / "tool.sh").write_text("#!/bin/sh\n")
    (source / "tool.sh").chmod(0o755)
    archive, code = pack(source)
    sent = SentCode(tmp_path / "data")
    digest = hashlib.sha256(archive).hexdigest()
    assert not sent.has(digest)
    folder = sent.put(digest, archive)
    assert sent.has(digest) and pack(folder)[1] == code
    with pytest.raises(MillpondError, match="not the one"):
        sent.put("0" * 64, archive)
    with pytest.raises(MillpondError, match="SHA-256"):
        sent.folder("../../x")

    def zipped(name: str, data: bytes) -> tuple[str, bytes]:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as made:
            made.writestr(name, data)
        return hashlib.sha256(buffer.getvalue()).hexdigest(), buffer.getvalue()

    os.utime(folder, (0, 0))
    sent.prune({digest})
    assert folder.is_dir(), "it is in use"
    other = sent.put(*zipped("unused", b"x"))
    sent.prune({digest})
    assert other.is_dir(), "somebody may just have sent it"
    os.utime(other, (0, 0))
    sent.prune({digest})
    assert folder.is_dir() and not other.exists()

    outside = sent.put(*zipped("../../../outside", b"x"))
    assert (outside / "outside").is_file() and not (tmp_path / "outside").exists()
    with pytest.raises(MillpondError, match="more than 64 MiB"):
        sent.put(*zipped("zeros", bytes((64 << 20) + 1)))
    with pytest.raises(MillpondError, match="cannot be unpacked"):
        sent.put(hashlib.sha256(b"no zip").hexdigest(), b"no zip")
