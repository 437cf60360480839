"""The process that runs inference graphs and holds the requests for models that are asleep.

Its documents need the standard library only (``gjson``), so the command line can check a graph without the
serving environment; the process itself needs granian, aiohttp and orjson.
"""
