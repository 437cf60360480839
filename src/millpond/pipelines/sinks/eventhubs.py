"""The sink ``eventhubs``: an output becomes events of Azure Event Hubs, which speaks Kafka's protocol.

https://learn.microsoft.com/azure/event-hubs/azure-event-hubs-kafka-overview: port 9093 of the namespace, TLS,
SASL PLAIN with the name ``$ConnectionString`` and the connection string as the password.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from pydantic import Field

from millpond.lake.reference import Reference
from millpond.model.errors import MillpondError
from millpond.pipelines.extension import StepCall
from millpond.pipelines.sinks.messages import MessageKeys, MessageSink, sent
from millpond.pipelines.task import OutputTask
from millpond.query.brokers import Brokers

_NEEDED = ("Endpoint", "SharedAccessKeyName", "SharedAccessKey")


class EventHubsKeys(MessageKeys):
    """Which event hub, and where the connection string is."""

    hub: str | None = Field(
        default=None, description="The event hub; the connection string's EntityPath when left out"
    )
    connection_from: str = Field(
        default="EVENTHUBS_CONNECTION_STRING",
        description="The variable of the environment that holds the connection string",
    )


class EventHubsSink(MessageSink):
    """Sends with acknowledgement, without doubles, in order by key.

    The service's usual tiers have no transactions: of a step that fails while it sends, some events are
    there, and its repetition sends all.
    """

    keys = EventHubsKeys

    def write(self, value: Any, port: OutputTask, call: StepCall) -> Reference:
        """Send it; see `Sink.write`.

        Raises:
            MillpondError: the connection string is not set or none, or the service refuses.
        """
        keys = EventHubsKeys.model_validate(port.keys)
        name = keys.connection_from
        if not os.environ.get(name):
            raise MillpondError(
                f"the variable {name} with the connection string of Event Hubs is not set",
                hint=f"set it where the run is started, and name it in MILLPOND_FORWARD: {name}",
            )
        given = _parts(os.environ[name], name)
        hub = keys.hub or given.get("EntityPath")
        if not hub:
            raise MillpondError(f"no event hub is named by the sink or {name}", hint="add hub: NAME")
        brokers = Brokers(
            _settings(given, os.environ[name], os.environ),
            "Event Hubs",
            f"is {name} right, and its key valid?",
        )
        found = sent(value, port.type, keys.key, hub, brokers, None)
        return Reference(f"eventhubs:{hub}", found.version, found.sha256, found.size, found.type, found.rows)


def _parts(text: str, name: str) -> dict[str, str]:
    """What a connection string says; no message has it, as a secret is in it."""
    found = dict(part.split("=", 1) for part in text.strip().split(";") if "=" in part)
    missing = [word for word in _NEEDED if not found.get(word)]
    if missing or not urlsplit(found["Endpoint"]).hostname:
        lacks = missing[0] if missing else "host"
        raise MillpondError(
            f"the variable {name} holds no connection string of Event Hubs: it has no {lacks}",
            hint="copy it from the namespace's shared access policies, whole",
        )
    return found


def _settings(given: Mapping[str, str], text: str, environment: Mapping[str, str]) -> dict[str, str]:
    address = urlsplit(given["Endpoint"])
    # Microsoft's emulator says so in its connection string, and has no TLS.
    emulated = given.get("UseDevelopmentEmulator", "").lower() == "true"
    settings = {
        "bootstrap.servers": f"{address.hostname}:{address.port or (9092 if emulated else 9093)}",
        "security.protocol": "SASL_PLAINTEXT" if emulated else "SASL_SSL",
        "sasl.mechanism": "PLAIN",
        "sasl.username": "$ConnectionString",
        "sasl.password": text.strip(),
    }
    if authority := environment.get("KAFKA_SSL_CA_LOCATION"):
        settings["ssl.ca.location"] = authority
    return settings
