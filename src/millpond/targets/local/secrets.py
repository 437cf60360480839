"""Secrets: made once, kept in one file that only its owner reads, and never told unless asked for."""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import json
import secrets
import string
from collections.abc import Callable
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
        self._values = self._read()

    def _read(self) -> dict[str, str]:
        if not self._path.exists():
            return {}
        try:
            found = json.loads(self._path.read_text())
            if not isinstance(found, dict) or not all(isinstance(text, str) for text in found.values()):
                raise ValueError("not a mapping of names to texts")
        except (OSError, ValueError) as error:
            raise MillpondError(
                f"{self._path} cannot be read: {error}",
                hint="restore it from a backup: the data was made with its secrets",
            ) from None
        return found

    def get(self, secret: Secret, rule: Rule) -> str:
        """The secret, made now if it was never asked for."""
        return self._kept(
            _key(secret), lambda: "".join(secrets.choice(_ALPHABET) for _ in range(rule.length))
        )

    def fingerprint(self, text: str) -> str:
        """A hash of a text that may hold secrets, which nobody without this file can make or test."""
        key = self._kept("fingerprint", lambda: secrets.token_hex(32))
        return hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()[:24]

    def _kept(self, key: str, make: Callable[[], str]) -> str:
        if key not in self._values and not self._path.parent.is_dir():
            # A plan of what was never up: looking makes nothing, and what is made up is good for this look.
            self._values[key] = make()
        elif key not in self._values:
            # Another command may be making secrets as well, and hand them to a database that keeps them.
            with self._path.with_suffix(".lock").open("a") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                found = self._read()
                if key not in found:
                    found[key] = make()
                    write_private(self._path, json.dumps(found, indent=1) + "\n")
                self._values = found
        return self._values[key]


def _key(secret: Secret) -> str:
    return f"{secret.node}/{secret.grant or ''}/{secret.name}"
