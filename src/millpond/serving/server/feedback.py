"""What became of a prediction: a reward, the truth, or both, sent back under the prediction's id.

It goes into the prediction log and nowhere else; whoever reads the log joins it with the prediction.
"""

from __future__ import annotations

from typing import Any

from millpond.serving.server.dataplane import DataPlane
from millpond.serving.server.errors import Conflict, InvalidRequest
from millpond.serving.server.exchange import identity

_KEYS = ("id", "reward", "truth")


def keep(plane: DataPlane, body: Any, raw: bytes) -> str:
    """Put feedback into the log; the prediction's id.

    Raises:
        InvalidRequest: it is none, with what is wrong.
        Conflict: this server keeps no log.
    """
    if not isinstance(body, dict):
        raise InvalidRequest("the body must be an object with id, and reward or truth")
    for key in body:
        if key not in _KEYS:
            raise InvalidRequest(f"unknown key {key[:60]}", hint=f"known are {', '.join(_KEYS)}")
    found = body.get("id")
    if not isinstance(found, str) or identity(found) != found:
        raise InvalidRequest("id must be the x-request-id of a prediction, a string of 1 to 128 characters")
    if "reward" not in body and "truth" not in body:
        raise InvalidRequest("reward and truth are both missing", hint="send one of them at least")
    if "reward" in body and not isinstance(body["reward"], bool | int | float):
        raise InvalidRequest("reward must be a number, true or false")
    if plane.log is None:
        raise Conflict("this server keeps no prediction log", hint="start it with --log-dir")
    plane.log.feedback(found, raw)
    return found
