"""Gives a key for one bucket; run again it changes nothing."""

import json
import os
import urllib.request

body = json.dumps({"secret": os.environ["SECRET"], "bucket": os.environ["BUCKET"]}).encode()
request = urllib.request.Request(
    f"{os.environ['SHELF']}/key-{os.environ['KEY']}",
    data=body,
    method="PUT",
    headers={"X-Root": os.environ["ROOT"]},
)
urllib.request.urlopen(request, timeout=10)
