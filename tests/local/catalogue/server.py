"""What every fake component runs: an HTTP server whose behaviour its environment decides.

``GET /env`` tells its environment, ``GET /data/NAME`` a file of its volume, ``PUT /data/NAME`` keeps one (on
disk before it is acknowledged). ``TROUBLE`` is one of nothing, ``exit``, ``never`` (it does not listen),
``file`` (it exits as long as there is a file ``trouble`` in its folder).
"""

import http.server
import json
import os
import sys
import time

# ruff: noqa: T201
trouble = os.environ.get("TROUBLE", "")
print(f"begins with trouble {trouble or 'none'}", flush=True)
time.sleep(float(os.environ.get("DELAY") or 0))
if trouble == "exit" or (trouble == "file" and os.path.exists("trouble")):
    print("the ledger book is missing its first page", flush=True)
    sys.exit(3)
if trouble == "never":
    print("counts to infinity first", flush=True)
    time.sleep(3600)


class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self, code: int, body: bytes = b"") -> None:
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        if self.path == "/env":
            self.answer(200, json.dumps(dict(os.environ)).encode())
        elif self.path.startswith("/data/"):
            try:
                with open(self.path[6:], "rb") as file:
                    self.answer(200, file.read())
            except OSError:
                self.answer(404)
        else:
            self.answer(200)

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with open(self.path[6:], "wb") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        self.answer(200)

    def log_message(self, *arguments: object) -> None:
        pass


http.server.ThreadingHTTPServer.daemon_threads = True
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
