"""A server that shows a greeting, and passes notes on: BIND PORT GREETING."""

import http.server
import os
import signal
import sys
import urllib.error
import urllib.request
from pathlib import Path

bind, port, greeting = sys.argv[1:]
greeting = Path(greeting).read_text()


class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self, status, body=b""):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def shelf(self, method, body=None):
        url = f"{os.environ['SHELF']}/{os.environ['BUCKET']}-{self.path.strip('/')}"
        headers = {"X-Key": os.environ["KEY"], "X-Secret": os.environ["SECRET"]}
        request = urllib.request.Request(url, data=body, method=method, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=10) as found:
                self.answer(found.status, found.read())
        except urllib.error.HTTPError as error:
            self.answer(error.code)
        except OSError as error:
            self.answer(502, str(error).encode())

    def do_GET(self):
        if self.path == "/healthz":
            self.answer(200, b"well")
        elif self.path == "/":
            self.answer(200, greeting.encode())
        else:
            self.shelf("GET")

    def do_PUT(self):
        self.shelf("PUT", self.rfile.read(int(self.headers["Content-Length"])))


signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
sys.stdout.write(f"shows {greeting}\n")
sys.stdout.flush()
http.server.ThreadingHTTPServer((bind, int(port)), Handler).serve_forever()
