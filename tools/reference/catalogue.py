"""What ships in the catalogue: every component and every interface."""

from __future__ import annotations

from millpond.catalogue import Catalogue
from millpond.flavours.loader import shipped
from millpond.model.component import Component
from millpond.model.interface import Interface
from millpond.model.option import Option, as_text
from reference.markdown import anchor, code, table


def components() -> str:
    """Every component with its options, ports, requirements, provisions and status."""
    found = [entry.component for entry in Catalogue()]
    lines = [
        "# Components",
        "",
        "`millpond catalogue` prints this list, `millpond catalogue NAME` one of them. The status says",
        "what has been shown: *verified* means that the tests of its interfaces pass on it,",
        "*rendered* that its files are checked only, *none* that there is nothing for that target.",
        "",
        table(
            ("component", "what it is", "version", "licence", "local", "kubernetes"),
            [
                (
                    f"[{each.name}](#{anchor(each.name)})",
                    each.summary,
                    each.version,
                    each.licence,
                    each.status.local,
                    each.status.kubernetes,
                )
                for each in found
            ],
        ),
        "",
    ]
    for each in found:
        lines += _component(each)
    return "\n".join(lines)


def _component(component: Component) -> list[str]:
    service = component.service
    facts = [f"Version {component.version}", f"licence {component.licence}"]
    if component.packaged_by:
        facts.append(f"packaged by {component.packaged_by}")
    if component.aliases:
        facts.append(f"also called {', '.join(code(alias) for alias in component.aliases)}")
    facts.append(f"wants {service.resources.memory} of memory")
    lines = [
        f"## {component.name}",
        "",
        f"{component.summary}. {' '.join(component.description.split())}",
        "",
    ]
    lines += ["; ".join(facts) + ".", ""]
    lines += [
        table(
            ("option", "type", "default", "meaning"),
            [
                (
                    code(name),
                    _type(option),
                    code(as_text(option.default)) if option.default is not None else "",
                    option.help,
                )
                for name, option in component.options.items()
            ],
        )
        if component.options
        else "It has no options.",
        "",
    ]
    if service.ports:
        ports = ", ".join(f"`{name}` {number}" for name, number in service.ports.items())
        lines += [f"Ports, where they are free: {ports}.", ""]
    lines += [f"- Processes: {', '.join(code(name) for name in service.processes)}."]
    for name, wanted in component.requires.items():
        more = ", optional" if wanted.optional else ""
        lines.append(f"- Requires {_link(wanted.interface)} as `{name}`{more}.")
    for name, offered in component.provides.items():
        lines.append(f"- Provides {_link(offered.interface)} as `{name}`.")
    if service.credentials:
        lines.append(f"- `millpond credentials {component.name}` prints its credentials.")
    if service.unprivileged:
        lines.append("- Refuses to run as root; `MILLPOND_USER` names whom it becomes when Millpond is root.")
    return [*lines, ""]


def _type(option: Option) -> str:
    text = " or ".join(code(choice) for choice in option.choices) if option.choices else option.type
    limits = []
    if option.minimum is not None:
        limits.append(f"at least {option.minimum:g}")
    if option.maximum is not None:
        limits.append(f"at most {option.maximum:g}")
    return f"{text} ({', '.join(limits)})" if limits else str(text)


def _link(interface: str) -> str:
    return f"[{interface}](interfaces.md#{anchor(interface)})"


def interfaces() -> str:
    """Every interface with its properties, requests, environment and providers."""
    catalogue = Catalogue()
    providers: dict[str, list[str]] = {}
    for entry in catalogue:
        for offered in entry.component.provides.values():
            providers.setdefault(offered.interface, []).append(entry.component.name)
    lines = [
        "# Interfaces",
        "",
        "What components tell each other, and what user code finds in its environment. Each has a",
        "conformance suite in `tests/conformance`, or is exercised by the tests of its one provider.",
        "[The interface file](interface.md) has the keys; `external` of [the flavour file](flavour.md)",
        "takes the properties.",
        "",
    ]
    for interface in catalogue.interfaces.values():
        lines += _interface(interface, providers.get(interface.name, []))
    flavours = ", ".join(code(source.path.stem) for source in shipped())
    lines += ["", f"Flavours that ship: {flavours}."]
    return "\n".join(lines)


def _interface(interface: Interface, providers: list[str]) -> list[str]:
    names = ", ".join(f"[{name}](components.md#{anchor(name)})" for name in providers)
    lines = [f"## {interface.name}", "", f"{interface.summary}. Provided by {names or 'nothing that ships'}."]
    if interface.default_provider:
        lines[-1] += f" Where nothing provides it, {interface.default_provider} joins the platform."
    if interface.source:
        lines[-1] += f" [The protocol]({interface.source})."
    rows = []
    for name, wanted in interface.properties.items():
        notes = [
            word for word, holds in (("secret", wanted.secret), ("optional", not wanted.required)) if holds
        ]
        rows.append((code(name), wanted.type, _code(wanted.default), wanted.help + _brackets(notes)))
    lines += ["", table(("property", "type", "default", "meaning"), rows), ""]
    if interface.request:
        asked = [(code(name), _code(wish.default), wish.help) for name, wish in interface.request.items()]
        lines += [table(("request", "default", "meaning"), asked), ""]
    if interface.env:
        variables = [(code(name), code(text)) for name, text in interface.env.items()]
        lines += [table(("variable", "value"), variables), ""]
    return lines


def _code(text: str | None) -> str:
    return code(text) if text else ""


def _brackets(notes: list[str]) -> str:
    return f" ({', '.join(notes)})" if notes else ""
