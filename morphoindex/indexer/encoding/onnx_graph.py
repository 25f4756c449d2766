"""What an ONNX file computes, read and asked for more, without a library that knows ONNX.

The file is a protobuf message, ModelProto (onnx.proto3 of the ONNX project). Only the few fields needed here are read;
weights are stepped over, so that a file of hundreds of megabytes takes milliseconds. And a message followed by another
one of its kind is the two of them merged (protobuf's encoding, "Last One Wins": repeated fields are concatenated), so
that outputs are added by bytes at the end.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from morphoindex.errors import EncoderInvalid

_GRAPH = 7  # of ModelProto
_NODE, _OUTPUT = 1, 12  # of GraphProto
_INPUTS, _OUTPUTS, _OPERATOR = 1, 2, 4  # of NodeProto
_NAME = 1  # of ValueInfoProto
_VARINT, _LONG, _BYTES, _SHORT = 0, 1, 2, 5
_LONGEST = 10  # bytes of a number of 64 bits


@dataclass(frozen=True)
class Node:
    """An operation of the graph: `Node("Conv", ("pixels/5", "weight"), ("conv2d",))`."""

    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def read_nodes(content: bytes) -> tuple[Node, ...]:
    """The operations of a file, in their order.

    Raises:
        EncoderInvalid: it is not an ONNX file.
    """
    try:
        graphs = [value for number, value in _fields(memoryview(content)) if number == _GRAPH]
        return tuple(_node(value) for graph in graphs for number, value in _fields(graph) if number == _NODE)
    except (IndexError, ValueError) as error:
        raise EncoderInvalid("this is not an ONNX file, or it is damaged") from error


def with_outputs(content: bytes, names: Iterable[str]) -> bytes:
    """The file with values inside its graph as further outputs, after those that it has.

    Their types are left out: ONNX Runtime infers them.
    """
    outputs = b"".join(_field(_OUTPUT, _field(_NAME, name.encode())) for name in names)
    return content + _field(_GRAPH, outputs) if outputs else content


def _node(value: memoryview) -> Node:
    texts: dict[int, list[str]] = {_INPUTS: [], _OUTPUTS: [], _OPERATOR: []}
    for number, text in _fields(value):
        if number in texts:
            texts[number].append(str(text, "utf-8"))
    return Node("".join(texts[_OPERATOR][-1:]), tuple(texts[_INPUTS]), tuple(texts[_OUTPUTS]))


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """The fields of a message that are texts, bytes or messages: number and content."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        kind = key & 7
        if kind == _VARINT:
            _, at = _varint(message, at)
        elif kind in (_LONG, _SHORT):
            at += 8 if kind == _LONG else 4
            if at > len(message):
                raise ValueError("a number is longer than what it is in")
        elif kind == _BYTES:
            length, at = _varint(message, at)
            if at + length > len(message):
                raise ValueError("a field is longer than what it is in")
            yield key >> 3, message[at : at + length]
            at += length
        else:
            raise ValueError(f"a field of kind {kind}")


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """A number of 7 bits a byte, the lowest first, and the place after it: `b"\\xac\\x02"` -> `300`."""
    value = 0
    for place in range(_LONGEST):
        digit = message[at + place]
        value |= (digit & 0x7F) << 7 * place
        if digit < 0x80:
            return value, at + place + 1
    raise ValueError(f"a number of more than {_LONGEST} bytes")


def _field(number: int, content: bytes) -> bytes:
    return _number(number << 3 | _BYTES) + _number(len(content)) + content


def _number(value: int) -> bytes:
    """`300` -> `b"\\xac\\x02"`."""
    digits = bytearray()
    while value > 0x7F:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*digits, value])
