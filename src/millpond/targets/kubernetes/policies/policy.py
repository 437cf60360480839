"""Policies: what each is called, asks and why, and the two forms of its rule. All of it is data in `rules/`.

A policy is a folder: `policy.yaml`, `rule.rego`, `rule.cel`, `allowed.yaml` and `refused.yaml`. The Rego
runs in process before an apply, and is what Gatekeeper gets; the CEL is what the API server itself
evaluates.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

from millpond.model.cluster import Policies
from millpond.model.errors import MillpondError, did_you_mean
from millpond.targets.kubernetes.bundle import Object

RULES = Path(__file__).parent / "rules"
LIBRARY = Path(__file__).parent / "library"

WORKLOADS = ("Pod", "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "CronJob")
"""The kinds that carry pods; `workloads` among a policy's kinds stands for all of them."""


class Parameter(BaseModel):
    """The one list that a policy can be told.

    Args:
        name: what rules call it, unique among all policies.
        asked: the flavour's key under `policies:` that gives it; the policy holds only where it is given.
            Empty for one that has a default, to which `policies: {allow: {NAME: […]}}` adds.
        default: what is allowed anyway.
        help: what it lists.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    asked: Literal["", "registries", "digests", "labels", "hosts"] = ""
    default: tuple[str, ...] = ()
    help: str


class Policy(BaseModel):
    """One policy, as its `policy.yaml` says it.

    Args:
        name: also the folder's.
        group: `general` or `pod security`.
        title: what it asks, as a sentence.
        why: what goes wrong without it.
        fix: what to write instead.
        kinds: the kinds of objects that it looks at.
        parameter: what it can be told.
        shipped: whether it can hold in a cluster; one that cannot is checked before an apply only.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    group: Literal["general", "pod security"]
    title: str
    why: str
    fix: str
    kinds: tuple[str, ...]
    parameter: Parameter | None = None
    shipped: bool = Field(default=True)

    @property
    def folder(self) -> Path:
        """Where its data are."""
        return RULES / self.name

    @property
    def rego(self) -> str:
        """The rule as Rego v1: `violation contains {"msg": "PATH: reason"}`."""
        return (self.folder / "rule.rego").read_text()

    @property
    def cel(self) -> str:
        """The rule as CEL: an expression that gives the list of the same messages."""
        return (self.folder / "rule.cel").read_text()

    @property
    def package(self) -> str:
        """The name of its Rego package."""
        return self.name.replace("-", "_")

    @property
    def all_kinds(self) -> tuple[str, ...]:
        """Its kinds one by one."""
        return tuple(each for kind in self.kinds for each in (WORKLOADS if kind == "workloads" else (kind,)))

    def example(self, which: Literal["allowed", "refused"]) -> list[Object]:
        """The objects that it allows, or those each of which it refuses."""
        return [each for each in yaml.safe_load_all((self.folder / f"{which}.yaml").read_text()) if each]

    def holds(self, policies: Policies) -> bool:
        """Whether it holds for a flavour: it is not skipped, and has been told what it needs."""
        if self.name in policies.skip:
            return False
        asked = self.parameter.asked if self.parameter else ""
        return not asked or bool(getattr(policies, asked))

    def values(self, policies: Policies) -> dict[str, list[str]]:
        """What it is told, by the parameter's name."""
        if self.parameter is None:
            return {}
        if self.parameter.asked:
            given = getattr(policies, self.parameter.asked)
            return {self.parameter.name: list(given) if isinstance(given, list) else []}
        more = policies.allow.get(self.parameter.name, [])
        return {self.parameter.name: list(dict.fromkeys([*self.parameter.default, *more]))}


@cache
def policies() -> dict[str, Policy]:
    """All policies by name, the general ones first."""
    found = [_read(each) for each in sorted(RULES.iterdir()) if (each / "policy.yaml").is_file()]
    return {policy.name: policy for policy in sorted(found, key=lambda each: (each.group, each.name))}


def policy(name: str) -> Policy:
    """One policy; raises `MillpondError` with the nearest name where there is none."""
    found = policies().get(name)
    if found is None:
        raise MillpondError(f"there is no policy {name}", hint=did_you_mean(name, policies()))
    return found


def holding(told: Policies) -> list[Policy]:
    """The policies that hold for a flavour; raises `MillpondError` where it names some that do not exist."""
    for name in told.skip:
        policy(name)
    known = {
        each.parameter.name for each in policies().values() if each.parameter and not each.parameter.asked
    }
    for name in told.allow:
        if name not in known:
            raise MillpondError(f"policies.allow: no policy has {name}", hint=did_you_mean(name, known))
    return [each for each in policies().values() if each.holds(told)]


def _read(folder: Path) -> Policy:
    data: dict[str, Any] = yaml.safe_load((folder / "policy.yaml").read_text())
    return Policy(name=folder.name, **data)
