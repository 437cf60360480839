"""The component `pipelines`: runs what was handed to it, by the clock, by commits, and when it is told to."""
