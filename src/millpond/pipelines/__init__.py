"""Pipelines: data flows in one file, run by an engine, each run recorded and nothing run twice."""
