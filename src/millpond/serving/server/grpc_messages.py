"""The Open Inference Protocol (V2) over gRPC: its messages read into tensors and written from them.

Tensors come with typed contents or, all of them, as ``raw_input_contents``; the answer has the form that
the request has, except that half precision is always raw, as no typed contents can hold it. Strings
under a number's datatype are read as they are over REST: the model's signature decides.

Source: https://github.com/kserve/open-inference-protocol (open_inference_grpc.proto)
"""

from __future__ import annotations

from typing import Any

from google.protobuf.message import DecodeError

from millpond.serving.openinference import ModelInferRequest, ModelInferResponse
from millpond.serving.server.datatypes import DTYPES
from millpond.serving.server.errors import InvalidRequest, InvalidShape
from millpond.serving.server.packing import elements, packed, unpacked
from millpond.serving.server.tensors import (
    Output,
    Prediction,
    Request,
    Tensor,
    flat_values,
    unknown_datatype,
)
from millpond.serving.server.v2 import checked_shape, content_type, for_model

CONTENTS = {
    "BOOL": "bool_contents",
    **dict.fromkeys(("INT8", "INT16", "INT32"), "int_contents"),
    "INT64": "int64_contents",
    **dict.fromkeys(("UINT8", "UINT16", "UINT32"), "uint_contents"),
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}


def parsed(kind: Any, body: bytes) -> Any:
    """A message of the class `kind`.

    Raises:
        InvalidRequest: the bytes are none.
    """
    try:
        return kind.FromString(body)
    except DecodeError:
        raise InvalidRequest(f"the message is no {kind.DESCRIPTOR.name}") from None


def read(body: bytes) -> tuple[Request, Any]:
    """The request that a message says, and the message.

    Raises:
        RequestError: with the place of what is wrong.
    """
    message = parsed(ModelInferRequest, body)
    raw = list(message.raw_input_contents)
    if raw and len(raw) != len(message.inputs):
        raise InvalidShape(f"raw_input_contents has {len(raw)} parts for {len(message.inputs)} inputs")
    parameters = values(message.parameters)
    inputs = [_tensor(item, index, raw[index] if raw else None) for index, item in enumerate(message.inputs)]
    request = Request(
        inputs=inputs,
        content_type=content_type(parameters, "the request"),
        outputs=[output.name for output in message.outputs] or None,
        parameters=for_model(parameters),
        id=message.id or None,
        binary=bool(raw),
    )
    return request, message


def write(prediction: Prediction, name: str, version: str, identity: str, request: Request) -> bytes:
    """The answer to a request."""
    message = ModelInferResponse(model_name=name, model_version=version, id=identity)
    if prediction.content_type is not None:
        message.parameters["content_type"].string_param = prediction.content_type
    raw = request.binary or any(output.datatype == "FP16" for output in prediction.outputs)
    for output in prediction.outputs:
        item = message.outputs.add(name=output.name, datatype=output.datatype, shape=output.shape)
        # Bytes are sent as they are: base64 is JSON's way to hold them.
        if output.content_type not in (None, "base64"):
            item.parameters["content_type"].string_param = output.content_type
        if raw:
            message.raw_output_contents.append(packed(output))
        else:
            getattr(item.contents, CONTENTS[output.datatype]).extend(_contents(output))
    return bytes(message.SerializeToString())


def values(parameters: Any) -> dict[str, Any]:
    """A map of parameters as plain values; those without one are left out."""
    found = {}
    for name, parameter in parameters.items():
        choice = parameter.WhichOneof("parameter_choice")
        if choice is not None:
            found[name] = getattr(parameter, choice)
    return found


def put(parameters: Any, plain: dict[str, Any]) -> None:
    """Write plain values into a map of parameters; what is None is left out."""
    for name, value in plain.items():
        if isinstance(value, bool):
            parameters[name].bool_param = value
        elif isinstance(value, int):
            parameters[name].int64_param = value
        elif isinstance(value, float):
            parameters[name].double_param = value
        elif value is not None:
            parameters[name].string_param = str(value)


def _tensor(item: Any, index: int, raw: bytes | None) -> Tensor:
    name, datatype = item.name, item.datatype
    place = f"inputs[{index}] ({name})"
    shape = checked_shape(list(item.shape), place)
    if datatype not in DTYPES:
        raise unknown_datatype(place, datatype)
    if raw is None:
        data = flat_values(place, _given(item, datatype, place), shape, datatype)
    elif item.HasField("contents"):
        raise InvalidRequest(f"{place} has contents beside raw_input_contents", hint="send one of them")
    else:
        data = unpacked(raw, datatype, shape, place)
    return Tensor(
        name=name,
        data=data,
        shape=shape,
        datatype=datatype,
        content_type=content_type(values(item.parameters), place),
        place=f"{place}, data[{{row}}]",
    )


def _given(item: Any, datatype: str, place: str) -> list[Any]:
    """The one field of the contents that has something."""
    filled = [(field.name, found) for field, found in item.contents.ListFields()]
    if not filled:
        return []
    if len(filled) > 1:
        raise InvalidRequest(
            f"{place} has {' and '.join(name for name, _ in filled)}", hint="send one of them"
        )
    [(name, found)] = filled
    wanted = CONTENTS.get(datatype)
    if name not in (wanted, "bytes_contents"):
        hint = f"it goes into {wanted}" if wanted else "send it as raw_input_contents"
        raise InvalidRequest(f"{place}: {datatype} cannot be {name}", hint=hint)
    return list(found)


def _contents(output: Output) -> list[Any]:
    return elements(output) if output.datatype == "BYTES" else output.data.tolist()
