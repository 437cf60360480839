"""Scopes: what ``${…}`` may speak of in a component's file, and what it means on a platform."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from millpond.model import expression
from millpond.model.component import Component
from millpond.model.component import Secret as Rule
from millpond.model.errors import did_you_mean
from millpond.model.expression import ExpressionError
from millpond.model.flavour import FromElsewhere
from millpond.model.interface import Interface
from millpond.model.option import as_text
from millpond.model.platform import USER, Binding, Node, Platform
from millpond.model.value import Elsewhere, Endpoint, Fact, Listen, Place, Secret, Value, link

ENDPOINT_PARTS = ("url", "host", "port", "address")
INSTALL_KINDS = ("pip", "site", "bin", "maven", "npm", "deb", "millpond")
FACTS = ("run", "name", "project", "domain", "https", "routes", "routes_path", "storage_class")
GPU_PARTS = ("count", "limits", "node_selector", "tolerations")
"""What a chart's values may say of a component's GPUs; each is a whole value, as a pod takes it."""


class Scope:
    """Links the expressions of one node, for one asker where the node provides something."""

    def __init__(self, platform: Platform, node: Node) -> None:
        self.platform = platform
        self.node = node

    def value(self, template: str) -> Value:
        """The linked value of a template of the component's file."""
        return link(expression.parse(template), self._lookup)

    def provided(self, asker: str, binding: Binding) -> GrantScope:
        """The scope in which the node's provision to one asker is linked."""
        return GrantScope(self.platform, self.node, asker, binding)

    def _lookup(self, path: tuple[str, ...]) -> Value:
        root, rest = path[0], path[1:]
        node = self.node.name
        match root:
            case "options":
                return Value.of(as_text(self.node.options[rest[0]]))
            case "ports":
                return Value((Listen(node, rest[0]),))
            case "bind":
                return Value((Listen(node, None),))
            case "endpoints":
                return Value((Endpoint(node, rest[0], rest[1]),))
            case "secrets":
                return Value((Secret(node, rest[0]),))
            case "volumes" | "files":
                return Value((Place(node, root, ".".join(rest)),))
            case "install":
                return Value((Place(node, "install", rest[0]),))
            case "folder":
                return Value((Place(node, "folder", ""),))
            case "platform":
                return Value.of(self.platform.name) if rest[0] == "name" else Value((Fact(rest[0]),))
            case "node":
                return Value.of(node)
        return bound(self.platform, node, self.node.bindings.get(root), rest[0])


class GrantScope(Scope):
    """As `Scope`, with ``${request.…}``, ``${grant.…}`` and ``${asker}`` of one asker."""

    def __init__(self, platform: Platform, node: Node, asker: str, binding: Binding) -> None:
        super().__init__(platform, node)
        self.asker = asker
        self.binding = binding

    def _lookup(self, path: tuple[str, ...]) -> Value:
        match path[0]:
            case "asker":
                return Value.of(self.asker)
            case "grant":
                return Value((Secret(self.node.name, path[1], f"{self.asker}.{self._granted(path[1])}"),))
            case "request":
                return request(self.platform, self.asker, self.binding, path[1])
        return super()._lookup(path)

    def _granted(self, name: str) -> str:
        """The requirement whose grant counts: its own, or the first where an asker has one for all."""
        one = self.node.component.provides[self.binding.provision].grants[name].one
        node = self.platform.nodes.get(self.asker) if one else None
        for requirement, binding in (node.bindings if node else {}).items():
            if (binding.provider, binding.provision) == (self.binding.provider, self.binding.provision):
                return requirement
        return self.binding.requirement


def request(platform: Platform, asker: str, binding: Binding, name: str) -> Value:
    """What the asker requests of its provider; its own options may stand in the request."""
    if name in binding.request:
        if asker == USER:
            return Value.of(binding.request[name])
        return Scope(platform, platform.nodes[asker]).value(binding.request[name])
    default = platform.interfaces[binding.interface].request[name].default
    return link(expression.parse(default), lambda path: Value.of(platform.name))


def bound(platform: Platform, asker: str, binding: Binding | None, name: str) -> Value:
    """The value of one property of a binding; empty when the requirement is not met."""
    if binding is None:
        return Value()
    interface = platform.interfaces[binding.interface]
    if binding.external:
        return _external(platform, asker, binding, interface, name)
    provider = platform.nodes[binding.provider]
    scope = Scope(platform, provider).provided(asker, binding)
    properties = provider.component.provides[binding.provision].properties
    if name in properties:
        return scope.value(properties[name])
    return _default(interface, name, lambda other: bound(platform, asker, binding, other))


def _external(platform: Platform, asker: str, binding: Binding, interface: Interface, name: str) -> Value:
    given = platform.external[binding.interface].properties.get(name)
    if isinstance(given, FromElsewhere):
        return Value((Elsewhere(given.env, given.file, interface.properties[name].secret),))
    if given is not None:
        return Value.of(str(given))
    if name in interface.request and name in binding.request:
        return request(platform, asker, binding, name)
    return _default(interface, name, lambda other: _external(platform, asker, binding, interface, other))


def user_values(platform: Platform) -> list[tuple[str, Value]]:
    """What user code finds in its environment: variables with their values, of every interface there is."""
    return [
        (name, link(expression.parse(template), partial(_told, platform, binding)))
        for binding in platform.user.values()
        for name, template in platform.interfaces[binding.interface].env.items()
    ]


def _told(platform: Platform, binding: Binding, path: tuple[str, ...]) -> Value:
    return bound(platform, USER, binding, path[0])


