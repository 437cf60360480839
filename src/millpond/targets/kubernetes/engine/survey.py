"""A look at the cluster: what is there, what an apply would change, and what is nobody's any more.

Every object goes through a real dry run, so that the server's own checks, defaults and policies have their
say before anything is changed. What it would change is told in words; a field that somebody else has set
since is drift and told with that manager.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from millpond.model.errors import MillpondError
from millpond.model.plan import Act, Change, Plan
from millpond.targets.kubernetes.api import ApiError, Cluster, Conflict, FieldConflict
from millpond.targets.kubernetes.bundle import MANAGED_BY, MANAGER, PART_OF, Bundle, Object, Unit
from millpond.targets.kubernetes.engine import kinds
from millpond.targets.kubernetes.engine.difference import MISSING, changed, differences
from millpond.targets.kubernetes.engine.gates import gate
from millpond.targets.kubernetes.engine.ownership import Key, applied, key, ours, unit
from millpond.targets.kubernetes.engine.record import Record, Revision
from millpond.targets.kubernetes.engine.releases import Releases
from millpond.targets.kubernetes.engine.secrets import Due, Secrets, foreign

MADE = "millpond.dev/made"
"""An annotation of the namespaces that we made."""

_TOLD = 8
"""Reasons that are told of one unit."""


@dataclass(frozen=True)
class Look:
    """One object of the bundle beside its live self.

    Args:
        obj: as it is wished.
        live: as it is; None when it is new.
        reasons: what would change; empty when nothing.
        remake: whether the API does not allow the change, so that it is deleted and made again.
        error: why it cannot be.
        untouched: it is there, is not ours and is only used: a namespace.
    """

    obj: Object
    live: Object | None
    reasons: tuple[str, ...] = ()
    remake: bool = False
    error: MillpondError | None = None
    untouched: bool = False

    @property
    def due(self) -> bool:
        """Whether an apply has to do something."""
        return not self.untouched and (self.live is None or bool(self.reasons) or self.remake)


@dataclass
class Survey:
    """What was found."""

    looks: dict[str, list[Look]] = field(default_factory=dict)
    live: dict[Key, Object] = field(default_factory=dict)
    leavers: dict[str, list[Object]] = field(default_factory=dict)
    secrets: dict[str, list[Due]] = field(default_factory=dict)
    secret_objects: dict[str, Object] = field(default_factory=dict)
    releases: dict[str, str] = field(default_factory=dict)
    gone_releases: list[tuple[str, str, str]] = field(default_factory=list)
    newest: dict[str, Revision] = field(default_factory=dict)
    plan: Plan = field(default_factory=lambda: Plan("", ()))


class Surveyor:
    """Looks at one platform in its cluster."""

    def __init__(self, cluster: Cluster, bundle: Bundle, record: Record, releases: Releases | None) -> None:
        self.cluster = cluster
        self.bundle = bundle
        self.record = record
        self.releases = releases
        self.secrets = Secrets(cluster, bundle)

    async def survey(self) -> Survey:
        """Look; changes nothing.

        Raises:
            MillpondError: the server does not take an object, or one of its name is somebody else's.
        """
        found = Survey()
        there = await self.cluster.get("v1", "Namespace", self.bundle.namespace) is not None
        if there:
            await self.record.read()
            found.newest = await self.record.newest()
        found.live = await self.live()
        if there:
            listed = await self.cluster.list("v1", "Secret", namespace=self.bundle.namespace)
            found.secret_objects = {obj["metadata"]["name"]: obj for obj in listed}
        for due in await self.secrets.due(found.secret_objects):
            owner = due.secret.unit if due.secret.unit in self.bundle.units else next(iter(self.bundle.units))
            found.secrets.setdefault(owner, []).append(due)
        pairs = [(name, obj) for name, wished in self.bundle.units.items() for obj in wished]
        looks = await asyncio.gather(*(self._look(obj, found) for _, obj in pairs))
        for (name, _), look in zip(pairs, looks, strict=True):
            found.looks.setdefault(name, []).append(look)
        await self._releases(found)
        await self._leavers(found)
        found.plan = self._plan(found)
        errors = [look.error for look in looks if look.error]
        if errors:
            first = errors[0]
            more = [error.message for error in errors[1:]]
            raise (
                first
                if not more
                else MillpondError(first.message, hint=first.hint, details=[*first.details, *more])
            )
        return found

    async def live(self) -> dict[Key, Object]:
        """Every object that carries the platform's labels, of all kinds that it ever had."""
        wished = {(obj["apiVersion"], obj["kind"]) for obj in self.bundle}
        places = {self.bundle.namespace, *self.record.namespaces, *namespaces(self.bundle)}
        groups = await asyncio.gather(
            *(
                self._listed(version, kind, places)
                for version, kind in sorted({*wished, *self.record.kinds, *kinds.API_VERSIONS})
            )
        )
        return {found: obj for group in groups for found, obj in group}

    async def _listed(self, version: str, kind: str, places: Iterable[str]) -> list[tuple[Key, Object]]:
        resource = await self.cluster.discovery.find(version, kind)
        if resource is None or "list" not in resource.verbs:
            return []
        labels = {PART_OF: self.bundle.platform, MANAGED_BY: MANAGER}
        found = []
        for place in sorted(places) if resource.namespaced else ["*"]:
            try:
                objects = await self.cluster.list(version, kind, namespace=place, labels=labels)
            except ApiError as error:
                # Who may not list, such as a kind of the whole cluster, has each of them looked at by name.
                if error.code not in (403, 404):
                    raise
                continue
            found += [(key(obj, resource.namespaced, self.bundle.namespace), obj) for obj in objects]
        return found

    # --- one object ---------------------------------------------------------------------------------------

    async def _look(self, obj: Object, survey: Survey) -> Look:
        resource = await self.cluster.discovery.find(obj["apiVersion"], obj["kind"])
        if resource is None:
            return self._unserved(obj)
        live = survey.live.get(key(obj, resource.namespaced, self.bundle.namespace))
        if obj["kind"] == "Namespace" and live is None:
            there = await self.cluster.get("v1", "Namespace", obj["metadata"]["name"])
            return Look(obj, there, untouched=there is not None and not made(there))
        try:
            wished = await self._dry(obj)
        except ApiError as error:
            return await self._refused(obj, live, error)
        conflicts: tuple[FieldConflict, ...] = ()
        if isinstance(wished, Conflict):
            conflicts = wished.conflicts
            try:
                wished = await self.cluster.apply(obj, dry_run=True, force=True)
            except ApiError as error:
                return await self._refused(obj, live, error)
        if live is None:
            if "resourceVersion" not in wished["metadata"]:
                return Look(obj, None)
            there = await self.cluster.get(
                obj["apiVersion"], obj["kind"], obj["metadata"]["name"], obj["metadata"].get("namespace")
            )
            if there is None:
                return Look(obj, None)
            if not ours(there, self.bundle.platform):
                return Look(obj, there, error=foreign(_named(obj), self.bundle.platform))
            live = there
        if not changed(live, wished):
            return Look(obj, live)
        return Look(obj, live, tuple(self._reasons(obj, live, wished, conflicts, survey)))

    async def _dry(self, obj: Object) -> Object | Conflict:
        try:
            return await self.cluster.apply(obj, dry_run=True)
        except Conflict as conflict:
            return conflict

    def _reasons(
        self,
        obj: Object,
        live: Object,
        wished: Object,
        conflicts: tuple[FieldConflict, ...],
        survey: Survey,
    ) -> list[str]:
        told = differences(live, wished)
        newest = survey.newest.get(unit(obj))
        same = newest is not None and obj in newest.objects
        drift = []
        for conflict in conflicts:
            path = [part for part in conflict.field.replace("[", ".[").split(".") if part]
            value = _at(live, path)
            shown = "" if value is MISSING or obj["kind"] == "Secret" else f" is {_brief(value)},"
            drift.append(f"{_named(obj)}: drift: {conflict.field}{shown} set by {conflict.manager}")
        if drift and len(told) <= len(drift):
            return drift
        fields = {conflict.field for conflict in conflicts}
        rest = [text for text in told if not any(text.startswith(name) for name in fields)]
        word = "drift: " if same else ""
        return drift + [f"{_named(obj)}: {word}{text}" for text in rest]

    async def _refused(self, obj: Object, live: Object | None, error: ApiError) -> Look:
        if live is None and error.code == 404:
            # Its namespace comes with the apply.
            return Look(obj, None)
        if live is not None and error.code == 422 and _immutable(error):
            if obj["kind"] in kinds.REMADE:
                why = error.details[0] if error.details else error.message.partition("take it: ")[2]
                path = why.partition(":")[0]
                return Look(
                    obj, live, (f"{_named(obj)}: {path} cannot change, so it is made anew",), remake=True
                )
            hint = "take the old value back"
            if obj["kind"] == "PersistentVolumeClaim":
                hint = "keep size and class (a claim can only grow), or copy the data and delete the claim"
            return Look(obj, live, error=MillpondError(error.message, hint=hint, details=error.details))
        return Look(obj, live, error=error)

    def _unserved(self, obj: Object) -> Look:
        from millpond.targets.kubernetes.api.errors import unserved

        brings = {
            ((crd.get("spec") or {}).get("group"), ((crd.get("spec") or {}).get("names") or {}).get("kind"))
            for crd in self.bundle
            if crd["kind"] == "CustomResourceDefinition"
        }
        group = obj["apiVersion"].rpartition("/")[0]
        charts = any(wished.release for wished in self.bundle.units.values())
        if (group, obj["kind"]) in brings or charts or group == "constraints.gatekeeper.sh":
            # A chart of the platform may bring it; if none does, the apply says so.
            return Look(obj, None)
        return Look(obj, None, error=unserved(obj["apiVersion"], obj["kind"], [], _named(obj)))

    # --- the whole ----------------------------------------------------------------------------------------

    async def _releases(self, survey: Survey) -> None:
        if self.releases is None:
            return
        for name, wished in self.bundle.units.items():
            if wished.release:
                why = await self.releases.differs(wished.release)
                if why:
                    survey.releases[name] = why
        for name, release, namespace in await self.releases.installed(self.bundle.platform):
            known = self.bundle.units.get(name)
            if known is None or known.release is None or known.release.name != release:
                survey.gone_releases.append((name, release, namespace))

    async def _leavers(self, survey: Survey) -> None:
        wished = set()
        for obj in self.bundle:
            resource = await self.cluster.discovery.find(obj["apiVersion"], obj["kind"])
            if resource:
                wished.add(key(obj, resource.namespaced, self.bundle.namespace))
        for found, obj in survey.live.items():
            if found in wished or obj["kind"] in kinds.KEPT or not applied(obj):
                continue
            if obj["kind"] in ("Namespace", "ControllerRevision") or self.record.mine(obj):
                continue
            if obj["metadata"].get("ownerReferences"):
                # It goes with its owner, such as a pod's or an operator's.
                continue
            survey.leavers.setdefault(unit(obj), []).append(obj)

    def _plan(self, survey: Survey) -> Plan:
        changes = [self._change(wished, survey) for wished in self.bundle.units.values()]
        gone = {name for name in survey.leavers if name not in self.bundle.units}
        gone |= {name for name, _, _ in survey.gone_releases if name not in self.bundle.units}
        changes += [
            Change(name, Act.STOP, ("left the flavour; its data is kept",))
            for name in sorted(gone, reverse=True)
        ]
        return Plan(self.bundle.platform, tuple(changes), self.bundle.notes)

    def _change(self, wished: Unit, survey: Survey) -> Change:
        name = wished.name
        looks = survey.looks.get(name, [])
        reasons = [due.reason for due in survey.secrets.get(name, [])]
        for look in looks:
            if look.untouched:
                continue
            reasons += [f"{_named(look.obj)} is new"] if look.live is None else list(look.reasons)
        reasons += [f"{_named(obj)} is gone from the flavour" for obj in survey.leavers.get(name, [])]
        if name in survey.releases:
            reasons.append(survey.releases[name])
        there = any(look.live is not None and not look.untouched for look in looks)
        made = [look for look in looks if look.obj["kind"] in kinds.WORKLOADS]
        if not reasons:
            waits = _not_ready(looks)
            if waits:
                return Change(name, Act.START, (waits,))
            return Change(name, Act.KEEP)
        if not there and not wished.release:
            return Change(name, Act.START, ("not running" if name in survey.newest else "new",))
        if made and all(look.live is None for look in made):
            return Change(name, Act.START, ("not running",) if name in survey.newest else ("new",))
        if len(reasons) > _TOLD:
            reasons = [*reasons[:_TOLD], f"and {len(reasons) - _TOLD} more"]
        return Change(name, Act.RESTART if there else Act.START, tuple(reasons))


