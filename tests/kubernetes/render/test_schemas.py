"""What is rendered is what the API takes: each flavour against the schemas of the three newest minors."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from typing import Any

import kubernetes_validate
import pytest

from millpond.targets.kubernetes.bundle import MANAGED_BY, PART_OF, Bundle, Object
from millpond.targets.kubernetes.render import tree

from .conftest import FLAVOURS

KNOWN = {
    entry.name.removeprefix("v").rpartition(".")[0]
    for entry in (files("kubernetes_validate") / "kubernetes-json-schema").iterdir()
    if entry.name.startswith("v1.")
}
NEWEST = sorted(KNOWN, key=lambda text: [int(part) for part in text.split(".")])[-3:]
CUSTOM = ("gateway.networking.k8s.io",)

Made = Callable[[str | dict[str, Any]], Bundle]


def everything(bundle: Bundle) -> list[Object]:
    """Every object of the tree, those that only the tree has included."""
    import yaml

    return [yaml.safe_load(text) for name, text in tree.files(bundle) if name.endswith(".yaml")]


def test_three_minors_are_known() -> None:
    assert len(NEWEST) == 3


@pytest.mark.parametrize(
    "minor", [*(pytest.param(minor, marks=pytest.mark.slow) for minor in NEWEST[:-1]), NEWEST[-1]]
)
@pytest.mark.parametrize("name", FLAVOURS)
def test_every_object_fits_the_schema(name: str, minor: str, bundle: Made) -> None:
    for found in everything(bundle(FLAVOURS[name])):
        if found["apiVersion"].partition("/")[0] not in CUSTOM:
            kubernetes_validate.validate(found, minor, strict=True)


@pytest.mark.parametrize("name", FLAVOURS)
def test_every_object_says_whose_it_is_and_has_a_name_of_its_own(name: str, bundle: Made) -> None:
    made = bundle(FLAVOURS[name])
    seen = set()
    for found in everything(made):
        labels = found["metadata"]["labels"]
        assert labels[PART_OF] == made.platform
        assert labels[MANAGED_BY] == "millpond"
        if found["kind"] != "Namespace":
            assert found["metadata"]["namespace"] == made.namespace
        identity = (found["apiVersion"], found["kind"], found["metadata"]["name"])
        assert identity not in seen
        seen.add(identity)


@pytest.mark.parametrize("name", FLAVOURS)
def test_what_a_pod_speaks_of_is_there(name: str, bundle: Made) -> None:
    """Secrets with their keys, ConfigMaps, claims, accounts: by name, each of them is made."""
    made = bundle(FLAVOURS[name])
    objects = everything(made)
    there = {(found["kind"], found["metadata"]["name"]) for found in objects}
    keys = {(secret.name, key) for secret in made.secrets for key in secret.texts}
    for found in objects:
        pod = found.get("spec", {}).get("template", {}).get("spec")
        if pod is None:
            continue
        assert ("ServiceAccount", pod["serviceAccountName"]) in there
        for container in [*pod.get("initContainers", []), *pod["containers"]]:
            for variable in container.get("env", []):
                reference = variable.get("valueFrom", {}).get("secretKeyRef")
                if reference:
                    assert (reference["name"], reference["key"]) in keys
            mounted = {mount["name"] for mount in container["volumeMounts"]}
            assert mounted <= {volume["name"] for volume in pod["volumes"]}
        for volume in pod["volumes"]:
            if "persistentVolumeClaim" in volume:
                assert ("PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"]) in there
            if "configMap" in volume:
                assert ("ConfigMap", volume["configMap"]["name"]) in there
            for source in volume.get("projected", {}).get("sources", []):
                for item in source.get("secret", {}).get("items", []):
                    assert (source["secret"]["name"], item["key"]) in keys


@pytest.mark.parametrize("name", FLAVOURS)
def test_services_and_workloads_find_the_pods_that_they_mean(name: str, bundle: Made) -> None:
    """A Service's selector fits the pods of one workload and no job's; a selector fits its own pods."""
    objects = everything(bundle(FLAVOURS[name]))
    workloads = {f["metadata"]["name"]: f for f in objects if f["kind"] in ("Deployment", "StatefulSet")}
    pods = [found for found in objects if "template" in found.get("spec", {})]
    for workload in workloads.values():
        selector = workload["spec"]["selector"]["matchLabels"].items()
        fitting = [f for f in pods if selector <= f["spec"]["template"]["metadata"]["labels"].items()]
        assert fitting == [workload]
    for service in (found for found in objects if found["kind"] == "Service"):
        selector = service["spec"]["selector"].items()
        fitting = [f for f in pods if selector <= f["spec"]["template"]["metadata"]["labels"].items()]
        assert len(fitting) == 1
        template = fitting[0]["spec"]["template"]["spec"]
        containers = [*template.get("initContainers", []), *template["containers"]]
        opened = {port["containerPort"] for c in containers for port in c.get("ports", [])}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= opened
