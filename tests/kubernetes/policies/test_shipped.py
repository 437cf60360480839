"""What is shipped is valid for the API server and for Gatekeeper, and holds in one namespace alone."""

from __future__ import annotations

from typing import Any

import kubernetes_validate
import pytest

from kubernetes.render.conftest import FLAVOURS, resolved
from millpond.model.cluster import Policies
from millpond.model.errors import MillpondError
from millpond.targets.kubernetes.bundle import COMPONENT, PART_OF
from millpond.targets.kubernetes.policies import PolicyError, check, policies, shipped, violations
from millpond.targets.kubernetes.render import render, secretjob

TOLD: dict[str, Any] = {
    "registries": ["registry.example.org"],
    "digests": True,
    "labels": ["team"],
    "hosts": ["example.org"],
}


@pytest.fixture
def platform(tmp_path):
    def made(name: str = "lab", **told: Any):
        flavour = {"name": name, "components": {"seaweedfs": {}}, "policies": told}
        return resolved(tmp_path, flavour)[0]

    return made


def test_admission_policies_are_valid_and_bound_to_the_namespace(platform) -> None:
    found = shipped(platform(ship=["admission"], **TOLD))
    assert len(found) == 2 * sum(each.shipped for each in policies().values())
    for obj in found:
        kubernetes_validate.validate(obj, "1.34", strict=True)
        assert obj["metadata"]["name"].startswith("lab.")
        assert obj["metadata"]["labels"][PART_OF] == "lab"
        assert obj["metadata"]["labels"][COMPONENT] == "platform"
        if obj["kind"].endswith("Binding"):
            selector = obj["spec"]["matchResources"]["namespaceSelector"]
            assert selector == {"matchLabels": {"kubernetes.io/metadata.name": "lab"}}
        else:
            # A namespace's selector lets all objects pass that have no namespace.
            assert {rule["scope"] for rule in obj["spec"]["matchConstraints"]["resourceRules"]} == {
                "Namespaced"
            }


def test_templates_are_what_gatekeeper_takes(platform) -> None:
    found = shipped(platform(ship=["gatekeeper"], **TOLD))
    templates = {
        obj["spec"]["crd"]["spec"]["names"]["kind"]: obj for obj in found if "Template" in obj["kind"]
    }
    constraints = [obj for obj in found if "Template" not in obj["kind"]]
    assert len(templates) == len(constraints) == sum(each.shipped for each in policies().values())
    for obj in constraints:
        template = templates[obj["kind"]]
        assert template["metadata"]["name"] == obj["kind"].lower()
        assert obj["spec"]["match"]["namespaces"] == ["lab"]
        known = template["spec"]["crd"]["spec"]["validation"]["openAPIV3Schema"]["properties"]
        assert set(obj["spec"].get("parameters", {})) == set(known)
        (code,) = template["spec"]["targets"][0]["code"]
        assert code["engine"] == "Rego"
        assert code["source"]["version"] == "v1"
        assert "violation contains" in code["source"]["rego"]


def test_two_platforms_of_one_cluster_ship_different_names(platform) -> None:
    def names(name: str) -> set[tuple[str, str]]:
        found = shipped(platform(name, ship=["admission", "gatekeeper"]))
        return {(obj["kind"], obj["metadata"]["name"]) for obj in found}

    assert not names("lab") & names("shop")


def test_nothing_is_shipped_unless_asked(platform) -> None:
    assert shipped(platform()) == []


@pytest.mark.parametrize("name", FLAVOURS)
def test_what_is_rendered_passes(tmp_path, name: str) -> None:
    bundle = render(*resolved(tmp_path, FLAVOURS[name]))
    check(bundle, Policies())
    # `millpond render` writes a job beside it, which makes the secrets.
    assert violations(secretjob.objects(bundle), Policies()) == []


def test_what_is_rendered_keeps_to_the_registry_and_the_domain_of_its_flavour(tmp_path) -> None:
    found = render(*resolved(tmp_path, FLAVOURS["ingress"]))
    told = {"registries": ["registry.example.org/team"], "hosts": ["mill.example.org"], "labels": [PART_OF]}
    check(found, Policies(**told))
    with pytest.raises(PolicyError) as caught:
        check(found, Policies(**{**told, "hosts": ["other.example.org"]}))
    assert {each.policy.name for each in caught.value.violations} == {"restrict-hostnames"}


def test_an_error_names_object_path_and_fix_and_counts_the_rest(tmp_path) -> None:
    found = render(*resolved(tmp_path, {"name": "lab", "components": {"seaweedfs": {}}}))
    for obj in found:
        if obj["kind"] in {"Deployment", "StatefulSet"}:
            obj["spec"]["template"]["spec"]["hostNetwork"] = True
            obj["spec"]["template"]["spec"]["containers"][0]["securityContext"]["privileged"] = True
    with pytest.raises(PolicyError) as caught:
        check(found, Policies())
    message = str(caught.value)
    assert "seaweedfs: policy " in message
    assert "spec.template.spec" in message
    assert len(caught.value.details) == 2
    assert caught.value.hint and "millpond policies" in caught.value.hint
    check(found, Policies(skip=["host-network-ports", "container-not-privileged"]))


def test_a_policy_that_does_not_exist_is_named_with_the_nearest() -> None:
    with pytest.raises(MillpondError) as caught:
        violations([], Policies(skip=["selinus"]))
    assert caught.value.hint == "did you mean selinux?"
    with pytest.raises(MillpondError, match="no policy has capability"):
        violations([], Policies(allow={"capability": ["X"]}))


def test_what_a_flavour_allows_passes() -> None:
    (refused,) = policies()["allowed-host-paths"].example("refused")
    refused["spec"]["template"]["spec"]["volumes"][0]["hostPath"]["path"] = "/mnt/data/sets"
    held = {each.policy.name for each in violations([refused], Policies(allow={"host_paths": ["/mnt/data"]}))}
    assert "allowed-host-paths" not in held
    held = {each.policy.name for each in violations([refused], Policies(allow={"host_paths": ["/mnt/dat"]}))}
    assert "allowed-host-paths" in held
