"""A cluster's API: get, list, watch, apply, create, delete, logs, on plain dicts.

Applies are server-side with the field manager `MANAGER`; see
https://kubernetes.io/docs/reference/using-api/server-side-apply/
"""

from __future__ import annotations

import builtins
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, cast

from millpond.targets.kubernetes.api.discovery import Discovery, Resource
from millpond.targets.kubernetes.api.errors import ApiError, named
from millpond.targets.kubernetes.api.transport import Transport
from millpond.targets.kubernetes.api.watching import Event, watch
from millpond.targets.kubernetes.bundle import MANAGER, Object

_CHUNK = "500"


class Cluster:
    """One cluster, as one context of a kubeconfig reaches it; for one command, on one event loop.

    Args:
        transport: the connections.
        namespace: where objects are that say no namespace.
    """

    def __init__(self, transport: Transport, namespace: str = "default") -> None:
        self._transport = transport
        self.namespace = namespace
        self.discovery = Discovery(self._fetch)

    @classmethod
    def connect(cls, context: str = "", namespace: str = "", kubeconfig: Path | None = None) -> Cluster:
        """The cluster of a context; nothing is sent yet.

        Args:
            context: the kubeconfig's context; its current one when empty.
            namespace: for objects that say none; the context's when empty.
            kubeconfig: the file; else `KUBECONFIG`, ``~/.kube/config``, or a pod's service account.

        Raises:
            MillpondError: the extra is not installed, or the kubeconfig has no such context.
        """
        transport, config = Transport.connect(context, kubeconfig)
        return cls(transport, namespace or config.namespace)

    @property
    def context(self) -> str:
        """The kubeconfig's context."""
        return self._transport.context

    @property
    def server(self) -> str:
        """The server's address."""
        return self._transport.server

    async def __aenter__(self) -> Cluster:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._transport.aclose()

    # --- kinds --------------------------------------------------------------------------------------------

    async def serves(self, api_version: str, kind: str) -> bool:
        """Whether the cluster serves a kind now."""
        return await self.discovery.find(api_version, kind, fresh=True) is not None

    async def resource(self, api_version: str, kind: str) -> Resource:
        """How a kind is served.

        Raises:
            ApiError: it is not.
        """
        return await self.discovery.require(api_version, kind)

    async def version(self) -> str:
        """The server's version, such as ``v1.34.1``."""
        return str((await self._fetch("/version", "application/json")).get("gitVersion", ""))

    # --- read ---------------------------------------------------------------------------------------------

    async def get(
        self, api_version: str, kind: str, name: str, namespace: str | None = None
    ) -> Object | None:
        """One object, or None when there is none of that name."""
        resource = await self.discovery.require(api_version, kind, named(kind, name))
        obj = named(kind, name)
        try:
            _, found = await self._transport.request(
                "GET", resource.path(namespace or self.namespace, name), verb="get", obj=obj
            )
        except ApiError as error:
            if error.code == 404:
                return None
            raise
        return found

    async def list(
        self,
        api_version: str,
        kind: str,
        *,
        namespace: str | None = None,
        labels: Mapping[str, str] | None = None,
        fields: Mapping[str, str] | None = None,
    ) -> builtins.list[Object]:
        """All objects of a kind.

        Args:
            namespace: in this one; ``*`` for all of them.
            labels: with these labels; an empty text means any value.
            fields: with these fields, such as ``involvedObject.name``.
        """
        resource = await self.discovery.require(api_version, kind)
        found, _ = await self._listing(resource, self._where(namespace), _selectors(labels, fields))
        return found

    def watch(
        self,
        api_version: str,
        kind: str,
        *,
        namespace: str | None = None,
        labels: Mapping[str, str] | None = None,
        fields: Mapping[str, str] | None = None,
    ) -> AsyncIterator[Event]:
        """All objects of a kind, then `SYNCED`, then each change; it goes on over whatever the server does.

        Raises:
            ApiError: the server refuses it, or stays away.
        """
        return self._watch(api_version, kind, namespace, _selectors(labels, fields))

    async def _watch(
        self, api_version: str, kind: str, namespace: str | None, params: dict[str, str]
    ) -> AsyncIterator[Event]:
        resource = await self.discovery.require(api_version, kind)
        where = self._where(namespace)

        async def listing() -> tuple[builtins.list[Object], str]:
            return await self._listing(resource, where, params)

        async for event in watch(self._transport, resource.path(where), params, listing, kind):
            if event.object:
                event.object.setdefault("apiVersion", api_version)
                event.object.setdefault("kind", kind)
            yield event

    async def _listing(
        self, resource: Resource, namespace: str | None, params: Mapping[str, str]
    ) -> tuple[builtins.list[Object], str]:
        query = {**params, "limit": _CHUNK}
        found: builtins.list[Object] = []
        path = resource.path(namespace)
        while True:
            try:
                _, answer = await self._transport.request(
                    "GET", path, verb="list", obj=resource.kind, params=query
                )
            except ApiError as error:
                if error.code == 410 and "continue" in query:
                    # The list took so long that its version has expired: from the beginning, in one piece.
                    query, found = dict(params), []
                    continue
                raise
            # A list's items do not say what they are.
            found += [
                {"apiVersion": resource.api_version, "kind": resource.kind, **item}
                for item in answer.get("items") or []
            ]
            meta = answer.get("metadata") or {}
            if not meta.get("continue"):
                return found, str(meta.get("resourceVersion", ""))
            query = {**query, "continue": meta["continue"]}

    async def logs(
        self,
        pod: str,
        container: str = "",
        *,
        namespace: str | None = None,
        lines: int | None = None,
        follow: bool = False,
        previous: bool = False,
    ) -> AsyncIterator[str]:
        """The lines of a container's log.

        Args:
            pod: the pod's name.
            container: its container; may be empty where there is one.
            namespace: the pod's.
            lines: only the last so many.
            follow: go on with what comes.
            previous: those of the container that ran before.

        Raises:
            ApiError: there is no such log.
        """
        params = {
            **({"container": container} if container else {}),
            **({"tailLines": str(lines)} if lines is not None else {}),
            **({"follow": "true"} if follow else {}),
            **({"previous": "true"} if previous else {}),
        }
        path = f"/api/v1/namespaces/{namespace or self.namespace}/pods/{pod}/log"
        silence = None if follow else 30.0
        async with self._transport.stream(
            path, params, verb="read the log of", obj=f"Pod {pod}", silence=silence
        ) as response:
            async for line in response.aiter_lines():
                yield line

    # --- change -------------------------------------------------------------------------------------------

    async def apply(
        self, obj: Object, *, dry_run: bool = False, force: bool = False, manager: str = MANAGER
    ) -> Object:
        """Apply an object by server-side apply, unknown fields refused.

        Args:
            obj: what the manager wants; fields that it had before and are not in it are removed.
            dry_run: only say what would come out.
            force: take fields over from other managers.
            manager: the field manager.

        Returns:
            The object as it is now, or would be.

        Raises:
            Conflict: others own fields that it would change, and `force` is not set.
            ApiError: the server refuses it.
        """
        told = named(obj["kind"], obj["metadata"]["name"])
        resource = await self.discovery.require(obj["apiVersion"], obj["kind"], told)
        _, found = await self._transport.request(
            "PATCH",
            self._path(resource, obj),
            verb="apply",
            obj=told,
            params={
                "fieldManager": manager,
                "fieldValidation": "Strict",
                **({"force": "true"} if force else {}),
                **({"dryRun": "All"} if dry_run else {}),
            },
            body=obj,
            headers={"Content-Type": "application/apply-patch+yaml"},
        )
        return found

    async def create(self, obj: Object, *, manager: str = MANAGER) -> Object:
        """Create an object.

        Raises:
            ApiError: it is there already (reason ``AlreadyExists``), or the server refuses it.
        """
        told = named(obj["kind"], obj["metadata"].get("name"))
        resource = await self.discovery.require(obj["apiVersion"], obj["kind"], told)
        where = obj["metadata"].get("namespace") or self.namespace
        _, found = await self._transport.request(
            "POST",
            resource.path(where),
            verb="create",
            obj=told,
            params={"fieldManager": manager, "fieldValidation": "Strict"},
            body=obj,
        )
        return found

    async def patch(
        self,
        obj: Object,
        patch: Mapping[str, Any],
        *,
        subresource: str = "",
        manager: str = MANAGER,
    ) -> Object:
        """Merge a patch into an object, or into a subresource such as ``scale``.

        Raises:
            ApiError: it is not there, or the server refuses it.
        """
        told = named(obj["kind"], obj["metadata"]["name"])
        resource = await self.discovery.require(obj["apiVersion"], obj["kind"], told)
        _, found = await self._transport.request(
            "PATCH",
            self._path(resource, obj, subresource),
            verb="change",
            obj=told,
            params={"fieldManager": manager},
            body=patch,
            headers={"Content-Type": "application/merge-patch+json"},
        )
        return found

    async def delete(self, obj: Object, *, propagation: str = "Foreground", uid: str | None = None) -> bool:
        """Delete an object.

        Args:
            obj: it needs apiVersion, kind and name.
            propagation: what becomes of what it owns: ``Foreground``, ``Background``, ``Orphan``.
            uid: only if it is still this one.

        Returns:
            False when it was not there, or is another one by now.
        """
        told = named(obj["kind"], obj["metadata"]["name"])
        resource = await self.discovery.require(obj["apiVersion"], obj["kind"], told)
        options: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": propagation,
        }
        if uid:
            options["preconditions"] = {"uid": uid}
        try:
            await self._transport.request(
                "DELETE", self._path(resource, obj), verb="delete", obj=told, body=options
            )
        except ApiError as error:
            if error.code == 404 or (error.code == 409 and uid):
                return False
            raise
        return True

    # --- paths --------------------------------------------------------------------------------------------

    def _path(self, resource: Resource, obj: Object, sub: str = "") -> str:
        meta = obj["metadata"]
        return resource.path(meta.get("namespace") or self.namespace, meta["name"], sub)

    def _where(self, namespace: str | None) -> str | None:
        return None if namespace == "*" else namespace or self.namespace

    async def _fetch(self, path: str, accept: str) -> Mapping[str, Any]:
        _, found = await self._transport.request(
            "GET", path, verb="read", obj=path, headers={"Accept": accept}
        )
        return cast(Mapping[str, Any], found)


def _selectors(labels: Mapping[str, str] | None, fields: Mapping[str, str] | None) -> dict[str, str]:
    found = {}
    if labels:
        found["labelSelector"] = ",".join(f"{key}={value}" if value else key for key, value in labels.items())
    if fields:
        found["fieldSelector"] = ",".join(f"{key}={value}" for key, value in fields.items())
    return found
