"""Deployments as tables: who serves what, with which share of the requests, and what is wrong."""

from __future__ import annotations

import time
from typing import Any

from millpond.cli.serving import shares
from millpond.cli.style import columns, faint, hint, note, out, paint, plural, seconds_text, strong
from millpond.serving.annotations import Intentions, Rollout
from millpond.serving.client import condition, failure_of

Data = dict[str, Any]
HEADS = ("NAME", "READY", "REVISION", "TRAFFIC", "MODEL", "REPLICAS", "URL")


def state(found: Data) -> str:
    """One word: ready, asleep, loading, starting, failed or unhealthy."""
    status = found.get("status") or {}
    conditions = {item["type"]: item for item in status.get("conditions", ())}
    if not shares(found):
        return "failed" if failure_of(found) else "loading"
    ready = condition(found, "Ready")
    if ready == "True":
        asleep = conditions.get("PredictorReady", {}).get("reason") == "ScaledToZero"
        return "asleep" if asleep else "ready"
    return "unhealthy" if ready == "False" else "starting"


def share_text(found: Data, item: Data) -> str:
    """The share of the requests that a revision has, or that it gets copies."""
    mirrored = revision_of(found, item["revisionName"]).get("mirrored")
    return f"copies of {mirrored} %" if mirrored else f"{item['percent']} %"


def revision_of(found: Data, name: str) -> Data:
    """What is known of a revision."""
    kept: list[Data] = (found.get("status") or {}).get("revisions", [])
    return next((item for item in kept if item["name"] == name), {})


def model_text(revision: Data) -> str:
    """Where a revision's model came from, with its version where the place does not say it."""
    uri, version = str(revision.get("storageUri", "")), revision.get("modelVersion")
    return f"{uri} (version {version})" if version and not uri.endswith(f"/{version}") else uri


def replicas_text(revision: Data) -> str:
    """How many processes a revision has, and how many of them answer where that is not all."""
    every = revision.get("replicas", [])
    up = sum(item["state"] == "ready" for item in every)
    return str(len(every)) if up == len(every) else f"{up} of {len(every)}"


def table(every: list[Data]) -> None:
    """All deployments, a row for each revision that serves."""
    rows = []
    for found in every:
        word, url = state(found), (found.get("status") or {}).get("url", "")
        name = found["metadata"]["name"]
        live = shares(found)
        if not live:
            uri = found["spec"]["predictor"]["model"]["storageUri"]
            rows.append((name, word, "", "", uri, "", url))
        for index, item in enumerate(live):
            revision = revision_of(found, item["revisionName"])
            row = (
                item["revisionName"],
                share_text(found, item),
                model_text(revision),
                replicas_text(revision),
            )
            rows.append((name, word, *row, url) if index == 0 else ("", "", *row, ""))
    for line in columns(rows, heads=HEADS, paints={0: strong, 1: lambda cell: paint(cell, cell.strip())}):
        out(line)
    failed = [found for found in every if failure_of(found)]
    if failed:
        name = failed[0]["metadata"]["name"]
        hint(f"the newest revision of {name} failed; `millpond deployments {name}` says why")


def details(found: Data) -> None:
    """One deployment: its state, conditions and kept revisions."""
    status = found.get("status") or {}
    facts = [
        ("deployment", found["metadata"]["name"]),
        ("state", state(found)),
        ("url", status.get("url", "")),
        ("asked for", found["spec"]["predictor"]["model"]["storageUri"]),
        ("failure", failure_of(found) or ""),
        ("noted", _noted(found)),
        *_intended(found),
    ]
    for line in columns([fact for fact in facts if fact[1]], paints={0: strong}):
        out(line)
    out()
    rows = [
        (item["type"], item["status"], item.get("reason", ""), item.get("message", ""))
        for item in status.get("conditions", ())
    ]
    for line in columns(rows, heads=("CONDITION", "STATUS", "REASON", "MESSAGE")):
        out(line)
    out()
    revisions(found)
    if failure_of(found):
        hint(f"`millpond logs {found['metadata']['name']}` shows more")


def revisions(found: Data) -> None:
    """The kept revisions, the newest first."""
    live = {item["revisionName"]: item for item in shares(found)}
    rows = []
    for item in reversed((found.get("status") or {}).get("revisions", [])):
        name = item["name"]
        share = share_text(found, live[name]) if name in live else "kept"
        replicas = replicas_text(item) if name in live else ""
        rows.append(
            (name, share, model_text(item), item.get("format", ""), replicas, item.get("created", ""))
        )
    heads = ("REVISION", "TRAFFIC", "MODEL", "FORMAT", "REPLICAS", "CREATED")
    for line in columns(rows, heads=heads, paints={5: faint}):
        out(line)


def traffic(found: Data) -> None:
    """Who gets what, one line for each revision."""
    if not shares(found):
        note(f"nothing of {found['metadata']['name']} serves yet")
    rows = [
        (item["revisionName"], share_text(found, item), model_text(revision_of(found, item["revisionName"])))
        for item in shares(found)
    ]
    for line in columns(rows, heads=("REVISION", "TRAFFIC", "MODEL")):
        out(line)


