"""Secrets: made once, kept in one file that only its owner reads, and never told unless asked for."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import string
from pathlib import Path

from millpond.model.component import Secret as Rule
from millpond.model.errors import MillpondError
from millpond.model.value import Secret
from millpond.targets.local.workspace import write_private

_ALPHABET = string.ascii_letters + string.digits
"""Letters and digits alone need no quoting in any file, URL or command."""


class Secrets:
    """The secrets of one platform."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._values: dict[str, str] = {}
        if path.exists():
            try:
                self._values = json.loads(path.read_text())
            except ValueError:
                raise MillpondError(
                    f"{path} cannot be read",
                    hint="restore it from a backup: the data was made with its secrets",
                ) from None

    def get(self, secret: Secret, rule: Rule) -> str:
        """The secret, made now if it was never asked for."""
        key = _key(secret)
        if key not in self._values:
            self._values[key] = "".join(secrets.choice(_ALPHABET) for _ in range(rule.length))
            self._save()
        return self._values[key]

    def fingerprint(self, text: str) -> str:
        """A hash of a text that may hold secrets, which nobody without this file can make or test."""
        if "fingerprint" not in self._values:
            self._values["fingerprint"] = secrets.token_hex(32)
            self._save()
        return hmac.new(self._values["fingerprint"].encode(), text.encode(), hashlib.sha256).hexdigest()[:24]

    def forget(self, node: str) -> None:
        """Drop all secrets of a node, when its data is destroyed."""
        gone = [key for key in self._values if key.startswith(f"{node}/")]
        for key in gone:
            del self._values[key]
        if gone:
            self._save()

    def _save(self) -> None:
        write_private(self._path, json.dumps(self._values, indent=1) + "\n")


def _key(secret: Secret) -> str:
    return f"{secret.node}/{secret.grant or ''}/{secret.name}"
