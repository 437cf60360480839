"""Values for a pod: addresses by DNS, secrets by reference.

A secret never becomes text here. In a variable or a command it is ``$(NAME)``, which the kubelet replaces
by a variable that the pod takes from a Secret; see
https://kubernetes.io/docs/tasks/inject-data-application/define-interdependent-environment-variables/
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import assert_never

from millpond.catalogue import Catalogue
from millpond.model.errors import MillpondError
from millpond.model.platform import Platform
from millpond.model.scope import Scope
from millpond.model.value import (
    Atom,
    Elsewhere,
    Endpoint,
    Fact,
    Filtered,
    Listen,
    Part,
    Place,
    Secret,
    Value,
)
from millpond.targets.elsewhere import elsewhere
from millpond.targets.kubernetes.render import names

ANY = "0.0.0.0"
"""Where a pod's processes listen: its network is its own."""

_PYTHON = "python3.11"
_INSTALLS = {
    "pip": names.VENV,
    "bin": f"{names.VENV}/bin",
    "site": f"{names.VENV}/lib/{_PYTHON}/site-packages",
    "millpond": f"{names.VENV}/lib/{_PYTHON}/site-packages",
    "maven": f"{names.ROOT}/maven",
    "npm": f"{names.ROOT}/npm",
    "deb": f"{names.ROOT}/deb",
}


@dataclass(frozen=True)
class Reference:
    """A key of a Secret."""

    secret: str
    key: str


@dataclass
class Variables:
    """The variables of a pod that take a secret, by name; others speak of them as ``$(NAME)``."""

    found: dict[str, Reference] = field(default_factory=dict)

    def name(self, reference: Reference) -> str:
        """The variable of a secret, the same wherever it is asked for."""
        name = re.sub(r"\W", "_", f"SECRET_{reference.secret}_{reference.key}").upper()
        self.found[name] = reference
        return name

    def env(self) -> list[dict[str, object]]:
        """As a container's ``env`` has them; they come before those that speak of them."""
        return [
            {
                "name": name,
                "valueFrom": {"secretKeyRef": {"name": reference.secret, "key": reference.key}},
            }
            for name, reference in sorted(self.found.items())
        ]