def secret_rule(platform: Platform, secret: Secret) -> Rule:
    """How a secret of the platform, or one that is made for an asker, is made."""
    component = platform.nodes[secret.node].component
    if secret.grant is None:
        return component.service.secrets[secret.name]
    return next(p.grants[secret.name] for p in component.provides.values() if secret.name in p.grants)


def _default(interface: Interface, name: str, other: Callable[[str], Value]) -> Value:
    template = interface.properties[name].default
    if template is None:
        return Value()
    return link(expression.parse(template), lambda path: other(path[0]))


def check(
    text: str,
    component: Component,
    interfaces: Mapping[str, Interface],
    *,
    grants: str = "",
    command: bool = False,
    chart: bool = False,
) -> str | None:
    """Why a template of a component's file is wrong, or None.

    Args:
        text: the template.
        component: the component whose file it stands in.
        interfaces: all interfaces by name.
        grants: the provision in whose terms it may speak (``${request.…}``, ``${grant.…}``, ``${asker}``).
        command: whether it is an argument of a command, which must hold no secret.
        chart: whether it is a value or an object of a chart, which name the Secret instead.
    """
    try:
        references = expression.parse(text).references
    except ExpressionError as error:
        return str(error)
    for reference in references:
        reason = _wrong(reference.path, component, interfaces, grants)
        if reason:
            return f"{reference}: {reason}"
        if reference.filter in expression.SECRET_FILTERS:
            if not chart:
                return f"{reference}: {reference.filter} is for a chart's values and objects"
            if not _secret(reference.path, component, interfaces):
                return f"{reference}: this is no secret, so no Secret holds it"
        elif chart and _secret(reference.path, component, interfaces):
            path = ".".join(reference.path)
            return f"{reference}: values hold no secrets; name where it is kept: ${{{path}|secret_name}}"
        if command and _secret(reference.path, component, interfaces):
            return f"{reference}: everybody sees a command's arguments; give secrets by env, stdin or files"
    return None


def _secret(path: tuple[str, ...], component: Component, interfaces: Mapping[str, Interface]) -> bool:
    if path[0] in component.requires:
        return interfaces[component.requires[path[0]].interface].properties[path[1]].secret
    return path[0] in ("secrets", "grant")


def check_interface(interface: Interface) -> tuple[tuple[str, ...], str] | None:
    """Where in an interface's file an expression is wrong, and why; None when all are right.

    A property's default may speak of other properties, but in no circle; a request's of the platform's name.
    """
    defaults = {name: wanted.default for name, wanted in interface.properties.items() if wanted.default}
    texts: list[tuple[tuple[str, ...], str]] = [
        (("properties", name, "default"), text) for name, text in defaults.items()
    ]
    texts += [(("env", name), text) for name, text in interface.env.items()]
    if interface.check:
        texts += [(("check", kind), text) for kind, text in interface.check if text]
    try:
        for at, text in texts:
            for reference in expression.parse(text).references:
                if reference.path[0] not in interface.properties or len(reference.path) > 1:
                    hint = did_you_mean(".".join(reference.path), interface.properties)
                    return at, f"{reference}: {interface.name} has no such property; {hint}"
        for name, wished in interface.request.items():
            at = ("request", name, "default")
            for reference in _references(wished.default):
                if reference.path != ("platform", "name"):
                    return at, f"{reference}: only ${{platform.name}} is known here"
        for name in defaults:
            reached: set[str] = set()
            while (
                more := {r.path[0] for n in (name, *reached) for r in _references(defaults.get(n))} - reached
            ):
                reached |= more
            if name in reached:
                return ("properties", name, "default"), f"the default of {name} speaks of itself"
    except ExpressionError as error:
        return at, str(error)
    return None


def _references(template: str | None) -> tuple[expression.Reference, ...]:
    return expression.parse(template).references if template else ()


def _wrong(
    path: tuple[str, ...], component: Component, interfaces: Mapping[str, Interface], grants: str
) -> str | None:
    root, rest = path[0], path[1:]
    known = _roots(component, interfaces, grants)
    if root not in known:
        return f"nothing is called {root} here; {did_you_mean(root, known)}"
    names = known[root]
    if names is None:
        return f"{root} has no parts" if rest else None
    if not names:
        return f"the component has no {root}"
    if not rest:
        return f"{root} needs a name after it: {', '.join(names)}"
    name = ".".join(rest) if root in ("files", "volumes") else rest[0]
    if name not in names:
        return f"{root} has no {name}; {did_you_mean(name, names)}"
    if root == "endpoints":
        if len(rest) != 2 or rest[1] not in ENDPOINT_PARTS:
            return f"an endpoint has {', '.join(ENDPOINT_PARTS)}"
    elif len(rest) > 1 and root not in ("files", "volumes"):
        return f"{rest[0]} has no parts"
    return None


def _roots(
    component: Component, interfaces: Mapping[str, Interface], grants: str
) -> dict[str, list[str] | None]:
    service = component.service
    known: dict[str, list[str] | None] = {
        "options": list(component.options),
        "ports": list(service.ports),
        "endpoints": [*service.ports, *(component.chart.endpoints if component.chart else ())],
        "secrets": list(service.secrets),
        "volumes": list(service.volumes),
        "files": list(service.files),
        "install": list(INSTALL_KINDS),
        "platform": list(FACTS),
        "bind": None,
        "folder": None,
        "node": None,
    }
    if component.chart:
        known["gpu"] = list(GPU_PARTS)
    for name, requirement in component.requires.items():
        known[name] = list(interfaces[requirement.interface].properties)
    if grants:
        provision = component.provides[grants]
        known["asker"] = None
        known["grant"] = list(provision.grants)
        known["request"] = list(interfaces[provision.interface].request)
    return known
