"""Tokens for programs that submit pipelines: shown once, kept as digests, limited to pipelines, revocable.

A token is 256 random bits, so its SHA-256 cannot be turned back, and needs no salt.
"""

from __future__ import annotations

import fnmatch
import hashlib
import json
import re
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from millpond.model.errors import MillpondError, did_you_mean
from millpond.pipelines.server.ledger import AbsentError, Ledger

PREFIX = "mlp_"
"""What a token begins with, so that scanners for leaked secrets can tell."""
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_USED_EVERY = 60.0


@dataclass(frozen=True)
class Token:
    """What is known of a token; the token itself is not.

    Attributes:
        pipelines: shell patterns of the names of pipelines that it may submit and see.
        expires: seconds since the epoch, or None.
        used: when it was last presented, to the minute.
    """

    name: str
    pipelines: list[str] = field(default_factory=lambda: ["*"])
    created: float = 0.0
    expires: float | None = None
    used: float | None = None

    @property
    def good(self) -> bool:
        """Whether it has not expired."""
        return self.expires is None or time.time() < self.expires

    def may(self, pipeline: str) -> bool:
        """Whether it is meant for a pipeline."""
        return any(fnmatch.fnmatchcase(pipeline, pattern) for pattern in self.pipelines)


class Tokens:
    """The tokens in a ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def mint(self, name: str, pipelines: Sequence[str] = ("*",), days: float | None = None) -> str:
        """Make a token, and give it; nothing can show it again.

        Raises:
            MillpondError: the name is taken, or cannot be one.
        """
        if not _NAME.fullmatch(name):
            raise MillpondError(
                f"{name!r} cannot be a token's name", hint="small letters, digits and . _ - between them"
            )
        if any(token.name == name for token in self.all()):
            raise MillpondError(
                f"there is a token {name} already",
                hint=f"`millpond token revoke {name}` makes room for another",
            )
        secret = PREFIX + secrets.token_urlsafe(32)
        now = time.time()
        token = Token(name, list(pipelines) or ["*"], now, None if days is None else now + days * 86400)
        with self._ledger.changing() as db:
            db.execute("INSERT INTO tokens VALUES (?, ?, ?)", (name, _digest(secret), _text(token)))
        return secret

    def find(self, secret: str) -> Token | None:
        """Whose token this is, if it is a good one."""
        # Looked up by its digest: how long that takes tells nothing of the token.
        rows = self._ledger.rows("SELECT name, data FROM tokens WHERE digest = ?", _digest(secret))
        if not rows:
            return None
        token = _token(*rows[0])
        now = time.time()
        if token.used is None or now - token.used > _USED_EVERY:
            used = Token(token.name, token.pipelines, token.created, token.expires, now)
            with self._ledger.changing() as db:
                db.execute("UPDATE tokens SET data = ? WHERE name = ?", (_text(used), token.name))
        return token if token.good else None

    def all(self) -> list[Token]:
        """All tokens, by name."""
        return [_token(*row) for row in self._ledger.rows("SELECT name, data FROM tokens ORDER BY name")]

    def revoke(self, name: str) -> None:
        """Make a token worthless, at once.

        Raises:
            AbsentError: there is none.
        """
        names = [token.name for token in self.all()]
        if name not in names:
            raise AbsentError(
                f"there is no token {name}",
                hint=did_you_mean(name, names) or "`millpond token list` shows them",
            )
        with self._ledger.changing() as db:
            db.execute("DELETE FROM tokens WHERE name = ?", (name,))


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _text(token: Token) -> str:
    return json.dumps({key: value for key, value in vars(token).items() if key != "name"})


def _token(name: str, text: str) -> Token:
    data: dict[str, Any] = json.loads(text)
    return Token(name, **data)
