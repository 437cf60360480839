"""Graph documents: KServe's words and rules, each mistake at its place."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from millpond.model.errors import DocumentError, DocumentErrors, MillpondError
from millpond.serving.inferencegraph import from_document, read

DOCUMENT = """\
apiVersion: serving.kserve.io/v1alpha1
kind: InferenceGraph
metadata:
  name: breeds
spec:
  timeout: 30
  routerTimeouts: {serverRead: 10, serviceClient: 5}
  nodes:
    root:
      routerType: Sequence
      steps:
      - {name: kind, serviceName: cats-or-dogs}
      - name: breed
        nodeName: breed
        data: $request
        condition: predictions.#(label=="dog")
        dependency: Hard
    breed:
      routerType: Splitter
      steps:
      - {serviceName: breeds-v1, weight: 90}
      - {serviceUrl: "http://breeds.localhost:8080/v2/models/breeds/infer", weight: 10}
"""


def test_a_kserve_document_is_read() -> None:
    graph = read(DOCUMENT, "graph.yaml")
    assert graph.services() == ["cats-or-dogs", "breeds-v1"]
    assert graph.spec.nodes["root"].steps[1].condition == 'predictions.#(label=="dog")'
    assert graph.spec.routerTimeouts.serviceClient == 5


def test_what_the_server_answered_is_accepted_back() -> None:
    document = read(DOCUMENT, "graph.yaml").document()
    document["metadata"] |= {"uid": "a", "generation": 4, "resourceVersion": "4", "creationTimestamp": "b"}
    document["status"] = {"conditions": []}
    again = read(json.dumps(document), "body")
    assert again.document() == read(DOCUMENT, "graph.yaml").document() == from_document(document).document()


@pytest.mark.parametrize(
    ("old", "new", "said", "hint"),
    [
        ("name: breeds", "name: 2breeds", "4:9: 2breeds is not a graph's name", "lower-case letter"),
        ("    root:", "    rood:", "9:5: there is no node root", "did you mean rood?"),
        ("nodeName: breed", "nodeName: bread", "14:19: there is no node bread", "did you mean breed?"),
        ("nodeName: breed", "nodename: breed", "14:9: unknown key nodename", "did you mean nodeName?"),
        ("routerType: Sequence", "routerType: Sequense", "10:19: ", "did you mean Sequence?"),
        ("serviceName: cats-or-dogs", "weight: 1", "12:9: a step has one of nodeName, serviceName", None),
        ("nodeName: breed", "nodeName: breed\n        serviceName: a", "has nodeName and serviceName", None),
        ("name: kind", "name: breed", "two steps with the name breed", None),
        ("weight: 90", "weight: 80", "21:7: the weights of the Splitter breed add up to 90", None),
        (", weight: 90", "", "21:9: a step of a Splitter has a weight", None),
        ("weight: 90", "weight: 190", "weight must be less than or equal to 100", None),
        ("routerType: Splitter", "routerType: Switch", "without a condition is never taken", "'@this'"),
        ("name: kind,", "name: kind, condition: a,", "the first step of a Sequence has no answer", "Switch"),
        ("serviceName: breeds-v1", "nodeName: root", "circle: root -> breed -> root", None),
        ("serviceName: breeds-v1", "nodeName: breed", "circle: breed -> breed", None),
        ("data: $request", "data: $response.predictions", "'$response.predictions' is not supported", None),
        ("#(label==", "@reverse.#(label==", "the gjson modifier @reverse is not supported", None),
        ("http://breeds", "grpc://breeds", "is not an http:// or https:// address", None),
        ("http://breeds.localhost:8080", "http://single-1.{$domain}", "is not an http:// or", None),
        ("  timeout: 30", "  affinity: {}", "affinity is not supported", None),
        ("dependency: Hard", "dependency: hard", "dependency", "did you mean Hard?"),
        ("kind: InferenceGraph", "kind: InferenceGraf", "2:7: kind", "did you mean InferenceGraph?"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_at_its_place(old: str, new: str, said: str, hint: str | None) -> None:
    with pytest.raises(DocumentError) as caught:
        read(DOCUMENT.replace(old, new, 1), "graph.yaml")
    mistakes = caught.value.errors if isinstance(caught.value, DocumentErrors) else [caught.value]
    assert any(said in str(item) and (hint or "") in (item.hint or "") for item in mistakes), mistakes


def test_a_node_has_steps() -> None:
    text = DOCUMENT[: DOCUMENT.index("      - {serviceName: breeds-v1")].replace(
        "Splitter\n      steps:", "Switch"
    )
    with pytest.raises(DocumentError, match="the node breed has no steps"):
        read(text, "graph.yaml")


def test_plain_data_is_checked_alike() -> None:
    document = read(DOCUMENT, "graph.yaml").document()
    document["spec"]["nodes"]["breed"]["steps"][0]["weight"] = 20
    with pytest.raises(MillpondError, match=r"spec\.nodes\.breed\.steps: the weights"):
        from_document(document)


def test_the_documentations_graph_is_read() -> None:
    text = (Path(__file__).parents[2] / "docs/concepts/graphs.md").read_text()
    graph = read(text.split("```yaml graph.yaml\n")[1].split("```")[0], "graph.yaml")
    assert graph.services() == ["cats-or-dogs", "breeds-v1", "breeds-v2"]
