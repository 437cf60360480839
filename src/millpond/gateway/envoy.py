"""Telling Envoy, and knowing that it heard: writes what it watches and asks its admin interface what it took.

New clusters come first, then the routes move, then the old clusters go, and each step waits until Envoy
serves it. When Envoy refuses a step, everything goes back to what was.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import re
import socket
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from millpond.gateway import pages, store, xds
from millpond.gateway.clusters import Json, clusters, stat_name, targets
from millpond.gateway.routes import LANDING_HOST, RouteTable
from millpond.gateway.virtualhosts import route_table
from millpond.model.errors import MillpondError

_STATS = {
    "cds": "cluster_manager.cds",
    "rds": f"http.{xds.STAT_PREFIX}.rds.{xds.ROUTE_TABLE}",
}
_COUNTERS = {
    "upstream_rq_total": "requests",
    "upstream_rq_active": "active",
    "upstream_rq_5xx": "errors",
    "upstream_cx_connect_fail": "connect_failures",
    "upstream_rq_pending_overflow": "overflow",
}
_LINE = re.compile(r"(?P<name>\S+): \"?(?P<value>[^\"\n]*)\"?")


class EnvoyRefusedError(MillpondError):
    """Envoy did not take the configuration; what it served before, it still serves."""


class EnvoyAwayError(MillpondError):
    """Envoy is not there to be asked; nothing was changed."""


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("envoy", timeout=2)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Publisher:
    """Keeps Envoy's files in step with a route table.

    Args:
        site: where the files and Envoy's admin socket are.
        patience: seconds in which Envoy has to be there, and to take a step.
    """

    def __init__(self, site: xds.Site, patience: float = 10.0) -> None:
        self._site = site
        self._patience = patience

    def prepare(self, folder: Path, table: RouteTable) -> Path:
        """Write all that Envoy starts with; returns the bootstrap file."""
        site = self._site
        if asyncio.run(self.ready()):  # whose own listener makes [::1] look taken
            site = replace(site, ipv6=self._listens_on_ipv6())
        self._write("lds", [xds.listener(site, pages.not_answering())])
        self.seed(table)
        path = folder / "envoy.json"
        store.write(path, xds.bootstrap(self._site))
        return path

    def seed(self, table: RouteTable) -> None:
        """Bring the files in step without asking Envoy, which may not be running yet."""
        self._write("cds", clusters(table))
        self._write("rds", [self._routes(table)])

    async def ready(self) -> bool:
        """Whether Envoy serves."""
        try:
            return await asyncio.to_thread(self._get, "/ready") == "LIVE\n"
        except (OSError, http.client.HTTPException):
            return False

    async def statistics(self, table: RouteTable) -> dict[str, dict[str, int]]:
        """What Envoy counted of each upstream and shadow of the table, by the name of `stat_name`.

        Raises:
            EnvoyAwayError: it does not answer.
        """
        wanted = f"^cluster\\..+\\.({'|'.join(_COUNTERS)})$"
        try:
            text = await asyncio.to_thread(self._get, f"/stats?filter={quote(wanted)}")
        except (OSError, http.client.HTTPException) as error:
            raise EnvoyAwayError(
                "Envoy is not running, so nothing is counted", hint="millpond status"
            ) from error
        counted = {match["name"]: match["value"] for match in _LINE.finditer(text)}
        found = {}
        for name in {stat_name(route, target) for route, target in targets(table)}:
            # Envoy takes the colon out of names of statistics.
            own = f"cluster.{name.replace(':', '_')}."
            found[name] = {ours: int(counted.get(own + theirs, 0)) for theirs, ours in _COUNTERS.items()}
        return found

    def _listens_on_ipv6(self) -> bool:
        found = store.read(self._path("lds")) or {}
        return any("additional_addresses" in item for item in found.get("resources", []))

    async def publish(self, before: RouteTable, after: RouteTable) -> None:
        """Move Envoy from one table to the other; returns when it serves the new one.

        Raises:
            EnvoyAwayError: it does not answer; the files are as they were.
            EnvoyRefusedError: it said no, and why; it serves the old table.
        """
        deadline = time.monotonic() + self._patience
        while not await self.ready():
            if time.monotonic() > deadline:
                raise EnvoyAwayError("Envoy is not running, so no route was changed", hint="millpond status")
            await asyncio.sleep(0.05)
        try:
            await self._step("cds", clusters(before, after))
            await self._step("rds", [self._routes(after)])
            await self._step("cds", clusters(after))
        except (MillpondError, OSError):
            self.go_back(before)
            raise

    def go_back(self, table: RouteTable) -> None:
        """Give Envoy the files of an earlier table, as far as the disk lets us."""
        with contextlib.suppress(OSError):
            self.seed(table)

    def _routes(self, table: RouteTable) -> Json:
        places = [
            pages.Place(next((route.title for route in paths.values() if route.title), host), url, True)
            for host, paths in table.hosts().items()
            for url in [self._site.origin(host)]
            if host != LANDING_HOST
        ]
        return route_table(self._site, table, pages.unknown_host(places))

    def _path(self, kind: str) -> Path:
        return Path(self._site.xds) / kind / f"{kind}.json"

    def _write(self, kind: str, resources: list[Json]) -> str | None:
        """Write a file if it says something new; its version, or None when it was so already."""
        path = self._path(kind)
        try:
            if json.loads(path.read_text(encoding="utf-8")).get("resources") == resources:
                return None
        except (OSError, ValueError, AttributeError):
            pass
        version = str(time.time_ns())
        store.write(path, xds.response(version, resources))
        return version

    async def _step(self, kind: str, resources: list[Json]) -> None:
        refused = (await self._state(kind))[1]
        version = self._write(kind, resources)
        if version is None:
            version = str(json.loads(self._path(kind).read_text(encoding="utf-8"))["version_info"])
        deadline = time.monotonic() + self._patience
        pause = 0.002
        while True:
            late = time.monotonic() > deadline
            try:
                serves, refusals = await self._state(kind)
            except EnvoyAwayError:
                # Busy with what it was given, or starting again, which reads the same files.
                if late:
                    raise
                serves, refusals = "", refused
            if serves == version:
                return
            if refusals > refused or late:
                reason = await self._reason(kind, resources)
                raise EnvoyRefusedError(
                    f"Envoy refused the new routes: {reason}", hint="what it served before, it still serves"
                )
            await asyncio.sleep(pause)
            pause = min(0.05, pause * 1.5)

    async def _state(self, kind: str) -> tuple[str, int]:
        """The version that Envoy serves, and how often it refused or failed."""
        stat = _STATS[kind]
        try:
            text = await asyncio.to_thread(
                self._get, f"/stats?filter=^{re.escape(stat)}\\.(version_text|update_)"
            )
        except (OSError, http.client.HTTPException) as error:
            raise EnvoyAwayError(
                "Envoy went away while routes were changed", hint="millpond status"
            ) from error
        found = {match["name"].removeprefix(stat + "."): match["value"] for match in _LINE.finditer(text)}
        bad = int(found.get("update_rejected", 0)) + int(found.get("update_failure", 0))
        return found.get("version_text", ""), bad

    def _get(self, path: str) -> str:
        connection = _Connection(self._site.admin_socket)
        try:
            connection.request("GET", path)
            return connection.getresponse().read().decode()
        finally:
            connection.close()

    async def _reason(self, kind: str, resources: list[Json]) -> str:
        """Why, in Envoy's words: its admin interface does not keep them, so another Envoy judges the same."""
        untyped: list[dict[str, Any]] = [
            {key: value for key, value in item.items() if key != "@type"} for item in resources
        ]
        if kind == "cds":
            static: Json = {"clusters": untyped}
        else:
            manager = xds.listener(self._site, "")
            http_manager = manager["filter_chains"][0]["filters"][0]["typed_config"]
            del http_manager["rds"]
            http_manager["route_config"] = {**untyped[0], "validate_clusters": False}
            boot = xds.bootstrap(self._site)
            del manager["@type"]
            static = {"listeners": [manager], "clusters": boot["static_resources"]["clusters"]}
        envoy = Path(sys.executable).with_name("envoy")
        if not envoy.exists():
            return "its log has the reason"
        trial = Path(self._site.xds).with_name("refused.json")
        store.write(trial, {"static_resources": static})
        process = await asyncio.create_subprocess_exec(
            *(str(envoy), "--mode", "validate", "-c", str(trial), "-l", "critical"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        out, _ = await process.communicate()
        trial.unlink()
        lines = [line.strip() for line in out.decode("utf-8", "replace").splitlines() if line.strip()]
        if not lines or not process.returncode:
            return "its log has the reason"
        return lines[-1].rpartition(f"{trial}': ")[2][:500]
