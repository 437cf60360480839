"""The CEL of policies, evaluated by Google's cel-cpp, as the API server evaluates it with cel-go.

It runs in a process of its own: it and regopy are both C++, and abort when they meet in one.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from millpond.targets.kubernetes.bundle import Object
from millpond.targets.kubernetes.policies import Policy
from millpond.targets.kubernetes.policies.admission import variables


class Cel:
    """Evaluates the CEL of policies."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def violations(self, policy: Policy, obj: Object, values: dict[str, list[str]]) -> list[str]:
        """The messages of the policy's CEL for an object, sorted."""
        assert self.process.stdin and self.process.stdout
        line = json.dumps({"object": obj, "variables": variables(policy, values)})
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline() or '{"error": "cel-cpp is gone"}')
        assert "error" not in answer, f"{policy.name}: {answer}"
        return sorted(answer["violations"])


@contextmanager
def started() -> Iterator[Cel]:
    """Evaluates as long as the context lasts."""
    command = [sys.executable, str(Path(__file__))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield Cel(process)


def _serve() -> None:
    from cel_expr_python import cel

    config = cel.NewEnvConfigFromYaml("extensions: [{name: optional}, {name: strings}, {name: lists}]")
    known = {"object": cel.Type.DYN, "variables": cel.Type.DYN}
    environment = cel.NewEnv(config=config, variables=known)
    compiled: dict[str, Any] = {}
    for line in sys.stdin:
        asked = json.loads(line)
        answer: dict[str, Any] = {}
        try:
            for each in asked["variables"]:
                expression = each["expression"]
                if expression not in compiled:
                    compiled[expression] = environment.compile(expression)
                result = compiled[expression].eval(data={"object": asked["object"], "variables": answer})
                answer[each["name"]] = result.plain_value()
            line = json.dumps({"violations": answer["violations"]})
        except Exception as error:
            line = json.dumps({"error": f"{each['name']}: {error!r}"})
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _serve()
