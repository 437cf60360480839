"""The Terraform modules, read as text: whole, wired, as their providers say, and enough for a flavour.

No Terraform runs here and no cloud is asked. What `data/providers.json` says was taken from the documentation
of the providers, in the versions that it names.
"""

from __future__ import annotations

import re
from typing import Any

import pytest

from millpond.model.cluster import Gpu
from millpond.targets.kubernetes.clusters.terraform.module import CLOUDS

from .terraform_module import (
    META,
    PROVIDER,
    PROVIDERS,
    Module,
    bare,
    is_block,
    module,
    plain,
    read,
    references,
)

FILES = {
    "versions.tf",
    "variables.tf",
    "network.tf",
    "cluster.tf",
    "pools.tf",
    "lake.tf",
    "registry.tf",
    "outputs.tf",
}
# What makes a secret in Terraform's state, or shows one that the provider puts there.
SECRETS = re.compile(
    r"aws_iam_access_key|hmac_key|random_password|kube_config|_access_key\b|admin_password|sas"
)


@pytest.fixture(params=sorted(CLOUDS))
def cloud(request: pytest.FixtureRequest) -> Module:
    return module(request.param)


def test_every_module_has_the_same_files(cloud: Module) -> None:
    assert set(cloud.files) == FILES


def test_every_reference_leads_to_something(cloud: Module) -> None:
    made = {f"{'data.' if one.kind == 'data' else ''}{one.type}.{one.name}" for one in cloud.made}
    wrong = []
    for reference in cloud.references():
        words = re.split(r"[.\[]", reference)
        first = words[0]
        if first == "var":
            known = words[1] in cloud.variables
        elif first == "local":
            known = words[1] in cloud.locals
        elif first in ("each", "count", "cidr_blocks"):
            known = True
        elif first in ("data", *PROVIDERS) or first.split("_")[0] in PROVIDERS:
            known = ".".join(words[: 3 if first == "data" else 2]) in made
        else:
            known = False
        if not known:
            wrong.append(reference)
    assert wrong == []


def test_each_and_count_are_used_where_they_are(cloud: Module) -> None:
    for one in cloud.made:
        used = {found.split(".")[0] for found in references(one.body)}
        assert ("each" in used) <= ("for_each" in one.body), one
        assert ("count" in used) <= ("count" in one.body), one


def test_every_attribute_that_is_read_is_one_of_its_type(cloud: Module) -> None:
    wrong = []
    types = {(one.kind, one.type): one.documented for one in cloud.made}
    for reference in cloud.references():
        words = [word for word in re.sub(r"\[[^\]]*\]", "", reference).split(".") if word]
        kind = "data" if words[0] == "data" else "resource"
        words = words[1:] if kind == "data" else words
        if (kind, words[0]) not in types or len(words) < 3:
            continue
        said = types[kind, words[0]]
        top = said["blocks"]["."]
        if words[2] not in {"id", *said["attributes"], *top["required"], *top["optional"]}:
            wrong.append(reference)
    assert wrong == []


def test_every_argument_is_in_the_providers_documentation(cloud: Module) -> None:
    wrong = []
    for one in cloud.made:
        for path, body in one.blocks():
            said = one.documented["blocks"].get(path)
            names = set(body) - (META if path == "." else set())
            if said is None:
                wrong.append(f"{one.type}.{one.name}: a block {path}")
                continue
            wrong += [
                f"{one.type}.{one.name} {path}: {name} is not known"
                for name in names - {*said["required"], *said["optional"]}
            ]
            wrong += [
                f"{one.type}.{one.name} {path}: {name} is missing" for name in set(said["required"]) - names
            ]
    assert wrong == []


