"""Who has signed in: sessions, their cookies on each host, tickets, and the brake on guessing.

A cookie cannot span ``*.localhost``, so each host has a cookie of its own for the one session; a ticket, good
once and for seconds, carries the session from the sign-in page's host to another. Cookies and tickets are
random and mean nothing by themselves: what they stand for is kept here, so signing out ends all of them. Only
their hashes are kept, so that the file gives nobody a session and a look-up tells nothing by its time.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from millpond.gateway import store
from millpond.gateway.settings import Credentials

LIFETIME = 7 * 24 * 3600
"""Seconds that a session lasts, however much it is used."""

TICKET_LIFETIME = 30
"""Seconds in which a browser has to follow the redirect."""

_COOKIES_PER_HOST = 4  # tabs that open at the same time each fetch one; the browser keeps any of them
_MOST_TICKETS = 1000

Clock = Callable[[], float]


@dataclass
class Session:
    """One sign-in of one browser; ``cookies`` are (host, hash) pairs, newest last."""

    user: str
    expires: float
    cookies: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Ticket:
    """What a redirect to another host is good for."""

    host: str
    session: str
    next: str
    expires: float


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


class Sessions:
    """All sessions of the platform, kept in a file so that a restart of the agent signs nobody out.

    Args:
        path: the file; made when there is something to keep.
        credentials: another user name or password than last time ends all sessions.
        clock: seconds since the epoch.
    """

    def __init__(self, path: Path, credentials: Credentials, clock: Clock = time.time) -> None:
        self._path = path
        self._clock = clock
        self._sessions: dict[str, Session] = {}
        self._by_cookie: dict[tuple[str, str], str] = {}
        self._tickets: dict[str, Ticket] = {}
        found = store.read(path) or {}
        self._salt = str(found.get("salt") or secrets.token_hex(16))
        self._stamp = hashlib.scrypt(
            f"{credentials.user}\0{credentials.password}".encode(),
            salt=bytes.fromhex(self._salt),
            n=1 << 12,
            r=8,
            p=1,
        ).hex()
        if hmac.compare_digest(str(found.get("credentials", "")), self._stamp):
            for name, item in found.get("sessions", {}).items():
                cookies = [(str(host), str(cookie)) for host, cookie in item["cookies"]]
                self._sessions[name] = Session(str(item["user"]), float(item["expires"]), cookies)
        self._prune()

    def start(self, user: str) -> str:
        """A new session; its name never leaves the agent."""
        name = secrets.token_urlsafe(16)
        self._sessions[name] = Session(user, self._clock() + LIFETIME)
        return name

    def cookie(self, name: str, host: str) -> str | None:
        """A new cookie value for a session on a host; None when the session has ended."""
        session = self._sessions.get(name)
        if session is None or session.expires <= self._clock():
            return None
        value = secrets.token_urlsafe(32)
        mine = [pair for pair in session.cookies if pair[0] == host][-(_COOKIES_PER_HOST - 1) :]
        session.cookies = [pair for pair in session.cookies if pair[0] != host] + [
            *mine,
            (host, _hash(value)),
        ]
        self._save()
        return value

    def find(self, host: str, cookie: str) -> str | None:
        """The name of the session that a host's cookie stands for."""
        name = self._by_cookie.get((host, _hash(cookie)))
        if name is None or self._sessions[name].expires <= self._clock():
            return None
        return name

    def user(self, name: str) -> str:
        """Whose session it is."""
        return self._sessions[name].user

    def end(self, name: str) -> None:
        """Sign out, on all hosts at once."""
        self._sessions.pop(name, None)
        self._tickets = {key: ticket for key, ticket in self._tickets.items() if ticket.session != name}
        self._save()

    def ticket(self, name: str, host: str, next_path: str) -> str:
        """A ticket that takes a session to another host, where the browser goes on to ``next_path``."""
        now = self._clock()
        self._tickets = {key: ticket for key, ticket in self._tickets.items() if ticket.expires > now}
        while len(self._tickets) >= _MOST_TICKETS:
            del self._tickets[next(iter(self._tickets))]
        value = secrets.token_urlsafe(32)
        self._tickets[_hash(value)] = Ticket(host, name, next_path, now + TICKET_LIFETIME)
        return value

    def redeem(self, value: str, host: str) -> Ticket | None:
        """What the ticket is good for, once, and on its own host only; whoever asks, it is spent."""
        ticket = self._tickets.pop(_hash(value), None)
        if ticket is None or ticket.host != host or ticket.expires <= self._clock():
            return None
        return ticket

    def _prune(self) -> None:
        now = self._clock()
        self._sessions = {name: item for name, item in self._sessions.items() if item.expires > now}
        self._by_cookie = {pair: name for name, session in self._sessions.items() for pair in session.cookies}

    def _save(self) -> None:
        self._prune()
        sessions = {
            name: {"user": item.user, "expires": item.expires, "cookies": item.cookies}
            for name, item in self._sessions.items()
        }
        store.write(self._path, {"salt": self._salt, "credentials": self._stamp, "sessions": sessions})


class Brake:
    """A bucket of wrong guesses that refills slowly; empty, it stops all guesses, right ones too.

    All come from the loopback address, so there is no telling one guesser from another.

    Args:
        most: guesses at once.
        refill: seconds until one more is allowed.
        clock: seconds that only grow.
    """

    def __init__(self, most: int, refill: float, clock: Clock = time.monotonic) -> None:
        self._most = most
        self._refill = refill
        self._clock = clock
        self._left = float(most)
        self._at = clock()

    def wait(self) -> int:
        """Seconds until a guess is looked at; 0 when it is now."""
        now = self._clock()
        self._left = min(self._most, self._left + (now - self._at) / self._refill)
        self._at = now
        return 0 if self._left >= 1 else max(1, round((1 - self._left) * self._refill))

    def failed(self) -> None:
        """Count a wrong guess."""
        self._left = max(0.0, self._left - 1)
