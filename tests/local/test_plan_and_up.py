"""Desired state: what `plan` says is what `up` does, and nothing else."""

from __future__ import annotations

import os
import shutil
import socket
import sys

import pytest

from millpond.model.errors import MillpondError
from millpond.model.events import Phase
from millpond.model.plan import Plan

from .conftest import Project, until


def _reasons(plan: Plan) -> dict[str, tuple[str, ...]]:
    return {change.component: change.reasons for change in plan.changes if change.reasons}


def test_the_first_up_brings_everything_and_the_second_nothing(project: Project) -> None:
    project.flavour("ledger", "shop", "viewer")
    first = project.up()
    assert set(first.ends.values()) == {Phase.READY}
    assert project.ready() == {"ledger", "shop", "viewer"}
    before = project.pids()

    assert project.target().plan().empty
    second = project.up()
    assert second.plan and second.plan.empty
    assert second.events == []
    assert project.pids() == before
    assert project.data("ledger", "prepared") == "done\n"


def test_looking_makes_nothing(project: Project) -> None:
    target = project.flavour("ledger", "shop").target()
    assert {change.act for change in target.plan().changes} == {"start"}
    assert [found.state for found in target.status()] == ["stopped", "stopped"]
    with pytest.raises(MillpondError, match="has never been up"):
        target.environment()
    assert [path.name for path in project.folder.iterdir()] == ["millpond.yaml"]


def test_a_change_that_only_the_environment_tells_is_prepared_for(project: Project) -> None:
    project.flavour("ledger").up()
    marker = project.workspace.data("ledger") / "prepared"
    marker.unlink()
    project.flavour(ledger={"greeting": "good evening"}).up()
    assert marker.read_text() == "done\n"


def test_the_second_up_uses_no_network(project: Project) -> None:
    project.flavour("ledger", "shop").up()
    before = project.pids()
    # No network at all where the system can do that; elsewhere every proxy leads nowhere.
    cut_off = shutil.which("unshare") and os.geteuid() == 0
    poison = "http://127.0.0.1:9"
    done = project.run(
        "up", "--yes", prefix=["unshare", "--net"] if cut_off else [], http_proxy=poison, https_proxy=poison
    )
    assert done.returncode == 0, done.stderr
    assert "nothing to do" in done.stderr
    assert project.pids() == before


