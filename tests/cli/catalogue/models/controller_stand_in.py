"""A stand-in for the serving controller: takes documents and shows statuses as it does, and runs nothing.

A model whose address has "nothing" in it does not exist, one with "broken" does not load. Predictions are
answered at the deployment's own address, which is this server's: it gives back what it was asked.
"""

import json
import os
import re
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PORT = int(sys.argv[1])
PATH = re.compile(r"/apis/serving.kserve.io/v1(beta1|alpha1)(/namespaces/(\w+))?/inference\w+(/([\w-]+))?")
DEPLOYMENTS = {}
GRAPHS = {}


class Deployment:
    def __init__(self):
        self.generation = 0
        self.revisions = []
        self.active = self.candidate = self.previous = self.failure = None

    def apply(self, document):
        self.generation += 1
        self.document = document
        self.failure = None
        predictor = document["spec"]["predictor"]
        uri = predictor["model"]["storageUri"]
        for word, reason in (("nothing", "InvalidPredictorSpec"), ("broken", "ModelLoadFailed")):
            if word in uri:
                self.failure = {"reason": reason, "message": f"there is no model {uri}"}
                return
        pinned = document["metadata"].get("annotations", {}).get("serving.millpond.dev/revision")
        same = [r for r in self.revisions if r["storageUri"] == uri or r["name"] == pinned]
        if not same:
            name = f"{document['metadata']['name']}-{len(self.revisions) + 1:05d}"
            revision = {"name": name, "storageUri": uri, "spec": document["spec"], "ready": "yes"}
            revision |= {"state": "ready", "replicas": [{"port": PORT, "state": "ready"}], "mirrored": 0}
            self.revisions.append(revision)
            same = [revision]
        name = same[-1]["name"]
        percent = predictor.get("canaryTrafficPercent")
        if percent is None or self.active in (None, name):
            if self.active not in (None, name):
                self.previous = self.active
            self.active, self.candidate = name, None
        else:
            self.candidate = name
        same[-1]["mirrored"] = int(
            document["metadata"].get("annotations", {}).get("serving.millpond.dev/mirror", 0)
        )

    def shown(self):
        percent = self.document["spec"]["predictor"].get("canaryTrafficPercent") or 0
        traffic = []
        if self.candidate:
            traffic.append({"revisionName": self.candidate, "percent": percent})
        if self.active:
            rest = 100 - percent if self.candidate else 100
            traffic.append({"revisionName": self.active, "percent": rest})
        ready = str(bool(self.active))
        latest = {"type": "LatestDeploymentReady", "status": str(self.failure is None)}
        if self.failure:
            latest |= self.failure
        predictor = {"traffic": traffic, "latestReadyRevision": self.candidate or self.active}
        predictor |= {"latestRolledoutRevision": self.active, "previousRolledoutRevision": self.previous}
        status = {
            "observedGeneration": self.generation,
            "conditions": [latest, {"type": "Ready", "status": ready}],
            "components": {"predictor": predictor},
            "modelStatus": {"transitionStatus": "UpToDate"},
            "revisions": self.revisions,
        }
        if self.failure:
            status["modelStatus"] = {
                "transitionStatus": "BlockedByFailedLoad",
                "lastFailureInfo": self.failure,
            }
        if self.active:
            status["url"] = f"http://127.0.0.1:{PORT}"
            status["address"] = {"url": status["url"]}
        metadata = {"namespace": "default", **self.document["metadata"], "generation": self.generation}
        return {**self.document, "metadata": metadata, "status": status}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *words):
        pass

    def answer(self, status, body, **headers):
        data = json.dumps(body).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def body(self):
        return json.loads(self.rfile.read(int(self.headers.get("content-length", 0))) or "null")

    def handle_any(self):
        if self.path == "/healthz":
            return self.answer(200, {})
        if self.path.startswith(("/v1/", "/v2/")):
            return self.predict()
        if self.headers.get("authorization") != f"Bearer {os.environ['TOKEN']}":
            return self.answer(401, {"message": "the bearer token is missing or wrong"})
        found = PATH.match(self.path)
        if found is None:
            return self.answer(404, {"error": "Not Found"})
        kept = DEPLOYMENTS if found[1] == "beta1" else GRAPHS
        return getattr(self, f"resource_{self.command.lower()}")(kept, found[5])

    do_GET = do_POST = do_PUT = do_DELETE = handle_any  # noqa: N815

    def resource_get(self, kept, name):
        if name is None:
            return self.answer(200, {"items": [kept[key].shown() for key in sorted(kept)]})
        if name not in kept:
            return self.answer(404, {"message": f"there is no {name}"})
        return self.answer(200, kept[name].shown())

    def resource_put(self, kept, name):
        document = self.body()
        if "refused" in json.dumps(document):
            return self.answer(422, {"message": "the controller does not take this"})
        kept.setdefault(name, Deployment() if kept is DEPLOYMENTS else Graph()).apply(document)
        return self.answer(200, kept[name].shown())

    def resource_delete(self, kept, name):
        found = kept.pop(name, None)
        return self.answer(200 if found else 404, found.shown() if found else {"message": f"no {name}"})

    def predict(self):
        name = self.path.split("/")[3].partition(":")[0]
        told = {"x_request_id": "an-id", "x_millpond_revision": DEPLOYMENTS[name].active or ""}
        if self.path.endswith("/infer"):
            return self.answer(200, {"outputs": self.body()["inputs"]}, **told)
        if self.path.endswith(":predict"):
            return self.answer(200, {"predictions": self.body()["instances"]}, **told)
        if self.path.endswith("/feedback"):
            return self.answer(202, {"id": self.body()["id"]})
        inputs = [{"name": "code", "datatype": "BYTES", "shape": [-1, 1]}]
        return self.answer(200, {"name": name, "inputs": inputs})


class Graph:
    def apply(self, document):
        self.document = document

    def shown(self):
        metadata = {"namespace": "default", **self.document["metadata"]}
        status = {"conditions": [{"type": "Ready", "status": "True"}], "url": f"http://127.0.0.1:{PORT}/g"}
        return {**self.document, "metadata": metadata, "status": status}


ThreadingHTTPServer(("127.0.0.1", PORT), Handler).serve_forever()
