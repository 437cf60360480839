"""The parts of a deployment's report, each from one answer of `questions`; where nothing is, what to do."""

from __future__ import annotations

import math
from typing import Any

from millpond.markup import Html, code, html, join, section
from millpond.serving.monitor import plots
from millpond.serving.monitor.markup import badge, facts, figures, moment, number, paragraph, share, table

Data = dict[str, Any]
_GAPS = {
    "crash": "a model server died, up to its last second may be missing",
    "queue": "a model server was too busy to note all predictions",
    "disk": "the lake was away for so long that events had to be given up",
    "unreadable": "a part of the log cannot be read",
}


def head(found: Data, query: dict[str, str]) -> Html:
    """The deployment, the time that the page is about, and how far the log is to be trusted."""
    name, log = found["deployment"], found["log"]
    every = found["revisions"].values()
    first = min((item["first"] for item in every if item["first"] is not None), default=None)
    last = max((item["last"] for item in every if item["last"] is not None), default=None)
    title = Html(
        '<header><nav><a href="/">All deployments</a></nav>'
        f"<h1>{html(name)}</h1>{paragraph(_period(first, last, query), kind='soft')}</header>"
    )
    remarks = [
        f"{_GAPS.get(reason, reason)} ({count} times)" for reason, count in found["gap_reasons"].items()
    ]
    if not log["complete"]:
        remarks.append("older predictions were left out, there are too many for one question")
    whole = not remarks and not log["dropped"] and log["sample"] >= 1 and log["mode"] == "all"
    modes = {"all": "requests and answers", "request": "requests only", "response": "answers only"}
    parts: list[Any] = [
        paragraph(badge("complete", "calm") if whole else badge("incomplete", "warn")),
        facts(
            [
                ("Logged", modes.get(log["mode"], "nothing now"), None),
                ("Sample", share(log["sample"]), "of the predictions"),
                ("Gaps", f"{log['gaps']:,}", None),
                ("Not noted", f"{log['dropped']:,}", "predictions, as far as is known"),
                ("Log is behind by", f"{log['lag_seconds']:.1f} s", None),
            ]
        ),
        *(paragraph(text, kind="note") for text in remarks),
    ]
    if log["mode"] == "off":
        parts.append(
            paragraph(
                "Predictions are not logged now. ",
                code(f"millpond deploy MODEL --name {name} --log"),
                " logs them.",
            )
        )
    return join([title, section("Log", *parts)])


def _period(first: float | None, last: float | None, query: dict[str, str]) -> str:
    if first is None or last is None:
        return "No predictions in the log" + (f" since {query['since']}" if query.get("since") else " yet")
    return f"Predictions from {moment(first)} to {moment(last)}"


def traffic(found: Data) -> Html:
    """Requests, errors, latency and answers of each revision."""
    rows = []
    for revision, item in found["revisions"].items():
        role = found["roles"].get(revision)
        outputs = "; ".join(f"{name} {_described(part)}" for name, part in list(item["outputs"].items())[:3])
        rows.append(
            (
                join([revision, Html(f'<br><span class="badge">{html(role)}</span>')]) if role else revision,
                f"{item['requests']:,}",
                f"{item['shadow']:,}",
                _of(item["errors"], item["requests"]),
                f"{item['refused']:,}",
                *(number(item[f"{name}_ms"]) for name in ("p50", "p90", "p99")),
                outputs or "-",
            )
        )
    heads = ("Revision", "Requests", "Copies", "Errors", "Refused", "p50 ms", "p90 ms", "p99 ms", "Answers")
    if not rows:
        return section(
            "Traffic and latency",
            paragraph(
                "No request has come yet. ", code(f"millpond predict {found['deployment']}"), " sends one."
            ),
        )
    return section(
        "Traffic and latency",
        table("Requests and latency of each revision", heads, rows, texts=(8,)),
        paragraph(
            "Copies are requests that a shadow got beside the client's answer. Errors are the server's "
            "(5xx), refused are the client's mistakes (4xx). Latency is that of answered requests.",
            kind="soft small",
        ),
    )


def no_comparison(name: str) -> Html:
    """What to do for a comparison."""
    return section(
        "Comparison with a shadow",
        paragraph(
            "No revision gets copies of the requests. ",
            code(f"millpond deploy MODEL --name {name} --shadow"),
            " puts one beside the revision that answers.",
        ),
    )


