"""Every policy of clusters, with what it can be told."""

from __future__ import annotations

from millpond.targets.kubernetes.policies import Policy, policies
from reference.markdown import code, table


def page() -> str:
    """The policies by group, and their parameters."""
    lines = [
        "# Policies",
        "",
        "`millpond policies` prints this list and whether each holds here, `millpond policies NAME` shows",
        "the rule and two examples. [Policies](../concepts/policies.md) says how they are checked and",
        "shipped.",
        "",
    ]
    for group in dict.fromkeys(each.group for each in policies().values()):
        found = [each for each in policies().values() if each.group == group]
        rows = [(code(each.name), each.title, each.why, _told(each)) for each in found]
        lines += [f"## {group.capitalize()}", "", table(("policy", "asks", "why", "told by"), rows), ""]
    lines += ["## What can be told", ""]
    told = [each.parameter for each in policies().values() if each.parameter]
    lines.append(
        table(
            ("parameter", "what it lists", "default"),
            [(code(each.name), each.help, ", ".join(map(code, each.default))) for each in told],
        )
    )
    return "\n".join(lines)


def _told(policy: Policy) -> str:
    if policy.parameter is None:
        return ""
    return code(policy.parameter.asked or f"allow: {policy.parameter.name}")
