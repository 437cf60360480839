"""What the monitor measured, as a person reads it: comparisons, experiments, drift."""

from __future__ import annotations

from typing import Any

from millpond.cli.style import columns, hint, note, out, paint, plural, strong, warn

Data = dict[str, Any]
_CALM = ("stable", "too few values")


def number(value: float | None) -> str:
    """A number in four figures; a dash for none.

    >>> number(0.123456), number(12345.6), number(3), number(None)
    ('0.1235', '1.235e+04', '3', '-')
    """
    return "-" if value is None else f"{value:.4g}"


def share(value: float | None) -> str:
    """A fraction as a percentage; a dash for none.

    >>> share(0.98345), share(1.0), share(None)
    ('98.3 %', '100 %', '-')
    """
    return "-" if value is None else f"{100 * value:.3g} %"


def compare(found: Data) -> None:
    """A shadow beside its primary."""
    ratio, times = found["latency_ratio"], found["latency_ms"]
    quantiles = found["difference"]
    spread = ", ".join(f"{_quantile(name)} {number(value)}" for name, value in quantiles.items())
    changes = ", ".join(
        f"{item['primary']} → {item['shadow']} ({item['count']})" for item in found.get("changes", [])[:5]
    )
    pairs = f"{found['pairs']:,} requests that both answered"
    if found["compared"] != found["pairs"]:
        pairs += f", {found['compared']:,} compared"
    facts = [
        ("primary", found["primary"]),
        ("shadow", found["shadow"]),
        ("pairs", pairs),
        ("agreement", f"{share(found['agreement'])} of the answers, within {found['tolerance']:g}"),
        ("difference", spread if any(value is not None for value in quantiles.values()) else ""),
        ("mean difference", number(found["mean_difference"]) if found.get("mean_difference") else ""),
        ("says instead", changes),
        ("latency", f"{number(ratio['p50'])} times the primary's at p50, {number(ratio['p99'])} at p99"),
        ("", _times(times)),
        ("shadow's errors", str(found["shadow_errors"])),
        ("primary's errors", str(found["primary_errors"]) if found.get("primary_errors") else ""),
        ("unanswered", "" if found["unanswered"] is None else str(found["unanswered"])),
    ]
    if not found["pairs"]:
        facts = [fact for fact in facts if fact[0] in ("primary", "shadow", "shadow's errors", "unanswered")]
    for line in columns([fact for fact in facts if fact[1]], paints={0: strong}):
        out(line)
    if not found["pairs"]:
        note("no request has been answered by both yet")
    examples = found.get("examples", [])
    if examples:
        out()
        rows = [(item["id"], _values(item["primary"]), _values(item["shadow"])) for item in examples[:5]]
        for line in columns(rows, heads=("FURTHEST APART", "PRIMARY", "SHADOW")):
            out(line)
    trust(found)


def experiment(found: Data) -> None:
    """The arms' outcomes, their differences, and whether one may stop."""
    if found.get("name"):
        out(f"experiment {strong(str(found['name']))}")
    rows = [
        (
            arm["revision"],
            f"{arm['predictions']:,}",
            f"{arm['feedback']:,}",
            _amount(found, arm["mean"]),
            _range(found, arm["interval"]),
        )
        for arm in found["arms"]
    ]
    for line in columns(rows, heads=("ARM", "PREDICTIONS", "OUTCOMES", "MEAN", "95 % INTERVAL")):
        out(line)
    for item in found["comparisons"]:
        out()
        valid = item["always_valid_interval"]
        level = f"{100 * (1 - item['alpha']):.3g} %, whenever one looks"
        facts = [
            ("difference", f"{_amount(found, item['difference'])}, {item['arm']} less {item['against']}"),
            ("95 % interval", _range(found, item["interval"]) if item["interval"] else ""),
            ("always valid", f"{_range(found, valid)} ({level})" if valid else ""),
            ("p-value", number(item["p_value"]) if item["p_value"] is not None else ""),
            ("verdict", paint(item["verdict"], "ok" if item["stop"] else "", bold=item["stop"])),
        ]
        if item["difference"] is None:
            facts = facts[-1:]
        for line in columns([fact for fact in facts if fact[1]], paints={0: strong}):
            out(line)
    if found["comparisons"]:
        rule = found["rule"]
        note(f"rule: {rule['name']}; {rule['source']}")
        if any(item["verdict"] == "too early" for item in found["comparisons"]):
            note(f"it says nothing before each arm has {rule['start']} outcomes")
    if found.get("unattributed"):
        warn(f"{plural(found['unattributed'], 'outcome')} of predictions that are not in the log")
    trust(found)


