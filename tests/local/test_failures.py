"""What fails is told with its cause, takes its dependants with it and nobody else, and can be mended."""

from __future__ import annotations

import pytest

from millpond.model.events import Phase

from .conftest import Project


def _independents_are_up(project: Project) -> None:
    assert {"depot/back", "depot/front"} <= project.ready()
    assert not {name for name in project.processes() if name.startswith(("ledger", "shop"))} & project.ready()
    assert [name for name, pid in project.pids().items() if not name.startswith("depot")] == []


@pytest.mark.parametrize(
    ("options", "message", "line"),
    [
        pytest.param({"trouble": "exit"}, "exited with code 3", "first page", marks=pytest.mark.slow),
        pytest.param(
            {"trouble": "never"}, "not ready within 1.5 s", "counts to infinity first", marks=pytest.mark.slow
        ),
        ({"bad_job": "prepare"}, "ledger: prepare ended with exit code 7", "the ink is dry"),
    ],
)
def test_a_component_that_does_not_come_up(
    project: Project, options: dict[str, str], message: str, line: str
) -> None:
    viewer = {"uses": {"shelves": "shop"}}
    came = project.flavour("shop", "depot", ledger=options, viewer=viewer).try_up()
    assert came.error and came.error.exit_code == 4
    assert "ledger, shop, viewer" in came.error.message
    assert came.ends == {
        "ledger": Phase.FAILED, "shop": Phase.SKIPPED, "viewer": Phase.SKIPPED, "depot": Phase.READY
    }  # fmt: skip
    failed = came.end("ledger")
    assert message in failed.message
    assert any(line in detail for detail in failed.details), failed.details
    assert came.end("shop").message == "waits for ledger, which did not come up"
    # It needs both.
    assert came.end("viewer").message.endswith(", which did not come up")
    _independents_are_up(project)

    depot = project.pids()["depot/front"]
    mended = project.flavour("shop", "depot", "ledger", viewer=viewer).up()
    assert set(mended.ends.values()) == {Phase.READY, Phase.KEPT}
    assert project.ready() == {"ledger", "shop", "viewer", "depot/back", "depot/front"}
    assert project.pids()["depot/front"] == depot
    assert project.target().plan().empty


def test_a_provision_that_fails(project: Project) -> None:
    came = project.flavour("shop", "depot", ledger={"bad_job": "provision"}).try_up()
    assert came.ends == {"ledger": Phase.FAILED, "shop": Phase.SKIPPED, "depot": Phase.READY}
    failed = came.end("ledger")
    assert failed.message == "ledger: provision for shop ended with exit code 8"
    assert "the bank is closed" in failed.details
    # It is not done, so a plan must not say that there is nothing to do.
    assert not project.target().plan().empty
    again = project.try_up()
    assert again.ends["ledger"] is Phase.FAILED
    project.flavour("ledger", "shop", "depot").up()
    assert project.ready() == {"ledger", "shop", "depot/back", "depot/front"}
    assert project.target().plan().empty


def test_no_secret_stands_in_what_a_failure_tells(project: Project) -> None:
    came = project.flavour("ledger", "shop").up()
    came = project.flavour("shop", ledger={"bad_job": "provision", "greeting": "x"}).try_up()
    told = repr([event.as_dict() for event in came.events]) + repr(came.error)
    assert not [key for key, value in project.secrets.items() if value in told]


@pytest.mark.slow
def test_a_change_that_fails_is_told_again_until_it_is_mended(project: Project) -> None:
    project.flavour("shop", ledger={"greeting": "one"}).up()
    project.put("ledger", "receipt", b"42 eggs")
    came = project.flavour("shop", ledger={"greeting": "two", "trouble": "never"}).try_up()
    assert came.ends["ledger"] is Phase.FAILED
    assert not project.target().plan().empty
    project.flavour("shop", ledger={"greeting": "one"}).up()
    assert project.kept("ledger", "receipt") == b"42 eggs"


@pytest.mark.slow
def test_what_failed_and_then_left_is_gone(project: Project) -> None:
    project.flavour("depot", ledger={"trouble": "never"}).try_up()
    project.flavour("depot").up()
    assert set(project.processes()) == {"depot/back", "depot/front"}
    assert project.target().plan().empty


def test_a_missing_program_is_named(project: Project) -> None:
    own = project.folder / "own/ghost"
    own.mkdir(parents=True)
    (own / "component.yaml").write_text(
        "{name: ghost, summary: Nothing, version: '1', licence: none, service: {command: [no-such-program]}}"
    )
    project.catalogue = ["own", *project.catalogue]
    came = project.flavour("ghost", "depot").try_up()
    assert came.ends == {"ghost": Phase.FAILED, "depot": Phase.READY}
    assert "there is no program no-such-program" in came.end("ghost").message
