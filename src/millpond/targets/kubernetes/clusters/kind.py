"""The provider kind: a cluster whose nodes are containers of Docker, Podman or nerdctl."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from millpond.model.errors import MillpondError, UsageError
from millpond.targets.kubernetes.clusters.machine import Machine, Step, Tool
from millpond.targets.kubernetes.clusters.provider import Found, State, sized_elsewhere
from millpond.targets.kubernetes.clusters.wishes import Wishes

# The entrance's ports on this machine: free for every user, and on the loopback address alone.
HTTP_PORT, HTTPS_PORT = 8080, 8443
ENGINES = ("docker", "podman", "nerdctl")
_CONFIG = """\
kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
networking:
  apiServerAddress: 127.0.0.1
nodes:
- role: control-plane
  labels:
    ingress-ready: "true"
  extraPortMappings:
  - {{containerPort: 80, hostPort: {http}, listenAddress: 127.0.0.1, protocol: TCP}}
  - {{containerPort: 443, hostPort: {https}, listenAddress: 127.0.0.1, protocol: TCP}}
"""


class Kind:
    """Clusters of kind; kind has no word for stop and start, so that is done to their containers."""

    name = "kind"
    tool = Tool(
        "kind",
        "see https://kind.sigs.k8s.io/docs/user/quick-start, or `brew install kind`; "
        "it needs Docker or Podman",
        "`brew install kind`; it needs Docker or Podman",
    )

    def clusters(self, machine: Machine) -> list[Found]:
        """All clusters, with the state of their containers."""
        answer = machine.ask("kind", "get", "clusters")
        if answer.code != 0:
            raise MillpondError(
                f"kind does not list its clusters: {answer.last}",
                hint="kind needs Docker, Podman or nerdctl; see that one of them runs",
            )
        # «No kind clusters found.» goes to standard error.
        return [self._found(name.strip(), machine) for name in answer.out.splitlines() if name.strip()]

    def _found(self, name: str, machine: Machine) -> Found:
        nodes = self._nodes(name, machine)
        engine = self.engine(machine)
        answer = machine.ask(engine, "container", "inspect", "--format", "{{.State.Status}}", *nodes)
        states = answer.out.split()
        if answer.code != 0 or len(states) != len(nodes):
            state, message = State.BROKEN, f"{engine} does not tell its containers' state: {answer.last}"
        elif all(word == "running" for word in states):
            state, message = State.RUNNING, ""
        elif any(word == "running" for word in states):
            down = sum(word != "running" for word in states)
            state, message = State.BROKEN, f"{down} of {len(nodes)} nodes do not run"
        else:
            state, message = State.STOPPED, ""
        return Found(self.name, name, state, self.context(name), nodes=len(nodes), message=message)

    def _nodes(self, name: str, machine: Machine) -> list[str]:
        answer = machine.ask("kind", "get", "nodes", "--name", name)
        nodes = answer.out.split()
        if answer.code != 0 or not nodes:
            raise MillpondError(f"kind does not list the nodes of {name}: {answer.last}")
        return nodes

    def engine(self, machine: Machine) -> str:
        """The container engine that kind uses: what its variable names, else the first that is there."""
        wanted = machine.environ.get("KIND_EXPERIMENTAL_PROVIDER", "")
        found = wanted or next((name for name in ENGINES if machine.find(name)), "")
        if not found:
            raise MillpondError(
                "the provider kind needs Docker, Podman or nerdctl, and none of them is on PATH",
                hint="install one, for example from https://docs.docker.com/engine/install or https://podman.io",
            )
        return found

    def cluster_name(self, name: str) -> str:
        """Any name."""
        return name

    def context(self, name: str) -> str:
        """The name after ``kind-``."""
        return f"kind-{name}"

    def create(self, wishes: Wishes, machine: Machine) -> list[Step]:
        """One ``kind create cluster``; its configuration comes over standard input."""
        if wishes.gpu:
            raise UsageError(
                "kind hands no GPU to its nodes",
                hint="take the provider minikube (with Docker), microk8s or k3s",
            )
        if wishes.istio:
            raise UsageError("kind has no addon for Istio", hint="name the component istio in the flavour")
        self.engine(machine)
        config = _CONFIG.format(http=HTTP_PORT, https=HTTPS_PORT) + "- role: worker\n" * (wishes.nodes - 1)
        words = ["kind", "create", "cluster", "--name", wishes.name, "--config", "-", "--wait", "5m"]
        if wishes.version:
            words += ["--image", f"kindest/node:v{wishes.version.lstrip('v')}"]
        return [Step(tuple(words), stdin=config)]

    def notes(self, wishes: Wishes, machine: Machine) -> list[str]:
        """kind has storage, but no addons."""
        return [
            *sized_elsewhere(wishes, self.name, "the container engine"),
            "kind brings storage, but no ingress or gateway: one that listens on its node's ports 80 and 443 "
            f"answers at 127.0.0.1:{HTTP_PORT} and :{HTTPS_PORT}",
        ]

    def start(self, name: str, machine: Machine) -> list[Step]:
        """Its containers."""
        return [Step((self.engine(machine), "start", *self._nodes(name, machine)))]

    def stop(self, name: str, machine: Machine) -> list[Step]:
        """Its containers; their file systems stay."""
        return [Step((self.engine(machine), "stop", *self._nodes(name, machine)))]

    def delete(self, name: str, machine: Machine) -> list[Step]:
        """With its context."""
        return [Step(("kind", "delete", "cluster", "--name", name))]

    def load(self, name: str, archives: Sequence[Path], machine: Machine) -> list[Step]:
        """Into every node."""
        return [Step(("kind", "load", "image-archive", str(path), "--name", name)) for path in archives]

    def kubeconfig(self, name: str, machine: Machine) -> Step | None:
        """kind writes it."""
        return None
