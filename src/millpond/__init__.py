"""Millpond: one file turns into a working data-science platform."""

from __future__ import annotations

__version__ = "0.1.0"
