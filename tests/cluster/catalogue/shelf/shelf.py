"""A server that keeps notes as files: BIND PORT FOLDER SETTINGS."""

import http.server
import json
import os
import signal
import sys
from pathlib import Path

bind, port, folder, settings = sys.argv[1:]
folder = Path(folder)
folder.mkdir(exist_ok=True)
settings = json.loads(Path(settings).read_text())


class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self, status, text=""):
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def may(self, name):
        """Whether the request's key opens a bucket."""
        file = folder / f"key-{self.headers.get('X-Key', '')}.json"
        if not file.is_file():
            return False
        found = json.loads(file.read_text())
        return found == {"secret": self.headers.get("X-Secret"), "bucket": name.partition("-")[0]}

    def do_GET(self):
        name = self.path.strip("/")
        if name == "healthz":
            self.answer(200, "well")
        elif name == "motd":
            self.answer(200, settings["motd"])
        elif not self.may(name):
            self.answer(403)
        elif (folder / f"note-{name}").is_file():
            self.answer(200, (folder / f"note-{name}").read_text())
        else:
            self.answer(404)

    def do_PUT(self):
        name = self.path.strip("/")
        text = self.rfile.read(int(self.headers["Content-Length"])).decode()
        if name.startswith("key-") and self.headers.get("X-Root") == settings["root"]:
            (folder / f"{name}.json").write_text(text)
        elif self.may(name):
            (folder / f"note-{name}").write_text(text)
        else:
            self.answer(403)
            return
        self.answer(204)


signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
sys.stdout.write(f"keeps notes in {folder}\n")
sys.stdout.flush()
http.server.ThreadingHTTPServer((bind, int(port)), Handler).serve_forever()
