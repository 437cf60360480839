"""The monitor's pages: an index, a deployment's report, and the plot of a comparison as a file."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from starlette.responses import Response

from millpond.markup import Html, code, html, join, policy, section
from millpond.model.errors import MillpondError
from millpond.serving.monitor import findings, sections
from millpond.serving.monitor.columns import label
from millpond.serving.monitor.markup import STYLE, page, paragraph, table
from millpond.serving.monitor.plots import PLOT_STYLE, Plot, heat, latencies, scatter, sheet
from millpond.serving.monitor.questions import BadQuestion, Query, Questions


def index(questions: Questions, name: str, query: Query) -> Response:
    """Every deployment that has a log, with a link to its report."""
    items = questions.deployments()["items"]
    rows = [
        (
            Html(f'<a href="/deployments/{quote(item["name"], safe="")}/report">{html(item["name"])}</a>'),
            item["namespace"],
            ", ".join(item["revisions"]) or "-",
            f"{item['predictions']:,}",
            f"{item['feedback']:,}",
            item["mode"],
        )
        for item in items
    ]
    heads = ("Deployment", "Namespace", "Revisions", "Predictions", "Feedback", "Log")
    found = (
        table("Deployments with a log of predictions", heads, rows, texts=(1, 2, 5))
        if rows
        else paragraph(
            "No predictions are logged yet. ", code("millpond deploy MODEL --name NAME --log"), " logs them."
        )
    )
    head = Html("<header><h1>What models predicted</h1></header>")
    return _shown("What models predicted", join([head, section("Deployments", found)]))


def report(questions: Questions, name: str, query: Query) -> Response:
    """All that is known of a deployment.

    Raises:
        MillpondError: there is no such log, a parameter cannot be read, or the lake refuses.
    """
    overview = questions.overview(name, query)
    parts = [sections.head(overview, query), sections.traffic(overview)]
    try:
        compared = questions.compare(name, query)
        parts.append(sections.comparison(compared, comparison_plots(questions.points(name, query))))
    except BadQuestion:
        parts.append(sections.no_comparison(name))
    arms = questions.experiment(name, query) if overview["experiment"] else None
    parts += [
        sections.experiment(name, arms),
        findings.drift(questions.drift(name, query)),
        findings.quality(questions.quality(name, query)),
    ]
    return _shown(f"Report of {name}", join(parts))


def picture(questions: Questions, name: str, query: Query) -> Response:
    """The plot of a comparison.

    Raises:
        MillpondError: as for `report`, or there is no shadow.
    """
    found = questions.points(name, query)
    plots = comparison_plots(found)
    title = f"{name}: {found['primary']} and its shadow {found['shadow']}"
    if not plots:
        title += " have answered no request in common yet"
    return Response(sheet(title, plots), media_type="image/svg+xml", headers=policy(PLOT_STYLE))


def refusal(error: MillpondError, status: int) -> Response:
    """An error, for a person in a browser."""
    content = join(
        [
            Html("<header><h1>This cannot be shown</h1></header>"),
            paragraph(error.message, "; " if error.hint else "", error.hint or ""),
            Html('<p><a href="/">All deployments</a></p>'),
        ]
    )
    return _shown("Not shown", content, status)


def comparison_plots(found: dict[str, Any]) -> list[Plot]:
    """Answers beside answers, and both latencies; none without a pair."""
    if not found["primary_ms"]:
        return []
    plots = []
    names = (f"primary {found['primary']}", f"shadow {found['shadow']}")
    if found["values"] and found["kind"] == "number":
        plots.append(scatter([(float(a), float(b)) for a, b in found["values"]], *names))
    elif found["values"]:
        plots.append(heat([(label(a), label(b)) for a, b in found["values"]], *names))
    return [*plots, latencies(found["primary_ms"], found["shadow_ms"], ("primary", "shadow"))]


def _shown(title: str, content: str, status: int = 200) -> Response:
    return Response(page(title, content), status, media_type="text/html", headers=policy(STYLE))
