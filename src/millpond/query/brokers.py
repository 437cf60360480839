"""Kafka as the environment names it: what a client is told, and what brokers say in a user's words.

The names are those of the interface ``kafka``; the settings are librdkafka's
(https://github.com/confluentinc/librdkafka/blob/master/CONFIGURATION.md).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from millpond.model.errors import MillpondError

_SETTINGS = {
    "KAFKA_BOOTSTRAP_SERVERS": "bootstrap.servers",
    "KAFKA_SECURITY_PROTOCOL": "security.protocol",
    "KAFKA_SASL_MECHANISM": "sasl.mechanism",
    "KAFKA_SASL_USERNAME": "sasl.username",
    "KAFKA_SASL_PASSWORD": "sasl.password",
    "KAFKA_SSL_CA_LOCATION": "ssl.ca.location",
}
REACH = 10.0
"""Seconds in which brokers have to answer."""
_DOWN = 3.0
"""Seconds for which an address is asked again that refuses connections: its broker may be starting."""


class Brokers:
    """Brokers, and what was heard of them.

    Args:
        settings: of librdkafka, as `found_in` gives them; a secret may be in them.
        what: the service in messages.
        hint: what helps when it is not reached.
    """

    def __init__(self, settings: Mapping[str, str], what: str = "Kafka", hint: str | None = None) -> None:
        self.where = settings["bootstrap.servers"]
        self.what = what
        self._hint = hint or "does it run? `millpond status` tells of the platform's"
        self._heard = ""
        self._refused = False
        self._settings = {
            **settings,
            "client.id": "millpond",
            "log_level": 0,
            "error_cb": self._hear,
        }

    @classmethod
    def found_in(cls, environment: Mapping[str, str]) -> Brokers | None:
        """Those that the environment names; None where it names none."""
        settings = {key: environment[name] for name, key in _SETTINGS.items() if environment.get(name)}
        return cls(settings) if "bootstrap.servers" in settings else None

    def settings(self, **more: Any) -> dict[str, Any]:
        """What a client is made with; in ``more`` an underscore stands for a dot."""
        return {**self._settings, **{key.replace("_", "."): value for key, value in more.items()}}

    def topics(self, client: Any) -> dict[str, list[int]]:
        """The partitions of every topic that this client may see.

        Raises:
            MillpondError: no broker answers.
        """
        from confluent_kafka import KafkaException

        began = time.monotonic()
        while True:
            try:
                found = client.list_topics(timeout=1).topics
                return {name: sorted(topic.partitions) for name, topic in found.items()}
            except KafkaException as error:
                # Why it is so comes apart from the answer, and only to those who ask for it.
                client.poll(0)
                spent = time.monotonic() - began
                if spent > REACH or self._refused or (self._heard and spent > _DOWN):
                    raise self.failed("cannot be reached", error) from None

    def failed(self, did: str, error: Any) -> MillpondError:
        """The error that a user sees for one of the client."""
        said = error.args[0].str() if error.args and hasattr(error.args[0], "str") else str(error)
        reason = self._heard or said
        return MillpondError(f"{self.what} at {self.where} {did}: {reason}", hint=self._hint)

    def _hear(self, error: Any) -> None:
        """Keep what the client learns in the background: why no broker is reached."""
        from confluent_kafka import KafkaError

        if error.code() == KafkaError._ALL_BROKERS_DOWN or self._refused:
            return
        if error.code() == KafkaError._AUTHENTICATION or not self._heard:
            self._refused = error.code() == KafkaError._AUTHENTICATION
            self._heard = str(error.str()).split("\n")[0].split(" (after ")[0].rstrip(".")
