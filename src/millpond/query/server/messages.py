"""The messages of Arrow Flight SQL that this server takes and gives.

They are built from their names and numbers, as the protocol has many and a server for reading needs few.
Source: FlightSql.proto of https://arrow.apache.org/docs/format/FlightSql.html
"""

from __future__ import annotations

from typing import Any

from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, message_factory

_PACKAGE = "arrow.flight.protocol.sql"
_TYPES = {"string": 9, "bytes": 12, "bool": 8, "uint32": 13}
# Message: its fields with their number, type, and whether they repeat.
_MESSAGES: dict[str, dict[str, tuple[int, str, bool]]] = {
    "CommandStatementQuery": {"query": (1, "string", False), "transaction_id": (2, "bytes", False)},
    "TicketStatementQuery": {"statement_handle": (1, "bytes", False)},
    "CommandPreparedStatementQuery": {"prepared_statement_handle": (1, "bytes", False)},
    "ActionCreatePreparedStatementRequest": {
        "query": (1, "string", False),
        "transaction_id": (2, "bytes", False),
    },
    "ActionCreatePreparedStatementResult": {
        "prepared_statement_handle": (1, "bytes", False),
        "dataset_schema": (2, "bytes", False),
        "parameter_schema": (3, "bytes", False),
    },
    "ActionClosePreparedStatementRequest": {"prepared_statement_handle": (1, "bytes", False)},
    "CommandGetCatalogs": {},
    "CommandGetDbSchemas": {
        "catalog": (1, "string", False),
        "db_schema_filter_pattern": (2, "string", False),
    },
    "CommandGetTables": {
        "catalog": (1, "string", False),
        "db_schema_filter_pattern": (2, "string", False),
        "table_name_filter_pattern": (3, "string", False),
        "table_types": (4, "string", True),
        "include_schema": (5, "bool", False),
    },
    "CommandGetTableTypes": {},
    "CommandGetSqlInfo": {"info": (1, "uint32", True)},
}


def _made() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(
        name="millpond/flight_sql.proto", package=_PACKAGE, syntax="proto3"
    )
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, (number, kind, repeated) in fields.items():
            added = message.field.add(
                name=field, number=number, type=_TYPES[kind], label=3 if repeated else 1
            )
            if not repeated:
                # So that one that was not given differs from an empty one.
                added.proto3_optional = True
                added.oneof_index = len(message.oneof_decl)
                message.oneof_decl.add(name=f"_{field}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    found = {}
    for name in _MESSAGES:
        descriptor = pool.FindMessageTypeByName(f"{_PACKAGE}.{name}")
        found[name] = message_factory.GetMessageClass(descriptor)
    return found


_CLASSES = _made()


def message(kind: str, **fields: Any) -> Any:
    """A message by its name."""
    return _CLASSES[kind](**fields)


def pack(found: Any) -> bytes:
    """A message in the envelope that says what it is."""
    envelope = any_pb2.Any()
    envelope.Pack(found)
    data: bytes = envelope.SerializeToString()
    return data


def unpack(data: bytes) -> tuple[str, Any]:
    """The name of what is in an envelope, and the message; None for one that this server does not know.

    Raises:
        ValueError: the bytes are no such envelope.
    """
    from google.protobuf.message import DecodeError

    envelope = any_pb2.Any()
    try:
        envelope.ParseFromString(data)
        kind = envelope.type_url.rpartition(".")[2]
        if kind not in _CLASSES:
            return kind, None
        found = _CLASSES[kind]()
        found.ParseFromString(envelope.value)
    except DecodeError:
        raise ValueError("these bytes are no command of Flight SQL") from None
    return kind, found


def given(found: Any, field: str) -> str | None:
    """A field's text, or None where it was not given."""
    return str(getattr(found, field)) if found.HasField(field) else None
