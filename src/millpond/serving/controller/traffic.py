"""Who gets which share of a deployment's requests, and the routes that say so. Pure: no I/O.

The candidate's share stands first, so that a client who stays with a revision by a hash keeps it while that
share grows.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from millpond.serving.controller.store import Record, Revision

HOST = "127.0.0.1"
SHARED_HOST = "serving"
REVISION_HEADER = "x-revision"
"""Names the revision that a request wants, whatever the weights say: for tests and for a look at a shadow."""

GRPC_PATH = "/inference.GRPCInferenceService"
COOKIE_SECONDS = 30 * 24 * 3600
LARGEST_BODY = 64 * 1024 * 1024
"""Bytes of a request, as the model servers take them."""

WAITING = 70.0
"""Seconds beside a model's own time in which a process may have to come first."""


@dataclass(frozen=True)
class Share:
    """A revision with the processes that answer, and its percentage of the requests."""

    revision: Revision
    percent: int
    ports: tuple[int, ...]
    grpc_ports: tuple[int, ...]


def shares(record: Record, ready: Collection[str]) -> list[Share]:
    """The live revisions with what each gets, as far as their processes are ready.

    A candidate that is not ready gets nothing, so that it harms nobody; nor does it take the place of an
    active one that is not ready.

    Args:
        record: the deployment.
        ready: the processes that answer, by their names at the supervisor.
    """
    found = []
    rest = 100
    for revision in record.live:
        up = [replica for replica in revision.replicas if revision.service(replica) in ready]
        percent = rest
        if revision.name == record.candidate:
            percent = record.percent if up else 0
            rest = 100 - percent
        ports = tuple(replica.port for replica in up)
        grpc = tuple(replica.grpc_port for replica in up if replica.grpc_port)
        found.append(Share(revision, percent, ports, grpc))
    return found


def routes(record: Record, found: list[Share], router: int | None) -> list[dict[str, Any]]:
    """The deployment's routes at the gateway.

    Args:
        record: the deployment.
        found: its shares.
        router: the port where requests wait for a process to come, for a share that has none; None when
            there is no such place.
    """
    name = record.name
    # Programs predict, not browsers: no sign-in page stands before a model.
    limits = {"max_body": LARGEST_BODY, "timeout": WAITING + _patience(record)}
    own: dict[str, Any] = {"host": name, "sign_in": False, **limits}
    models = [f"/v2/models/{name}", f"/v1/models/{name}"]
    models += [f"/v1/models/{name}:{verb}" for verb in ("predict", "explain", "feedback")]
    shared: dict[str, Any] = {"host": SHARED_HOST, "paths": models, "sign_in": False, **limits}
    lead = _weighted(record, found, router)
    if lead is None:
        return []
    wanted = [{**own, "title": f"Model {name}", **lead}, {**shared, **lead}]
    for when, share in _chosen(record, found):
        to = {"upstreams": [_upstream(share, share.ports)], "when": when}
        wanted += [{**own, **to}, {**shared, **to}]
    if router is not None:
        wanted += seldon_routes(name, record.namespace, router, **limits)
    grpc = [share for share in found if share.grpc_ports]
    if grpc:
        wanted.append({**own, "paths": [GRPC_PATH], **_grpc(record, grpc)})
    return wanted


def seldon_routes(name: str, namespace: str, router: int, **limits: float) -> list[dict[str, Any]]:
    """Where clients of Seldon find what has a name: the router speaks their protocol."""
    to: dict[str, Any] = {"upstreams": [{"addresses": [f"{HOST}:{router}"]}], "sign_in": False, **limits}
    shared = {"host": SHARED_HOST, "paths": [f"/seldon/{namespace}/{name}"], **to}
    return [{"host": name, "paths": ["/api"], **to}, shared]


def _patience(record: Record) -> float:
    """The longest that one of the live revisions may take for an answer, in seconds."""
    return max((float(revision.settings.get("timeout") or 60) for revision in record.live), default=60.0)


def _weighted(record: Record, found: list[Share], router: int | None) -> dict[str, Any] | None:
    upstreams = []
    for share in found:
        ports = share.ports or ((router,) if router is not None and share.percent else ())
        if ports and (share.percent or len(found) == 1):
            upstreams.append(_upstream(share, ports, share.percent))
    if not upstreams:
        return None
    lead: dict[str, Any] = {"upstreams": upstreams}
    intentions = record.intentions
    candidate = next((share for share in found if share.revision.name == record.candidate), None)
    if intentions.mirror and candidate is not None and candidate.ports:
        lead["mirrors"] = [{**_upstream(candidate, candidate.ports), "percent": intentions.mirror}]
    if intentions.sticky is not None and len(upstreams) > 1:
        # Another experiment, or another canary, meets other people first.
        what = intentions.experiment or str(record.candidate)
        by: dict[str, Any] = {"cookie": f"millpond-{record.name}-{what}"[:100], "seconds": COOKIE_SECONDS}
        if intentions.sticky.header is not None:
            by |= {"header": intentions.sticky.header, "salt": what}
        lead["sticky"] = by
    return lead


def _chosen(record: Record, found: list[Share]) -> list[tuple[dict[str, Any], Share]]:
    """Requests that name their revision, or the canary's header."""
    pinned: list[tuple[dict[str, Any], Share]] = [
        ({"header": REVISION_HEADER, "value": share.revision.name}, share)
        for share in found
        if share.ports and len(found) > 1
    ]
    header = record.intentions.header
    if header is not None:
        pinned += [
            ({"header": header[0], "value": header[1]}, share)
            for share in found
            if share.ports and share.revision.name == record.candidate
        ]
    return pinned


def _grpc(record: Record, found: list[Share]) -> dict[str, Any]:
    upstreams = [
        {**_upstream(share, share.grpc_ports, share.percent), "protocol": "h2c"}
        for share in found
        if share.percent or len(found) == 1
    ]
    lead: dict[str, Any] = {"upstreams": upstreams}
    candidate = [share for share in found if share.revision.name == record.candidate]
    if record.intentions.mirror and candidate:
        mirror = {**_upstream(candidate[0], candidate[0].grpc_ports), "protocol": "h2c"}
        lead["mirrors"] = [{**mirror, "percent": record.intentions.mirror}]
    return lead


def _upstream(share: Share, ports: tuple[int, ...], percent: int | None = None) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": share.revision.name,
        "addresses": [f"{HOST}:{port}" for port in ports],
    }
    return found if percent is None else {**found, "weight": percent}
