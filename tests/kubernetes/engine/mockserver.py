"""A mock of an API server over HTTP: server-side apply with managed fields, watches, faults on demand.

It is a mock, not a server: it knows a few kinds, compares no schemas and runs nothing. A pretended controller
makes workloads ready at once, unless it is told not to.
"""

from __future__ import annotations

import asyncio
import copy
import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

Object = dict[str, Any]

KINDS = {
    "v1": {
        "Namespace": ("namespaces", False),
        "ConfigMap": ("configmaps", True),
        "Secret": ("secrets", True),
        "Service": ("services", True),
        "ServiceAccount": ("serviceaccounts", True),
        "PersistentVolumeClaim": ("persistentvolumeclaims", True),
        "Pod": ("pods", True),
        "Event": ("events", True),
    },
    "apps/v1": {
        "Deployment": ("deployments", True),
        "StatefulSet": ("statefulsets", True),
        "DaemonSet": ("daemonsets", True),
        "ControllerRevision": ("controllerrevisions", True),
    },
    "batch/v1": {"Job": ("jobs", True), "CronJob": ("cronjobs", True)},
    "networking.k8s.io/v1": {"NetworkPolicy": ("networkpolicies", True), "Ingress": ("ingresses", True)},
    "policy/v1": {"PodDisruptionBudget": ("poddisruptionbudgets", True)},
}
_SEP = "\x1f"
"""Between the parts of a path, as labels have dots and slashes."""

_PATH = re.compile(
    r"/(?:api|apis)/(?P<version>v1|[^/]+/[^/]+?)(?:/namespaces/(?P<namespace>[^/]+))?"
    r"/(?P<plural>[a-z]+)(?:/(?P<name>[^/]+))?(?:/(?P<sub>[a-z]+))?$"
)


class RefusalError(Exception):
    """An answer that is none of success."""

    def __init__(self, code: int, reason: str, message: str, causes: list[Object] | None = None) -> None:
        self.code = code
        self.body = {
            "kind": "Status",
            "status": "Failure",
            "code": code,
            "reason": reason,
            "message": message,
            **({"details": {"causes": causes}} if causes else {}),
        }


