"""Waiting until objects are ready, and saying early why they will not be."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from millpond.model.errors import MillpondError
from millpond.targets.kubernetes.api import ApiError, Cluster
from millpond.targets.kubernetes.bundle import COMPONENT, Object
from millpond.targets.kubernetes.engine.board import Board
from millpond.targets.kubernetes.engine.diagnosis import Finding, diagnose
from millpond.targets.kubernetes.engine.gates import Gate, gate

TIMEOUT = 600.0
"""Seconds in which a workload that says nothing else has to become ready."""

UNSEEN = "the cluster does not show it"

_LINES = 20
_SECOND_CHANCE = 15.0
"""Seconds that a Deployment gets which is past its deadline."""

_LOOK = 1.0
"""Seconds between two looks for a cause."""


async def until_ready(
    cluster: Cluster,
    board: Board,
    unit: str,
    objects: Sequence[Object],
    tell: Callable[[str], None],
    timeout: float | None = None,
) -> None:
    """Wait until all objects are ready.

    Args:
        cluster: for logs and events.
        board: shows the objects.
        unit: whose they are.
        objects: as the API answered their apply, so that older states are known as such.
        tell: is told what is waited for, when that changes.
        timeout: seconds; by the objects' own deadlines when None.

    Raises:
        MillpondError: one of them does not become ready, with the cause.
    """
    begun = time.monotonic()
    bound = timeout if timeout is not None else max((_deadline(obj) for obj in objects), default=TIMEOUT)
    since: dict[str, float] = {}
    told, looked = "", begun
    while True:
        waits = [(obj, found) for obj in objects if not (found := _gate(board, obj)).ready]
        if not waits:
            return
        now = time.monotonic()
        obj, first = waits[0]
        message = f"{obj['kind']} {obj['metadata']['name']}: {first.message}"
        failed = next(
            (
                (obj, found)
                for obj, found in waits
                # An older attempt may have gone over its deadline, and its cause may be mended by now.
                if found.failed and (obj["kind"] != "Deployment" or now - begun >= _SECOND_CHANCE)
            ),
            None,
        )
        cause = None
        if now - looked >= _LOOK or failed or now - begun >= bound:
            looked = now
            cause = await find(board, unit, [obj for obj, _ in waits])
            if cause:
                message = cause.message
                first_seen = since.setdefault(cause.message.partition(": ")[0], now)
                if cause.patience is not None and now - first_seen >= cause.patience:
                    raise await explained(cluster, board.namespace, unit, cause, "")
        if message != told and (cause or first.message != UNSEEN):
            tell(message)
            told = message
        if failed or now - begun >= bound:
            obj, found = failed or waits[0]
            late = "" if failed else f" within {bound:.0f} s"
            text = f"{obj['kind']} {obj['metadata']['name']} is not ready{late}: {found.message}"
            raise await explained(cluster, board.namespace, unit, cause, text)
        await board.changed(min(_LOOK, max(0.05, begun + bound - now)))


async def find(board: Board, unit: str, owners: Sequence[Object]) -> Finding | None:
    """Why a unit's workloads are not ready, as far as the cluster tells."""
    jobs = {owner["metadata"]["name"] for owner in owners if owner["kind"] == "Job"}
    pods = [pod for pod in board.all("v1", "Pod") if _belongs(pod, unit)]
    # A workload's own pods are watched by its labels; a Job's by the label that the cluster gives them.
    for job in jobs:
        seen = {pod["metadata"]["name"] for pod in pods}
        pods += [pod for pod in await board.of_job(job) if pod["metadata"]["name"] not in seen]
    claims = [claim for claim in board.all("v1", "PersistentVolumeClaim") if _belongs(claim, unit)]
    return diagnose(owners, pods, await board.events(), claims)


async def explained(
    cluster: Cluster, namespace: str, unit: str, cause: Finding | None, fallback: str
) -> MillpondError:
    """The error of a unit that does not become ready, with the last lines of the log that says more."""
    if cause is None:
        return MillpondError(
            f"{unit}: {fallback}", hint=f"millpond logs {unit} and kubectl describe say more"
        )
    lines: list[str] = []
    if cause.log:
        pod, container, previous = cause.log
        for before in (True, False) if previous else (False,):
            try:
                lines = [
                    line
                    async for line in cluster.logs(
                        pod, container, namespace=namespace, lines=_LINES, previous=before
                    )
                ]
            except ApiError:
                # The container may be gone with its log; the cause is known without it.
                continue
            if lines:
                break
    return MillpondError(f"{unit}: {cause.message}", hint=cause.hint, details=lines)


def _belongs(obj: Object, unit: str) -> bool:
    labels = obj["metadata"].get("labels") or {}
    return unit in (labels.get(COMPONENT), labels.get("app.kubernetes.io/instance"))


def _gate(board: Board, obj: Object) -> Gate:
    live = board.look(obj)
    if live is None:
        return Gate(False, UNSEEN)
    meta, seen = obj["metadata"], live["metadata"]
    if meta.get("uid") and seen["uid"] != meta["uid"]:
        return Gate(False, "the one before is still ending")
    if seen.get("generation", 0) < meta.get("generation", 0):
        return Gate(False, "the cluster does not show the change yet")
    return gate(live)


def _deadline(obj: Object) -> float:
    spec = obj.get("spec") or {}
    found = spec.get("progressDeadlineSeconds") or spec.get("activeDeadlineSeconds")
    return float(found) + 10 if found else TIMEOUT
