"""What a person sees in a browser: one sign-in, then every page of the platform."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, sync_playwright

from starter import Starter

pytestmark = pytest.mark.slow

QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture
def page() -> Iterator[Page]:
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    assert browser, "the browser tests need Chromium on PATH"
    with sync_playwright() as playwright:
        window = playwright.chromium.launch(executable_path=browser, args=QUIET)
        found = window.new_page(viewport={"width": 1200, "height": 800})
        yield found
        window.close()


def shoot(page: Page, name: str) -> None:
    """A picture to look at, where ``MILLPOND_SCREENSHOTS`` names a folder."""
    folder = os.environ.get("MILLPOND_SCREENSHOTS")
    if folder:
        page.screenshot(path=str(Path(folder) / f"{name}.png"))


def test_one_sign_in_opens_every_page(starter: Starter, page: Page) -> None:
    port = starter.gateway_port
    user, password = starter.credentials("gateway")
    page.goto(f"http://mlflow.localhost:{port}/")
    page.get_by_label("Name").fill(user)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"http://mlflow.localhost:{port}/**")
    page.get_by_role("link", name="Experiments").first.wait_for(timeout=60_000)
    page.goto(f"http://mlflow.localhost:{port}/#/experiments")
    page.get_by_role("link", name="Default").first.wait_for(timeout=60_000)
    shoot(page, "mlflow")
    page.goto(f"http://dask.localhost:{port}/status")
    # The dashboard draws over a WebSocket, which passes the sign-in as well.
    page.locator("canvas").first.wait_for(timeout=60_000)
    shoot(page, "dask")
    page.goto(f"http://localhost:{port}/")
    page.get_by_role("link", name="Experiments and models").wait_for()
    shoot(page, "landing")