def made(namespace: Object) -> bool:
    """Whether we made a namespace, so that we may delete it."""
    return MADE in (namespace["metadata"].get("annotations") or {})


def namespaces(bundle: Bundle) -> set[str]:
    """The namespaces of a bundle's objects."""
    return {obj["metadata"]["namespace"] for obj in bundle if obj["metadata"].get("namespace")}


def _not_ready(looks: list[Look]) -> str:
    for look in looks:
        if look.live is not None and not look.untouched:
            found = gate(look.live)
            if not found.ready:
                return f"{_named(look.obj)} is not ready: {found.message}"
    return ""


def _immutable(error: ApiError) -> bool:
    text = " ".join([error.message, *error.details]).lower()
    return any(
        word in text
        for word in (
            "immutable",
            "updates to statefulset spec",
            "may not change",
            "forbidden",
            "cannot change",
        )
    )


def _named(obj: Mapping[str, object]) -> str:
    return f"{obj['kind']} {obj['metadata']['name']}"  # type: ignore[index]


def _at(obj: object, path: list[str]) -> object:
    for part in path:
        if isinstance(obj, dict) and part in obj:
            obj = obj[part]
        elif isinstance(obj, list) and part.startswith("[name="):
            name = part[6:-1].strip('"')
            obj = next((item for item in obj if isinstance(item, dict) and item.get("name") == name), MISSING)
        elif isinstance(obj, list) and part.startswith("["):
            import json

            try:
                keys = dict(pair.split("=", 1) for pair in part[1:-1].split(","))
                obj = next(
                    (i for i in obj if all(i.get(k) == json.loads(v) for k, v in keys.items())), MISSING
                )
            except ValueError:
                return MISSING
        else:
            return MISSING
    return obj


def _brief(value: object) -> str:
    text = value if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