def served(found: Data) -> None:
    """The end of a change: which revision serves, beside which, and where."""
    name = found["metadata"]["name"]
    live = shares(found)
    for item in live:
        revision = revision_of(found, item["revisionName"])
        mirrored = revision.get("mirrored")
        if mirrored:
            note(
                f"{item['revisionName']} gets copies of {mirrored} % of the requests: {model_text(revision)}"
            )
        elif len(live) == 1:
            note(f"{item['revisionName']} serves {model_text(revision)}")
        else:
            share = f"{item['percent']} % of the requests"
            note(f"{item['revisionName']} has {share}: {model_text(revision)}")
    url = (found.get("status") or {}).get("url")
    if url:
        out(url)
    if len(live) > 1:
        _next(found, name)


def _next(found: Data, name: str) -> None:
    asked = Intentions.of(found["metadata"].get("annotations", {}))
    if asked.mirror:
        hint(f"`millpond compare {name}` holds its answers against the others'")
    elif asked.rollout is not None:
        hint(f"`millpond rollout status {name} --watch` shows how far it is")
    elif asked.experiment is not None:
        hint(f"`millpond feedback {name} ID --reward 1` tells what came of a prediction")
    else:
        hint(f"`millpond promote {name}` gives it all, `millpond rollback {name}` takes it back")


def rollout(found: Data) -> None:
    """How far an automatic rollout is."""
    name = found["metadata"]["name"]
    progress = (found.get("status") or {}).get("rollout")
    plan = rollout_plan(found)
    if progress is None:
        note(f"{name} has no automatic rollout" if plan is None else f"the rollout of {name} has not begun")
        if plan is None:
            hint(f"`millpond deploy MODEL --name {name} --rollout` begins one")
        return
    now = time.time()
    facts = [
        ("revision", progress["revision"]),
        ("phase", progress["phase"]),
        ("traffic", f"{progress['percent']} %"),
        ("steps", _steps(plan.steps, progress) if plan is not None else ""),
        ("judged", f"every {seconds_text(plan.interval)}, by {plan.requests} answers" if plan else ""),
        ("in this step", seconds_text(max(now - progress["since"], 0)) if plan is not None else ""),
        ("began", time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(progress["began"]))),
        ("bad in a row", str(progress["failures"]) if progress["failures"] else ""),
        ("because", progress["reason"]),
    ]
    for line in columns([fact for fact in facts if fact[1]], paints={0: strong}):
        out(line)


def rollout_plan(found: Data) -> Rollout | None:
    """The automatic rollout that a deployment asks for, if it does."""
    return Intentions.of(found["metadata"].get("annotations", {})).rollout


def rollout_line(found: Data) -> str:
    """How far an automatic rollout is, in one line."""
    progress = (found.get("status") or {}).get("rollout") or {}
    reason = f": {progress['reason']}" if progress.get("reason") else ""
    return f"{progress.get('revision')} at {progress.get('percent')} %, {progress.get('phase')}{reason}"


def _steps(steps: tuple[int, ...], progress: Data) -> str:
    said = [f"[{step}]" if number == progress["step"] else str(step) for number, step in enumerate(steps)]
    return " → ".join(said) + " %"


def _noted(found: Data) -> str:
    logger = found["spec"]["predictor"].get("logger")
    if logger is None:
        return "predictions while two revisions are compared" if len(shares(found)) > 1 else ""
    what = {"all": "requests and answers", "request": "requests", "response": "answers"}
    return what[logger.get("mode", "all")] + (f", sent to {logger['url']}" if logger.get("url") else "")


def _intended(found: Data) -> list[tuple[str, str]]:
    asked = Intentions.of(found["metadata"].get("annotations", {}))
    least, most = (found["spec"]["predictor"].get(key) for key in ("minReplicas", "maxReplicas"))
    bounds = (
        "" if least is None and most is None else f"{1 if least is None else least} to {most or least or 1}"
    )
    sticky = "" if asked.sticky is None else asked.sticky.header or "cookie"
    header = "" if asked.header is None else "=".join(part for part in asked.header if part is not None)
    return [
        ("replicas", bounds),
        ("sticky by", sticky),
        ("canary by", header),
        ("experiment", asked.experiment or ""),
        ("pinned to", asked.revision or ""),
        ("rollout", rollout_line(found) if asked.rollout and (found["status"].get("rollout")) else ""),
    ]


def graphs(every: list[Data]) -> None:
    """All graphs."""
    rows = []
    for found in every:
        status = found.get("status") or {}
        ready: Data = next((item for item in status.get("conditions", ()) if item["type"] == "Ready"), {})
        word = {"True": "ready", "Unknown": "starting"}.get(ready.get("status", ""), "failed")
        nodes = found["spec"]["nodes"]
        rows.append(
            (
                found["metadata"]["name"],
                word,
                nodes["root"]["routerType"],
                plural(len(nodes), "node"),
                status.get("url", ""),
                ready.get("message", ""),
            )
        )
    heads = ("NAME", "READY", "ROOT", "NODES", "URL", "MESSAGE")
    for line in columns(rows, heads=heads, paints={0: strong, 1: lambda cell: paint(cell, cell.strip())}):
        out(line)
