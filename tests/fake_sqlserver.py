"""A mock of SQL Server: its protocol, TDS 7.4, before SQLite. No SQL Server runs where these tests do.

What it knows of T-SQL is what the sink and the source say. The protocol is Microsoft's
(https://learn.microsoft.com/openspecs/windows_protocols/ms-tds/), without TLS, as far as a client needs it
for signing in, a batch and its rows.
"""

from __future__ import annotations

import datetime
import re
import socketserver
import sqlite3
import struct
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from decimal import Decimal
from typing import Any

BATCH, LOGIN, PRELOGIN, ANSWER = 0x01, 0x10, 0x12, 0x04
USER, PASSWORD = "mill", "let me in"
_COLLATION = bytes.fromhex("0904d00034")
_DONE, _FAILED, _COUNT = 0x00, 0x02, 0x10
_DAY_ONE = datetime.date(1, 1, 1)


class FakeSqlServer(socketserver.ThreadingTCPServer):
    """Listens on a port of its own; `said` has every batch that came, as it was written."""

    allow_reuse_address = daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Session)
        self.said: list[str] = []
        self.database = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
        self.database.execute("ATTACH ':memory:' AS dbo")
        self.lock = threading.Lock()

    @property
    def environment(self) -> dict[str, str]:
        """What tells user code of it."""
        server = f"127.0.0.1,{self.server_address[1]}"
        sign_in = {"SQLCMDUSER": USER, "SQLCMDPASSWORD": PASSWORD}
        return {"SQLCMDSERVER": server, "SQLCMDDBNAME": "shop", **sign_in}


@contextmanager
def fake_sqlserver() -> Iterator[FakeSqlServer]:
    """One that runs."""
    with FakeSqlServer() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server
        finally:
            server.shutdown()


class _Session(socketserver.BaseRequestHandler):
    server: FakeSqlServer

    def handle(self) -> None:
        with suppress(ConnectionError, EOFError):
            while True:
                kind, data = self._receive()
                if kind == PRELOGIN:
                    self._send(_prelogin())
                elif kind == LOGIN:
                    self._send(_signed_in(data))
                elif kind == BATCH:
                    text = data[struct.unpack_from("<I", data)[0] :].decode("utf-16-le")
                    self._send(self._answer(text))
                else:
                    self._send(_done(0x20))
        with self.server.lock:
            if self.server.database.in_transaction:
                self.server.database.execute("ROLLBACK")

    def _receive(self) -> tuple[int, bytes]:
        found = b""
        while True:
            kind, status, length = struct.unpack(">BBH", self._exactly(4))
            self._exactly(4)
            found += self._exactly(length - 8)
            if status & 1:
                return kind, found

    def _exactly(self, size: int) -> bytes:
        found = b""
        while len(found) < size:
            part = self.request.recv(size - len(found))
            if not part:
                raise EOFError
            found += part
        return found

    def _send(self, data: bytes) -> None:
        parts = [data[start : start + 4088] for start in range(0, len(data), 4088)]
        for number, part in enumerate(parts, 1):
            last = number == len(parts)
            self.request.sendall(
                struct.pack(">BBHHBB", ANSWER, last, len(part) + 8, 0, number % 256, 0) + part
            )

    def _answer(self, text: str) -> bytes:
        self.server.said.append(text)
        with self.server.lock:
            try:
                return self._asked(text)
            except sqlite3.Error as error:
                missing = "no such table: " in str(error)
                name = str(error).partition(": ")[2]
                message = f"Invalid object name '{name}'." if missing else str(error)
                return _error(208 if missing else 50000, message) + _done(_FAILED)

    def _asked(self, text: str) -> bytes:
        database = self.server.database
        if found := re.fullmatch(r"EXEC sp_describe_first_result_set N'(.*)'", text, re.DOTALL):
            columns = _described(database, found[1].replace("''", "'"))
            named = [("name", "nvarchar(128)"), ("system_type_name", "nvarchar(128)")]
            return _rows(named, columns)
        if "INFORMATION_SCHEMA.TABLES" in text:
            names = database.execute(
                "SELECT 'dbo', name FROM dbo.sqlite_master WHERE type = 'table'"
            ).fetchall()
            return _rows([("TABLE_SCHEMA", "nvarchar(128)"), ("TABLE_NAME", "nvarchar(128)")], names)
        if re.match(r"SET |IF @@TRANCOUNT|USE ", text):
            return _done(_DONE)
        statement = _in_sqlite(text)
        if statement == "ROLLBACK" and not database.in_transaction:
            return _done(_DONE)
        if statement[:6].upper() == "SELECT":
            columns = _described(database, statement)
            return _rows(columns, database.execute(statement).fetchall())
        count = database.execute(statement).rowcount
        return _done(_COUNT, max(count, 0))


