"""Rego in process: rules over objects, by the interpreter regopy (rego-cpp), with no server and no binary.

https://www.openpolicyagent.org/docs/policy-language
"""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Iterable
from typing import Any

from millpond.model.errors import MillpondError
from millpond.targets.kubernetes.bundle import Object
from millpond.targets.kubernetes.policies.policy import LIBRARY, Policy


class Rego:
    """Policies, made ready to be asked about many objects.

    Policies are compiled once for each set that a kind of object needs, and one query asks the whole set: an
    object costs some milliseconds, so that a platform is checked in well under a second.

    Args:
        policies: those that hold.
        parameters: what they are told, by the names of their parameters.
    """

    def __init__(self, policies: Iterable[Policy], parameters: dict[str, list[str]]) -> None:
        self.policies = list(policies)
        self.parameters = parameters
        self._compiled: dict[tuple[str, ...], Any] = {}
        self._runner: Any = None

    def violations(self, obj: Object) -> list[tuple[str, str]]:
        """What of an object is refused: the policy's name and `PATH: reason`, sorted.

        Raises:
            MillpondError: regopy is missing, or a rule cannot be evaluated.
        """
        asked = tuple(each.name for each in self.policies if obj.get("kind") in each.all_kinds)
        if not asked:
            return []
        compiled = self._compile(asked)
        self._runner.set_input({"review": {"object": dense(obj)}, "parameters": self.parameters})
        output = self._runner.query_bundle(compiled)
        if not output.ok():
            raise MillpondError(f"the policies {', '.join(asked)} cannot be evaluated: {output}")
        found: list[tuple[str, str]] = json.loads(output.binding("found").json())
        # rego-cpp does not escape what built-ins return, hence the base64.
        return sorted((name, b64decode(message).decode()) for name, message in found)

    def _compile(self, names: tuple[str, ...]) -> Any:
        if names not in self._compiled:
            regopy = _regopy()
            interpreter = regopy.Interpreter()
            interpreter.add_module("workload.rego", (LIBRARY / "workload.rego").read_text())
            lines = ["package all\n"]
            for policy in self.policies:
                if policy.name in names:
                    interpreter.add_module(f"{policy.name}.rego", policy.rego)
                    lines.append(
                        f'violations contains ["{policy.name}", base64.encode(v.msg)] if '
                        f"some v in data.millpond.{policy.package}.violation\n"
                    )
            interpreter.add_module("all.rego", "\n".join(lines))
            self._compiled[names] = interpreter.build("found := data.all.violations")
            self._runner = self._runner or regopy.Interpreter()
        return self._compiled[names]


def dense(value: Any) -> Any:
    """An object as the API server keeps it: fields that are null are not there."""
    if isinstance(value, dict):
        return {key: dense(each) for key, each in value.items() if each is not None}
    return [dense(each) for each in value] if isinstance(value, list) else value


def _regopy() -> Any:
    try:
        import regopy
    except ImportError:
        raise MillpondError(
            "policies need regopy, which is not installed", hint="`pip install 'millpond[kubernetes]'`"
        ) from None
    return regopy