def comparison(found: Data, drawn: list[plots.Plot]) -> Html:
    """A shadow beside its primary."""
    title = "Comparison with a shadow"
    who = paragraph(
        "The shadow ", code(found["shadow"]), " beside ", code(found["primary"]), ", request by request."
    )
    unanswered = found["unanswered"]
    trouble = [
        ("Shadow's errors", f"{found['shadow_errors']:,}", "where the primary answered"),
        ("Primary's errors", f"{found['primary_errors']:,}", None),
        (
            "Unanswered",
            "not known" if unanswered is None else f"{unanswered:,}",
            "the shadow gets a part of the requests"
            if unanswered is None
            else f"by the shadow after {found['grace_seconds']:g} s; {found['waiting']:,} wait",
        ),
    ]
    if not found["pairs"]:
        return section(
            title,
            who,
            paragraph("No request has been answered by both yet: send some, and load this page again."),
            facts(trouble),
        )
    quantiles = found["difference"]
    ratio, times = found["latency_ratio"], found["latency_ms"]
    rows = [
        (side.capitalize(), *(number(times[side][name]) for name in ("p50", "p99")))
        for side in ("primary", "shadow")
    ]
    captions = (
        Html("<b>Answers</b> of the two to the same requests; on the diagonal they are equal"),
        Html("<b>Latency</b> of the two"),
    )
    parts: list[Any] = [
        who,
        facts(
            [
                (
                    "Agreement",
                    share(found["agreement"]),
                    f"within {found['tolerance']:g}, of {found['compared']:,}",
                ),
                ("Pairs", f"{found['pairs']:,}", "requests that both got"),
                (
                    "Latency ratio",
                    f"{number(ratio['p50'])} to 1",
                    f"at the median, {number(ratio['p99'])} to 1 at p99",
                ),
                *trouble,
            ]
        ),
        figures(zip(captions[-len(drawn) :], drawn, strict=True) if drawn else []),
    ]
    if any(value is not None for value in quantiles.values()):
        names = [_quantile(name) for name in quantiles]
        parts.append(
            table(
                "Absolute difference of the answers",
                ("Quantile", *names),
                [("Difference", *(number(value) for value in quantiles.values()))],
            )
        )
    parts.append(table("Latency in milliseconds", ("Side", "p50", "p99"), rows))
    if found["changes"]:
        changed = [(item["primary"], item["shadow"], f"{item['count']:,}") for item in found["changes"]]
        parts.append(
            table("What the shadow says instead", ("Primary", "Shadow", "Values"), changed, texts=(1,))
        )
    if found["examples"]:
        examples = [
            (
                code(item["id"]),
                _values(item["features"]),
                _values(item["primary"]),
                _values(item["shadow"]),
                number(item["difference"]),
            )
            for item in found["examples"]
        ]
        heads = ("Request", "Features", "Primary", "Shadow", "Difference")
        parts.append(table("Answers that are furthest apart", heads, examples, texts=(1, 2, 3)))
    return section(title, *parts)


def experiment(name: str, found: Data | None) -> Html:
    """The arms of an experiment, and what the stopping rule says of them."""
    if found is None:
        return section(
            "Experiment",
            paragraph(
                "No experiment runs. ",
                code(f"millpond deploy MODEL --name {name} --ab"),
                " gives half of the clients another model.",
            ),
        )
    binary = found["reward"] == "binary"

    def amount(value: float | None) -> str:
        return share(value) if binary else number(value)

    def span(value: Any) -> str:
        return f"{amount(value[0])} to {amount(value[1])}" if value else "-"

    rows = [
        (
            arm["revision"],
            f"{arm['predictions']:,}",
            f"{arm['feedback']:,}",
            amount(arm["mean"]),
            span(arm["interval"]),
        )
        for arm in found["arms"]
    ]
    parts: list[Any] = [
        paragraph("Experiment ", code(str(found["name"])), f" since {moment(found['since'])}.")
    ]
    for item in found["comparisons"]:
        verdict = badge(item["verdict"], "calm" if item["stop"] else "")
        advice = "enough is known to stop" if item["stop"] else "not certain yet"
        parts.append(paragraph(verdict, f" {item['arm']} against {item['against']}: {advice}."))
    heads = ("Arm", "Predictions", "Outcomes", "Mean", "95 % interval")
    parts.append(table("Outcomes of each arm", heads, rows))
    shown = [
        (arm["revision"], arm["mean"], tuple(arm["interval"]))
        for arm in found["arms"]
        if arm["mean"] is not None and arm["interval"] and all(map(math.isfinite, arm["interval"]))
    ]
    if shown:
        parts.append(
            figures(
                [
                    (
                        Html("<b>Mean outcome</b> of each arm with its 95 % interval"),
                        plots.intervals(shown, binary),
                    )
                ]
            )
        )
    else:
        parts.append(
            paragraph(
                "No outcome has come yet. ", code(f"millpond feedback {name} ID --reward 1"), " tells one."
            )
        )
    compared = [
        (
            f"{item['arm']} less {item['against']}",
            amount(item["difference"]),
            span(item["interval"]),
            span(item["always_valid_interval"]),
            number(item["p_value"]),
            item["verdict"],
        )
        for item in found["comparisons"]
    ]
    if compared:
        names = ("Difference", "Estimate", "95 % interval", "Always valid", "p-value", "Verdict")
        parts.append(table("Differences between arms", names, compared, texts=(5,)))
    rule = found["rule"]
    parts.append(
        paragraph(
            f"The verdict is by a {rule['name']}, with {share(rule['alpha'])} as the chance of any wrong "
            f"alarm however often one looks; it says nothing before each arm has {rule['start']} outcomes. "
            f"Source: {rule['source']}. The 95 % intervals hold for one look at a time chosen before.",
            kind="soft small",
        )
    )
    if found["unattributed"]:
        parts.append(
            paragraph(
                f"{found['unattributed']:,} outcomes are of predictions that are not in the log.", kind="note"
            )
        )
    return section("Experiment", *parts)


def _described(part: Data) -> str:
    if "mean" in part:
        return f"{number(part['mean'])} ± {number(part['std'])}"
    classes = list(part.get("classes", {}).items())[:3]
    return ", ".join(f"{name} {share(count / max(1, part['rows']))}" for name, count in classes) or "-"


def _values(found: dict[str, list[Any]]) -> str:
    def one(value: Any) -> str:
        said = f"{value:.6g}" if isinstance(value, float) else str(value)
        return said if len(said) <= 40 else said[:39] + "…"

    shown = [
        f"{name} {', '.join(map(one, values))}" if len(found) > 1 else ", ".join(map(one, values))
        for name, values in list(found.items())[:4]
    ]
    return "; ".join(shown) + (" …" if len(found) > 4 else "") or "-"


def _quantile(name: str) -> str:
    return {"0.5": "median", "1": "most"}.get(name) or f"p{100 * float(name):g}"


def _of(part: int, whole: int) -> str:
    return f"{part:,} ({share(part / whole)})" if part and whole else f"{part:,}"