def _in_sqlite(text: str) -> str:
    text = re.sub(r"^IF OBJECT_ID\(.*?\) IS NULL CREATE TABLE", "CREATE TABLE IF NOT EXISTS", text)
    text = re.sub(r"^(BEGIN|COMMIT|ROLLBACK) TRAN(SACTION)?", r"\1", text)
    # SQLite would take a cast's type for a number.
    text = re.sub(r"CAST\((N?'(?:[^']|'')*'|[^ ]+) AS [a-z0-9]+(\(\d+(, \d+)?\))?\)", r"\1", text)
    return re.sub(r"\bN'", "'", text).strip().rstrip(";")


def _described(database: sqlite3.Connection, query: str) -> list[tuple[str, str]]:
    """The columns of a query over one table, with the types that this was made with."""
    query = _in_sqlite(query)
    names = [column[0] for column in database.execute(f"SELECT * FROM ({query}) LIMIT 0").description]
    table = re.search(r"FROM \[?dbo\]?\.\[?(\w+)", query, re.IGNORECASE)
    made = database.execute(f"PRAGMA dbo.table_info({table[1]})").fetchall() if table else []
    types = {name: kind for _, name, kind, *_ in made}
    return [(name, types.get(name, "bigint")) for name in names]


def _prelogin() -> bytes:
    version, encryption = struct.pack(">BBHH", 16, 0, 1000, 0), b"\x02"
    head = struct.pack(">BHH", 0, 11, 6) + struct.pack(">BHH", 1, 17, 1) + b"\xff"
    return head + version + encryption


def _signed_in(data: bytes) -> bytes:
    place, length = struct.unpack_from("<HH", data, 40)
    user = data[place : place + 2 * length].decode("utf-16-le")
    place, length = struct.unpack_from("<HH", data, 44)
    hidden = (byte ^ 0xA5 for byte in data[place : place + 2 * length])
    password = bytes((byte << 4 | byte >> 4) & 0xFF for byte in hidden).decode("utf-16-le")
    if (user, password) != (USER, PASSWORD):
        return _error(18456, f"Login failed for user '{user}'.", 14) + _done(_FAILED)
    name = "Mock".encode("utf-16-le")
    body = struct.pack("<B", 1) + struct.pack(">I", 0x74000004) + bytes([len(name) // 2]) + name + bytes(4)
    changed = b"\x07" + bytes([len(_COLLATION)]) + _COLLATION + b"\x00"
    return _token(0xE3, changed) + _token(0xAD, body) + _done(_DONE)


def _token(kind: int, body: bytes) -> bytes:
    return struct.pack("<BH", kind, len(body)) + body


def _done(status: int, count: int = 0) -> bytes:
    return struct.pack("<BHHQ", 0xFD, status, 0, count)


def _error(number: int, message: str, severity: int = 16) -> bytes:
    text = message.encode("utf-16-le")
    body = struct.pack("<IBBH", number, 1, severity, len(message)) + text
    return _token(0xAA, body + b"\x00\x00" + struct.pack("<I", 1))


def _rows(columns: Sequence[tuple[str, str]], rows: Sequence[Sequence[Any]]) -> bytes:
    found = struct.pack("<BH", 0x81, len(columns))
    for name, kind in columns:
        found += struct.pack("<IH", 0, 1) + _type(kind) + bytes([len(name)]) + name.encode("utf-16-le")
    for row in rows:
        found += b"\xd1" + b"".join(
            _value(value, kind) for value, (_, kind) in zip(row, columns, strict=True)
        )
    return found + _done(_COUNT, len(rows))


def _type(kind: str) -> bytes:
    match kind.partition("(")[0]:
        case "bit":
            return b"\x68\x01"
        case "bigint":
            return b"\x26\x08"
        case "int":
            return b"\x26\x04"
        case "float":
            return b"\x6d\x08"
        case "decimal":
            return b"\x6a\x11" + bytes(int(part) for part in re.findall(r"\d+", kind))
        case "datetime2":
            return b"\x2a\x07"
    return b"\xe7" + struct.pack("<H", 8000) + _COLLATION


def _value(value: Any, kind: str) -> bytes:
    name = kind.partition("(")[0]
    if value is None:
        return b"\xff\xff" if name == "nvarchar" else b"\x00"
    match name:
        case "bit":
            return b"\x01" + bytes([value])
        case "bigint":
            return b"\x08" + struct.pack("<q", value)
        case "int":
            return b"\x04" + struct.pack("<i", value)
        case "float":
            return b"\x08" + struct.pack("<d", value)
        case "decimal":
            scale = int(re.findall(r"\d+", kind)[1])
            whole = int(Decimal(str(value)).scaleb(scale))
            return b"\x11" + bytes([whole >= 0]) + abs(whole).to_bytes(16, "little")
        case "datetime2":
            moment = datetime.datetime.fromisoformat(value)
            seconds = moment - datetime.datetime.combine(moment.date(), datetime.time())
            ticks = (seconds.seconds * 1_000_000 + seconds.microseconds) * 10
            return (
                b"\x08" + ticks.to_bytes(5, "little") + (moment.date() - _DAY_ONE).days.to_bytes(3, "little")
            )
    text = str(value).encode("utf-16-le")
    return struct.pack("<H", len(text)) + text
