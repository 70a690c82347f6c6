"""Check of a network's file (ONNX) before ONNX Runtime loads it: no data outside of it, and no loop.

Only the wire format of protocol buffers is read, and of it the few fields that lead to tensors and operators, in the
main graph, subgraphs and functions. Field numbers are those of onnx.proto (https://github.com/onnx/onnx).

A tensor may name a file that holds its data. ONNX Runtime would resolve that name against the working directory when it
loads a model from memory, and a bundle must be complete by itself. A loop may run 2^62 times; no network of a recipe
has one, and without loops the time of a run is bounded by the sizes of its tensors.
"""

from __future__ import annotations

from pathlib import Path

from asd_agent.errors import BundleError

MOST_FIELDS = 1_000_000
"""Fields in all graphs of a bundle, which take a second to read. A graph that a recipe exports has up to 10,000."""
_MOST_DEPTH = 20
"""Graphs within graphs."""
_LOOPS = (b"Loop", b"Scan", b"SequenceMap")
_EXPORT_AGAIN = "Export the bundle again with asd-trainer."
_EXTERNAL = 1
"""TensorProto.DataLocation.EXTERNAL."""
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

_INNER: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse tensor"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse tensor", 23: "sparse tensor"},
    "sparse tensor": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
"""Messages that lead to tensors and operators, and the fields in which they hold one another."""
_OPERATOR, _DATA, _LOCATION = ("node", 4), ("tensor", 13), ("tensor", 14)


def check_graph(path: Path, raw: bytes, most_fields: int = MOST_FIELDS) -> int:
    """Refuse a network that loads other files, or has a loop.

    Args:
        path: Its path, for messages.
        raw: Its bytes.
        most_fields: Largest number of fields.

    Returns:
        Number of its fields.

    Raises:
        BundleError: It is refused, or is no ONNX model.
    """
    try:
        return _walk(path, memoryview(raw), most_fields)
    except (IndexError, ValueError) as error:
        raise BundleError(f"{path}: is no ONNX model", _EXPORT_AGAIN) from error


def _walk(path: Path, raw: memoryview, most_fields: int) -> int:
    pending = [("model", 0, len(raw), 0)]
    fields = 0
    while pending:
        message, position, end, depth = pending.pop()
        inner = _INNER[message]
        while position < end:
            fields += 1
            key, position = _varint(raw, position)
            number, kind = key >> 3, key & 7
            value = 0
            if kind == _VARINT:
                value, position = _varint(raw, position)
                start = position
            elif kind == _BYTES:
                length, start = _varint(raw, position)
                position = start + length
            elif kind in (_FIXED64, _FIXED32):
                start, position = position, position + (8 if kind == _FIXED64 else 4)
            else:
                raise ValueError(f"wire type {kind}")
            if position > end or fields > most_fields:
                raise ValueError("cut off, or too many fields")
            if (message, number) == _DATA or ((message, number) == _LOCATION and value == _EXTERNAL):
                raise BundleError(f"{path}: keeps a tensor's data in another file", _EXPORT_AGAIN)
            if (message, number) == _OPERATOR and kind == _BYTES and bytes(raw[start:position]) in _LOOPS:
                raise BundleError(f"{path}: has the operator {bytes(raw[start:position]).decode()}", _EXPORT_AGAIN)
            if kind == _BYTES and number in inner:
                if depth > _MOST_DEPTH:
                    raise ValueError("nested too deeply")
                pending.append((inner[number], start, position, depth + (inner[number] == "graph")))
    return fields


def _varint(raw: memoryview, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = raw[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise ValueError("a number of more than ten bytes")
