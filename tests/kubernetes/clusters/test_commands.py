"""``millpond cluster`` with fake tools: the exact commands, the table, the questions, the errors."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from .conftest import Fakes

PROFILES = json.dumps(
    {
        "invalid": [],
        "valid": [
            {
                "Name": "millpond",
                "Status": "OK",
                "Config": {"Nodes": [{}], "KubernetesConfig": {"KubernetesVersion": "v1.34.2"}},
            },
            {"Name": "old", "Status": "Stopped", "Config": {}},
        ],
    }
)
KUBECONFIG = yaml.safe_dump(
    {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "microk8s-cluster", "cluster": {"server": "https://127.0.0.1:16443"}}],
        "users": [{"name": "admin", "user": {"token": "hush-hush"}}],
        "contexts": [{"name": "microk8s", "context": {"cluster": "microk8s-cluster", "user": "admin"}}],
        "current-context": "microk8s",
    }
)


def test_without_a_tool_the_error_says_how_each_is_installed(fakes: Fakes) -> None:
    found = fakes.run("create")
    assert found.returncode == 1
    assert "neither minikube, kind, microk8s nor k3s" in found.stderr
    assert "sudo snap install microk8s --classic" in found.stderr


def test_a_named_provider_that_is_missing_is_named_with_its_installation(fakes: Fakes) -> None:
    found = fakes.run("create", "--provider", "kind")
    assert found.returncode == 1
    assert "the provider kind needs the program kind, which is not on PATH" in found.stderr
    assert "https://kind.sigs.k8s.io" in found.stderr


def test_minikube_is_made_big_enough_for_the_starter_with_its_addons(fakes: Fakes) -> None:
    fakes.add("minikube", {"profile list": (85, '{"valid": [], "invalid": []}', "")})
    found = fakes.run("create", "--provider", "minikube")
    assert found.returncode == 0, found.stderr
    assert found.stdout == "millpond\n"
    assert "millpond up --target kubernetes --context millpond" in found.stderr
    made = fakes.calls[-1]
    assert made[:4] == ["minikube", "start", "--profile", "millpond"]
    assert int(made[made.index("--cpus") + 1]) >= 4
    assert int(made[made.index("--memory") + 1].rstrip("m")) >= 6 * 1024
    addons = {made[i + 1] for i, word in enumerate(made) if word == "--addons"}
    assert {"ingress", "registry", "storage-provisioner"} <= addons


def test_dry_run_prints_the_exact_command_and_runs_nothing(fakes: Fakes) -> None:
    fakes.add("minikube")
    words = ["--cpus", "6", "--memory", "12Gi", "--disk", "80", "--nodes", "2", "--gpu", "--name", "lab"]
    found = fakes.run(
        "create", "--provider", "minikube", *words, "--kubernetes-version", "1.34.2", "--dry-run"
    )
    assert found.stdout == (
        "minikube start --profile lab --cpus 6 --memory 12288m --disk-size 80g --nodes 2 "
        "--kubernetes-version v1.34.2 --driver docker --container-runtime docker --gpus all --cni calico "
        "--addons storage-provisioner --addons default-storageclass --addons ingress --addons registry "
        "--addons metrics-server --wait all\n"
    )
    assert fakes.calls == []


def test_kind_gets_its_nodes_and_ports_of_the_loopback_address_over_standard_input(fakes: Fakes) -> None:
    fakes.add("kind")
    fakes.add("docker")
    found = fakes.run("create", "--provider", "kind", "--nodes", "3", "--cpus", "9")
    assert found.returncode == 0, found.stderr
    assert found.stdout == "kind-millpond\n"
    assert fakes.calls[-1][:5] == ["kind", "create", "cluster", "--name", "millpond"]
    config = yaml.safe_load(fakes.stdin)
    assert [node["role"] for node in config["nodes"]] == ["control-plane", "worker", "worker"]
    assert {port["listenAddress"] for port in config["nodes"][0]["extraPortMappings"]} == {"127.0.0.1"}
    assert "--cpus has no effect" in found.stderr


def test_kind_refuses_gpus_and_says_who_has_them(fakes: Fakes) -> None:
    fakes.add("kind")
    found = fakes.run("create", "--provider", "kind", "--gpu")
    assert found.returncode == 2
    assert "minikube (with Docker)" in found.stderr


def test_kind_is_stopped_by_its_containers_after_a_question(fakes: Fakes) -> None:
    fakes.add("kind", {"get clusters": "millpond\n", "get nodes": "millpond-control-plane\n"})
    fakes.add("docker", {"container inspect": "running\n"})
    unanswered = fakes.run("stop")
    assert unanswered.returncode == 2
    assert "--yes" in unanswered.stderr
    assert ["docker", "stop", "millpond-control-plane"] not in fakes.calls
    assert fakes.run("stop", "--yes").returncode == 0
    assert fakes.calls[-1] == ["docker", "stop", "millpond-control-plane"]


def test_microk8s_enables_its_addons_and_its_context_is_taken_over(fakes: Fakes) -> None:
    kubeconfig = fakes.home / ".kube" / "config"
    kubeconfig.parent.mkdir()
    kubeconfig.write_text(
        "users: [{name: admin, user: {token: mine}}]\ncontexts: [{name: work, context: {user: admin}}]\n"
    )
    fakes.add("microk8s", {"status --format": "microk8s:\n  running: false\n", "config": KUBECONFIG})
    found = fakes.run("create", "--provider", "microk8s")
    assert found.returncode == 0, found.stderr
    enabled = [call[2] for call in fakes.calls if call[1] == "enable"]
    assert enabled == ["dns", "rbac", "hostpath-storage", "ingress", "registry", "metrics-server"]
    told = yaml.safe_load(kubeconfig.read_text())
    assert {one["name"] for one in told["contexts"]} == {"work", "microk8s"}
    assert {one["name"]: one["user"]["token"] for one in told["users"]} == {
        "admin": "mine",
        "microk8s": "hush-hush",
    }
    assert kubeconfig.stat().st_mode & 0o077 == 0
    assert "hush-hush" not in found.stdout + found.stderr


def test_microk8s_under_multipass_is_a_machine_of_its_own(fakes: Fakes) -> None:
    fakes.add("multipass", {"list": '{"list": []}'})
    found = fakes.run("create", "--multipass", "--name", "lab", "--kubernetes-version", "1.34", "--dry-run")
    lines = found.stdout.splitlines()
    assert lines[0].startswith("multipass launch --name microk8s-lab --cpus ")
    assert lines[1] == (
        "multipass exec microk8s-lab -- sudo snap install microk8s --classic --channel=1.34/stable"
    )


def test_k3s_wants_root_and_says_the_exact_commands(fakes: Fakes) -> None:
    fakes.add("k3s", {"--version": "k3s version v1.34.2+k3s1 (abc)\n"})
    fakes.add("systemctl", {"show": "LoadState=loaded\nActiveState=inactive\nSubState=dead\n"})
    shown = fakes.run("create", "--provider", "k3s", "--dry-run")
    assert shown.stdout.splitlines()[0] == "sudo systemctl enable --now k3s"
    listed = json.loads(fakes.run("status", "--json").stdout)
    assert listed["clusters"][0]["state"] == "stopped"
    assert listed["clusters"][0]["version"] == "1.34.2"


def test_status_is_one_table_over_all_installed_tools(fakes: Fakes) -> None:
    fakes.add("minikube", {"profile list": PROFILES})
    fakes.add("kind", {"get clusters": (1, "", "ERROR: cannot connect to the Docker daemon\n")})
    found = fakes.run("status")
    assert found.returncode == 0
    lines = [line.split() for line in found.stdout.splitlines()]
    assert lines[1] == ["minikube", "millpond", "running", "1.34.2", "1", "millpond"]
    assert lines[2] == ["minikube", "old", "stopped", "old"]
    assert "cannot connect to the Docker daemon" in found.stderr


def test_delete_names_what_is_meant_when_several_can_be(fakes: Fakes) -> None:
    fakes.add("minikube", {"profile list": PROFILES.replace('"millpond"', '"lab"')})
    found = fakes.run("delete", "--yes")
    assert "several clusters can be meant: lab (minikube), old (minikube)" in found.stderr
    assert fakes.run("delete", "--yes", "--name", "old").returncode == 0
    assert fakes.calls[-1] == ["minikube", "delete", "--profile", "old"]
    missing = fakes.run("delete", "--yes", "--name", "lap")
    assert "did you mean lab?" in missing.stderr


def test_a_step_that_fails_is_told_with_its_last_lines(fakes: Fakes) -> None:
    fakes.add(
        "minikube",
        {"profile list": '{"valid": []}', "start": (37, "", "Exiting due to DRV_NOT_DETECTED: no driver\n")},
    )
    found = fakes.run("create", "--provider", "minikube")
    assert found.returncode == 1
    assert "failed with exit code 37" in found.stderr
    assert "DRV_NOT_DETECTED" in found.stderr


def test_images_are_saved_from_the_engine_that_has_them_and_archives_are_taken_as_they_are(
    fakes: Fakes,
) -> None:
    (fakes.project / "mine.tar").write_bytes(b"")
    fakes.add("minikube", {"profile list": PROFILES})
    fakes.add("docker", {"image inspect": (1, "", "no such image")})
    fakes.add("podman")
    found = fakes.run("load", "mine.tar", "registry.example.org/a/b:1", "--name", "millpond")
    assert found.returncode == 0, found.stderr
    saved, *loaded = fakes.calls[-3:]
    assert saved[:3] == ["podman", "save", "-o"]
    assert [call[:5] for call in loaded] == [["minikube", "--profile", "millpond", "image", "load"]] * 2
    assert loaded[0][5] == str(fakes.project / "mine.tar")
    assert loaded[1][5] == saved[3]
    assert not Path(saved[3]).parent.exists()


def test_data_mills_section_local_describes_the_cluster(fakes: Fakes) -> None:
    (fakes.project / "mill.yaml").write_text(
        "project: {flavour: mlflow}\n"
        "local: {provider: minikube, cpus: 5, memory: 9000, storage: 50GB, vm_driver: kvm2}\n"
    )
    fakes.add("minikube")
    found = fakes.run("create", "--file", "mill.yaml", "--memory", "10g", "--dry-run")
    assert found.returncode == 0, found.stderr
    assert "--cpus 5 --memory 10240m --disk-size 50g" in found.stdout
    assert "--driver kvm2" in found.stdout
