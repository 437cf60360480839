"""The report as a person sees it, in a real browser: light, dark, and on a small screen."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from millpond_monitor import TOKEN, Monitor, fill_everything
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


@pytest.fixture(params=["light", "dark", "narrow"])
def page(request: pytest.FixtureRequest, chromium: Browser) -> Iterator[Page]:
    """A browser that sends the token, as the gateway does for a person who signed in."""
    narrow = request.param == "narrow"
    context = chromium.new_context(
        color_scheme="light" if narrow else request.param,
        viewport={"width": 400 if narrow else 1100, "height": 760},
        extra_http_headers={"authorization": f"Bearer {TOKEN}"},
    )
    found = context.new_page()
    found.set_default_timeout(10_000)
    yield found
    context.close()


@pytest.fixture(scope="module")
def served(shared_monitor: Monitor) -> Monitor:
    fill_everything(shared_monitor, "seen")
    return shared_monitor


def shot(page: Page, name: str, request: pytest.FixtureRequest) -> None:
    """Keep a picture where MILLPOND_SCREENSHOTS says, for the documentation and for looking at."""
    folder = os.environ.get("MILLPOND_SCREENSHOTS")
    if folder:
        look = request.node.callspec.params["page"]
        page.screenshot(path=Path(folder) / f"{name}-{look}.png", full_page=True)


def test_a_person_goes_from_the_index_to_a_report(
    served: Monitor, page: Page, request: pytest.FixtureRequest
) -> None:
    problems: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("request", lambda sent: asked.append(sent.url))
    origin = f"http://127.0.0.1:{served.port}"
    page.goto(origin + "/")
    expect(page.get_by_role("heading", name="What models predicted")).to_be_visible()
    shot(page, "index", request)
    page.get_by_role("link", name="seen", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("seen")
    titles = ("Log", "Traffic and latency", "Comparison with a shadow", "Experiment", "Drift", "Quality")
    for title in titles:
        expect(page.get_by_role("region", name=title, exact=True)).to_be_visible()
    expect(page.get_by_role("table", name="Outcomes of each arm")).to_be_visible()
    assert page.get_by_role("img").count() >= 6
    shot(page, "report", request)
    assert problems == []
    assert [url for url in asked if not url.startswith((origin, "data:"))] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= page.evaluate("innerWidth")
    assert page.evaluate("getComputedStyle(document.querySelector('section')).borderTopStyle") == "solid"

    page.goto(origin + "/deployments/seen/compare.svg")
    assert page.evaluate("document.documentElement.tagName") == "svg"
    assert problems == []


def test_a_deployment_that_is_not_there_has_a_page(served: Monitor, page: Page) -> None:
    page.goto(f"http://127.0.0.1:{served.port}/deployments/nobody/report")
    expect(page.get_by_text("no predictions of nobody are logged")).to_be_visible()
    expect(page.get_by_role("link", name="All deployments")).to_be_visible()
