"""Policies: what no object of a platform may do, checked before every apply and shipped to the cluster."""

from millpond.targets.kubernetes.policies.checking import PolicyError, Violation, check, violations
from millpond.targets.kubernetes.policies.policy import Policy, holding, policies, policy
from millpond.targets.kubernetes.policies.shipping import shipped

__all__ = [
    "Policy",
    "PolicyError",
    "Violation",
    "check",
    "holding",
    "policies",
    "policy",
    "shipped",
    "violations",
]
