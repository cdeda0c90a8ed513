"""What the footer of a Parquet file says of its columns, read without pyarrow.

Pyarrow gives the same, but its reader of a column's part of the footer ends the process where that is damaged, as fuzzing
found in a minute; reading the data raises an exception instead. The footer is in Thrift's compact protocol, of which this
is all: fields by number, with their types, so that what is not asked for can be passed over.
"""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_MOST_DEPTH = 16
_MARK = b"PAR1"
_TYPES = ("BOOLEAN", "INT32", "INT64", "INT96", "FLOAT", "DOUBLE", "BYTE_ARRAY", "FIXED_LEN_BYTE_ARRAY")
DELTAS = frozenset({6, 7})  # encodings: DELTA_LENGTH_BYTE_ARRAY, DELTA_BYTE_ARRAY
DELTA_BYTE_ARRAY = 7


@dataclass(frozen=True)
class Chunk:
    """A column of a row group: its path and type, its encodings by number, values, and bytes once unpacked."""

    path: str
    physical_type: str
    encodings: frozenset[int]
    num_values: int
    num_bytes: int


def chunks(content: bytes) -> list[list[Chunk]]:
    """Return the columns of each row group of a file, of which `content` is at least the end. Raises ValueError."""
    length = int.from_bytes(content[-8:-4], "little")
    if content[-4:] != _MARK or length + 8 > len(content):
        raise ValueError("it has no footer")
    footer = _Reader(content[len(content) - 8 - length : -8]).fields()
    return [[_chunk(column) for column in _list(group, 1)] for group in _list(footer, 4)]


def _chunk(column: Mapping[int, Any]) -> Chunk:
    facts = column.get(3)
    if not isinstance(facts, dict):
        raise ValueError("a column has no description")
    kind, count, size = (_whole(facts.get(number)) for number in (1, 5, 6))
    if kind not in range(len(_TYPES)) or min(count, size) < 0:
        raise ValueError("a column has no type, number of values or size")
    path = ".".join(part.decode("utf-8", "replace") for part in _items(facts, 3) if isinstance(part, bytes))
    return Chunk(path, _TYPES[kind], frozenset(_items(facts, 2)), count, size)


def _whole(value: object) -> int:
    return value if isinstance(value, int) else -1


def _items(fields: Mapping[int, Any], number: int) -> Sequence[Any]:
    found = fields.get(number, [])
    return [item for item in found if isinstance(item, int | bytes)] if isinstance(found, list) else []


def _list(fields: Mapping[int, Any], number: int) -> Sequence[Mapping[int, Any]]:
    found = fields.get(number, [])
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


class _Reader:
    """Reads values one after the other; raises ValueError where the bytes end early."""

    def __init__(self, content: bytes) -> None:
        self._content, self._at = content, 0

    def fields(self, depth: int = 0) -> dict[int, Any]:
        """Return a structure as {number of the field: value}."""
        found, number = {}, 0
        while head := self._bytes(1)[0]:
            number = number + (head >> 4) if head >> 4 else self._number()
            kind = head & 15
            found[number] = kind == 1 if kind in (1, 2) else self._value(kind, depth + 1)
        return found

    def _value(self, kind: int, depth: int) -> Any:
        if depth > _MOST_DEPTH:
            raise ValueError("its footer is too deep")
        if kind in (1, 2, 3):
            return self._bytes(1)[0]
        if kind in (4, 5, 6):
            return self._number()
        if kind == 7:
            return struct.unpack("<d", self._bytes(8))[0]
        if kind == 8:
            return self._bytes(self._unsigned())
        if kind in (9, 10):
            return self._items(depth)
        if kind == 12:
            return self.fields(depth)
        raise ValueError(f"its footer holds a value of the type {kind}")

    def _items(self, depth: int) -> list[Any]:
        head = self._bytes(1)[0]
        size = head >> 4 if head >> 4 < 15 else self._unsigned()
        if size > len(self._content):
            raise ValueError("its footer ends early")
        return [self._value(head & 15, depth + 1) for _ in range(size)]

    def _number(self) -> int:
        value = self._unsigned()
        return value >> 1 if not value & 1 else -(value >> 1) - 1

    def _unsigned(self) -> int:
        value = shift = 0
        while True:
            part = self._bytes(1)[0]
            value |= (part & 127) << shift
            shift += 7
            if part < 128:
                return value
            if shift > 63:
                raise ValueError("its footer holds a number of more than 64 bits")

    def _bytes(self, count: int) -> bytes:
        found = self._content[self._at : self._at + count]
        if len(found) < count:
            raise ValueError("its footer ends early")
        self._at += count
        return found
