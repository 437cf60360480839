"""The supervisor of the local target: one daemon per platform that owns all of its processes.

``client`` (asyncio) and ``blocking`` are how the rest of Millpond talks to it, ``spec`` holds what is
said, ``spawn`` starts one-shot jobs the same way services are started. Standard library only, and this
module imports nothing, because the daemon and its guardian have to stay small.
"""
