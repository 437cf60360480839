"""The report of a deployment as it is sent: what stands in it, and that nothing of it is run."""

from __future__ import annotations

import random
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable

import pytest
from millpond_monitor import Monitor, Revision, fill_everything, until

pytestmark = pytest.mark.slow
Make = Callable[..., Revision]


def test_a_report_has_all_that_is_known(shared_monitor: Monitor) -> None:
    fill_everything(shared_monitor, "everything")
    found = shared_monitor.ask("/deployments/everything/report")
    text = found.body.decode()
    assert (found.status, found.headers["content-type"]) == (200, "text/html; charset=utf-8")
    for said in (
        ">everything-2<",
        "Comparison with a shadow",
        "mixture sequential probability ratio test",
        "large shift",
        "Confusion matrix",
        "ROC curve",
        "everything-1",
    ):
        assert said in text
    assert "Source: Johari" in text


def test_names_from_requests_are_text(shared_monitor: Monitor, revision: Make) -> None:
    log = revision(shared_monitor.folder, "hostile", "hostile-1")
    past = time.time() - 100
    evil = "<script>alert(1)</script>"
    for number in range(1300):
        log.predict(
            {evil: "<em>&\"'" if number % 2 else "x"}, evil, datatype="BYTES", arrival=past + number / 100
        )
    identity = log.predict({evil: "x"}, evil, datatype="BYTES")
    log.feedback(identity, truth="<i>truth</i>")
    log.close()
    shared_monitor.wait_for("hostile", 1301)
    found = shared_monitor.ask("/deployments/hostile/report", since="<u>")
    assert found.status == 400
    text = shared_monitor.ask("/deployments/hostile/report").body.decode()
    assert "&lt;script&gt;alert(1)" in text and "&lt;i&gt;truth" in text
    for raw in ("<script", "<em>", "<i>truth", "style=", " onload", '<link rel="stylesheet'):
        assert raw not in text
    policy = shared_monitor.ask("/deployments/hostile/report").headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'sha256-")


def test_no_column_is_gone_before_anything_is_compared(shared_monitor: Monitor, revision: Make) -> None:
    log = revision(shared_monitor.folder, "young", "young-1")
    for number in range(12):
        log.predict({"x": 1.0}, number / 2)
    log.close()
    shared_monitor.wait_for("young", 12)
    text = shared_monitor.ask("/deployments/young/report").body.decode()
    assert "The reference has 12 of 1,000 rows and still grows" in text
    assert "not seen any more" not in text
    assert shared_monitor.get("young", "drift")["verdict"] == "too few values"


def test_an_empty_report_says_what_to_do(shared_monitor: Monitor, revision: Make) -> None:
    revision(shared_monitor.folder, "empty", "empty-1", mode="off").close()
    until(lambda: shared_monitor.ask("/deployments/empty/window").status == 200, "no deployment")
    text = shared_monitor.ask("/deployments/empty/report").body.decode()
    for command in (
        "millpond deploy MODEL --name empty --log",
        "millpond deploy MODEL --name empty --shadow",
        "millpond deploy MODEL --name empty --ab",
        "millpond feedback empty ID --truth JSON",
        "millpond predict empty",
    ):
        assert command in text
    index = shared_monitor.ask("/").body.decode()
    assert '<a href="/deployments/empty/report">empty</a>' in index


def test_the_plot_of_a_comparison_is_a_file_of_its_own(shared_monitor: Monitor, revision: Make) -> None:
    primary = revision(shared_monitor.folder, "plotted", "plotted-1")
    shadow = revision(shared_monitor.folder, "plotted", "plotted-2")
    classes = random.Random(3)
    for number in range(60):
        said = classes.choice(["<early>", "late"])
        identity = primary.predict({"x": 1.0}, said, datatype="BYTES", ms=2.0 + number / 10)
        shadow.predict({"x": 1.0}, "late", identity=identity, shadow=True, datatype="BYTES", ms=6.0)
    primary.close()
    shadow.close()
    shared_monitor.wait_for("plotted", 120)
    found = shared_monitor.ask("/deployments/plotted/compare.svg")
    assert (found.status, found.headers["content-type"]) == (200, "image/svg+xml")
    tree = ElementTree.fromstring(found.body)
    labels = [item.get("aria-label") or "" for item in tree if item.tag.endswith("}svg")]
    assert labels[0].startswith("Counts of primary plotted-1 and shadow plotted-2: ")
    assert "<early> and late" in labels[0]
    assert labels[1].startswith("Latencies in milliseconds: primary ")
    assert shared_monitor.ask("/deployments/nobody/compare.svg").status == 404


def test_pages_ask_for_the_token(shared_monitor: Monitor) -> None:
    for path in ("/", "/deployments/any/report", "/deployments/any/compare.svg"):
        assert shared_monitor.ask(path, token="").status == 401
