"""What processes find in a pod: the same variables, files and arguments as on one machine."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from millpond.model.value import Secret
from millpond.targets.kubernetes.bundle import Bundle, Object
from millpond.targets.kubernetes.render.realise import escape

from .conftest import STARTER

Made = Callable[[str | dict[str, Any]], Bundle]


def expand(text: str, variables: Mapping[str, str]) -> str:
    """What the kubelet makes of a text: ``$$`` is ``$``, ``$(NAME)`` a variable's value, the rest stays."""

    def one(found: re.Match[str]) -> str:
        if found.group(0) == "$$":
            return "$"
        return variables.get(found.group(1), found.group(0))

    return re.sub(r"\$\$|\$\(([A-Za-z_][A-Za-z0-9_]*)\)", one, text)


def variables(container: Object) -> dict[str, str]:
    """The variables of a container in a cluster where each secret is its own name in brackets."""
    found: dict[str, str] = {}
    for variable in container.get("env", []):
        reference = variable.get("valueFrom", {}).get("secretKeyRef")
        if reference:
            found[variable["name"]] = f"<{reference['name']}/{reference['key']}>"
        else:
            found[variable["name"]] = expand(variable["value"], found)
    return found


def pod(bundle: Bundle, name: str) -> Object:
    workload = next(
        found
        for found in bundle
        if found["kind"] in ("Deployment", "StatefulSet") and found["metadata"]["name"] == name
    )
    spec: Object = workload["spec"]["template"]["spec"]
    return spec


@pytest.mark.parametrize("text", ["$(HOME)", "$$(HOME)", "$$", "a$b $(c) $$$(d) ${e}", "$", "$("])
def test_a_text_arrives_as_it_was(text: str) -> None:
    assert expand(escape(text), {"HOME": "x", "c": "y", "d": "z"}) == text


def test_secrets_arrive_in_variables(bundle: Made) -> None:
    found = variables(pod(bundle(STARTER), "mlflow")["containers"][0])
    password = "<postgres-for-mlflow-database/password>"
    assert found["MLFLOW_BACKEND_STORE_URI"] == (
        f"postgresql+psycopg2://mlflow:{password}@postgres.starter.svc:5432/mlflow"
    )
    assert found["AWS_SECRET_ACCESS_KEY"] == "<seaweedfs-for-mlflow-artifacts/secret>"
    assert found["MLFLOW_S3_ENDPOINT_URL"] == "http://seaweedfs.starter.svc:8333"


def test_a_file_with_secrets_in_it_is_put_together_in_the_pod(bundle: Made, tmp_path: Path) -> None:
    """The init container's own command, run with the variables that the kubelet would give it."""
    spec = pod(bundle(STARTER), "mlflow")
    composer = next(each for each in spec["initContainers"] if each["name"] == "files")
    command = [word.replace("/etc/millpond/composed", str(tmp_path)) for word in composer["command"]]
    env = {**variables(composer), "PATH": "/usr/bin:/bin"}
    subprocess.run(command, env=env, check=True)
    text = (tmp_path / "auth.ini").read_text()
    assert "admin_password = <mlflow-secrets/password>\n" in text
    assert "mlflow:<postgres-for-mlflow-database/password>@postgres.starter.svc:5432/mlflow\n" in text
    assert text.endswith("auth_cache_ttl_seconds = 60\n")
    assert (tmp_path / "auth.ini").stat().st_mode & 0o007 == 0


def test_processes_that_come_after_others_wait_for_them_in_the_pod(bundle: Made) -> None:
    spec = pod(bundle(STARTER), "gateway")
    agent = next(each for each in spec["initContainers"] if each["name"] == "agent")
    assert agent["restartPolicy"] == "Always"
    assert agent["startupProbe"]["httpGet"]["path"] == "/alive"
    assert [each["name"] for each in spec["containers"]] == ["envoy"]


def test_workers_are_pods_of_their_own(bundle: Made) -> None:
    made = bundle("components: {dask: {replicas: 4, workers: 3}}")
    workers = next(found for found in made if found["metadata"]["name"] == "dask-worker")
    assert workers["spec"]["replicas"] == 4
    command = workers["spec"]["template"]["spec"]["containers"][0]["command"]
    assert "tcp://dask.millpond.svc:8786" in command
    assert command[command.index("--nworkers") + 1] == "3"


def test_replicas_of_mlflow_spread_and_may_be_drained_one_by_one(bundle: Made) -> None:
    made = bundle("components: {mlflow: {replicas: 3}}")
    workload = next(f for f in made if f["kind"] == "Deployment" and f["metadata"]["name"] == "mlflow")
    assert workload["spec"]["replicas"] == 3
    spread = workload["spec"]["template"]["spec"]["topologySpreadConstraints"]
    assert {each["topologyKey"] for each in spread} == {
        "topology.kubernetes.io/zone",
        "kubernetes.io/hostname",
    }
    budget = next(f for f in made if f["kind"] == "PodDisruptionBudget" and f["metadata"]["name"] == "mlflow")
    assert budget["spec"]["maxUnavailable"] == 1


def test_a_gpu_is_asked_for_where_gpus_are(bundle: Made) -> None:
    spec = pod(bundle("components: {dask: {resources: {gpu: 2, memory: 8Gi, cpu: 2}}}"), "dask-worker")
    container = spec["containers"][0]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "2"
    assert container["resources"]["requests"]["nvidia.com/gpu"] == "2"
    assert container["image"].endswith("-cuda")
    assert spec["nodeSelector"] == {"dedicated": "gpu"}
    assert {
        "key": "dedicated",
        "operator": "Equal",
        "value": "gpu",
        "effect": "NoSchedule",
    } in spec["tolerations"]


def test_every_secret_says_of_how_many_characters_it_is_made(bundle: Made) -> None:
    for secret in bundle(STARTER).secrets:
        for key, value in secret.texts.items():
            if isinstance(value.parts[0], Secret) and len(value.parts) == 1:
                assert secret.lengths[key] >= 12


def test_pods_pass_the_restricted_standard(bundle: Made) -> None:
    for found in bundle(STARTER):
        spec = found.get("spec", {}).get("template", {}).get("spec")
        if spec is None:
            continue
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert spec["automountServiceAccountToken"] is False
        for container in [*spec.get("initContainers", []), *spec["containers"]]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
                "readOnlyRootFilesystem": True,
            }
            assert set(container["resources"]["limits"]) >= {"cpu", "memory"}


@pytest.mark.parametrize(
    ("routes", "kind", "hosts"),
    [
        ("{kind: gateway, host: mill.example.org, gateway: infra/entrance}", "HTTPRoute", "hostnames"),
        ("{kind: ingress, host: mill.example.org}", "Ingress", None),
    ],
)
def test_names_lead_to_the_gateway_or_to_each_component(
    routes: str, kind: str, hosts: str | None, bundle: Made
) -> None:
    def led(components: str) -> dict[str, list[str]]:
        text = f"{{components: {components}, kubernetes: {{routes: {routes}}}}}"
        found = {}
        for each in bundle(yaml.safe_load(text)):
            if each["kind"] == kind:
                spec = each["spec"]
                names = spec[hosts] if hosts else [rule["host"] for rule in spec["rules"]]
                found[each["metadata"]["name"]] = names
        return found

    assert led("[mlflow, gateway]") == {"gateway": ["mill.example.org", "*.mill.example.org"]}
    assert led("[mlflow]") == {"mlflow": ["mlflow.mill.example.org"]}
