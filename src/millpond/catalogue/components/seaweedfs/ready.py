"""Whether the store can be read and written: its S3 answers, and its master knows a volume server.

The S3 part answers a moment before the volumes have told the master of themselves, and until then every read
of an object fails. Called with the ports of S3 and of the master.
"""

import http.client
import json
import sys


def ask(port: str, path: str) -> bytes:
    """The body of an answer that is well."""
    connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=2)
    connection.request("GET", path)
    answer = connection.getresponse()
    if answer.status != 200:
        raise OSError(f"{path} answers {answer.status}")
    return answer.read()


try:
    ask(sys.argv[1], "/healthz")
    known = json.loads(ask(sys.argv[2], "/dir/status"))["Topology"].get("DataCenters") or []
except (OSError, ValueError, KeyError, http.client.HTTPException):
    sys.exit(1)
sys.exit(0 if known else 1)
