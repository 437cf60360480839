"""Pods: the processes of a component as containers that the restricted pod security standard lets pass.

https://kubernetes.io/docs/concepts/security/pod-security-standards/
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from millpond.catalogue import Entry
from millpond.model import component as parts
from millpond.model.component import Process, Resources
from millpond.model.platform import Node, Platform
from millpond.model.scope import Scope
from millpond.targets.kubernetes.render import names
from millpond.targets.kubernetes.render.files import Files
from millpond.targets.kubernetes.render.realise import Realiser, Variables

_PATH = f"{names.VENV}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_SECURITY = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
}
_GRACE = 5
"""Seconds beyond a process's own time to stop, for the kubelet's part of it."""


def pod_security() -> dict[str, Any]:
    """The security context of every pod."""
    return {
        "runAsNonRoot": True,
        "runAsUser": names.USER,
        "runAsGroup": names.USER,
        "fsGroup": names.USER,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def container_security() -> dict[str, Any]:
    """The security context of every container."""
    return {**_SECURITY, "capabilities": {"drop": ["ALL"]}}


class Pods:
    """The pods of one node: of its processes and of its jobs."""

    def __init__(
        self, platform: Platform, node: Node, entry: Entry, realiser: Realiser, files: Files, image: str
    ) -> None:
        self.platform = platform
        self.node = node
        self.entry = entry
        self.realiser = realiser
        self.files = files
        self.image = image
        self.service = node.component.service
        self.scope = realiser.scope(node.name)

    def processes(self) -> dict[str, Process]:
        """The processes that run on a cluster, by name."""
        return {name: each for name, each in self.service.processes.items() if each.only != "local"}

    def groups(self) -> dict[str, dict[str, Process]]:
        """The pods by role: one of all processes that stand together, and one for each that stands apart."""
        found: dict[str, dict[str, Process]] = {}
        for name, process in self.processes().items():
            found.setdefault(names.dns(name) if process.apart else names.MAIN, {})[name] = process
        return found

    def template(self, role: str, labels: Mapping[str, str], replicas: int) -> dict[str, Any]:
        """The pod template of a role."""
        group = self.groups()[role]
        first = {other for process in group.values() for other in process.after if other in group}
        sidecars = [self._sidecar(name, group) for name in group if name in first]
        containers = [self._container(name, group) for name in group if name not in first]
        grace = max(process.stop.timeout for process in group.values())
        spec = self._spec([*self._prepare(), *sidecars], containers, grace)
        if replicas > 1:
            spec["topologySpreadConstraints"] = [
                {
                    "maxSkew": 1,
                    "topologyKey": key,
                    "whenUnsatisfiable": "ScheduleAnyway",
                    "labelSelector": {"matchLabels": names.selector(self.platform, self.node.name, role)},
                }
                for key in ("topology.kubernetes.io/zone", "kubernetes.io/hostname")
            ]
        annotations = {
            "millpond.dev/files": self.files.digest,
            "kubectl.kubernetes.io/default-container": containers[0]["name"],
        }
        return {"metadata": {"labels": dict(labels), "annotations": annotations}, "spec": spec}

    def job(self, name: str, job: parts.Job, scope: Scope, labels: Mapping[str, str]) -> dict[str, Any]:
        """The pod template of a job, such as one that makes a database for an asker."""
        spec = self._spec([], [self._job(name, job, scope, volumes=False)], _GRACE, volumes=False)
        spec["restartPolicy"] = "OnFailure"
        return {"metadata": {"labels": dict(labels)}, "spec": spec}

    # --- the pod ------------------------------------------------------------------------------------------

    def _spec(
        self,
        before: list[dict[str, Any]],
        containers: list[dict[str, Any]],
        grace: float,
        *,
        volumes: bool = True,
    ) -> dict[str, Any]:
        composer = self.files.composer()
        if composer:
            before = [self._dressed(composer, _small()), *before]
        spec: dict[str, Any] = {
            "serviceAccountName": names.resource(self.node.name),
            "automountServiceAccountToken": False,
            # The variables of every Service here would mean something to a program, as MLFLOW_PORT.
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": math.ceil(grace) + _GRACE,
            "securityContext": pod_security(),
        }
        if before:
            spec["initContainers"] = before
        spec["containers"] = containers
        spec["volumes"] = [*self._volumes(kept=volumes), *self.files.volumes()]
        if self.platform.cluster.pull_secrets:
            spec["imagePullSecrets"] = [{"name": name} for name in self.platform.cluster.pull_secrets]
        if self.node.resources.gpu:
            gpu = self.platform.cluster.gpu
            spec["nodeSelector"] = dict(gpu.node_selector)
            spec["tolerations"] = [
                {"key": key, "operator": "Equal", "value": value, "effect": "NoSchedule"}
                for key, value in gpu.toleration.items()
            ]
        return spec

    def _volumes(self, *, kept: bool) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = [
            {"name": "tmp", "emptyDir": {}},
            {"name": "work", "emptyDir": {}},
        ]
        for name, volume in self.service.volumes.items() if kept else ():
            if volume.ephemeral:
                source: dict[str, Any] = {"emptyDir": {"sizeLimit": volume.size}}
            else:
                source = {"persistentVolumeClaim": {"claimName": names.resource(self.node.name, name)}}
            found.append({"name": _volume(name), **source})
        return found

    def _mounts(self, *, kept: bool = True) -> list[dict[str, Any]]:
        volumes = [
            {"name": _volume(name), "mountPath": f"{names.DATA}/{name}"}
            for name in (self.service.volumes if kept else ())
        ]
        return [
            {"name": "tmp", "mountPath": "/tmp"},
            {"name": "work", "mountPath": names.DATA},
            *volumes,
            *self.files.mounts(),
        ]

    # --- containers ---------------------------------------------------------------------------------------

    def _dressed(self, container: dict[str, Any], resources: dict[str, Any]) -> dict[str, Any]:
        """A container with what all have: the image, how it is pulled, security and resources."""
        return {
            "name": container.pop("name"),
            "image": self.image,
            "imagePullPolicy": self.platform.cluster.pull_policy,
            **container,
            "resources": resources,
            "securityContext": container_security(),
        }

    def _container(self, name: str, group: Mapping[str, Process]) -> dict[str, Any]:
        process = group[name]
        variables = Variables()
        command = [self.realiser.text(self.scope.value(word), variables) for word in process.command]
        env = self._environment(process.env, self.scope, variables)
        found: dict[str, Any] = {
            "name": names.dns(name),
            "command": command,
            "workingDir": names.DATA,
            "env": env,
            "volumeMounts": self._mounts(),
        }
        ports = self._ports(name, group)
        if ports:
            found["ports"] = ports
        found |= self._probes(process)
        if process.stop.signal != "SIGTERM":
            # The kubelet sends SIGTERM; this comes before it, and a second signal changes nothing.
            kill = f"kill -s {process.stop.signal.removeprefix('SIG')} 1"
            found["lifecycle"] = {"preStop": {"exec": {"command": ["sh", "-c", kill]}}}
        first = name == next(iter(group)) and (group[name].apart or not self._apart)
        return self._dressed(found, self._resources(self._share(group), self.node.resources, gpu=first))

    @property
    def _apart(self) -> bool:
        """Whether a process stands apart, so that the work is done there."""
        return any(process.apart for process in self.processes().values())

    def _share(self, group: Mapping[str, Process]) -> int:
        """Into how many parts a group's containers divide what the component needs.

        What stands apart does the work; what is left beside it, such as a scheduler, gets a quarter.
        """
        if any(process.apart for process in group.values()):
            return 1
        together = sum(not process.apart for process in self.service.processes.values())
        return together * (4 if self._apart else 1)

    def _sidecar(self, name: str, group: Mapping[str, Process]) -> dict[str, Any]:
        """A process that others come after: an init container that stays, which is waited for."""
        return {**self._container(name, group), "restartPolicy": "Always"}

    def _prepare(self) -> list[dict[str, Any]]:
        several = len(self.service.prepare) > 1
        return [
            self._job(f"prepare-{index}" if several else "prepare", job, self.scope)
            for index, job in enumerate(self.service.prepare, 1)
        ]

    def _job(self, name: str, job: parts.Job, scope: Scope, *, volumes: bool = True) -> dict[str, Any]:
        variables = Variables()
        command = [self.realiser.text(scope.value(word), variables) for word in job.command]
        extra = []
        if job.stdin is not None:
            extra.append({"name": "STDIN", "value": self.realiser.text(scope.value(job.stdin), variables)})
            command = ["sh", "-c", 'printf %s "$STDIN" | "$0" "$@"', *command]
        env = self._environment(job.env, scope, variables, kept=True)
        container = {
            "name": name,
            "command": command,
            "workingDir": names.DATA,
            "env": [*env, *extra],
            "volumeMounts": self._mounts(kept=volumes),
        }
        found = self._resources(1, self.node.resources, gpu=False)
        if not volumes:
            # A job that asks the provider for something is short; it must find a place beside all others.
            found["requests"] = dict(_SMALL)
        return self._dressed(container, found)

    def _environment(
        self, own: Mapping[str, str], scope: Scope, variables: Variables, *, kept: bool = False
    ) -> list[dict[str, Any]]:
        """The variables of a container.

        Those of unmet requirements are left out, as on one machine; a job's own are `kept`, which may ask for
        nothing by an empty one.
        """
        found: dict[str, Any] = {"HOME": {"value": "/tmp"}, "PATH": {"value": _PATH}}
        for templates, where in ((self.service.env, self.scope), (own, scope)):
            for key, template in templates.items():
                value = where.value(template)
                if value.empty and template and not (kept and templates is own):
                    continue
                reference = self.realiser.reference(value)
                if reference is not None:
                    keyed = {"name": reference.secret, "key": reference.key}
                    found[key] = {"valueFrom": {"secretKeyRef": keyed}}
                    continue
                text = self.realiser.text(value, variables)
                found[key] = {"value": f"{text}:{_PATH}" if key == "PATH" else text}
        return [*variables.env(), *({"name": key, **value} for key, value in found.items())]

    def _ports(self, name: str, group: Mapping[str, Process]) -> list[dict[str, Any]]:
        """The ports that a process names in its command, or all of the pod's where it is alone in it."""
        owners = port_owners(self.processes(), self.service.ports)
        return [
            {"name": port_name(port), "containerPort": self.realiser.port(self.node.name, port)}
            for port in self.service.ports
            if owners[port] == name and name in group
        ]

    def _probes(self, process: Process) -> dict[str, Any]:
        found: dict[str, Any] = {}
        ready = self._probe(process.ready)
        if ready:
            period = 1
            found["startupProbe"] = {
                **ready,
                "periodSeconds": period,
                "failureThreshold": math.ceil(process.start_timeout / period),
            }
            found["readinessProbe"] = {**ready, "periodSeconds": 5, "failureThreshold": 3}
        live = self._probe(process.live)
        if live and process.live:
            found["livenessProbe"] = {
                **live,
                "periodSeconds": max(1, math.ceil(process.live.interval)),
                "failureThreshold": 3,
            }
        return found

    def _probe(self, probe: parts.Probe | None) -> dict[str, Any] | None:
        """A probe as the kubelet makes it; what a log says it does not know."""
        if probe is None or probe.log is not None:
            return None
        port = probe.port or next(iter(self.service.ports), "")
        timeout = {"timeoutSeconds": max(1, math.ceil(probe.timeout))}
        if probe.http is not None:
            number = self.realiser.port(self.node.name, port)
            get = {
                "path": self.realiser.template(self.node.name, probe.http),
                "port": number,
                # As on one machine; servers that check their host's name know this one.
                "httpHeaders": [{"name": "Host", "value": f"localhost:{number}"}],
            }
            return {"httpGet": get, **timeout}
        if probe.tcp:
            return {"tcpSocket": {"port": self.realiser.port(self.node.name, port)}, **timeout}
        words = [self.realiser.template(self.node.name, word) for word in probe.command or ()]
        return {"exec": {"command": words}, **timeout}

    def _resources(self, shares: int, wanted: Resources, gpu: bool) -> dict[str, Any]:
        """Requests and limits of one of `shares` containers that divide what the component needs.

        A limit is twice the memory and four times the processor time of normal use, at least one core.
        """
        memory = max(32, wanted.memory_bytes // (1 << 20) // shares)
        cpu = max(10, round(wanted.cpu * 1000 / shares))
        limits: dict[str, Any] = {"cpu": _cores(max(1000, 4 * cpu)), "memory": f"{2 * memory}Mi"}
        requests: dict[str, Any] = {"cpu": _cores(cpu), "memory": f"{memory}Mi"}
        if gpu and wanted.gpu:
            resource = self.platform.cluster.gpu.resource
            limits[resource] = requests[resource] = str(wanted.gpu)
        return {"requests": requests, "limits": limits}


def port_owners(processes: Mapping[str, Process], ports: Iterable[str]) -> dict[str, str]:
    """Which process listens on which port: the first that names it in a command, a variable or a probe."""
    found = {}
    for port in ports:
        spoken = [name for name, process in processes.items() if _speaks_of(process, port)]
        found[port] = next(iter(spoken), next(iter(processes), ""))
    return found


def _speaks_of(process: Process, port: str) -> bool:
    probes = [probe for probe in (process.ready, process.live) if probe]
    return f"${{ports.{port}}}" in " ".join(process.command) or any(probe.port == port for probe in probes)


def port_name(port: str) -> str:
    """A port's name as Kubernetes takes it: at most 15 characters, no underscores."""
    return names.dns(port)[:15].strip("-")


def _volume(name: str) -> str:
    return f"data-{names.dns(name)}"


_SMALL = {"cpu": "10m", "memory": "32Mi"}


def _small() -> dict[str, Any]:
    return {"requests": dict(_SMALL), "limits": {"cpu": "1", "memory": "64Mi"}}


def _cores(thousandths: int) -> str:
    """Processor time as the API server writes it, so that a dry run finds no difference.

    >>> _cores(2000), _cores(250)
    ('2', '250m')
    """
    return str(thousandths // 1000) if thousandths % 1000 == 0 else f"{thousandths}m"
