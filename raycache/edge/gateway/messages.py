"""The family's protobuf messages: those of groupcache, which travel over HTTP, and those of geek-cache, over gRPC.

They are written down here as descriptors, and built at import in a pool of their own: other programs have a
`pb.Request`, too, and where two share a pool the second one cannot be imported. groupcache says that its groups and
keys need not be UTF-8: they are bytes here, which on the wire is the same.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pool, message_factory, text_format
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.message import DecodeError, Message
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

_GROUPCACHE = """
    name: "groupcachepb/groupcache.proto"  package: "groupcachepb"
    message_type { name: "GetRequest"
        field { number: 1  name: "group"       type: TYPE_BYTES   label: LABEL_REQUIRED }
        field { number: 2  name: "key"         type: TYPE_BYTES   label: LABEL_REQUIRED }
    }
    message_type { name: "GetResponse"
        field { number: 1  name: "value"       type: TYPE_BYTES   label: LABEL_OPTIONAL }
        field { number: 2  name: "minute_qps"  type: TYPE_DOUBLE  label: LABEL_OPTIONAL }
        field { number: 3  name: "expire"      type: TYPE_INT64   label: LABEL_OPTIONAL }
    }
    message_type { name: "SetRequest"
        field { number: 1  name: "group"       type: TYPE_BYTES   label: LABEL_REQUIRED }
        field { number: 2  name: "key"         type: TYPE_BYTES   label: LABEL_REQUIRED }
        field { number: 3  name: "value"       type: TYPE_BYTES   label: LABEL_OPTIONAL }
        field { number: 4  name: "expire"      type: TYPE_INT64   label: LABEL_OPTIONAL }
    }
"""
_GEEK_CACHE = """
    name: "pb.proto"  package: "pb"  syntax: "proto3"
    message_type { name: "Request"
        field { number: 1  name: "group"       type: TYPE_STRING  label: LABEL_OPTIONAL }
        field { number: 2  name: "key"         type: TYPE_STRING  label: LABEL_OPTIONAL }
    }
    message_type { name: "ResponseForGet"
        field { number: 1  name: "value"       type: TYPE_BYTES   label: LABEL_OPTIONAL }
    }
    message_type { name: "ResponseForDelete"
        field { number: 1  name: "value"       type: TYPE_BOOL    label: LABEL_OPTIONAL }
    }
    service { name: "GroupCache"
        method { name: "Get"     input_type: ".pb.Request"  output_type: ".pb.ResponseForGet" }
        method { name: "Delete"  input_type: ".pb.Request"  output_type: ".pb.ResponseForDelete" }
    }
"""

#: Has everything that the gateway speaks, for who asks by reflection.
POOL = descriptor_pool.DescriptorPool()
for _file in (_GROUPCACHE, _GEEK_CACHE):
    POOL.AddSerializedFile(text_format.Parse(_file, FileDescriptorProto()).SerializeToString())
for _file in (health_pb2.DESCRIPTOR, reflection_pb2.DESCRIPTOR):
    POOL.AddSerializedFile(_file.serialized_pb)


def _message(name: str) -> Any:
    return message_factory.GetMessageClass(POOL.FindMessageTypeByName(name))


#: The service of geek-cache.
SERVICE = "pb.GroupCache"
#: Of groupcache. `expire` is in nanoseconds since 1970, 0 for a value that does not expire.
GetRequest = _message("groupcachepb.GetRequest")
GetResponse = _message("groupcachepb.GetResponse")
SetRequest = _message("groupcachepb.SetRequest")
#: Of geek-cache, where `Response`, as older ones of it have it, is `ResponseForGet` by another name.
Request = _message("pb.Request")
ResponseForGet = _message("pb.ResponseForGet")
ResponseForDelete = _message("pb.ResponseForDelete")


def parsed(kind: Any, data: bytes) -> Any:
    """The message that these bytes are; fields that it does not have are passed over.

    Raises:
        ValueError: they are none: cut off, no protobuf, without a field that must be there, or with text that is no
            UTF-8.
    """
    try:
        message: Message = kind.FromString(data)
    except DecodeError as error:
        raise ValueError(f"{len(data):,} bytes are no {kind.DESCRIPTOR.full_name}: {error}") from None
    if missing := message.FindInitializationErrors():
        raise ValueError(f"a {kind.DESCRIPTOR.full_name} without {' and '.join(missing)}")
    return message
