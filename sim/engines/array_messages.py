"""Messages of named arrays over a socket between two processes of one machine; no pickles, any two Pythons.

A message is the length of its head (4 bytes, little endian), the head as JSON, then the arrays' bytes in the head's
order. The head names the call, its plain arguments, and each array's name, type and shape.
"""

from __future__ import annotations

import json
import socket
import struct
from dataclasses import dataclass, field
from typing import Any, Dict

import numpy as np

LENGTH = struct.Struct("<I")


@dataclass(frozen=True)
class Message:
    """A call or its answer."""

    name: str
    arguments: Dict[str, Any] = field(default_factory=dict)
    arrays: Dict[str, np.ndarray] = field(default_factory=dict)


def send(connection: socket.socket, message: Message) -> None:
    """Write a whole message."""
    arrays = {name: np.ascontiguousarray(array) for name, array in message.arrays.items()}
    described = [[name, array.dtype.str, list(array.shape)] for name, array in arrays.items()]
    head = json.dumps([message.name, message.arguments, described]).encode()
    connection.sendall(LENGTH.pack(len(head)) + head)
    for array in arrays.values():
        connection.sendall(array.data.cast("B") if array.size else b"")


def receive(connection: socket.socket) -> Message:
    """Read a whole message.

    Raises:
        EOFError: the other side is gone.
    """
    (length,) = LENGTH.unpack(_read(connection, LENGTH.size))
    name, arguments, described = json.loads(bytes(_read(connection, length)))
    arrays = {}
    for array_name, kind, shape in described:
        array = np.empty(shape, np.dtype(kind))
        array.reshape(-1).view(np.uint8)[:] = np.frombuffer(_read(connection, array.nbytes), np.uint8)
        arrays[array_name] = array
    return Message(name, arguments, arrays)


def _read(connection: socket.socket, size: int) -> bytearray:
    data = bytearray(size)
    rest = memoryview(data)
    while rest:
        count = connection.recv_into(rest)
        if count == 0:
            raise EOFError
        rest = rest[count:]
    return data
