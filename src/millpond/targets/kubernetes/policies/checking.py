"""The check before an apply: every object against every policy that holds, all violations told at once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from millpond.model.cluster import Policies
from millpond.model.errors import MillpondError
from millpond.targets.kubernetes.bundle import COMPONENT, Bundle, Object
from millpond.targets.kubernetes.policies.policy import Policy, holding
from millpond.targets.kubernetes.policies.rego import Rego


@dataclass(frozen=True)
class Violation:
    """One thing that one policy refuses.

    Args:
        policy: which refuses it.
        component: the unit that the object belongs to; empty where its labels do not say.
        kind: the object's.
        name: the object's.
        path: the field's place in the object.
        reason: what is wrong with it.
    """

    policy: Policy
    component: str
    kind: str
    name: str
    path: str
    reason: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}: {self.path}: {self.reason} ({self.policy.name})"

    def as_dict(self) -> dict[str, str]:
        """The violation as `--json` prints it."""
        return {
            "policy": self.policy.name,
            "component": self.component,
            "kind": self.kind,
            "name": self.name,
            "path": self.path,
            "reason": self.reason,
            "fix": self.policy.fix,
        }


class PolicyError(MillpondError):
    """Objects that policies refuse; nothing of them has been applied."""

    exit_code = 3

    def __init__(self, violations: list[Violation]) -> None:
        first = violations[0]
        more = f", and {len(violations) - 1} more" if len(violations) > 1 else ""
        of = f"{first.component}: " if first.component else ""
        super().__init__(
            f"{of}policy {first.policy.name} refuses {first.kind} {first.name}: "
            f"{first.path}: {first.reason}{more}",
            hint=f"{first.policy.fix}; `millpond policies {first.policy.name}` shows an example",
            details=[str(violation) for violation in violations] if len(violations) > 1 else [],
        )
        self.violations = violations

    def as_dict(self) -> dict[str, object]:
        """All violations, each with its place and its fix."""
        return {**super().as_dict(), "violations": [each.as_dict() for each in self.violations]}


def check(bundle: Bundle, policies: Policies) -> None:
    """Check a bundle; what Helm makes of charts is not in it, and is left to the policies that are shipped.

    Raises:
        PolicyError: something is refused; it names all of it.
    """
    found = violations(bundle, policies)
    if found:
        raise PolicyError(found)


def violations(objects: Iterable[Object], policies: Policies) -> list[Violation]:
    """What the policies that hold refuse among objects, in the objects' order."""
    held = {each.name: each for each in holding(policies)}
    parameters = {
        name: list(value) for each in held.values() for name, value in each.values(policies).items()
    }
    rego = Rego(held.values(), parameters)
    found = []
    for obj in objects:
        metadata = obj.get("metadata") or {}
        for name, message in rego.violations(obj):
            path, _, reason = message.partition(": ")
            found.append(
                Violation(
                    policy=held[name],
                    component=(metadata.get("labels") or {}).get(COMPONENT, ""),
                    kind=str(obj.get("kind", "")),
                    name=str(metadata.get("name", "")),
                    path=path,
                    reason=reason,
                )
            )
    return found
