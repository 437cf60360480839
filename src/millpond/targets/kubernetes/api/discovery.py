"""Which kinds a cluster serves, and under which paths.

Two requests bring everything where the server aggregates its discovery; a kind that is not among it, such as
one whose CustomResourceDefinition has just been made, is looked up by its group and version. See
https://kubernetes.io/docs/concepts/overview/kubernetes-api/#aggregated-discovery
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from millpond.targets.kubernetes.api.errors import ApiError, unserved

AGGREGATED = ",".join(
    [
        "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
        "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList",
        "application/json",
    ]
)

Fetch = Callable[[str, str], Awaitable[Mapping[str, Any]]]
"""Gets a path with an Accept header."""


@dataclass(frozen=True)
class Resource:
    """A kind as the API serves it.

    Args:
        api_version: ``GROUP/VERSION``, or ``v1``.
        kind: the kind.
        plural: its word in paths.
        namespaced: whether its objects live in namespaces.
        verbs: what may be done to it, such as ``list``.
    """

    api_version: str
    kind: str
    plural: str
    namespaced: bool
    verbs: frozenset[str]

    def path(self, namespace: str | None = None, name: str | None = None, sub: str = "") -> str:
        """The path of all its objects, or of one, or of a subresource."""
        root = f"/apis/{self.api_version}" if "/" in self.api_version else f"/api/{self.api_version}"
        inside = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        return "/".join([f"{root}{inside}/{self.plural}", *(part for part in (name, sub) if part)])


class Discovery:
    """The kinds of one cluster, remembered."""

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch
        self._known: dict[tuple[str, str], Resource] = {}
        self._all = False
        self._lock = asyncio.Lock()

    async def find(self, api_version: str, kind: str, *, fresh: bool = False) -> Resource | None:
        """A kind, or None when the cluster does not serve it.

        Args:
            fresh: ask the server even when it is known, as a CustomResourceDefinition may have gone.
        """
        key = (api_version, kind)
        async with self._lock:
            if not self._all and not fresh:
                await self._learn_all()
            if fresh or key not in self._known:
                self._known.pop(key, None)
                await self._learn(api_version)
            return self._known.get(key)

    async def require(self, api_version: str, kind: str, obj: str = "") -> Resource:
        """A kind.

        Raises:
            ApiError: the cluster does not serve it.
        """
        found = await self.find(api_version, kind)
        if found is None:
            group = api_version.rpartition("/")[0]
            others = [
                version
                for version, other in self._known
                if other == kind and version.rpartition("/")[0] == group
            ]
            raise unserved(api_version, kind, sorted(others), obj)
        return found

    async def _learn_all(self) -> None:
        answers = await asyncio.gather(*(self._fetch(root, AGGREGATED) for root in ("/api", "/apis")))
        for answer in answers:
            if answer.get("kind") == "APIGroupDiscoveryList":
                for resource in _aggregated(answer):
                    self._known[resource.api_version, resource.kind] = resource
        self._all = True

    async def _learn(self, api_version: str) -> None:
        root = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
        try:
            answer = await self._fetch(root, "application/json")
        except ApiError as error:
            if error.code == 404:
                return
            raise
        for found in answer.get("resources") or []:
            if "/" not in found["name"]:
                self._known[api_version, found["kind"]] = Resource(
                    api_version,
                    found["kind"],
                    found["name"],
                    bool(found.get("namespaced")),
                    frozenset(found.get("verbs") or ()),
                )


def _aggregated(answer: Mapping[str, Any]) -> Iterator[Resource]:
    for group in answer.get("items") or []:
        name = (group.get("metadata") or {}).get("name") or ""
        for version in group.get("versions") or []:
            api_version = f"{name}/{version['version']}" if name else version["version"]
            for found in version.get("resources") or []:
                kind = (found.get("responseKind") or {}).get("kind")
                if kind:
                    yield Resource(
                        api_version,
                        kind,
                        found["resource"],
                        found.get("scope") == "Namespaced",
                        frozenset(found.get("verbs") or ()),
                    )
