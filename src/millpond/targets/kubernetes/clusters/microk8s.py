"""The provider microk8s: Canonical's snap on this machine, or one in a virtual machine of multipass."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import yaml

from millpond.model.errors import MillpondError, UsageError
from millpond.targets.kubernetes.clusters.machine import Machine, Step, Tool
from millpond.targets.kubernetes.clusters.provider import Found, State, only, sized_elsewhere
from millpond.targets.kubernetes.clusters.wishes import Wishes

ADDONS = ("dns", "rbac", "hostpath-storage", "ingress", "registry", "metrics-server")
_PREFIX = "microk8s-"


def addons(wishes: Wishes) -> tuple[str, ...]:
    """The addons to enable, in an order in which each finds what it needs."""
    more = ("nvidia",) if wishes.gpu else ()
    return (*ADDONS, *more, *(("istio",) if wishes.istio else ()))


def _one_node(wishes: Wishes) -> None:
    if wishes.nodes > 1:
        raise UsageError(
            "microk8s gets more nodes by joining machines, not by a number",
            hint="leave --nodes out, or take the provider kind or minikube",
        )


class MicroK8s:
    """The one MicroK8s of a machine.

    On macOS its command looks after a virtual machine; there the size can be chosen.
    """

    name = "microk8s"
    tool = Tool(
        "microk8s", "`sudo snap install microk8s --classic`", "`brew install ubuntu/microk8s/microk8s`"
    )

    def clusters(self, machine: Machine) -> list[Found]:
        """One."""
        answer = machine.ask("microk8s", "status", "--format", "yaml")
        text = answer.out + answer.err
        try:
            told = yaml.safe_load(answer.out)
        except yaml.YAMLError:
            told = None
        if isinstance(told, dict) and isinstance(told.get("microk8s"), dict):
            state = State.RUNNING if told["microk8s"].get("running") else State.STOPPED
        elif "not running" in text:
            state = State.STOPPED
        elif machine.system == "darwin" and "not installed" in text.lower():
            return []
        else:
            raise MillpondError(
                f"microk8s does not tell its state: {answer.last}",
                hint="its users are in a group: `sudo usermod -a -G microk8s $USER`, then sign in anew",
            )
        words = machine.ask("microk8s", "version").out.split()
        version = next((word.lstrip("v") for word in words if word.startswith("v")), "")
        return [Found(self.name, self.name, state, self.context(self.name), version, 1)]

    def cluster_name(self, name: str) -> str:
        """Its only one."""
        return only(self.name, name)

    def context(self, name: str) -> str:
        """The same as its name."""
        return self.name

    def create(self, wishes: Wishes, machine: Machine) -> list[Step]:
        """Start it, and enable the addons; on macOS its virtual machine is made first."""
        _one_node(wishes)
        if machine.system == "darwin":
            size = ["--cpu", str(wishes.cpus), "--mem", str(-(-wishes.memory // 1024))]
            size += ["--disk", str(wishes.disk)]
            channel = ["--channel", f"{wishes.minor}/stable"] if wishes.version else []
            first = Step(("microk8s", "install", *size, *channel))
        elif wishes.version:
            raise UsageError(
                "the version of microk8s is chosen when it is installed",
                hint=f"`sudo snap refresh microk8s --channel={wishes.minor}/stable`, or --multipass",
            )
        else:
            first = Step(("microk8s", "start"))
        ready = Step(("microk8s", "status", "--wait-ready", "--timeout", "300"))
        return [first, ready, *(Step(("microk8s", "enable", addon)) for addon in addons(wishes))]

    def notes(self, wishes: Wishes, machine: Machine) -> list[str]:
        """Its size is this machine's."""
        if machine.system == "darwin":
            return []
        return sized_elsewhere(wishes, self.name, "this machine")

    def start(self, name: str, machine: Machine) -> list[Step]:
        """All of its services."""
        return [Step(("microk8s", "start")), Step(("microk8s", "status", "--wait-ready", "--timeout", "300"))]

    def stop(self, name: str, machine: Machine) -> list[Step]:
        """All of its services, with the pods."""
        return [Step(("microk8s", "stop"))]

    def delete(self, name: str, machine: Machine) -> list[Step]:
        """With the snap, as a MicroK8s that is there has a cluster."""
        if machine.system == "darwin":
            return [Step(("microk8s", "uninstall"))]
        return [Step(("snap", "remove", "--purge", "microk8s"), root=True)]

    def load(self, name: str, archives: Sequence[Path], machine: Machine) -> list[Step]:
        """Into its containerd; on macOS through the virtual machine."""
        if machine.system == "darwin":
            return [step for path in archives for step in _through("microk8s-vm", path)]
        return [Step(("microk8s", "ctr", "image", "import", str(path))) for path in archives]

    def kubeconfig(self, name: str, machine: Machine) -> Step | None:
        """It prints one of its own."""
        return Step(("microk8s", "config"))


