"""Takes routes from whoever has the token, and refuses all while there is a file ``closed``."""

import http.server
import os
import sys
import threading


class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self, code: int, body: bytes = b"") -> None:
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        self.answer(200)

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers["Authorization"] != f"Bearer {os.environ['TOKEN']}":
            self.answer(401)
        elif os.path.exists("closed"):
            self.answer(409, b"the gate is rusty")
        else:
            with open("routes", "wb") as file:
                file.write(body)
            self.answer(200)

    def log_message(self, *arguments: object) -> None:
        pass


ports = [int(word) for word in sys.argv[1:]]
servers = [http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler) for port in ports]
threading.Thread(target=servers[0].serve_forever, daemon=True).start()
servers[1].serve_forever()
