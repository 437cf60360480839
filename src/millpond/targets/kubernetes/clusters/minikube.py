"""The provider minikube: a cluster in a container or a virtual machine, with addons."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from millpond.model.errors import MillpondError, UsageError
from millpond.targets.kubernetes.clusters.machine import Machine, Step, Tool
from millpond.targets.kubernetes.clusters.provider import Found, State
from millpond.targets.kubernetes.clusters.wishes import Wishes

# metrics-server: so that `kubectl top` and autoscaling of pods have numbers.
ADDONS = ("storage-provisioner", "default-storageclass", "ingress", "registry", "metrics-server")
_STATES = {"Running": State.RUNNING, "OK": State.RUNNING, "Starting": State.RUNNING}


class Minikube:
    """Clusters of minikube; each is a profile."""

    name = "minikube"
    tool = Tool(
        "minikube",
        "see https://minikube.sigs.k8s.io/docs/start for a package, or `brew install minikube`",
        "`brew install minikube`",
    )

    def clusters(self, machine: Machine) -> list[Found]:
        """All profiles."""
        answer = machine.ask("minikube", "profile", "list", "--output", "json")
        try:
            # It exits with a number when there is no profile, and with JSON all the same.
            told = json.loads(answer.out or "{}")
        except json.JSONDecodeError:
            raise MillpondError(
                f"minikube does not list its clusters: {answer.last}",
                hint="`minikube profile list` shows more",
            ) from None
        error = told.get("error") if isinstance(told, dict) else None
        if not isinstance(told, dict) or error:
            raise MillpondError(f"minikube does not list its clusters: {error or answer.last}")
        valid = [self._found(profile) for profile in told.get("valid") or []]
        broken = [
            Found(self.name, str(profile.get("Name")), State.BROKEN, "", message="its profile is damaged")
            for profile in told.get("invalid") or []
        ]
        return valid + broken

    def _found(self, profile: dict[str, Any]) -> Found:
        name = str(profile.get("Name"))
        config = profile.get("Config") or {}
        status = str(profile.get("Status"))
        known = State.STOPPED if status in ("Stopped", "Paused") else State.BROKEN
        state = _STATES.get(status, known)
        version = str((config.get("KubernetesConfig") or {}).get("KubernetesVersion", "")).lstrip("v")
        nodes = len(config.get("Nodes") or []) or None
        message = "" if state is not State.BROKEN else f"minikube says {status}"
        return Found(self.name, name, state, name, version, nodes, message)

    def cluster_name(self, name: str) -> str:
        """Any name."""
        return name

    def context(self, name: str) -> str:
        """The profile's name."""
        return name

    def create(self, wishes: Wishes, machine: Machine) -> list[Step]:
        """One ``minikube start`` with everything in it."""
        driver = wishes.driver
        if wishes.gpu:
            # minikube hands GPUs to containers of Docker alone.
            if driver not in ("", "docker"):
                raise UsageError(
                    f"minikube has GPUs with the driver docker, not with {driver}",
                    hint="leave --driver out, or leave --gpu out",
                )
            driver = "docker"
        words = ["minikube", "start", "--profile", wishes.name]
        words += ["--cpus", str(wishes.cpus), "--memory", f"{wishes.memory}m"]
        words += ["--disk-size", f"{wishes.disk}g", "--nodes", str(wishes.nodes)]
        if wishes.version:
            words += ["--kubernetes-version", f"v{wishes.version.lstrip('v')}"]
        if driver:
            words += ["--driver", driver]
        if wishes.gpu:
            words += ["--container-runtime", "docker", "--gpus", "all"]
        # Its own network enforces no NetworkPolicy, and a platform comes with some.
        words += ["--cni", "calico"]
        addons = (*ADDONS, "istio-provisioner", "istio") if wishes.istio else ADDONS
        for addon in addons:
            words += ["--addons", addon]
        return [Step((*words, "--wait", "all"))]

    def notes(self, wishes: Wishes, machine: Machine) -> list[str]:
        """How the entrance is reached on this machine."""
        return [f"`minikube --profile {wishes.name} ip` is where its ingress answers"]

    def start(self, name: str, machine: Machine) -> list[Step]:
        """As it was made."""
        return [Step(("minikube", "start", "--profile", name))]

    def stop(self, name: str, machine: Machine) -> list[Step]:
        """All of its nodes."""
        return [Step(("minikube", "stop", "--profile", name))]

    def delete(self, name: str, machine: Machine) -> list[Step]:
        """With its profile and its context."""
        return [Step(("minikube", "delete", "--profile", name))]

    def load(self, name: str, archives: Sequence[Path], machine: Machine) -> list[Step]:
        """``minikube image load`` reads archives too."""
        return [Step(("minikube", "--profile", name, "image", "load", str(path))) for path in archives]

    def kubeconfig(self, name: str, machine: Machine) -> Step | None:
        """minikube writes it."""
        return None
