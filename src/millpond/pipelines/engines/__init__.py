"""The engines that Millpond brings."""
