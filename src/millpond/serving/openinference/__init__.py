"""The messages of the Open Inference Protocol (V2) over gRPC.

They are made in a pool of their own: a model's own code may import another package with the same
protocol, such as KServe's or Triton's client, and one pool cannot hold ``inference.ModelInferRequest``
twice. Made from a descriptor and not as generated classes, they fit any protobuf from 4.22 on, which
matters where a model brings its own environment.
"""

from __future__ import annotations

from typing import Any

from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

from millpond.serving.openinference.descriptor import DESCRIPTOR

SERVICE = "inference.GRPCInferenceService"

_pool = DescriptorPool()
_pool.AddSerializedFile(DESCRIPTOR)


def message(name: str) -> Any:
    """The class of a message, such as ``ModelInferRequest``."""
    return GetMessageClass(_pool.FindMessageTypeByName(f"inference.{name}"))


METHODS: dict[str, tuple[Any, Any]] = {
    method.name: (message(method.input_type.name), message(method.output_type.name))
    for method in _pool.FindServiceByName(SERVICE).methods
}
ModelInferRequest, ModelInferResponse = METHODS["ModelInfer"]