class Multipass:
    """MicroK8s in a virtual machine of multipass, which has its own size and is thrown away as a whole."""

    name = "microk8s under multipass"
    tool = Tool("multipass", "`sudo snap install multipass`", "`brew install --cask multipass`")

    def clusters(self, machine: Machine) -> list[Found]:
        """The virtual machines that we named."""
        answer = machine.ask("multipass", "list", "--format", "json")
        try:
            told = json.loads(answer.out)["list"]
        except (ValueError, KeyError, TypeError):
            raise MillpondError(
                f"multipass does not list its virtual machines: {answer.last}",
                hint="`multipass list` shows more",
            ) from None
        states = {"Running": State.RUNNING, "Starting": State.RUNNING, "Stopped": State.STOPPED}
        states["Suspended"] = State.STOPPED
        found = []
        for one in told:
            name, word = str(one.get("name")), str(one.get("state"))
            if not name.startswith(_PREFIX) or name == "microk8s-vm" or word == "Deleted":
                continue
            state = states.get(word, State.BROKEN)
            message = "" if state is not State.BROKEN else f"multipass says {word}"
            found.append(Found(self.name, name.removeprefix(_PREFIX), state, name, nodes=1, message=message))
        return found

    def cluster_name(self, name: str) -> str:
        """Any name."""
        return name

    def context(self, name: str) -> str:
        """That of its virtual machine."""
        return _PREFIX + name

    def create(self, wishes: Wishes, machine: Machine) -> list[Step]:
        """A virtual machine, the snap in it, and the addons."""
        _one_node(wishes)
        if wishes.gpu:
            raise UsageError(
                "multipass hands no GPU to its virtual machines",
                hint="leave --multipass out, or leave --gpu out",
            )
        vm = self.context(wishes.name)
        size = ["--cpus", str(wishes.cpus), "--memory", f"{wishes.memory}M", "--disk", f"{wishes.disk}G"]
        channel = [f"--channel={wishes.minor}/stable"] if wishes.version else []
        return [
            Step(("multipass", "launch", "--name", vm, *size)),
            _inside(vm, "snap", "install", "microk8s", "--classic", *channel),
            _inside(vm, "microk8s", "status", "--wait-ready", "--timeout", "300"),
            *(_inside(vm, "microk8s", "enable", addon) for addon in addons(wishes)),
        ]

    def notes(self, wishes: Wishes, machine: Machine) -> list[str]:
        """Where its entrance answers."""
        return [
            f"`multipass info {self.context(wishes.name)}` shows the address at which its ingress answers"
        ]

    def start(self, name: str, machine: Machine) -> list[Step]:
        """The virtual machine."""
        vm = self.context(name)
        ready = _inside(vm, "microk8s", "status", "--wait-ready", "--timeout", "300")
        return [Step(("multipass", "start", vm)), ready]

    def stop(self, name: str, machine: Machine) -> list[Step]:
        """The virtual machine."""
        return [Step(("multipass", "stop", self.context(name)))]

    def delete(self, name: str, machine: Machine) -> list[Step]:
        """The virtual machine with its disk."""
        return [Step(("multipass", "delete", "--purge", self.context(name)))]

    def load(self, name: str, archives: Sequence[Path], machine: Machine) -> list[Step]:
        """Handed over, taken in, and removed there."""
        return [step for path in archives for step in _through(self.context(name), path)]

    def kubeconfig(self, name: str, machine: Machine) -> Step | None:
        """That of the MicroK8s inside, which names the virtual machine's address."""
        return _inside(self.context(name), "microk8s", "config")


def _inside(vm: str, *argv: str) -> Step:
    """A command in a virtual machine; root there is root of nothing else."""
    return Step(("multipass", "exec", vm, "--", "sudo", *argv))


def _through(vm: str, archive: Path) -> list[Step]:
    place = f"/tmp/millpond-{archive.name}"
    return [
        Step(("multipass", "transfer", str(archive), f"{vm}:{place}")),
        _inside(vm, "microk8s", "ctr", "image", "import", place),
        _inside(vm, "rm", place),
    ]
