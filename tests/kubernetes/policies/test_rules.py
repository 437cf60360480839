"""Every policy allows and refuses what it shows as allowed and refused; Rego and CEL say the same."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubernetes.policies.cel import Cel, started
from millpond.model.cluster import Policies
from millpond.targets.kubernetes.bundle import Object
from millpond.targets.kubernetes.policies import Policy, policies
from millpond.targets.kubernetes.policies.policy import WORKLOADS
from millpond.targets.kubernetes.policies.rego import Rego

TOLD = Policies(
    registries=["registry.example.org/team"], digests=True, labels=["team"], hosts=["data.example.org"]
)
ALL = sorted(policies().values(), key=lambda each: each.name)
RULES = {each.name: Rego([each], each.values(TOLD)) for each in ALL}


@pytest.fixture(scope="module")
def cel() -> Iterator[Cel]:
    if find_spec("cel_expr_python") is None:
        pytest.skip("cel-expr-python is not installed")
    with started() as found:
        yield found


def rego(policy: Policy, obj: Object) -> list[str]:
    return sorted(message for _, message in RULES[policy.name].violations(obj))


def every_kind(obj: Object) -> list[Object]:
    """An object's pod as each of the kinds that carry pods; the object alone where it has none."""
    if obj["kind"] not in WORKLOADS:
        return [obj]
    template = obj
    if obj["kind"] == "CronJob":
        template = obj["spec"]["jobTemplate"]["spec"]["template"]
    elif obj["kind"] != "Pod":
        template = obj["spec"]["template"]
    pod = {"metadata": template.get("metadata", {}), "spec": template["spec"]}
    name = {"name": "example", "namespace": obj["metadata"].get("namespace", "lab")}
    found: list[Object] = [{"kind": "Pod", "metadata": {**pod["metadata"], **name}, "spec": pod["spec"]}]
    for kind in WORKLOADS[1:]:
        spec: dict[str, Any] = {"template": pod}
        if kind == "CronJob":
            spec = {"jobTemplate": {"spec": spec}}
        found.append({"kind": kind, "metadata": name, "spec": spec})
    return found


@pytest.mark.parametrize("policy", ALL, ids=lambda each: each.name)
def test_a_policy_allows_and_refuses_its_examples_as_every_kind(policy: Policy) -> None:
    for obj in policy.example("allowed"):
        assert [rego(policy, each) for each in every_kind(obj)].count([]) == len(every_kind(obj))
    for obj in policy.example("refused"):
        for each in every_kind(obj):
            found = rego(policy, each)
            assert found, f"{each['kind']} is not refused"
            assert all(": " in message for message in found)


@pytest.mark.parametrize("policy", ALL, ids=lambda each: each.name)
def test_rego_and_cel_give_the_same_messages(cel: Cel, policy: Policy) -> None:
    for which in ("allowed", "refused"):
        for obj in policy.example(which):
            for each in every_kind(obj):
                assert cel.violations(policy, each, policy.values(TOLD)) == rego(policy, each)


_contexts = st.fixed_dictionaries(
    {},
    optional={
        "privileged": st.booleans(),
        "allowPrivilegeEscalation": st.booleans(),
        "readOnlyRootFilesystem": st.booleans(),
        "runAsNonRoot": st.booleans(),
        "runAsUser": st.sampled_from([0, 10001]),
        "runAsGroup": st.sampled_from([0, 10001]),
        "procMount": st.sampled_from(["Default", "Unmasked"]),
        "seccompProfile": st.sampled_from([{"type": "RuntimeDefault"}, {"type": "Unconfined"}]),
        "appArmorProfile": st.sampled_from([{"type": "RuntimeDefault"}, {"type": "Unconfined"}]),
        "seLinuxOptions": st.sampled_from(
            [{}, {"type": "spc_t"}, {"user": "u", "role": "r"}, {"level": "s0"}]
        ),
        "capabilities": st.sampled_from(
            [{}, {"drop": ["ALL"]}, {"drop": ["ALL"], "add": ["NET_RAW", "NET_BIND_SERVICE", "SYS_ADMIN"]}]
        ),
    },
)
_containers = st.fixed_dictionaries(
    {"name": st.sampled_from(["a", "b", "server"])},
    optional={
        "image": st.sampled_from(
            [
                "busybox",
                "team/app:1",
                "localhost/app",
                "registry.example.org/team/app",
                "registry.example.org/x",
            ]
        ).flatmap(lambda name: st.sampled_from([name, f"{name}@sha256:{'0a' * 32}", f"{name}@sha256:00"])),
        "securityContext": _contexts,
        "resources": st.fixed_dictionaries(
            {},
            optional={
                "requests": st.sampled_from([{}, {"cpu": "1"}, {"memory": "1Gi", "cpu": 1}]),
                "limits": st.sampled_from([{}, {"memory": "1Gi"}, {"cpu": "100m"}]),
            },
        ),
        "ports": st.lists(
            st.sampled_from([{"containerPort": 80}, {"hostPort": 0}, {"hostPort": 80}]), max_size=2
        ),
    },
)
_volumes = st.sampled_from(
    [
        {"name": "a", "emptyDir": {}},
        {"name": "b", "hostPath": {"path": "/var/run"}},
        {"name": "c", "nfs": {"server": "x", "path": "/"}},
        {"name": "d", "flexVolume": {"driver": "example.org/disk"}},
        {"name": "e"},
    ]
)
_specs = st.fixed_dictionaries(
    {},
    optional={
        "containers": st.lists(_containers, max_size=2),
        "initContainers": st.lists(_containers, max_size=2),
        "ephemeralContainers": st.lists(_containers, max_size=1),
        "volumes": st.lists(_volumes, max_size=3),
        "securityContext": _contexts.flatmap(
            lambda context: st.sampled_from(
                [context, {**context, "fsGroup": 0}, {**context, "supplementalGroups": [0, 1]},
                 {**context, "sysctls": [{"name": "kernel.msgmax", "value": "1"}]}]
            )
        ),
        "hostNetwork": st.booleans(),
        "hostPID": st.booleans(),
        "hostIPC": st.booleans(),
        "automountServiceAccountToken": st.booleans(),
        "serviceAccountName": st.sampled_from(["default", "mlflow"]),
        "priorityClassName": st.sampled_from(["", "low", "system-node-critical"]),
    },
)  # fmt: skip
_pods = st.builds(
    lambda spec, labels: {"kind": "Pod", "metadata": {"name": "x", "labels": labels}, "spec": spec},
    _specs,
    st.sampled_from([{}, {"team": ""}, {"team": "forecasts"}]),
)


@settings(max_examples=25, deadline=None)
@given(_pods, st.sampled_from(range(len(WORKLOADS))))
def test_rego_and_cel_agree_on_pods_that_nobody_wrote(cel: Cel, pod: Object, kind: int) -> None:
    obj = every_kind(copy.deepcopy(pod))[kind]
    for policy in ALL:
        if "Pod" in policy.all_kinds:
            assert set(cel.violations(policy, obj, policy.values(TOLD))) == set(rego(policy, obj)), (
                policy.name
            )
