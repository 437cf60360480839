"""Blueprints: what one node comes down to on this machine: processes, jobs and files."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from millpond.catalogue import Entry
from millpond.model import component as parts
from millpond.model.option import as_text
from millpond.model.plan import Facts
from millpond.model.platform import Binding, Node, Platform
from millpond.model.scope import Scope, request
from millpond.targets.local.installs import Install, InstallRequest
from millpond.targets.local.quarters import Quarters
from millpond.targets.local.realise import LOOPBACK, Realiser
from millpond.targets.local.supervisor.spec import Probe, ServiceSpec
from millpond.targets.local.workspace import write_private

if TYPE_CHECKING:
    from millpond.targets.local.supervisor.spawn import JobSpec


class Blueprint:
    """One node of a platform, worked out for this machine."""

    def __init__(self, node: Node, entry: Entry, realiser: Realiser) -> None:
        self.node = node
        self.entry = entry
        self.realiser = realiser
        self.service = node.component.service
        self.scope = realiser.scope(node.name)

    @property
    def quarters(self) -> Quarters:
        """Where the node lives."""
        return self.realiser.quarters[self.node.name]

    @property
    def install_request(self) -> InstallRequest:
        """What has to be installed for it."""
        kinds = self.service.install.model_dump(exclude_none=True, exclude_defaults=True)
        folder = self.entry.folder
        for kind in ("pip", "maven", "npm", "deb"):
            if kind in kinds:
                kinds[kind] = os.path.relpath(self.entry.resource(kinds[kind]), folder)
        return InstallRequest(self.node.name, folder, kinds)

    # --- what it is made of -------------------------------------------------------------------------------

    def process_names(self) -> list[str]:
        """The names that the supervisor knows its processes by."""
        return [process_name(self.node, process) for process in self.service.processes]

    def facts(self, overlay: str) -> Facts:
        """The digest of all its inputs, and those worth showing.

        Args:
            overlay: the hash of Millpond's own package, for components that run from it.
        """
        locks = {
            kind: self.entry.resource(str(name)).read_text()
            for kind, name in self.service.install.model_dump(exclude_none=True).items()
            if kind in ("pip", "maven", "npm", "deb")
        }
        millpond = overlay if self.service.install.millpond else ""
        texts = [self._realised(text) for text in _templates(self.service)]
        whole = json.dumps(
            [self.entry.digest, locks, millpond, texts, self.node.options, dict(self.node.binaries)]
        )
        shown = {"version": self.node.component.version}
        if millpond:
            shown["millpond's own code"] = millpond[:12]
        shown |= {key: as_text(value) for key, value in self.node.options.items()}
        for name, binding in self.node.bindings.items():
            shown[name] = binding.provider or f"external {binding.interface}"
        shown |= {f"port {name}": str(port) for name, port in self._ports().items()}
        shown |= {f"program {name}": path for name, path in self.node.binaries.items()}
        return Facts(self.realiser.secrets.fingerprint(whole), shown)

    def _realised(self, template: str) -> str:
        return self.realiser.text(self.scope.value(template))

    def _ports(self) -> Mapping[str, int]:
        return self.realiser.state.nodes[self.node.name].ports

    # --- files --------------------------------------------------------------------------------------------

    def write_files(self) -> None:
        """Make the folders and the files of the node, readable by its user alone."""
        self.quarters.make()
        for name, file in self.service.files.items():
            text = (
                (self.entry.folder / file.template).read_text()
                if file.template is not None
                else file.content or ""
            )
            path = self.quarters.files / name
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_private(path, self._realised(text))
            self.quarters.give(path)
        if self.node.binaries:
            self._link_binaries()

    def _link_binaries(self) -> None:
        """The user's own programs stand first on PATH, under the names the component calls them by."""
        folder = self._own_bin
        folder.mkdir(mode=0o755, exist_ok=True)
        for name, path in self.node.binaries.items():
            link = folder / name
            link.unlink(missing_ok=True)
            link.symlink_to(Path(path).expanduser())

    @property
    def _own_bin(self) -> Path:
        return self.quarters.files / ".bin"

    # --- processes and jobs -------------------------------------------------------------------------------

    def processes(self, platform: Platform) -> list[ServiceSpec]:
        """The processes, in the order of the component's file."""
        earlier = [name for other in self.node.waits_for for name in _names(platform.nodes[other])]
        found = []
        for name, process in self.service.processes.items():
            own = [process_name(self.node, other) for other in process.after]
            service = process_name(self.node, name)
            found.append(
                ServiceSpec(
                    name=service,
                    component=self.node.name,
                    argv=tuple(self._realised(word) for word in process.command),
                    env=self._environment(process.env),
                    cwd=self.quarters.data,
                    log=self.realiser.workspace.log(service),
                    user=self.quarters.user,
                    ready=self._probe(process.ready),
                    live=self._probe(process.live),
                    stop_signal=process.stop.signal,
                    stop_timeout=process.stop.timeout,
                    start_timeout=process.start_timeout,
                    after=(*earlier, *own),
                    leaves=tuple(Path(self._realised(path)) for path in self.service.leaves),
                )
            )
        return found

    def prepare_jobs(self) -> list[JobSpec]:
        """What is run before the processes start."""
        return [self._job(job, "prepare", self.scope) for job in self.service.prepare]

    def prepare_digest(self) -> str:
        """Tells whether the preparing jobs have to be run again."""
        # A job finds the service's environment and files as well, so a change of these counts.
        seen = [*self.service.prepare, *self.service.files.values()]
        texts = [self._realised(text) for part in seen for text in _templates(part)]
        env = {key: self._realised(text) for key, text in self.service.env.items()}
        return self.realiser.secrets.fingerprint(json.dumps([self.entry.digest, texts, env]))

    def provision_job(self, asker: str, binding: Binding) -> JobSpec | None:
        """What makes the thing that an asker requested: a database, a bucket, a key."""
        job = self.node.component.provides[binding.provision].provision
        if job is None:
            return None
        return self._job(job, f"provision for {asker}", self.scope.provided(asker, binding))

    def provision_digest(self, asker: str, binding: Binding) -> str:
        """Tells whether a provision has to be made again."""
        job = self.node.component.provides[binding.provision].provision
        scope = self.scope.provided(asker, binding)
        texts = [self.realiser.text(scope.value(text)) for text in _templates(job)] if job else []
        return self.realiser.secrets.fingerprint(json.dumps([self.entry.digest, texts]))

    def _job(self, job: parts.Job, what: str, scope: Scope) -> JobSpec:
        from millpond.targets.local.supervisor.spawn import JobSpec

        text = self.realiser.text
        return JobSpec(
            name=f"{self.node.name}: {what}",
            component=self.node.name,
            argv=tuple(text(scope.value(word)) for word in job.command),
            cwd=self.quarters.data,
            env=self._environment(
                {key: text(scope.value(value)) for key, value in job.env.items()}, linked=True
            ),
            user=self.quarters.user,
            log=self.realiser.workspace.log(f"{self.node.name}/jobs"),
            stdin=None if job.stdin is None else text(scope.value(job.stdin)).encode(),
            timeout=job.timeout,
        )

    def _environment(self, own: Mapping[str, str], *, linked: bool = False) -> dict[str, str]:
        """The variables of a process: the install's, the service's, and its own; unmet ones are left out."""
        install = self._install
        found = dict(install.env) if install else {}
        for key, template in self.service.env.items():
            self._set(found, key, template)
        for key, template in own.items():
            if linked:
                found[key] = template
            else:
                self._set(found, key, template)
        first = [str(self._own_bin)] if self.node.binaries else []
        first += [found.pop("PATH")] if "PATH" in found else []
        first += [str(path) for path in install.bin] if install else []
        found["PATH"] = os.pathsep.join([*first, os.environ.get("PATH", os.defpath)])
        return found

    def _set(self, found: dict[str, str], key: str, template: str) -> None:
        value = self.scope.value(template)
        if not value.empty or not template:
            found[key] = self.realiser.text(value)

    @property
    def _install(self) -> Install | None:
        return self.realiser.installs.get(self.node.name)

    def _probe(self, probe: parts.Probe | None) -> Probe | None:
        if probe is None:
            return None
        ports = self._ports()
        port = ports.get(probe.port or next(iter(self.service.ports), ""), 0)
        return Probe(
            http=f"http://{LOOPBACK}:{port}{self._realised(probe.http)}" if probe.http else None,
            tcp=(LOOPBACK, port) if probe.tcp else None,
            command=tuple(self._realised(word) for word in probe.command) if probe.command else None,
            log=probe.log,
            interval=probe.interval,
            timeout=probe.timeout,
        )


