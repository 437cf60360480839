"""The Open Inference Protocol (V2) over REST: its JSON read into tensors and written from them.

With the binary tensor data extension the JSON is followed by the data of the tensors that have a
``binary_data_size``, in their order; a header tells where the JSON ends.

Source: https://github.com/kserve/open-inference-protocol (inference_rest.md), with MLServer's
``parameters.content_type``;
https://docs.nvidia.com/deeplearning/triton-inference-server/user-guide/docs/protocol/extension_binary_data.html
"""

from __future__ import annotations

from typing import Any

import numpy as np

from millpond.serving.server.datatypes import DTYPES
from millpond.serving.server.errors import InvalidRequest, InvalidShape
from millpond.serving.server.packing import packed, unpacked
from millpond.serving.server.tensors import Output, Prediction, Request, Tensor, flat_values, unknown_datatype

CONTENT_TYPES = ("pd", "np", "str", "base64", "datetime", "pd_json")
HEADER_LENGTH = "inference-header-content-length"
_OWN = ("content_type", "headers", "binary_data", "binary_data_output", "binary_data_size")
_MAXIMUM = 2**31


class Tail:
    """The bytes behind the JSON, taken tensor by tensor."""

    def __init__(self, data: memoryview | bytes) -> None:
        self._left = memoryview(data)

    def take(self, size: int, place: str) -> memoryview:
        """The next `size` bytes.

        Raises:
            InvalidRequest: there are not as many.
        """
        if size > len(self._left):
            raise InvalidRequest(f"{place}: binary_data_size is {size}, {len(self._left)} bytes are left")
        taken, self._left = self._left[:size], self._left[size:]
        return taken

    def end(self) -> None:
        """Refuse bytes that belong to no tensor.

        Raises:
            InvalidRequest: there are some.
        """
        if len(self._left):
            raise InvalidRequest(f"{len(self._left)} bytes of the body belong to no input")


def split(body: bytes, header_length: str | None) -> tuple[bytes, Tail | None]:
    """The JSON of a body and the binary data behind it, if a header says that there is some.

    Raises:
        InvalidRequest: the header is not a length that the body has.
    """
    if header_length is None:
        return body, None
    if not (header_length.isascii() and header_length.isdecimal() and len(header_length) <= 19):
        raise InvalidRequest(
            f"the header {HEADER_LENGTH} must be a number of bytes, not {header_length[:40]!r}"
        )
    length = int(header_length)
    if length > len(body):
        raise InvalidRequest(f"the header {HEADER_LENGTH} is {length}, the body has {len(body)} bytes")
    return body[:length], Tail(memoryview(body)[length:])


def read(body: Any, tail: Tail | None = None) -> Request:
    """The request that a body says, and the bytes behind it.

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
    inputs = [_tensor(item, index, tail) for index, item in enumerate(given)]
    if tail is not None:
        tail.end()
    names, binary = _outputs(body.get("outputs"))
    return Request(
        inputs=inputs,
        content_type=content_type(parameters, "the request"),
        outputs=names,
        parameters=for_model(parameters),
        id=identity,
        binary=_flag(parameters, "binary_data_output", "the request") or False,
        binary_outputs=binary,
    )


def write(
    prediction: Prediction, name: str, version: str, identity: str, request: Request
) -> tuple[dict[str, Any], list[bytes]]:
    """The answer to a request, and the data of the outputs that go behind it as bytes.

    An output with missing strings stays JSON, as bytes have no null.
    """
    found: dict[str, Any] = {"model_name": name, "model_version": version, "id": identity}
    if prediction.content_type is not None:
        found["parameters"] = {"content_type": prediction.content_type}
    tail: list[bytes] = []
    found["outputs"] = [_output(output, request, tail) for output in prediction.outputs]
    return found, tail


def checked_shape(shape: Any, place: str) -> tuple[int, ...]:
    """A tensor's shape.

    Raises:
        InvalidShape: it is no list of lengths.
    """
    if not isinstance(shape, list) or len(shape) > 32:
        raise InvalidShape(f"{place}: shape must be a list of lengths")
    for length in shape:
        if type(length) is not int or not 0 <= length < _MAXIMUM:
            raise InvalidShape(f"{place}: shape must be a list of lengths, got {str(shape)[:60]}")
    return tuple(shape)


def content_type(parameters: dict[str, Any], place: str) -> str | None:
    """MLServer's content type among the parameters, if there is one.

    Raises:
        InvalidRequest: it is none that is known.
    """
    found = parameters.get("content_type")
    if found is None or found in CONTENT_TYPES:
        return found
    raise InvalidRequest(
        f"{place}: unknown content type {str(found)[:60]}",
        hint=f"known are {', '.join(CONTENT_TYPES)}",
    )


def for_model(parameters: dict[str, Any]) -> dict[str, Any]:
    """The parameters that are not the protocol's own, which a model may ask for in its signature."""
    return {key: value for key, value in parameters.items() if key not in _OWN}


