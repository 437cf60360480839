"""Wiring as it is at run time: what each process finds in its environment and files."""

from __future__ import annotations

import http.server
import stat
import threading
from pathlib import Path

import pytest

from millpond.model.errors import MillpondError
from millpond.model.events import Phase

from .conftest import Project


def test_values_reach_through_components_and_everyone_has_credentials_of_its_own(project: Project) -> None:
    project.flavour("ledger", "viewer", shop={"greeting": "ahoy"}).up()
    shop, viewer, secrets = project.env("shop"), project.env("viewer"), project.secrets

    ledger = f"127.0.0.1:{project.port('ledger')}"
    assert shop["DATABASE"] == f"postgresql://shop:{secrets['ledger/shop.database/password']}@{ledger}/shop"
    assert viewer["ENDPOINT"] == f"http://127.0.0.1:{project.port('shop')}"
    # Said by the shop, out of what the ledger told it.
    assert viewer["ACCESS_KEY"] == "viewer at shop"
    assert viewer["REGION"] == "ahoy"
    assert viewer["SECRET_KEY"] == secrets["shop/viewer.shelves/key"]
    assert viewer["PASSWORD"] == secrets["ledger/viewer.database/password"]
    assert viewer["PASSWORD"] not in shop["DATABASE"]
    # What was granted is what the provider was told to grant.
    assert project.data("ledger", "account.shop.shop") == secrets["ledger/shop.database/password"]
    assert project.data("ledger", "account.viewer.views") == viewer["PASSWORD"]


def test_user_code_has_credentials_of_its_own_too(project: Project) -> None:
    project.flavour("ledger", "shop").up()
    found = project.target().environment()
    assert found["PGUSER"] == "user"
    assert found["PGDATABASE"] == "village"
    assert project.data("ledger", "account.user.village") == found["PGPASSWORD"]
    assert found["AWS_ENDPOINT_URL"] == f"http://127.0.0.1:{project.port('shop')}"


def test_variables_of_an_unmet_requirement_are_absent(project: Project) -> None:
    project.flavour("ledger", "shop", "viewer").up()
    shop = project.env("shop")
    assert "COMPUTE" not in shop
    assert shop["MIXED"] == "at "
    assert shop["EMPTY"] == ""


def test_made_files_and_folders_are_closed_to_others(project: Project) -> None:
    project.flavour("ledger", "shop").up()
    made = project.workspace.files("shop") / "nested/books.ini"
    assert made.read_text() == f"uri = {project.env('shop')['DATABASE']}"
    private = [
        made,
        Path(project.env("ledger")["MASTER_FILE"]),
        project.workspace.secrets,
        project.workspace.state,
    ]
    assert {oct(stat.S_IMODE(path.stat().st_mode)) for path in private} == {"0o600"}
    folders = [project.workspace.root, project.workspace.data("ledger"), project.workspace.run]
    assert {oct(stat.S_IMODE(path.stat().st_mode)) for path in folders} == {"0o700"}


def test_uses_names_the_provider(project: Project) -> None:
    project.flavour("ledger", "shop", "depot", viewer={"uses": {"shelves": "depot"}}).up()
    assert project.env("viewer")["ENDPOINT"] == f"http://127.0.0.1:{project.port('depot')}"
    before = project.pids()
    changed = project.flavour("ledger", "shop", "depot", viewer={"uses": {"shelves": "shop"}}).up()
    assert project.env("viewer")["ENDPOINT"] == f"http://127.0.0.1:{project.port('shop')}"
    assert changed.plan and changed.plan.changes[-1].reasons == ("shelves depot → shop",)
    # The shop grants the viewer a key, and is not restarted for it.
    after = project.pids()
    assert {name for name in after if after[name] != before[name]} == {"viewer"}


def test_one_entry_of_the_catalogue_under_two_names(project: Project) -> None:
    second = {"component": "depot", "greeting": "two"}
    project.flavour("depot", second=second, viewer={"uses": {"shelves": "second"}}).up()
    assert project.port("depot") != project.port("second")
    assert project.env("viewer")["ENDPOINT"] == f"http://127.0.0.1:{project.port('second')}"
    assert (project.env("depot")["GREETING"], project.env("second")["GREETING"]) == ("hello", "two")


class TestExternal:
    STORE = {"access_key": "me", "secret_key": {"env": "VILLAGE_SECRET"}}

    def test_a_service_of_ones_own_takes_a_components_place(
        self, project: Project, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("VILLAGE_SECRET", "s3cret-of-the-user")
        server = http.server.HTTPServer(("127.0.0.1", 0), _Refuser)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            endpoint = f"http://127.0.0.1:{server.server_port}"
            project.flavour("viewer", external={"s3": {"endpoint": endpoint, **self.STORE}})
            came = project.up()
            assert came.ends == {"viewer": Phase.READY, "external s3": Phase.READY}
            assert project.env("viewer")["SECRET_KEY"] == "s3cret-of-the-user"
            monkeypatch.setenv("VILLAGE_SECRET", "another")
            assert project.up().acts == {"viewer": "restart"}
            assert project.env("viewer")["SECRET_KEY"] == "another"
            assert "s3cret-of-the-user" not in project.workspace.state.read_text()
        finally:
            server.shutdown()
            server.server_close()

    def test_one_that_cannot_be_reached_takes_only_its_dependants(
        self, project: Project, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("VILLAGE_SECRET", "s3cret-of-the-user")
        store = {"endpoint": "http://127.0.0.1:9", **self.STORE}
        came = project.flavour("viewer", "ledger", external={"s3": store}).try_up()
        assert came.error and came.error.exit_code == 4
        assert came.ends == {
            "external s3": Phase.FAILED, "viewer": Phase.SKIPPED, "ledger": Phase.READY
        }  # fmt: skip
        failed = came.end("external s3")
        assert failed.message == ("external s3: nothing answers at http://127.0.0.1:9 (connection refused)")
        assert failed.hint and "external: s3:" in failed.hint
        assert came.end("viewer").message == "waits for external s3, which did not come up"
        assert project.ready() == {"ledger"}

    def test_a_value_that_is_not_there_is_a_sentence(self, project: Project) -> None:
        project.flavour("viewer", external={"s3": {"endpoint": "http://127.0.0.1:9", **self.STORE}})
        with pytest.raises(MillpondError) as caught:
            project.try_up()
        assert "environment variable VILLAGE_SECRET, which is not set" in caught.value.message
        assert caught.value.hint and "export VILLAGE_SECRET" in caught.value.hint


class _Refuser(http.server.BaseHTTPRequestHandler):
    """A store that lets nobody in without a signature is there all the same."""

    def do_GET(self) -> None:
        self.send_response(403)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        pass
