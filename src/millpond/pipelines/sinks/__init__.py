"""The sinks that Millpond brings."""