def _tensor(item: Any, index: int, tail: Tail | None) -> Tensor:
    if not isinstance(item, dict):
        raise InvalidRequest(f"inputs[{index}] must be an object with name, shape, datatype and data")
    name = item.get("name")
    if not isinstance(name, str):
        raise InvalidRequest(f"inputs[{index}].name is missing" if name is None else _not_text(index))
    place = f"inputs[{index}] ({name})"
    parameters = _parameters(item, place)
    size = parameters.get("binary_data_size")
    for key in ("shape", "datatype", "data") if size is None else ("shape", "datatype"):
        if key not in item:
            raise InvalidRequest(f"{place}: {key} is missing")
    datatype = item["datatype"]
    if not isinstance(datatype, str):
        raise InvalidRequest(f"{place}: datatype must be a string")
    shape = checked_shape(item["shape"], place)
    return Tensor(
        name=name,
        data=flat_values(place, item["data"], shape, datatype)
        if size is None
        else _binary(item, size, shape, datatype, place, tail),
        shape=shape,
        datatype=datatype,
        content_type=content_type(parameters, place),
        place=f"{place}, data[{{row}}]",
    )


def _binary(
    item: dict[str, Any], size: Any, shape: tuple[int, ...], datatype: str, place: str, tail: Tail | None
) -> Any:
    if type(size) is not int or size < 0:
        raise InvalidRequest(f"{place}: binary_data_size must be a number of bytes")
    if "data" in item:
        raise InvalidRequest(f"{place} has both data and binary_data_size", hint="send one of them")
    if tail is None:
        raise InvalidRequest(f"{place}: binary_data_size needs the header {HEADER_LENGTH}")
    if datatype not in DTYPES:
        raise unknown_datatype(place, datatype)
    return unpacked(tail.take(size, place), datatype, shape, place)


def _not_text(index: int) -> str:
    return f"inputs[{index}].name must be a string"


def _parameters(item: dict[str, Any], place: str) -> dict[str, Any]:
    parameters = item.get("parameters")
    if parameters is None:
        return {}
    if not isinstance(parameters, dict):
        raise InvalidRequest(f"{place}: parameters must be an object")
    return parameters


def _flag(parameters: dict[str, Any], name: str, place: str) -> bool | None:
    value = parameters.get(name)
    if value is not None and not isinstance(value, bool):
        raise InvalidRequest(f"{place}: {name} must be true or false")
    return value


def _outputs(outputs: Any) -> tuple[list[str] | None, dict[str, bool]]:
    """The names of the outputs that are asked for, and which of them as bytes or not."""
    if outputs is None:
        return None, {}
    if not isinstance(outputs, list):
        raise InvalidRequest("outputs must be a list of objects with a name")
    names: list[str] = []
    binary: dict[str, bool] = {}
    for index, item in enumerate(outputs):
        name = item.get("name") if isinstance(item, dict) else None
        if not isinstance(name, str):
            raise InvalidRequest(f"outputs[{index}] must be an object with a name")
        place = f"outputs[{index}] ({name})"
        wanted = _flag(_parameters(item, place), "binary_data", place)
        if wanted is not None:
            binary[name] = wanted
        names.append(name)
    return names or None, binary


def _output(output: Output, request: Request, tail: list[bytes]) -> dict[str, Any]:
    found: dict[str, Any] = {"name": output.name, "shape": output.shape, "datatype": output.datatype}
    if output.content_type is not None:
        found["parameters"] = {"content_type": output.content_type}
    data = output.data
    if request.binary_outputs.get(output.name, request.binary) and not (
        output.datatype == "BYTES" and any(value is None for value in data)
    ):
        data = packed(output)
        tail.append(data)
        # The bytes are what they are: base64 is JSON's way to hold them.
        kept = {} if output.content_type in (None, "base64") else {"content_type": output.content_type}
        found["parameters"] = {**kept, "binary_data_size": len(data)}
        return found
    # orjson writes half precision too, but only native arrays; anything else goes by Python's values.
    found["data"] = data.tolist() if isinstance(data, np.ndarray) and not data.dtype.isnative else data
    return found
