"""The one door: Envoy in front of everything that a platform serves, and the agent that directs it.

Runs in the gateway's own environment (Envoy, Starlette, uvicorn), except for `client`, which needs the
standard library only and is what the other parts use.
"""
