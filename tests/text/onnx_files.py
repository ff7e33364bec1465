"""Writes small ONNX files by hand: the protocol-buffer fields of onnx.proto3 that one graph of a few nodes needs."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy import typing as npt

_TYPES = {"float32": 1, "int64": 7}


@dataclass(frozen=True)
class Node:
    op: str
    inputs: Sequence[str]
    output: str
    integers: Mapping[str, int] = field(default_factory=dict)


def model(
    inputs: Mapping[str, tuple[str, Sequence[str]]],
    output: tuple[str, Sequence[str]],
    tensors: Mapping[str, npt.NDArray[np.float32] | npt.NDArray[np.int64]],
    nodes: Iterable[Node],
) -> bytes:
    """An ONNX file; inputs by name with type and the names of their sizes, output a name and its sizes."""
    graph = b"".join(_bytes(1, _node(node)) for node in nodes) + _bytes(2, b"graph")
    graph += b"".join(_bytes(5, _tensor(name, value)) for name, value in tensors.items())
    graph += b"".join(_bytes(11, _value(name, kind, sizes)) for name, (kind, sizes) in inputs.items())
    graph += _bytes(12, _value(output[0], "float32", output[1]))
    return _number(1, 8) + _bytes(7, graph) + _bytes(8, _bytes(1, b"") + _number(2, 13))


def _node(node: Node) -> bytes:
    content = b"".join(_bytes(1, name.encode()) for name in node.inputs) + _bytes(2, node.output.encode())
    content += _bytes(4, node.op.encode())
    attributes = (
        _bytes(1, name.encode()) + _number(3, value) + _number(20, 2) for name, value in node.integers.items()
    )
    return content + b"".join(_bytes(5, attribute) for attribute in attributes)


def _tensor(name: str, value: npt.NDArray[np.float32] | npt.NDArray[np.int64]) -> bytes:
    sizes = b"".join(_number(1, size) for size in value.shape)
    return sizes + _number(2, _TYPES[value.dtype.name]) + _bytes(8, name.encode()) + _bytes(9, value.tobytes())


def _value(name: str, kind: str, sizes: Sequence[str]) -> bytes:
    shape = b"".join(_bytes(1, _bytes(2, size.encode())) for size in sizes)
    return _bytes(1, name.encode()) + _bytes(2, _bytes(1, _number(1, _TYPES[kind]) + _bytes(2, shape)))


def _varint(value: int) -> bytes:
    content = bytearray()
    while value > 0x7F:
        content.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*content, value])


def _number(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


def _bytes(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content
