"""The sign-in as a person meets it, in a real browser that resolves *.localhost by itself."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from millpond_gateway import PASSWORD, USER, Gateway, Upstream
from playwright.sync_api import Browser, Page, expect, sync_playwright

pytestmark = pytest.mark.slow
ARGUMENTS = [
    *("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert path, "these tests need a Chromium on the PATH"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(params=["light", "dark"])
def page(request: pytest.FixtureRequest, chromium: Browser) -> Iterator[Page]:
    context = chromium.new_context(color_scheme=request.param, viewport={"width": 1100, "height": 760})
    found = context.new_page()
    found.set_default_timeout(10_000)
    yield found
    context.close()


@pytest.fixture
def served(gateway: Gateway, upstream: Upstream) -> Gateway:
    parts = {"upstreams": [{"address": upstream.address}]}
    gateway.client.put_routes(
        "all",
        [
            {"host": "mlflow", "title": "MLflow: experiments and models", **parts},
            {"host": "dask", "title": "Dask: the cluster's dashboard", **parts},
            {"host": "storage", "title": "SeaweedFS: the object store", **parts},
            {"host": "flights", "sign_in": False, **parts},
        ],
    )
    return gateway


def shot(page: Page, name: str) -> None:
    """Keep a picture where MILLPOND_SCREENSHOTS says, for the documentation and for looking at."""
    folder = os.environ.get("MILLPOND_SCREENSHOTS")
    if folder:
        scheme = "dark" if page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches") else "light"
        page.screenshot(path=Path(folder) / f"{name}-{scheme}.png")


def test_signing_in_once_opens_the_platform_and_out_closes_it(served: Gateway, page: Page) -> None:
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: problems.append(str(error)))

    page.goto(served.origin("mlflow") + "/experiments?page=2")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert page.url.startswith(served.origin("gateway") + "/sign-in?next=")
    expect(page.get_by_label("User name")).to_be_focused()
    shot(page, "sign-in")

    page.get_by_label("User name").fill(USER)
    page.get_by_label("Password").fill("wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_have_text("The user name or the password is wrong.")
    expect(page.get_by_label("User name")).to_have_value(USER)
    expect(page.get_by_label("Password")).to_be_focused()
    shot(page, "sign-in-wrong")
    # The browser reports the status of a wrong password on its console; nothing else may be there.
    assert [text for text in problems if "403" not in text] == []
    problems.clear()

    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(served.origin("mlflow") + "/experiments?page=2")
    expect(page.locator("body")).to_contain_text('"x-millpond-user": "miller"')

    page.goto(served.origin("localhost") + "/")
    expect(page.get_by_role("heading", name="What is running")).to_be_visible()
    shot(page, "landing")
    page.get_by_role("link", name="Dask").click()
    page.wait_for_url(served.origin("dask") + "/")
    expect(page.locator("body")).to_contain_text('"upstream": "first"')
    assert page.evaluate("document.cookie") == ""

    page.goto(served.origin("localhost") + "/")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="You are signed out")).to_be_visible()
    shot(page, "signed-out")
    page.goto(served.origin("dask") + "/")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert problems == []


def test_a_page_of_another_host_cannot_use_the_session(served: Gateway, page: Page) -> None:
    page.goto(served.origin("mlflow") + "/")
    page.get_by_label("User name").fill(USER)
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(served.origin("mlflow") + "/")
    page.goto(served.origin("dask") + "/")
    expect(page.locator("body")).to_contain_text('"upstream": "first"')
    page.goto(served.origin("flights") + "/")  # an open host: whatever a model's author writes runs here
    answer = page.evaluate(
        """url => fetch(url, {credentials: 'include', method: 'POST', mode: 'no-cors'}).then(r => r.type)""",
        served.origin("dask") + "/",
    )
    assert answer == "opaque"
    opened = page.evaluate(
        """url => new Promise(done => {
            const socket = new WebSocket(url);
            socket.onopen = () => done('open');
            socket.onerror = () => done('refused');
        })""",
        served.origin("dask").replace("http", "ws") + "/",
    )
    assert opened == "refused"


def test_an_unknown_name_and_a_dead_upstream_have_a_page(served: Gateway, page: Page) -> None:
    page.goto(served.origin("mlfow") + "/")
    expect(page.get_by_role("heading", name="Nothing has this name")).to_be_visible()
    expect(page.get_by_role("link", name="MLflow")).to_be_visible()
    shot(page, "unknown")
    served.client.put_routes(
        "gone", [{"host": "gone", "upstreams": [{"address": "127.0.0.1:9"}], "sign_in": False}]
    )
    page.goto(served.origin("gone") + "/")
    expect(page.get_by_role("heading", name="This part is not answering")).to_be_visible()
    shot(page, "not-answering")


def test_it_fits_a_small_screen(served: Gateway, page: Page) -> None:
    page.set_viewport_size({"width": 340, "height": 640})
    page.goto(served.origin("dask") + "/")
    assert page.evaluate("document.documentElement.scrollWidth") <= 340
    shot(page, "sign-in-small")