class MockServer:
    """The mock; `faults` are asked before each request and may answer in its place.

    Attributes:
        ready: whether a workload of that name becomes ready.
    """

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str, str], Object] = {}
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.faults: list[Callable[[str, str, dict[str, str]], tuple[int, dict[str, str], Any] | None]] = []
        self.ready: Callable[[str], bool] = lambda _: True
        self.logs: dict[str, str] = {}
        self.immutable: set[str] = {"Job"}
        self.version = 100
        self.oldest = 0
        self.history: list[tuple[int, str, str, Object]] = []
        self.port = 0
        self._server: asyncio.Server | None = None
        self._changed = asyncio.Event()
        self._writers: set[asyncio.StreamWriter] = set()

    # --- life ---------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Listen on the loopback address, on the port that it had before."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Be gone at once, connections too."""
        if self._server:
            self._server.close()
            self.cut()
            await self._server.wait_closed()
            self._server = None

    def cut(self) -> None:
        """Close every connection."""
        for writer in list(self._writers):
            writer.transport.abort()

    def expire(self) -> None:
        """Forget the history, so that old watches get 410 Gone."""
        self.oldest = self.version + 1
        self.version += 1
        self.history.clear()
        self._tell()

    # --- state --------------------------------------------------------------------------------------------

    def get(self, plural: str, name: str, namespace: str = "mill") -> Object | None:
        """An object."""
        return self.objects.get((plural, "" if plural == "namespaces" else namespace, name))

    def edit(
        self, plural: str, name: str, change: Callable[[Object], None], manager: str, field: str
    ) -> None:
        """Somebody else's update, which takes the field over."""
        obj = self.objects[plural, "mill", name]
        change(obj)
        field = field.replace(".", _SEP)
        owned = obj["metadata"].setdefault("managedFields", [])
        for entry in owned:
            entry["fields"] = [path for path in entry["fields"] if path != field]
        owned.append({"manager": manager, "operation": "Update", "fields": [field]})
        self.store(plural, "mill", obj, "MODIFIED")

    def store(self, plural: str, namespace: str, obj: Object, event: str) -> None:
        """Write an object, and tell the watches."""
        self.version += 1
        obj["metadata"]["resourceVersion"] = str(self.version)
        key = (plural, namespace, obj["metadata"]["name"])
        if event == "DELETED":
            self.objects.pop(key, None)
        else:
            self.objects[key] = obj
        self.history.append((self.version, plural, event, copy.deepcopy(obj)))
        self._tell()

    def _tell(self) -> None:
        told, self._changed = self._changed, asyncio.Event()
        told.set()

    def settle(self, plural: str, namespace: str, obj: Object) -> None:
        """What controllers would do."""
        if plural in ("deployments", "statefulsets") and self.ready(obj["metadata"]["name"]):
            wanted = obj["spec"].get("replicas", 1)
            counts = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
            obj["status"] = {
                "observedGeneration": obj["metadata"]["generation"],
                **dict.fromkeys(counts, wanted),
            }
            self.store(plural, namespace, obj, "MODIFIED")
        if plural == "jobs":
            kind = "Complete" if self.ready(obj["metadata"]["name"]) else "Failed"
            obj["status"] = {
                "conditions": [{"type": kind, "status": "True", "reason": "BackoffLimitExceeded"}]
            }
            self.store(plural, namespace, obj, "MODIFIED")

    # --- HTTP ---------------------------------------------------------------------------------------------

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while line := await reader.readline():
                method, target, _ = line.decode().split()
                headers = {}
                while (header := (await reader.readline()).decode().strip()) != "":
                    name, _, value = header.partition(":")
                    headers[name.lower()] = value.strip()
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                parts = urlsplit(target)
                params = dict(parse_qsl(parts.query, keep_blank_values=True))
                await self._answer(method, parts.path, params, json.loads(body or b"null"), writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _answer(
        self, method: str, path: str, params: dict[str, str], body: Any, writer: asyncio.StreamWriter
    ) -> None:
        self.requests.append((method, path, params))
        for fault in list(self.faults):
            answer = fault(method, path, params)
            if answer is not None:
                return await self._send(writer, *answer)
        if params.get("watch"):
            return await self._watch(path, params, writer)
        try:
            code, found = self._handle(method, path, params, body)
        except RefusalError as refusal:
            code, found = refusal.code, refusal.body
        return await self._send(writer, code, {}, found)

    async def _send(
        self, writer: asyncio.StreamWriter, code: int, headers: dict[str, str], body: Any
    ) -> None:
        content = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        lines = [f"HTTP/1.1 {code} x", f"Content-Length: {len(content)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        writer.write("\r\n".join([*lines, "", ""]).encode() + content)
        await writer.drain()

    async def _watch(self, path: str, params: dict[str, str], writer: asyncio.StreamWriter) -> None:
        match = _PATH.match(path)
        assert match
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        seen = int(params["resourceVersion"])

        def send(kind: str, obj: Object) -> None:
            line = json.dumps({"type": kind, "object": obj}).encode() + b"\n"
            writer.write(f"{len(line):x}\r\n".encode() + line + b"\r\n")

        send("BOOKMARK", {"metadata": {"resourceVersion": str(seen)}})
        while not writer.transport.is_closing():
            changed = self._changed
            if seen < self.oldest:
                send("ERROR", {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"})
                writer.write(b"0\r\n\r\n")
                return
            for version, plural, kind, obj in list(self.history):
                inside = match["namespace"] in (None, obj["metadata"].get("namespace"))
                if version > seen and plural == match["plural"] and inside and _selected(obj, params):
                    send(kind, obj)
                seen = max(seen, version)
            await writer.drain()
            await changed.wait()

    # --- verbs --------------------------------------------------------------------------------------------

    def _handle(self, method: str, path: str, params: dict[str, str], body: Any) -> tuple[int, Any]:
        if path == "/version":
            return 200, {"gitVersion": "v1.36.0"}
        if path in ("/api", "/apis"):
            return 200, _discovery(path)
        for version, kinds in KINDS.items():
            if path in (f"/apis/{version}", f"/api/{version}"):
                return 200, {
                    "resources": [
                        {"kind": kind, "name": plural, "namespaced": inside, "verbs": ["list"]}
                        for kind, (plural, inside) in kinds.items()
                    ]
                }
        match = _PATH.match(path)
        if not match:
            raise RefusalError(404, "NotFound", "the server could not find the requested resource")
        plural, name = match["plural"], match["name"]
        namespace = match["namespace"] or ""
        if match["sub"] == "log":
            return 200, self.logs.get(name, "")
        if method == "GET" and name is None:
            return 200, self._list(plural, match["namespace"], params)
        key = (plural, namespace, name)
        live = self.objects.get(key) if name else None
        if method in ("PATCH", "POST") and namespace and ("namespaces", "", namespace) not in self.objects:
            raise RefusalError(404, "NotFound", f'namespaces "{namespace}" not found')
        if method == "POST":
            return self._create(plural, namespace, body, params)
        if method == "PATCH" and "fieldValidation" in params:
            return self._apply(plural, namespace, body, live, params)
        if live is None:
            raise RefusalError(404, "NotFound", f'{plural} "{name}" not found')
        if method == "GET":
            return 200, live
        if method == "PATCH":
            _merge(live, body)
            self.store(plural, namespace, live, "MODIFIED")
            return 200, live
        wanted = ((body or {}).get("preconditions") or {}).get("uid")
        if wanted and wanted != live["metadata"]["uid"]:
            raise RefusalError(409, "Conflict", "the UID in the precondition does not match")
        if plural == "namespaces":
            for other in [other for other in self.objects if other[1] == name]:
                self.store(other[0], other[1], self.objects[other], "DELETED")
        self.store(plural, namespace, live, "DELETED")
        return 200, {"kind": "Status", "status": "Success"}

    def _list(self, plural: str, namespace: str | None, params: dict[str, str]) -> Object:
        found = [
            obj
            for (kind, place, _), obj in sorted(self.objects.items())
            if kind == plural and namespace in (None, place) and _selected(obj, params)
        ]
        begin, size = int(params.get("continue") or 0), min(int(params.get("limit") or 500), 3)
        more = {"continue": str(begin + size)} if len(found) > begin + size else {}
        return {
            "items": found[begin : begin + size],
            "metadata": {"resourceVersion": str(self.version), **more},
        }

    def _create(
        self, plural: str, namespace: str, body: Object, params: dict[str, str]
    ) -> tuple[int, Object]:
        if (plural, namespace, body["metadata"]["name"]) in self.objects:
            raise RefusalError(409, "AlreadyExists", "it already exists")
        obj = self._new(body, namespace, params["fieldManager"])
        self.store(plural, namespace, obj, "ADDED")
        return 201, obj

    def _new(self, body: Object, namespace: str, manager: str) -> Object:
        obj = copy.deepcopy(body)
        meta = obj["metadata"]
        meta.update(uid=f"uid-{self.version}-{meta['name']}", creationTimestamp="2026-11-24T00:00:00Z")
        meta["generation"] = 1
        if namespace:
            meta["namespace"] = namespace
        meta["managedFields"] = [{"manager": manager, "operation": "Apply", "fields": sorted(_paths(body))}]
        return obj

    def _apply(
        self, plural: str, namespace: str, body: Object, live: Object | None, params: dict[str, str]
    ) -> tuple[int, Object]:
        manager, dry = params["fieldManager"], "dryRun" in params
        if "nonsense" in body:
            raise RefusalError(
                500, "", "failed to create typed patch object (x): .nonsense: field not declared in schema"
            )
        if live is None:
            obj = self._new(body, namespace, manager)
            if not dry:
                self.store(plural, namespace, obj, "ADDED")
                self.settle(plural, namespace, obj)
            return 201, obj
        wished = _paths(body)
        obj = copy.deepcopy(live)
        owners = obj["metadata"].setdefault("managedFields", [])
        conflicts = [
            {
                "reason": "FieldManagerConflict",
                "field": "." + path.replace(_SEP, "."),
                "message": f'conflict with "{entry["manager"]}" using {body["apiVersion"]}',
            }
            for entry in owners
            if entry["manager"] != manager
            for path in entry["fields"]
            if path in wished and _at(obj, path) != wished[path]
        ]
        if conflicts and "force" not in params:
            raise RefusalError(409, "Conflict", "Apply failed with conflicts", conflicts)
        mine = next((entry for entry in owners if entry["manager"] == manager), None)
        others = {path for entry in owners if entry is not mine for path in entry["fields"]}
        for path in mine["fields"] if mine else []:
            if path not in wished and path not in others:
                _drop(obj, path)
        for path, value in wished.items():
            _put(obj, path, value)
        for entry in owners:
            if entry is not mine and conflicts:
                taken = {conflict["field"] for conflict in conflicts}
                entry["fields"] = [
                    path for path in entry["fields"] if "." + path.replace(_SEP, ".") not in taken
                ]
        if mine is None:
            owners.append({"manager": manager, "operation": "Apply", "fields": sorted(wished)})
        else:
            mine["fields"] = sorted(wished)
        if obj.get("spec") != live.get("spec"):
            if obj["kind"] in self.immutable:
                causes = [{"field": "spec.template", "message": "Invalid value: x: field is immutable"}]
                raise RefusalError(422, "Invalid", "it is invalid: field is immutable", causes)
            obj["metadata"]["generation"] += 1
        if not dry and obj != live:
            self.store(plural, namespace, obj, "MODIFIED")
            self.settle(plural, namespace, obj)
        return 200, obj


def _discovery(path: str) -> Object:
    groups: dict[str, list[Object]] = {}
    for api_version, kinds in KINDS.items():
        group, _, version = api_version.rpartition("/")
        if bool(group) == (path == "/apis"):
            resources = [
                {
                    "resource": plural,
                    "responseKind": {"kind": kind},
                    "scope": "Namespaced" if inside else "Cluster",
                    "verbs": ["list"],
                }
                for kind, (plural, inside) in kinds.items()
            ]
            groups.setdefault(group, []).append({"version": version, "resources": resources})
    items = [{"metadata": {"name": name}, "versions": versions} for name, versions in groups.items()]
    return {"kind": "APIGroupDiscoveryList", "items": items}


def _selected(obj: Object, params: dict[str, str]) -> bool:
    labels = obj["metadata"].get("labels") or {}
    for term in filter(None, params.get("labelSelector", "").split(",")):
        name, sign, value = term.partition("=")
        if (sign and labels.get(name) != value) or name not in labels:
            return False
    return True


def _paths(body: Object) -> dict[str, Any]:
    """The leaves that an apply owns; lists are atomic here."""
    found: dict[str, Any] = {}

    def walk(path: str, value: Any) -> None:
        if isinstance(value, dict) and value:
            for name, inner in value.items():
                walk(f"{path}{_SEP}{name}" if path else name, inner)
        elif path not in ("apiVersion", "kind", f"metadata{_SEP}name", f"metadata{_SEP}namespace"):
            found[path] = value

    walk("", body)
    return found


def _at(obj: Any, path: str) -> Any:
    for part in path.split(_SEP):
        obj = obj.get(part) if isinstance(obj, dict) else None
    return obj


def _put(obj: Any, path: str, value: Any) -> None:
    *parents, last = path.split(_SEP)
    for part in parents:
        obj = obj.setdefault(part, {})
    obj[last] = copy.deepcopy(value)


def _drop(obj: Any, path: str) -> None:
    *parents, last = path.split(_SEP)
    for part in parents:
        obj = obj.get(part) or {}
    obj.pop(last, None)


def _merge(obj: Object, patch: Object) -> None:
    for name, value in patch.items():
        if isinstance(value, dict):
            _merge(obj.setdefault(name, {}), value)
        elif name != "resourceVersion":
            obj[name] = value
