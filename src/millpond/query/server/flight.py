"""The server: Arrow Flight SQL, which ADBC, JDBC and ODBC drivers speak, before sessions of DuckDB.

Source: https://arrow.apache.org/docs/format/FlightSql.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
from pyarrow import flight

from millpond.model.errors import MillpondError
from millpond.query.server import catalogue
from millpond.query.server.desks import Desks
from millpond.query.server.messages import message, pack, unpack
from millpond.query.server.people import Doorkeeper, Person, RefusedError
from millpond.query.session import Session

_WHO = "who"
_ACTIONS = {
    "CreatePreparedStatement": "Prepares a query; no parameters",
    "ClosePreparedStatement": "Forgets a prepared query",
    "CloseSession": "Ends a session",
}


class _Anybody(flight.ServerAuthHandler):  # type: ignore[misc]
    """The handshake says nothing: the middleware reads each call's headers, the handshake's among them."""

    def authenticate(self, outgoing: Any, incoming: Any) -> None:
        """Take the handshake."""

    def is_valid(self, token: bytes) -> bytes:
        """Nobody is known by a handshake's token."""
        return b""


class _SignedIn(flight.ServerMiddleware):  # type: ignore[misc]
    """Who a call comes from; its answer carries the token for the next ones."""

    def __init__(self, person: Person, token: str) -> None:
        self.person = person
        self._token = token

    def sending_headers(self) -> dict[str, str]:
        """What the answer carries."""
        return {"authorization": f"Bearer {self._token}"}


class _SignIn(flight.ServerMiddlewareFactory):  # type: ignore[misc]
    def __init__(self, doorkeeper: Doorkeeper) -> None:
        super().__init__()
        self._doorkeeper = doorkeeper

    def start_call(self, info: Any, headers: dict[str, list[str]]) -> _SignedIn:
        header = next((v[0] for name, v in headers.items() if name.lower() == "authorization" and v), "")
        try:
            return _SignedIn(*self._doorkeeper.enter(header))
        except RefusedError as error:
            raise flight.FlightUnauthenticatedError(str(error)) from None


class SqlServer(flight.FlightServerBase):  # type: ignore[misc]
    """Answers queries of people who have signed in, each with a session of their own.

    Args:
        address: such as ``grpc://127.0.0.1:32010``.
    """

    def __init__(self, address: str, doorkeeper: Doorkeeper, desks: Desks) -> None:
        super().__init__(address, auth_handler=_Anybody(), middleware={_WHO: _SignIn(doorkeeper)})
        self._desks = desks

    def get_flight_info(self, context: Any, descriptor: Any) -> Any:
        """Where the rows of a command are, and their columns."""
        kind, command = _command(descriptor.command)
        if kind == "CommandStatementQuery":
            ticket, schema = self._ticket(context, command.query)
        elif kind == "CommandPreparedStatementQuery":
            ticket, schema = self._ticket(context, command.prepared_statement_handle.decode())
        elif kind in catalogue.SCHEMAS:
            ticket = bytes(descriptor.command)
            schema = catalogue.schema_of(kind, command)
        else:
            raise NotImplementedError(f"{kind} is not known here")
        endpoint = flight.FlightEndpoint(flight.Ticket(ticket), [])
        return flight.FlightInfo(schema, descriptor, [endpoint], -1, -1)

    def get_schema(self, context: Any, descriptor: Any) -> Any:
        """The columns of a command's rows."""
        return flight.SchemaResult(self.get_flight_info(context, descriptor).schema)

    def do_get(self, context: Any, ticket: Any) -> Any:
        """The rows of a command, as they come."""
        person = _person(context)
        kind, command = _command(ticket.ticket)
        if kind == "TicketStatementQuery":
            return self._rows(person, command.statement_handle.decode())
        if kind not in catalogue.SCHEMAS:
            raise NotImplementedError(f"{kind} is not known here")
        table = self._with(person, lambda session: catalogue.rows(kind, command, session))
        return flight.RecordBatchStream(table)

    def do_action(self, context: Any, action: Any) -> Iterator[bytes]:
        """Prepared statements; what is prepared is the query itself, so nothing is kept for it."""
        if action.type == "CreatePreparedStatement":
            _, request = _command(action.body.to_pybytes())
            _, schema = self._ticket(context, request.query)
            result = message(
                "ActionCreatePreparedStatementResult",
                prepared_statement_handle=request.query.encode(),
                dataset_schema=schema.serialize().to_pybytes(),
                parameter_schema=pa.schema([]).serialize().to_pybytes(),
            )
            return iter([pack(result)])
        if action.type in _ACTIONS:
            return iter([b""] if action.type == "CloseSession" else [])
        raise NotImplementedError(f"{action.type} is not known here")

    def list_actions(self, context: Any) -> list[tuple[str, str]]:
        """What `do_action` knows."""
        return list(_ACTIONS.items())

    def do_put(self, context: Any, descriptor: Any, reader: Any, writer: Any) -> None:
        """Nothing is written here, and queries have no parameters."""
        raise NotImplementedError("statements have no parameters here, and nothing is written")

    def _ticket(self, context: Any, query: str) -> tuple[bytes, Any]:
        schema = self._with(_person(context), lambda session: session.schema(query))
        return pack(message("TicketStatementQuery", statement_handle=query.encode())), schema

    def _rows(self, person: Person, query: str) -> Any:
        limits = self._desks.limits
        session = self._desks.take(person)
        try:
            reader = session.reader(query, timeout=limits.seconds, rows=limits.rows)
        except BaseException as error:
            self._desks.give(person, session)
            raise _told(error) from None

        def batches() -> Iterator[Any]:
            try:
                yield from reader
            except MillpondError as error:
                raise _told(error) from None
            finally:
                self._desks.give(person, session)

        return flight.GeneratorStream(reader.schema, batches())

    def _with(self, person: Person, ask: Callable[[Session], Any]) -> Any:
        try:
            with self._desks.lent(person) as session:
                return ask(session)
        except MillpondError as error:
            raise _told(error) from None


def _person(context: Any) -> Person:
    found: Person = context.get_middleware(_WHO).person
    return found


def _command(data: bytes) -> tuple[str, Any]:
    try:
        kind, found = unpack(bytes(data))
    except ValueError as error:
        raise pa.ArrowInvalid(str(error)) from None
    if found is None:
        raise NotImplementedError(f"{kind or 'this'} is not known here")
    return kind, found


def _told(error: BaseException) -> BaseException:
    if not isinstance(error, MillpondError):
        return error
    told: BaseException = pa.ArrowInvalid(error.message + (f" ({error.hint})" if error.hint else ""))
    return told