def process_name(node: Node, process: str) -> str:
    """``mlflow`` for a component of one process, ``dask/worker`` for one of several."""
    return node.name if len(node.component.service.processes) == 1 else f"{node.name}/{process}"


def _names(node: Node) -> list[str]:
    return [process_name(node, process) for process in node.component.service.processes]


def asked(platform: Platform, asker: str, binding: Binding) -> dict[str, str]:
    """What an asker requests, as a person may read it (``database mlflow``)."""
    interface = platform.interfaces[binding.interface]
    found = {}
    for name in interface.request:
        value = request(platform, asker, binding, name)
        found[name] = "".join(part for part in value.parts if isinstance(part, str))
    return {name: text for name, text in found.items() if text}


def _templates(part: Any) -> Iterator[str]:
    """Every template of a part of a component file, keys of mappings included, in a stable order."""
    yield from _texts(part.model_dump(exclude={"install", "resources", "status"}))


def _texts(data: Any) -> Iterator[str]:
    if isinstance(data, str):
        yield data
    elif isinstance(data, dict):
        for key, value in data.items():
            yield str(key)
            yield from _texts(value)
    elif isinstance(data, list | tuple):
        for value in data:
            yield from _texts(value)
    elif data is not None:
        yield str(data)


__all__ = ["Blueprint", "asked", "process_name"]
