"""The provider k3s: one small cluster as a service of this Linux machine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from millpond.model.errors import MillpondError, UsageError
from millpond.targets.kubernetes.clusters.machine import Machine, Step, Tool
from millpond.targets.kubernetes.clusters.provider import Found, State, only, sized_elsewhere
from millpond.targets.kubernetes.clusters.wishes import Wishes

KUBECONFIG = "/etc/rancher/k3s/k3s.yaml"
_INSTALL = "curl -sfL https://get.k3s.io | sudo sh -"


class K3s:
    """The one k3s of a machine. systemd runs it, and all that changes it is root's."""

    name = "k3s"
    tool = Tool(
        "k3s",
        f"see https://docs.k3s.io/quick-start; its installer is `{_INSTALL}`",
        "k3s runs on Linux alone; on macOS take the provider kind or minikube",
    )

    def clusters(self, machine: Machine) -> list[Found]:
        """One, as soon as its service is set up."""
        answer = machine.ask("systemctl", "show", "k3s", "--property", "LoadState,ActiveState,SubState")
        told = dict(line.split("=", 1) for line in answer.out.splitlines() if "=" in line)
        if answer.code != 0 and not told:
            raise MillpondError(
                f"systemd does not tell the state of k3s: {answer.last}",
                hint=f"k3s is looked after as systemd's service; its installer sets that up: `{_INSTALL}`",
            )
        if told.get("LoadState") != "loaded":
            return []
        active = told.get("ActiveState", "")
        states = {"active": State.RUNNING, "activating": State.RUNNING, "inactive": State.STOPPED}
        state = states.get(active, State.BROKEN)
        message = "" if state is not State.BROKEN else f"systemd says {active}; `journalctl -u k3s` says why"
        version = machine.ask("k3s", "--version").out.split()
        number = version[2].lstrip("v").split("+")[0] if len(version) > 2 else ""
        return [Found(self.name, self.name, state, self.context(self.name), number, 1, message)]

    def cluster_name(self, name: str) -> str:
        """Its only one."""
        return only(self.name, name)

    def context(self, name: str) -> str:
        """k3s calls it ``default``; it is renamed when it is taken over."""
        return self.name

    def create(self, wishes: Wishes, machine: Machine) -> list[Step]:
        """Start the service, and at every boot."""
        if wishes.nodes > 1:
            raise UsageError(
                "k3s has one node on a machine",
                hint="leave --nodes out, or take the provider kind or minikube",
            )
        if wishes.version:
            raise UsageError(
                "the version of k3s is chosen when it is installed",
                hint=f"`curl -sfL https://get.k3s.io | sudo INSTALL_K3S_CHANNEL=v{wishes.minor} sh -`",
            )
        if wishes.istio:
            raise UsageError("k3s has no addon for Istio", hint="name the component istio in the flavour")
        return [
            Step(("systemctl", "enable", "--now", "k3s"), root=True),
            Step(
                ("k3s", "kubectl", "wait", "--for=condition=Ready", "node", "--all", "--timeout=300s"),
                root=True,
            ),
        ]

    def notes(self, wishes: Wishes, machine: Machine) -> list[str]:
        """What is in it by itself."""
        notes = sized_elsewhere(wishes, self.name, "this machine")
        if wishes.gpu:
            notes.append(
                "k3s finds an NVIDIA runtime that is installed by itself; the device plugin has to be added: "
                "https://docs.k3s.io/advanced"
            )
        return notes

    def start(self, name: str, machine: Machine) -> list[Step]:
        """The service."""
        return [Step(("systemctl", "start", "k3s"), root=True)]

    def stop(self, name: str, machine: Machine) -> list[Step]:
        """The service, and the containers, which it leaves running."""
        return [Step(("systemctl", "stop", "k3s"), root=True), Step(("k3s-killall.sh",), root=True)]

    def delete(self, name: str, machine: Machine) -> list[Step]:
        """By the program that its installer wrote."""
        return [Step(("k3s-uninstall.sh",), root=True)]

    def load(self, name: str, archives: Sequence[Path], machine: Machine) -> list[Step]:
        """Into its containerd."""
        return [Step(("k3s", "ctr", "images", "import", str(path)), root=True) for path in archives]

    def kubeconfig(self, name: str, machine: Machine) -> Step | None:
        """A file that root alone reads, unless k3s was told otherwise."""
        return Step(("cat", KUBECONFIG), root=True)