def test_blocks_are_written_as_blocks_and_arguments_as_arguments(cloud: Module) -> None:
    wrong = []
    for one in cloud.made:
        nested = set(one.documented["nested"])
        for name, value in dict(next(iter(one.blocks()))[1]).items():
            if name not in META and is_block(value) != (name in nested):
                wrong.append(f"{one.type}.{one.name}: {name}")
        for path, body in one.blocks():
            inner = {name for name, value in body.items() if not is_block(value)}
            wrong += [
                f"{one.type}.{one.name}: {path}.{name}"
                for name in inner
                if f"{path}.{name}" in one.documented["blocks"]
            ]
    assert wrong == []


def test_every_variable_is_described_typed_and_used(cloud: Module) -> None:
    used = {found.split(".")[1] for found in cloud.references() if found.startswith("var.")}
    assert used == set(cloud.variables)
    assert all({"description", "type"} <= set(body) for body in cloud.variables.values())
    assert all({"description", "value"} <= set(body) for body in cloud.outputs.values())
    assert {
        re.split(r"[.\[]", found)[1] for found in cloud.references() if found.startswith("local.")
    } == set(cloud.locals)


def test_the_provider_is_pinned_to_the_version_whose_documentation_was_read(cloud: Module) -> None:
    name = PROVIDER[cloud.cloud]
    required = bare(bare(cloud.every("terraform")[0])["required_providers"][0])
    assert set(required) == {name}
    pinned = {key.strip('"'): plain(value) for key, value in required[name].items()}
    assert pinned["source"] == f"hashicorp/{name}"
    assert pinned["version"] == f"~> {PROVIDERS[name]['version'].rsplit('.', 1)[0]}"
    assert plain(bare(cloud.every("terraform")[0])["required_version"]) == ">= 1.9, < 2.0"


def test_what_a_flavour_reads_is_among_the_outputs(cloud: Module) -> None:
    lake = {"lake_endpoint", "lake_bucket", "lake_region"}
    assert {"context", "registry", "gpu_pool", "kubeconfig"} <= set(cloud.outputs)
    # Azure's Blob Storage does not speak the S3 API, so there is nothing to say there.
    assert lake & set(cloud.outputs) == (set() if cloud.cloud == "aks" else lake)


def test_the_gpu_pool_has_the_taint_and_the_label_that_a_flavour_means_by_default(cloud: Module) -> None:
    pool = _pool(cloud, "gpu")
    ((key, value),) = Gpu().toleration.items()
    assert (key, value, "NoSchedule") in _taints(pool)
    assert Gpu().node_selector.items() <= _labels(pool).items()
    assert f'"{key}={value}"' in cloud.outputs["gpu_pool"]["value"]
    assert pool["count"] == '${var.gpu_size == "none" ? 0 : 1}'


def test_a_pod_that_needs_much_memory_needs_no_toleration(cloud: Module) -> None:
    assert _taints(_pool(cloud, "memory")) == [("dedicated", "memory", "PreferNoSchedule")]


@pytest.mark.parametrize("name", ["gpu", "memory"])
def test_dear_pools_are_empty_until_they_are_needed(cloud: Module, name: str) -> None:
    least, most = _scale(_pool(cloud, name))
    assert least == [0, 0] if cloud.cloud == "eks" else least == [0]
    assert most == f"${{var.{name}_max}}"


def test_workload_identities_are_on() -> None:
    aks = module("aks").find("azurerm_kubernetes_cluster", "this")
    assert aks["oidc_issuer_enabled"] is True
    assert aks["workload_identity_enabled"] is True
    assert aks["local_account_disabled"] is True
    gke = module("gke").find("google_container_cluster", "this")
    assert "svc.id.goog" in gke["workload_identity_config"][0]["workload_pool"]
    assert module("eks").find("aws_iam_openid_connect_provider", "this")["client_id_list"] == [
        '"sts.amazonaws.com"'
    ]


def test_only_named_ranges_reach_the_api(cloud: Module) -> None:
    assert "default" not in cloud.variables["api_ranges"]
    assert "length(var.api_ranges) > 0" in str(cloud.variables["api_ranges"]["validation"])
    assert any("var.api_ranges" in list(references(one.body)) for one in cloud.made)


