"""The kinds of step that Millpond brings."""
