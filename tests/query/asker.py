"""Answers queries, one JSON object a line, in the environment that has DuckDB; the tests' own has not."""

import json
import os
import sys
from pathlib import Path

from millpond.model.errors import MillpondError
from millpond.query import Session
from millpond.query.results import write
from millpond.query.sources import named

for line in sys.stdin:
    asked = json.loads(line)
    try:
        os.chdir(asked["folder"])
        folder = Path(asked["folder"])
        sources = [named(text, folder) for text in asked.get("attach", ())]
        session = Session(asked["environment"], sources=sources, folder=folder, memory=asked.get("memory"))
        reader = session.reader(asked["query"], timeout=asked.get("timeout"), rows=asked.get("rows"))
        if "output" in asked:
            answer = write(reader, asked["style"], asked["output"], asked["environment"])
        else:
            answer = reader.read_all().to_pylist()
        told = {"answer": answer}
    except MillpondError as error:
        told = {**error.as_dict(), "code": error.exit_code}
    sys.stdout.write(json.dumps(told, default=str) + "\n")
    sys.stdout.flush()
