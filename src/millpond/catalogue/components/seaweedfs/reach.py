"""Runs a command that speaks to the store's own parts: HOST PORT... -- COMMAND...

The parts tell each other's addresses as they see them, which is on loopback. Elsewhere than beside the
store, as in a pod for a job, those ports are led there for as long as the command runs.
"""

import socket
import subprocess
import sys
import threading


def pump(source: socket.socket, target: socket.socket) -> None:
    """Copy one direction of a connection to its end."""
    try:
        while data := source.recv(1 << 16):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def lead(listener: socket.socket, address: tuple[str, int]) -> None:
    """Lead every connection of a listener to an address."""
    while True:
        near, _ = listener.accept()
        try:
            far = socket.create_connection(address, timeout=10)
        except OSError:
            near.close()
            continue
        far.settimeout(None)
        for pair in ((near, far), (far, near)):
            threading.Thread(target=pump, args=pair, daemon=True).start()


host, *rest = sys.argv[1:]
split = rest.index("--")
ports, command = rest[:split], rest[split + 1 :]
if host != "127.0.0.1":
    for port in ports:
        listener = socket.create_server(("127.0.0.1", int(port)))
        threading.Thread(target=lead, args=(listener, (host, int(port))), daemon=True).start()
sys.exit(subprocess.call(command))