class Realiser:
    """Realises the values of a platform for whoever asks inside the cluster.

    Args:
        platform: the platform.
        catalogue: where its components stand.
        special: what stands for a fact that is more than a text, such as the gateway's routes.
    """

    def __init__(
        self,
        platform: Platform,
        catalogue: Catalogue,
        special: Mapping[str, Callable[[], Value]] | None = None,
    ) -> None:
        self.platform = platform
        self.catalogue = catalogue
        self.namespace = names.namespace(platform)
        self.special = special or {}
        self.secrets: dict[str, dict[str, Value]] = {}

    def scope(self, node: str) -> Scope:
        """The scope of a node's templates."""
        return Scope(self.platform, self.platform.nodes[node])

    def template(self, node: str, template: str, variables: Variables | None = None) -> str:
        """The text of a node's template."""
        return self.text(self.scope(node).value(template), variables)

    def text(self, value: Value, variables: Variables | None = None) -> str:
        """The text of a value; its secrets become variables.

        Raises:
            MillpondError: something secret is in it and no variables may stand for it.
        """
        return "".join(self._part(part, variables) for part in self.expand(value).parts)

    def expand(self, value: Value) -> Value:
        """The value with its special facts replaced by what they stand for."""
        parts: list[Part] = []
        for part in value.parts:
            if isinstance(part, Fact) and part.name in self.special:
                parts.extend(self.special[part.name]().parts)
            else:
                parts.append(part)
        return Value(tuple(parts))

    def reference(self, value: Value) -> Reference | None:
        """Where the one secret is kept that the value wholly is; None when it is anything else."""
        parts = self.expand(value).parts
        return self._reference(parts[0]) if len(parts) == 1 and not isinstance(parts[0], str) else None

    # --- parts --------------------------------------------------------------------------------------------

    def _part(self, part: Part, variables: Variables | None) -> str:
        if isinstance(part, str):
            return escape(part) if variables is not None else part
        reference = self._reference(part)
        if reference is not None:
            if variables is None:
                raise MillpondError(f"the secret {reference.key} of {reference.secret} would become readable")
            return f"$({variables.name(reference)})"
        text = self._atom(part)
        return escape(text) if variables is not None else text

    def _reference(self, atom: Atom) -> Reference | None:
        match atom:
            case Secret():
                return self._secret(atom)
            case Elsewhere():
                return self._elsewhere(atom) if atom.secret else None
            case Filtered() if atom.filter == "urlquote":
                return self._quoted(atom.value)
        return None

    def _secret(self, atom: Secret) -> Reference:
        words = [atom.node, "secrets"] if atom.grant is None else [atom.node, "for", *atom.grant.split(".")]
        return self._kept(names.resource(*words), atom.name, Value((atom,)))

    def _elsewhere(self, atom: Elsewhere, quoted: bool = False) -> Reference:
        key = re.sub(r"[^-._A-Za-z0-9]", "_", atom.env or atom.file or "").lstrip("._") or "value"
        value = Value((atom,))
        if quoted:
            key, value = f"{key}.urlquote", Value((Filtered("urlquote", value),))
        return self._kept(names.resource(self.platform.name, "external"), key, value)

    def _quoted(self, value: Value) -> Reference | None:
        """Made secrets are letters and digits, which need no quoting; those of the user's may."""
        if len(value.parts) != 1:
            return None
        match value.parts[0]:
            case Secret() as secret:
                return self._secret(secret)
            case Elsewhere() as elsewhere if elsewhere.secret:
                return self._elsewhere(elsewhere, quoted=True)
        return None

    def _kept(self, name: str, key: str, value: Value) -> Reference:
        self.secrets.setdefault(name, {})[key] = value
        return Reference(name, key)

    def _atom(self, atom: Atom) -> str:
        match atom:
            case Secret():
                raise AssertionError("a secret is a reference")
            case Endpoint():
                return self._endpoint(atom)
            case Listen():
                return ANY if atom.port is None else str(self.port(atom.node, atom.port))
            case Place():
                return self._place(atom)
            case Elsewhere():
                return elsewhere(atom)
            case Fact():
                return {
                    "run": "/tmp",
                    "project": names.DATA,
                    "domain": self.domain,
                    "https": "true" if self.https else "false",
                    "storage_class": self.platform.cluster.storage_class,
                }[atom.name]
            case Filtered():
                return self._filtered(atom)
        assert_never(atom)

    def _filtered(self, atom: Filtered) -> str:
        if atom.filter in ("secret_name", "secret_key"):
            reference = self.reference(atom.value)
            if reference is None:
                raise MillpondError(f"{atom.filter} is of one secret alone, and this value has more in it")
            return reference.secret if atom.filter == "secret_name" else reference.key
        if atom.value.secret:
            raise MillpondError(f"{atom.filter} of a text with a secret in it is not known on a cluster")
        return Value((atom,)).realise(self._atom)

    # --- where things are ---------------------------------------------------------------------------------

    @property
    def domain(self) -> str:
        """The domain under which components are reached from outside."""
        return self.platform.cluster.routes.host or "localhost"

    @property
    def https(self) -> bool:
        """Whether the entrance from outside speaks TLS."""
        settings = self.platform.cluster.routes
        return settings.https or bool(settings.tls_secret)

    def port(self, node: str, port: str) -> int:
        """The number of a node's port: the flavour's, or the component's usual one."""
        found = self.platform.nodes[node]
        if found.chart:
            return found.chart.endpoints[port].port
        return found.ports.get(port, found.component.service.ports[port])

    def host(self, node: str, port: str) -> str:
        """The DNS name under which a node's port answers in the cluster."""
        chart = self.platform.nodes[node].chart
        if chart:
            service = self.template(node, chart.endpoints[port].service)
            return f"{service}.{self.chart_namespace(node)}.svc"
        return f"{names.dns(node)}.{self.namespace}.svc"

    def chart_namespace(self, node: str) -> str:
        """The namespace of a node's release."""
        chart = self.platform.nodes[node].chart
        return self.template(node, chart.namespace) if chart and chart.namespace else self.namespace

    def _endpoint(self, atom: Endpoint) -> str:
        chart = self.platform.nodes[atom.node].chart
        scheme = chart.endpoints[atom.port].scheme if chart else "http"
        return atom.text(self.host(atom.node, atom.port), self.port(atom.node, atom.port), scheme)

    def _place(self, atom: Place) -> str:
        match atom.kind:
            case "volumes":
                return f"{names.DATA}/{atom.name}"
            case "folder":
                return names.FOLDER
            case "files":
                return f"{names.COMPOSED if self.composed(atom.node, atom.name) else names.FILES}/{atom.name}"
        return _INSTALLS[atom.name]

    def file(self, node: str, name: str) -> Value:
        """The content of a made file, its secrets still atoms."""
        found = self.platform.nodes[node].component
        file = found.service.files[name]
        if file.template is not None:
            text = (self.catalogue.entry(found.name).folder / file.template).read_text()
        else:
            text = file.content or ""
        return self.expand(self.scope(node).value(text))

    def composed(self, node: str, name: str) -> bool:
        """Whether a made file holds secrets among other text, so that it is put together in the pod."""
        value = self.file(node, name)
        return value.secret and self.reference(value) is None


def escape(text: str) -> str:
    """A text in which the kubelet finds no variable.

    >>> escape("cost $(x) $$ $y")
    'cost $$(x) $$$ $y'
    """
    return re.sub(r"\$(?=[$(])", "$$", text)