def test_no_key_of_the_lake_gets_into_the_state(cloud: Module) -> None:
    found = [one.type for one in cloud.made if SECRETS.search(one.type)]
    found += [one for one in cloud.references() if SECRETS.search(one)]
    assert found == []


def test_nobody_may_read_the_lake_without_a_sign_in() -> None:
    s3 = module("eks").find("aws_s3_bucket_public_access_block", "lake")
    assert {name for name, value in s3.items() if value is True} == {
        "block_public_acls", "block_public_policy", "ignore_public_acls", "restrict_public_buckets"
    }  # fmt: skip
    assert (
        plain(module("gke").find("google_storage_bucket", "lake")["public_access_prevention"]) == "enforced"
    )
    blob = module("aks").find("azurerm_storage_account", "lake")
    assert blob["shared_access_key_enabled"] is False
    assert blob["allow_nested_items_to_be_public"] is False


def test_the_example_names_what_has_no_default(cloud: Module) -> None:
    text = (CLOUDS[cloud.cloud].folder / "terraform.tfvars.example").read_text()
    named = set(bare(read(text.replace("$images", ""))))
    assert named <= set(cloud.variables)
    assert named >= {name for name, body in cloud.variables.items() if "default" not in body}
    assert {"name", "region", "gpu_size"} <= named


def test_the_defaults_are_those_that_the_command_names(cloud: Module) -> None:
    chosen = CLOUDS[cloud.cloud]
    assert plain(cloud.variables["region"]["default"]) == chosen.region
    assert plain(cloud.variables["gpu_size"]["default"]) == chosen.gpu
    assert plain(cloud.variables["name"]["default"]) == "millpond"


def test_the_readme_says_that_it_was_never_applied(cloud: Module) -> None:
    text = (CLOUDS[cloud.cloud].folder / "README.md").read_text()
    name = PROVIDER[cloud.cloud]
    assert f"hashicorp/{name} {PROVIDERS[name]['version'].rsplit('.', 1)[0]}" in text
    assert "It was never applied" in text
    for output in re.findall(r"terraform output -raw (\w+)", text):
        assert output in cloud.outputs


_POOL = {
    "aks": "azurerm_kubernetes_cluster_node_pool",
    "eks": "aws_eks_node_group",
    "gke": "google_container_node_pool",
}
_EFFECT = {"NO_SCHEDULE": "NoSchedule", "PREFER_NO_SCHEDULE": "PreferNoSchedule"}


def _pool(cloud: Module, name: str) -> dict[str, Any]:
    return cloud.find(_POOL[cloud.cloud], name)


def _taints(pool: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Taints of a pool as Kubernetes has them."""
    if "node_taints" in pool:
        found = [re.fullmatch(r"(.+)=(.+):(.+)", plain(one)) for one in pool["node_taints"]]
        return [(one[1], one[2], one[3]) for one in found if one]
    taints = pool.get("taint") or pool["node_config"][0]["taint"]
    return [(plain(one["key"]), plain(one["value"]), _EFFECT[plain(one["effect"])]) for one in taints]


def _labels(pool: dict[str, Any]) -> dict[str, str]:
    labels = pool.get("node_labels") or pool.get("labels") or pool["node_config"][0]["labels"]
    return {plain(key): plain(value) for key, value in bare(labels).items()}


def _scale(pool: dict[str, Any]) -> tuple[list[int], str]:
    if "scaling_config" in pool:
        found = pool["scaling_config"][0]
        return [found["min_size"], found["desired_size"]], found["max_size"]
    if "autoscaling" in pool:
        found = pool["autoscaling"][0]
        return [found["total_min_node_count"]], found["total_max_node_count"]
    assert pool["auto_scaling_enabled"] is True
    return [pool["min_count"]], pool["max_count"]
