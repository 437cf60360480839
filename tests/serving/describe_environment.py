"""Prints the environment that a model gets, as the controller asks for it, in JSON.

Usage: python describe_environment.py FOLDER FORMAT DATA; runs in the science environment.
"""

import asyncio
import json
import sys
from pathlib import Path

from millpond.model.errors import MillpondError
from millpond.serving.controller.environments import environment_for

folder, model_format, data = sys.argv[1:]
said: list[str] = []
try:
    found = asyncio.run(
        environment_for(Path(folder), model_format, Path(data), said.append, name=Path(folder).name)
    )
    answer = {"python": str(found.python), "env": found.env, "key": found.key, "reason": found.reason}
except MillpondError as error:
    answer = {"error": error.message, "hint": error.hint}
sys.stdout.write(json.dumps({**answer, "said": said}))
