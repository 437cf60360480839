"""The parts of a deployment's report about its data: what drifted, and how good predictions were."""

from __future__ import annotations

from typing import Any

from millpond.markup import Html, code, join, section
from millpond.serving.monitor import plots
from millpond.serving.monitor.drift import GONE, LARGE, MODERATE, NEW, STABLE
from millpond.serving.monitor.markup import (
    badge,
    facts,
    figures,
    heading,
    matrix,
    number,
    paragraph,
    share,
    table,
)

Data = dict[str, Any]
_KINDS = {STABLE: "calm", MODERATE: "warn", NEW: "warn", LARGE: "alarm", GONE: "alarm"}
_DRAWN = 6
_MOST = 200


def drift(found: Data) -> Html:
    """Each column now and in the reference, what changed most first."""
    reference = found["reference"]
    if reference.get("error"):
        return section(
            "Drift", paragraph(f"The reference cannot be read: {reference['error']}.", kind="note")
        )
    if not reference["rows"]:
        return section(
            "Drift",
            paragraph(
                "Nothing can be compared yet: the log has no answered request of one revision. ",
                code(f"millpond deploy MODEL --name {found['deployment']} --log"),
                " logs requests and answers.",
            ),
        )
    if not found["requests"]:
        return section("Drift", paragraph(badge(found["verdict"]), " ", _waiting(reference)))
    of = f" of {reference['revision']}" if reference["revision"] else ""
    parts: list[Any] = [
        paragraph(
            badge(found["verdict"], _KINDS.get(found["verdict"], "")),
            f" {found['requests']:,} requests of {found['revision'] or 'all revisions'} "
            f"beside {reference['source']}{of}.",
        )
    ]
    if not reference["whole"]:
        parts.append(paragraph(_waiting(reference), kind="note"))
    drawn = [(column, side) for side in ("features", "outputs") for column in found[side] if column["bins"]]
    drawn.sort(key=lambda item: (item[0]["verdict"] == STABLE, -(item[0]["psi"] or 0.0)))
    parts.append(
        figures(
            (
                join(
                    [
                        Html("<b>"),
                        column["name"],
                        Html("</b> "),
                        "(answer) " if side == "outputs" else "",
                        badge(column["verdict"], _KINDS.get(column["verdict"], "")),
                    ]
                ),
                plots.bars(column["bins"]),
            )
            for column, side in drawn[:_DRAWN]
        )
    )
    for side, title in (("features", "Features"), ("outputs", "Answers")):
        if found[side]:
            rows = [_column(column) for column in found[side][:_MOST]]
            heads = ("Column", "Verdict", "PSI", "By chance", "Distance", "Missing", "Values", "New")
            left_out = f", the first {_MOST} of {len(found[side])}" if len(found[side]) > _MOST else ""
            caption = f"{title} now beside the reference, what changed most first{left_out}"
            parts.append(table(caption, heads, rows, texts=(1, 7)))
    parts.append(
        paragraph(
            "PSI, the population stability index, is by custom stable below 0.1 and a large shift from 0.25 "
            "on; a shift is called one only beyond what chance shows once in a thousand times. Distance is "
            "Kolmogorov-Smirnov's (ks) for numbers, total variation for classes. Fewer than 100 values are "
            "too few.",
            kind="soft small",
        )
    )
    return section("Drift", *parts)


def _waiting(reference: Data) -> str:
    if reference["whole"]:
        return f"No request has been answered since the reference, {reference['source']}, was complete."
    return (
        f"The reference has {reference['rows']:,} of {reference['needed']:,} rows and still grows; "
        "drift is told of what comes after it."
    )


def _column(column: Data) -> tuple[Any, ...]:
    distance, missing, values = column["distance"], column["missing"], column["values"]
    rates = [share(missing[side]) for side in ("reference", "now")]
    return (
        column["name"],
        badge(column["verdict"], _KINDS.get(column["verdict"], "")),
        number(column["psi"]),
        number(column["psi_chance"]),
        f"{number(distance['value'])} ({distance['metric']})" if distance else "-",
        rates[0] if rates[0] == rates[1] else " → ".join(rates),
        f"{values['reference']:,} → {values['now']:,}",
        ", ".join(f"{item['value'][:30]} ({item['count']})" for item in column["new"][:3]) or "-",
    )


def quality(found: Data) -> Html:
    """Each revision's quality, by the truths that came."""
    if not found["revisions"]:
        told = (
            f"{found['truths']:,} truths came, none for a prediction in the log. " if found["truths"] else ""
        )
        return section(
            "Quality",
            paragraph(
                told or "No truth has come yet. ",
                code(f"millpond feedback {found['deployment']} ID --truth JSON"),
                " tells what would have been right; ID is the answer's x-request-id.",
            ),
        )
    parts: list[Any] = [
        paragraph(f"{found['matched']:,} of {found['truths']:,} truths are of predictions in the log.")
    ]
    for revision, outputs in found["revisions"].items():
        for output, item in outputs.items():
            parts += [heading(f"{revision}: {output}"), *_measured(item, f"{output} of {revision}")]
    return section("Quality", *parts)


def _measured(item: Data, what: str) -> list[Any]:
    rows = ("Rows", f"{item['rows']:,}", None)
    if item["kind"] == "number":
        return [
            facts(
                [
                    ("R²", number(item["r2"]), None),
                    ("MAE", number(item["mae"]), "mean absolute error"),
                    ("RMSE", number(item["rmse"]), "root mean squared error"),
                    ("Mean error", number(item["mean_error"]), "predicted less true"),
                    rows,
                ]
            )
        ]
    low, high = item["accuracy_interval"]
    told = [
        ("Accuracy", share(item["accuracy"]), f"95 % interval {share(low)} to {share(high)}"),
        ("F1", number(item["f1"]), "mean over the classes"),
        rows,
    ]
    if "auc" in item:
        told.append(("AUC", number(item["auc"]), "area below the ROC curve"))
    parts: list[Any] = [facts(told)]
    if item["confusion"]:
        threshold = f", scores from {item['threshold']} on are 1" if "threshold" in item else ""
        parts.append(matrix(f"Confusion matrix of {what}{threshold}", item["classes"], item["confusion"]))
    if item.get("roc"):
        curve = plots.roc(item["roc"]["false_positive"], item["roc"]["true_positive"], item["auc"])
        parts.append(figures([(join([Html("<b>ROC curve</b> of "), what]), curve)]))
    return parts
