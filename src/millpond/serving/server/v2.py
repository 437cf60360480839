"""The Open Inference Protocol (V2) over REST: its JSON read into tensors and written from them.

Source: https://github.com/kserve/open-inference-protocol (inference_rest.md), with MLServer's
``parameters.content_type``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from millpond.serving.server.errors import InvalidRequest, InvalidShape
from millpond.serving.server.tensors import Output, Prediction, Request, Tensor, flat_values

CONTENT_TYPES = ("pd", "np", "str", "base64", "datetime", "pd_json")
_MAXIMUM = 2**31


def read(body: Any) -> Request:
    """The request that a body says.

    Raises:
        RequestError: with the place of what is wrong.
    """
    if not isinstance(body, dict):
        raise InvalidRequest("the body must be an object with inputs")
    given = body.get("inputs")
    if not isinstance(given, list):
        raise InvalidRequest(
            "inputs is missing" if given is None else "inputs must be a list of tensors",
            hint='send {"inputs": [{"name", "shape", "datatype", "data"}, ...]}',
        )
    identity = body.get("id")
    if identity is not None and not isinstance(identity, str):
        raise InvalidRequest("id must be a string")
    parameters = _parameters(body, "the request")
    content_type = _content_type(parameters, "the request")
    return Request(
        inputs=[_tensor(item, index) for index, item in enumerate(given)],
        content_type=content_type,
        outputs=_names(body.get("outputs")),
        parameters={
            key: value for key, value in parameters.items() if key not in ("content_type", "headers")
        },
        id=identity,
    )


def write(prediction: Prediction, name: str, version: str, identity: str) -> dict[str, Any]:
    """The answer to a request."""
    found: dict[str, Any] = {"model_name": name, "model_version": version, "id": identity}
    if prediction.content_type is not None:
        found["parameters"] = {"content_type": prediction.content_type}
    found["outputs"] = [_output(output) for output in prediction.outputs]
    return found


def _tensor(item: Any, index: int) -> Tensor:
    if not isinstance(item, dict):
        raise InvalidRequest(f"inputs[{index}] must be an object with name, shape, datatype and data")
    name = item.get("name")
    if not isinstance(name, str):
        raise InvalidRequest(f"inputs[{index}].name is missing" if name is None else _not_text(index))
    place = f"inputs[{index}] ({name})"
    for key in ("shape", "datatype", "data"):
        if key not in item:
            raise InvalidRequest(f"{place}: {key} is missing")
    datatype = item["datatype"]
    if not isinstance(datatype, str):
        raise InvalidRequest(f"{place}: datatype must be a string")
    shape = _shape(item["shape"], place)
    return Tensor(
        name=name,
        data=flat_values(place, item["data"], shape, datatype),
        shape=shape,
        datatype=datatype,
        content_type=_content_type(_parameters(item, place), place),
        place=f"{place}, data[{{row}}]",
    )


def _not_text(index: int) -> str:
    return f"inputs[{index}].name must be a string"


def _shape(shape: Any, place: str) -> tuple[int, ...]:
    if not isinstance(shape, list) or len(shape) > 32:
        raise InvalidShape(f"{place}: shape must be a list of lengths")
    for length in shape:
        if type(length) is not int or not 0 <= length < _MAXIMUM:
            raise InvalidShape(f"{place}: shape must be a list of lengths, got {str(shape)[:60]}")
    return tuple(shape)


def _parameters(item: dict[str, Any], place: str) -> dict[str, Any]:
    parameters = item.get("parameters")
    if parameters is None:
        return {}
    if not isinstance(parameters, dict):
        raise InvalidRequest(f"{place}: parameters must be an object")
    if "binary_data_size" in parameters:
        raise InvalidRequest(f"{place}: binary tensor data is not supported", hint="send data as JSON")
    return parameters


def _content_type(parameters: dict[str, Any], place: str) -> str | None:
    content_type = parameters.get("content_type")
    if content_type is None or content_type in CONTENT_TYPES:
        return content_type
    raise InvalidRequest(
        f"{place}: unknown content type {str(content_type)[:60]}",
        hint=f"known are {', '.join(CONTENT_TYPES)}",
    )


def _names(outputs: Any) -> list[str] | None:
    if outputs is None:
        return None
    if not isinstance(outputs, list):
        raise InvalidRequest("outputs must be a list of objects with a name")
    names = []
    for index, item in enumerate(outputs):
        name = item.get("name") if isinstance(item, dict) else None
        if not isinstance(name, str):
            raise InvalidRequest(f"outputs[{index}] must be an object with a name")
        names.append(name)
    return names or None


def _output(output: Output) -> dict[str, Any]:
    found: dict[str, Any] = {"name": output.name, "shape": output.shape, "datatype": output.datatype}
    if output.content_type is not None:
        found["parameters"] = {"content_type": output.content_type}
    data = output.data
    # orjson writes half precision too, but only native arrays; anything else goes by Python's values.
    found["data"] = data.tolist() if isinstance(data, np.ndarray) and not data.dtype.isnative else data
    return found
