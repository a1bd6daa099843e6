"""`UserMessage`: a user as a message of protocol buffers.

It is described here, so that the example needs no protoc; programs import theirs from what protoc has written. Either
way pickle finds the class by its module, and so its messages are values that can be cached.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor_pb2 import FieldDescriptorProto
from google.protobuf.message import Message
from google.protobuf.reflection import GeneratedProtocolMessageType

_FIELDS = {
    "id": FieldDescriptorProto.TYPE_STRING,
    "name": FieldDescriptorProto.TYPE_STRING,
    "age": FieldDescriptorProto.TYPE_INT64,
    "is_super": FieldDescriptorProto.TYPE_BOOL,
}


def _described() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="examples/user.proto", package="examples", syntax="proto3")
    message = file.message_type.add(name="UserMessage")
    for number, (name, type_) in enumerate(_FIELDS.items(), 1):
        message.field.add(name=name, number=number, type=type_, label=FieldDescriptorProto.LABEL_OPTIONAL)
    pool = descriptor_pool.Default()
    pool.AddSerializedFile(file.SerializeToString())
    return pool.FindMessageTypeByName("examples.UserMessage")


UserMessage = GeneratedProtocolMessageType(
    "UserMessage", (Message,), {"DESCRIPTOR": _described(), "__module__": __name__}
)
