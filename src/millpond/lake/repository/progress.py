"""How far a transfer is, for those who watch: counts that threads add to."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field


@dataclass
class Progress:
    """Files and bytes that are done, and those that there are, as far as that is known.

    Attributes:
        sent: bytes that really went to the store or came from it.
    """

    files: int = 0
    bytes: int = 0
    sent: int = 0
    all_files: int = 0
    all_bytes: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add(self, *, files: int = 0, bytes: int = 0, sent: int = 0) -> None:  # noqa: A002 - the field's name
        """Count what was done."""
        with self._lock:
            self.files += files
            self.bytes += bytes
            self.sent += sent

    def expect(self, files: int, bytes: int) -> None:  # noqa: A002 - the field's name
        """Count what is to be done."""
        with self._lock:
            self.all_files += files
            self.all_bytes += bytes