def drift(found: Data) -> None:
    """Each column now and in the reference, what changed most first."""
    reference = found.get("reference") or {}
    if reference.get("error"):
        warn(f"the reference cannot be read: {reference['error']}")
    if found.get("verdict"):
        word = str(found["verdict"])
        beside = f" beside {reference['source']}" if reference.get("source") else ""
        of = f" of {reference['revision']}" if beside and reference.get("revision") else ""
        out(paint(word, "ok" if word in _CALM else "warn") + beside + of)
    if reference.get("rows", 0) < reference.get("needed", 0):
        note(f"the reference has {reference['rows']:,} of {reference['needed']:,} rows, it still grows")
    for title, columns_of in _parts(found):
        rows = [
            (
                item["name"],
                item["verdict"],
                number(item.get("psi")),
                _distance(item.get("distance")),
                _missing(item.get("missing")),
                _count(item.get("values")),
            )
            for item in columns_of
        ]
        heads = (title.upper(), "VERDICT", "PSI", "DISTANCE", "MISSING", "VALUES")
        out()
        for line in columns(rows, heads=heads, paints={0: strong}):
            out(line)
    trust(found)


def trust(found: Data) -> None:
    """What a reader has to know of the log before he trusts a number."""
    log = found.get("log") or {}
    if log.get("dropped"):
        warn(f"{plural(log['dropped'], 'prediction')} could not be noted, the model servers were too busy")
    if log.get("gaps"):
        warn(
            f"the log has {plural(log['gaps'], 'gap')}: a process died, up to its last second may be missing"
        )
    if log.get("complete") is False:
        warn("older predictions were left out, there are too many")
    if log.get("mode") == "off":
        name = found.get("deployment", "NAME")
        hint(f"predictions of {name} are not noted; `millpond deploy MODEL --name {name} --log` notes them")


def _quantile(name: str) -> str:
    text = {"0.5": "median", "1": "most"}
    return text.get(name) or f"p{100 * float(name):g}"


def _times(times: Data) -> str:
    said = [
        f"{side} {number(found['p50'])} ms and {number(found['p99'])} ms"
        for side, found in times.items()
        if found["p50"] is not None
    ]
    return ", ".join(said)


def _values(outputs: Data) -> str:
    return ", ".join(
        str(values[0] if len(values) == 1 else values) if len(outputs) == 1 else f"{name} {values}"
        for name, values in outputs.items()
    )


def _amount(found: Data, value: float | None) -> str:
    return share(value) if found.get("reward") == "binary" else number(value)


def _range(found: Data, value: list[float] | None) -> str:
    if value is None:
        return "-"
    return f"{_amount(found, value[0])} to {_amount(found, value[1])}"


def _parts(found: Data) -> list[tuple[str, list[Data]]]:
    """The lists of columns in an answer, by their names."""
    return [
        (name, value)
        for name, value in found.items()
        if isinstance(value, list) and value and isinstance(value[0], dict) and "verdict" in value[0]
    ]


def _distance(value: Data | None) -> str:
    return "-" if not value or value.get("value") is None else f"{value['value']:.3g} ({value['metric']})"


def _missing(value: Data | None) -> str:
    if not value or value["now"] is None:
        return "-"
    return f"{share(value['reference'])} → {share(value['now'])}" if value["changed"] else share(value["now"])


def _count(value: Data | None) -> str:
    return "" if not value else f"{value['now']:,} beside {value['reference']:,}"