@pytest.mark.slow
def test_without_network_a_stopped_platform_starts(project: Project) -> None:
    project.flavour("ledger", "shop").up()
    project.down()
    if not (os.geteuid() == 0 and shutil.which("unshare") and shutil.which("ip")):
        pytest.skip("needs root and a network of its own to cut off")
    script = 'ip link set lo up; "$@" up --yes && "$@" status && "$@" down'
    done = project.run(
        prefix=["unshare", "--net", "sh", "-c", script.replace('"$@"', f"{sys.executable} -m millpond")]
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("ready") == 2


def test_a_changed_option_restarts_only_its_component_and_the_plan_says_why(project: Project) -> None:
    project.flavour("ledger", "depot", "viewer", shop={"greeting": "hello"})
    project.flavour("ledger", depot={"buckets": ["raw"]}, viewer={"uses": {"shelves": "depot"}}).up()
    before = project.pids()
    project.flavour(
        "ledger", depot={"buckets": ["raw", "fine"], "greeting": "hi"}, viewer={"uses": {"shelves": "depot"}}
    )
    plan = project.target().plan()
    assert _reasons(plan) == {"depot": ("buckets raw → raw,fine", "greeting hello → hi")}
    assert project.up().acts == {"ledger": "keep", "depot": "restart", "viewer": "keep"}
    after = project.pids()
    assert {name for name in after if after[name] != before[name]} == {"depot/back", "depot/front"}
    assert project.env("depot")["BUCKETS"] == "raw,fine"
    assert project.target().plan().empty


def test_what_an_asker_requests_is_made_when_it_changes(project: Project) -> None:
    project.flavour("ledger", "shop", viewer={"greeting": "one"}).up()
    before = project.pids()
    came = project.flavour("ledger", "shop", viewer={"greeting": "two"}).up()
    assert _reasons(came.plan or Plan("", ())) == {"viewer": ("greeting one → two",)}
    assert project.pids()["shop"] == before["shop"]


def test_a_changed_file_of_the_catalogue_is_a_change(project: Project) -> None:
    own = project.folder / "own"
    shutil.copytree(project.catalogue[0], own)
    project.catalogue = ["own"]
    project.flavour("ledger", "shop").up()
    (own / "shop/notes.txt").write_text("new")
    assert _reasons(project.target().plan()) == {"shop": ("its inputs changed",)}
    project.up()
    assert project.target().plan().empty


def test_what_left_the_flavour_stops_in_reverse_order_and_comes_back_as_it_was(project: Project) -> None:
    project.flavour("ledger", "shop", "viewer").up()
    project.put("ledger", "receipt", b"42 eggs")
    ports, secrets = {name: project.port(name) for name in ("ledger", "shop", "viewer")}, project.secrets
    project.flavour("depot")
    plan = project.target().plan()
    assert [(change.component, str(change.act)) for change in plan.changes] == [
        ("depot", "start"), ("viewer", "stop"), ("shop", "stop"), ("ledger", "stop")
    ]  # fmt: skip
    left = project.up()
    assert left.ends["ledger"] is Phase.STOPPED
    assert project.ready() == {"depot/back", "depot/front"}
    assert set(project.processes()) == {"depot/back", "depot/front"}
    assert project.target().plan().empty

    project.flavour("ledger", "shop", "depot", viewer={"uses": {"shelves": "shop"}}).up()
    assert {name: project.port(name) for name in ports} == ports
    assert {key: project.secrets[key] for key in secrets} == secrets
    assert project.kept("ledger", "receipt") == b"42 eggs"


def test_dependants_stop_before_what_they_need(project: Project) -> None:
    # The flavour names them the other way round.
    project.flavour("viewer", "shop", "ledger").up()
    assert [(name, project.processes()[name].after) for name in ("ledger", "shop", "viewer")] == [
        ("ledger", ()),
        ("shop", ("ledger",)),
        ("viewer", ("ledger", "shop")),
    ]
    order: list[str] = []
    with project.supervisor_events(order):
        project.flavour("depot").up()
    assert [name for name in order if not name.startswith("depot")] == ["viewer", "shop", "ledger"]


def test_down_keeps_data_secrets_and_ports(project: Project) -> None:
    project.flavour("ledger", "shop").up()
    project.put("ledger", "receipt", b"42 eggs")
    ports, secrets = (project.port("ledger"), project.port("shop")), project.secrets
    project.down()
    assert project.processes() == {}
    assert project.marked() == []
    assert {status.state for status in project.target().status()} == {"stopped"}
    project.up()
    assert (project.port("ledger"), project.port("shop")) == ports
    assert project.secrets == secrets
    assert project.kept("ledger", "receipt") == b"42 eggs"
    assert project.data("ledger", "accounts").count("shop.shop") == 1


def test_destroy_leaves_nothing(project: Project) -> None:
    project.flavour("ledger", "shop").up()
    target = project.target()
    assert [path for path, size in target.destroy_list() if size] == [project.workspace.root]
    done = project.run("destroy", "--yes")
    assert done.returncode == 0, done.stderr
    assert not project.workspace.root.exists()
    assert [path.name for path in project.folder.iterdir()] == ["millpond.yaml"]


class TestPorts:
    def test_a_taken_port_is_told_with_who_has_it_and_others_come_up(self, project: Project) -> None:
        project.flavour("ledger", "shop", "depot", viewer={"uses": {"shelves": "depot"}}).up()
        port = project.port("depot")
        project.down()
        with socket.create_server(("127.0.0.1", port)):
            came = project.try_up()
            assert came.error and came.error.exit_code == 4
            assert came.ends == {
                "ledger": Phase.READY, "shop": Phase.READY, "depot": Phase.FAILED, "viewer": Phase.SKIPPED
            }  # fmt: skip
            failed = came.end("depot")
            assert f"port {port} (http) is taken by {os.getpid()} (" in failed.message
            assert failed.hint and "--new-ports depot" in failed.hint
            project.up(new_ports=["depot"])
            assert project.port("depot") != port
            assert project.ready() == {"ledger", "shop", "depot/back", "depot/front", "viewer"}
            assert project.env("viewer")["ENDPOINT"].endswith(f":{project.port('depot')}")
        # The new one is the kept one from now on.
        assert project.target().plan().empty

    def test_new_ports_of_what_runs_reach_those_that_use_them(self, project: Project) -> None:
        project.flavour("ledger", "shop").up()
        before = project.port("ledger")
        with socket.create_server(("127.0.0.1", before + 1)):
            came = project.up(new_ports=["ledger"])
        assert project.port("ledger") != before
        assert came.acts == {"ledger": "restart", "shop": "restart"}
        assert f":{project.port('ledger')}/" in project.env("shop")["DATABASE"]

    def test_a_port_named_by_the_flavour_is_taken_from_whoever_has_it(self, project: Project) -> None:
        project.flavour("ledger", "depot").up()
        wanted = project.port("depot")
        came = project.flavour(ledger={"ports": {"http": wanted}}, depot=None).up()
        assert project.port("ledger") == wanted
        assert project.port("depot") != wanted
        assert came.acts == {"ledger": "restart", "depot": "restart"}

    def test_two_that_want_the_same_port_are_told(self, project: Project) -> None:
        project.flavour(ledger={"ports": {"http": 20777}}, depot={"ports": {"http": 20777}})
        done = project.run("plan")
        assert done.returncode != 0
        assert "20777" in done.stderr and "ledger" in done.stderr and "depot" in done.stderr


def test_only_brings_up_what_is_named_and_what_that_waits_for(project: Project) -> None:
    project.flavour("ledger", "shop", "depot").up(only=["shop"])
    assert project.ready() == {"ledger", "shop"}
    project.up()
    assert project.ready() == {"ledger", "shop", "depot/back", "depot/front"}


def test_a_killed_component_comes_back_with_its_data(project: Project) -> None:
    project.flavour("ledger", "shop").up()
    project.put("ledger", "receipt", b"42 eggs")
    before = project.pids()["ledger"]
    os.kill(before, 9)
    until(lambda: project.pids().get("ledger", before) != before and "ledger" in project.ready())
    assert project.kept("ledger", "receipt") == b"42 eggs"
    assert project.target().plan().empty


def test_restart_is_for_one_component(project: Project) -> None:
    project.flavour("ledger", "depot").up()
    before = project.pids()
    done = project.run("restart", "depot")
    assert done.returncode == 0, done.stderr
    after = project.pids()
    assert {name for name in after if after[name] != before[name]} == {"depot/back", "depot/front"}


def test_a_project_is_the_same_by_every_name_that_leads_to_it(project: Project) -> None:
    project.flavour("ledger").up()
    link = project.folder.parent / "link"
    link.symlink_to(project.folder)
    for name in (f"{project.folder}/../project/millpond.yaml", f"{link}/millpond.yaml"):
        done = project.run("plan", "-f", name)
        assert "nothing to do" in done.stdout, (done.stdout, done.stderr)
