"""Who asks: people sign in with their key of the lake, and the store says whether it is one.

The server keeps no list of people. A key that the store takes opens a session with exactly that key, so
what a user's SQL reads is what the store lets that user read.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_IDLE = 3600.0
_MOST = 1000


@dataclass(frozen=True)
class Person:
    """Somebody who signed in.

    Args:
        key, secret: of the lake.
        name: as the store knows them; empty where it does not say.
    """

    key: str
    secret: str
    name: str = ""

    def __repr__(self) -> str:
        return f"<person {self.name or self.key[:4]}>"


class RefusedError(Exception):
    """The store does not know this key."""


class Doorkeeper:
    """Lets people in whose key the store takes.

    Args:
        environment: where the store is (``AWS_ENDPOINT_URL``, ``AWS_REGION``).
        seconds: after which a session ends that nobody uses, and the store is asked again.
    """

    def __init__(self, environment: Mapping[str, str], seconds: float = _IDLE) -> None:
        self._environment = environment
        self._seconds = seconds
        self._lock = threading.Lock()
        self._sessions: dict[str, tuple[Person, float]] = {}
        self._known: dict[bytes, str] = {}

    def enter(self, header: str) -> tuple[Person, str]:
        """Who an ``authorization`` header belongs to, and the token that stands for them from now on.

        Raises:
            RefusedError: to nobody.
        """
        scheme, _, value = header.partition(" ")
        if scheme.lower() == "bearer":
            return self._by_token(value), value
        if scheme.lower() != "basic":
            raise RefusedError("sign in with a key of the lake: its id as user name, its secret as password")
        try:
            # Some drivers leave the padding out.
            padded = value + "=" * (-len(value) % 4)
            key, _, secret = base64.b64decode(padded, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            raise RefusedError("this is not a name and a password") from None
        return self._by_key(key, secret)

    def _by_token(self, token: str) -> Person:
        with self._lock:
            person, until = self._sessions.get(token, (None, 0.0))
            if person is None or until < time.monotonic():
                self._sessions.pop(token, None)
                raise RefusedError("the session has ended, sign in again")
            self._sessions[token] = (person, time.monotonic() + self._seconds)
            return person

    def _by_key(self, key: str, secret: str) -> tuple[Person, str]:
        mark = hashlib.sha256(f"{key}\0{secret}".encode()).digest()
        with self._lock:
            # Clients that send the password with each call keep one session.
            token = self._known.get(mark)
            if token is not None and token in self._sessions and self._sessions[token][1] > time.monotonic():
                return self._sessions[token][0], token
        person = Person(key, secret, self._ask_store(key, secret))
        token = secrets.token_urlsafe(32)
        with self._lock:
            now = time.monotonic()
            if len(self._sessions) >= _MOST:
                self._sessions = {name: held for name, held in self._sessions.items() if held[1] > now}
                self._known = {name: held for name, held in self._known.items() if held in self._sessions}
            self._sessions[token] = (person, now + self._seconds)
            self._known[mark] = token
        return person, token

    def _ask_store(self, key: str, secret: str) -> str:
        """The name that the store knows a key by.

        Raises:
            RefusedError: it knows none, or the secret is wrong.
        """
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError, ClientError

        if not key or not secret:
            raise RefusedError("sign in with a key of the lake: its id as user name, its secret as password")
        settings: dict[str, Any] = {
            "endpoint_url": self._environment.get("AWS_ENDPOINT_URL") or None,
            "region_name": self._environment.get("AWS_REGION") or "us-east-1",
            "aws_access_key_id": key,
            "aws_secret_access_key": secret,
            "config": Config(retries={"total_max_attempts": 2}, connect_timeout=5, read_timeout=10),
        }
        try:
            said = boto3.session.Session().client("sts", **settings).get_caller_identity()
        except (ClientError, BotoCoreError):
            raise RefusedError("the lake does not know this key") from None
        return str(said.get("Arn", "")).rpartition("/")[2]
