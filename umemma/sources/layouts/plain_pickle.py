"""Reads pickles of arrays and plain containers without executing code that they may contain.

A pickle is a program: loading an untrusted one executes it. Public data sets come with a few (spectrograms as `.pkl`, a
vocabulary inside a `.npy`), so these are read by an unpickler that allows only NumPy's array, dtype and scalar, besides
numbers, strings, lists, tuples and mappings, which need no global name. Any other global name is an error before
anything is called. Pickles of Python 2 are supported; their plain strings become bytes.

NumPy itself trusts a pickle: 94 bytes can set a dtype's size, or its object flag, such that the process ends in a
segmentation fault. So no NumPy code is called while a pickle is read. Placeholders record their arguments, and arrays
are built from the records afterwards: of plain numbers and strings, exactly as many as the bytes hold, or of objects
that were themselves read. The pure-Python unpickler is used: the one in C allocates as many memos as a pickle claims.

Python trusts it, too: the hash of a tuple is that of all that it holds, without an end to how deep. Thirty tuples, each
of which holds the one before twice, take minutes as the key of a mapping, and 100,000 within each other end the process.
So keys and members of sets are plain values, or tuples of them. A pickle may also name one thing as often as it likes:
what is made of it is counted.
"""

import io
import math
import pickle
import re
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from umemma import limits
from umemma.errors import DataError

_CORES = ("numpy.core", "numpy._core")  # NumPy 1 and 2
_PLAIN = (type(None), bool, int, float, str, bytes, bytearray)
_KINDS = re.compile(r"[biufcSU]\d{1,9}|O[48]?")  # dtype strings that NumPy writes; no fields, dates or subarrays
_KEYS = (type(None), bool, int, float, str, bytes)
_LARGEST_KEY = 2**63  # the hash of larger ones is easily made equal for all
_MOST_CODE_POINT = 0x10FFFF
_LONGEST = 300  # characters of an error


class _Known:
    """A global name that a pickle may call; its state cannot be set."""

    __slots__ = ("_call",)

    def __init__(self, call: Callable[..., object]) -> None:
        self._call = call

    def __call__(self, *given: object) -> object:
        return self._call(*given)

    def __setstate__(self, state: object) -> None:
        raise DataError("its pickle changes a function")


class _Note:
    """Placeholder for a NumPy object: records its constructor arguments and its state."""

    __slots__ = ("given", "state")

    def __init__(self, *given: object) -> None:
        self.given = given
        self.state: object = None

    def __setstate__(self, state: object) -> None:
        self.state = state


class _Type(_Note):
    pass


class _Scalar(_Note):
    pass


class _Array(_Note):  # content in its state
    pass


class _Buffer(_Note):  # array in protocol 5
    pass


def _bytes(*given: object) -> bytes:
    if given:
        raise DataError("its pickle makes bytes from another object")
    return b""


class _Encoded(_Note):  # bytes that protocol 2 writes as latin-1 text
    pass


_KNOWN = {
    ("numpy", "ndarray"): _Known(_Note),
    ("numpy", "dtype"): _Known(_Type),
    ("_codecs", "encode"): _Known(_Encoded),
    ("__builtin__", "bytes"): _Known(_bytes),  # empty bytes, in protocol 2
    **{(f"{core}.multiarray", "_reconstruct"): _Known(_Array) for core in _CORES},
    **{(f"{core}.multiarray", "scalar"): _Known(_Scalar) for core in _CORES},
    **{(f"{core}.numeric", "_frombuffer"): _Known(_Buffer) for core in _CORES},
}


class _Unpickler(pickle._Unpickler):
    dispatch: ClassVar[dict[int, Any]] = dict(pickle._Unpickler.dispatch)

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _KNOWN:
            raise DataError(
                f"its pickle holds {module:.60}.{name:.60}; only arrays, numbers, texts and containers are read"
            )
        return _KNOWN[module, name]

    def load_bytearray(self) -> None:
        """The original allocates as many bytes as the pickle claims."""
        self.append(bytearray(self.read(int.from_bytes(self.read(8), "little"))))  # type: ignore[attr-defined]

    dispatch[pickle.BYTEARRAY8[0]] = load_bytearray

    def load_setitem(self) -> None:
        """Check the key first: the original hashes it."""
        _check_keys(self.stack[-2:-1])  # type: ignore[attr-defined]
        super().load_setitem()  # type: ignore[misc]

    def load_setitems(self) -> None:
        """Check the keys first."""
        _check_keys(self.stack[::2])  # type: ignore[attr-defined]
        super().load_setitems()  # type: ignore[misc]

    def load_dict(self) -> None:
        """Check the keys first."""
        _check_keys(self.stack[::2])  # type: ignore[attr-defined]
        super().load_dict()  # type: ignore[misc]

    def load_additems(self) -> None:
        """Check the members first."""
        _check_keys(self.stack)  # type: ignore[attr-defined]
        super().load_additems()  # type: ignore[misc]

    def load_frozenset(self) -> None:
        """Check the members first."""
        _check_keys(self.stack)  # type: ignore[attr-defined]
        super().load_frozenset()  # type: ignore[misc]

    dispatch[pickle.SETITEM[0]], dispatch[pickle.SETITEMS[0]] = load_setitem, load_setitems
    dispatch[pickle.DICT[0]], dispatch[pickle.ADDITEMS[0]] = load_dict, load_additems
    dispatch[pickle.FROZENSET[0]] = load_frozenset


def _check_keys(keys: Sequence[object]) -> None:
    for key in keys:
        for part in key if isinstance(key, tuple) else (key,):
            if not isinstance(part, (*_KEYS, _Note)) or (isinstance(part, int) and abs(part) > _LARGEST_KEY):
                raise DataError(f"its pickle holds a mapping or set with a {type(part).__name__} for a key")


def loads(content: bytes) -> Any:
    """Return the content of a pickle. Raises DataError if it is corrupt or contains anything not allowed."""
    try:
        return _Maker().made(_Unpickler(io.BytesIO(content), encoding="bytes").load())
    except DataError:
        raise
    except Exception as error:  # a corrupt pickle raises almost anything
        raise DataError(f"no readable pickle: {error!r}"[:_LONGEST]) from error


def npy(content: bytes) -> Any:
    """Return the pickled object in a .npy file, which `numpy.load` refuses to read. Raises DataError."""
    stream = io.BytesIO(content)
    try:
        version = np.lib.format.read_magic(stream)
        read_header = {1: np.lib.format.read_array_header_1_0, 2: np.lib.format.read_array_header_2_0}[version[0]]
        shape, _, dtype = read_header(stream)
    except Exception as error:  # NumPy parses the header as Python code: a corrupt one raises almost anything
        raise DataError(f"no readable .npy file: {error}") from error
    if shape or not dtype.hasobject:
        raise DataError(f"holds an array {shape} of {dtype}, not one object")
    array = loads(stream.read())
    if not isinstance(array, np.ndarray) or array.shape:
        raise DataError(f"its pickle holds no array of one object but {type(array).__name__}")
    return array[()]


class _Maker:
    """Replaces placeholders by arrays; lists, mappings and sets are changed in place.

    `_done` has {id: (object, result)} for all objects so far: a shared object is converted once, and a list may contain
    itself. It keeps every object alive, so that no id is reused.
    """

    def __init__(self) -> None:
        self._done: dict[int, tuple[Any, Any]] = {}
        self._num_bytes = 0

    def made(self, value: Any, depth: int = 0) -> Any:
        """Return a value without placeholders. Raises DataError for one that nothing can be made of."""
        if isinstance(value, _PLAIN):
            return value
        if id(value) in self._done:
            result = self._done[id(value)][1]
            if result is self._done:
                raise DataError("its pickle holds something inside itself")
            return result
        limits.check("depth", depth, "its pickle")
        self._done[id(value)] = (value, value if isinstance(value, list | dict | set) else self._done)
        made = self._filled(value, depth + 1)
        self._done[id(value)] = (value, made)
        return made

    def _filled(self, value: Any, depth: int) -> Any:
        match value:
            case list():
                value[:] = [self.made(item, depth) for item in value]
            case dict():
                items = [(self.made(key, depth), self.made(item, depth)) for key, item in value.items()]
                value.clear()
                value.update(items)
            case set():
                members = [self.made(item, depth) for item in value]
                value.clear()
                value.update(members)
            case tuple() | frozenset():
                return type(value)([self.made(item, depth) for item in value])
            case _:
                return self._of_numpy(value, depth)
        return value

    def _of_numpy(self, note: Any, depth: int) -> Any:  # noqa: PLR0911  one line for each kind of note
        match note:
            case _Type():
                return _dtype(note)
            case _Encoded(given=(str(text), *_), state=None):
                return self._counted(text).encode("latin1")
            case _Scalar(given=(_Type() as noted, data), state=None) if isinstance(
                data := self.made(data, depth), bytes
            ):
                return _scalar(_dtype(noted), data)
            case _Buffer(given=(data, _Type() as noted, tuple(shape), "C" | "F" as order), state=None):
                return _array(_dtype(noted), self._counted(data), shape, order)
            case _Buffer(given=(data, _Type() as noted, tuple(shape), "K", tuple(axes)), state=None):
                return _array(_dtype(noted), self._counted(data), shape, "C").transpose(axes)
            case _Array(state=(*_, tuple(shape), _Type() as noted, is_fortran, data)):  # perhaps preceded by a version
                if isinstance(data, list):
                    return _objects(_dtype(noted), self.made(self._counted(data), depth), shape)
                return _array(_dtype(noted), self._counted(self.made(data, depth)), shape, "F" if is_fortran else "C")
        raise DataError("its pickle holds a part of NumPy's that is no array, number or text")

    def _counted(self, data: Any) -> Any:
        """Return the data of one more array. Raises OverLimit for more of it than is read of one file."""
        self._num_bytes += (8 if isinstance(data, list) else 1) * len(data) if hasattr(data, "__len__") else 0
        limits.check_bytes(self._num_bytes, "what its pickle holds")
        return data


def _dtype(note: _Type) -> np.dtype[Any]:
    """Return the recorded dtype. Raises DataError unless it is of plain numbers, strings or objects.

    Its state is (version, byte order, subarray, names, fields, size, alignment, flags[, metadata]); only byte order and
    size, which must agree with the name, matter for these types.
    """
    name = note.given[0] if note.given else None
    name = name.decode("latin1") if isinstance(name, bytes) else name
    if not isinstance(name, str) or not _KINDS.fullmatch(name):
        raise DataError(f"its pickle holds an array of {name!r:.60}; only those of numbers, texts and objects are read")
    state = note.state if isinstance(note.state, tuple) else (3, "=", None, None, None, -1)
    order = state[1].decode("latin1") if isinstance(state[1], bytes) else state[1]
    made = np.dtype(name)
    if order not in ("<", ">", "=", "|") or any(state[2:5]) or state[5] not in (-1, made.itemsize) or any(state[8:]):
        raise DataError(f"its pickle holds an array of {name!r:.60} that NumPy would not write")
    return made if order == "|" else made.newbyteorder(order)  # type: ignore[arg-type]


def _scalar(dtype: np.dtype[Any], data: bytes) -> Any:
    if not data and not dtype.itemsize:
        return dtype.type()
    return _array(dtype, data, (), "C")[()]


def _array(dtype: np.dtype[Any], data: object, shape: Sequence[object], order: str) -> Any:
    """Return an array from bytes, whose number must match the shape."""
    if not isinstance(data, bytes | bytearray) or dtype.hasobject:
        raise DataError(f"its pickle holds an array of {dtype} made of {type(data).__name__}")
    if not dtype.itemsize or _count(shape) * dtype.itemsize != len(data):
        raise DataError(f"its pickle holds an array {tuple(shape)} of {dtype} in {len(data)} bytes")
    if dtype.kind == "U" and np.frombuffer(data, f"{dtype.byteorder}u4").max(initial=0) > _MOST_CODE_POINT:
        raise DataError("its pickle holds a string with invalid characters")
    flat = np.frombuffer(bytearray(data), dtype) if data else np.empty(0, dtype)
    return flat.reshape(shape, order=order)  # type: ignore[call-overload]


def _objects(dtype: np.dtype[Any], items: Sequence[object], shape: Sequence[object]) -> Any:
    """Return an array of objects, which a pickle always lists in C order."""
    if not dtype.hasobject or _count(shape) != len(items):
        raise DataError(f"its pickle holds an array {tuple(shape)} of {dtype} made of {len(items)} objects")
    flat = np.empty(len(items), dtype)
    for position, item in enumerate(items):
        flat[position] = item
    return flat.reshape(shape)


def _count(shape: Sequence[object]) -> int:
    if not all(type(size) is int and size >= 0 for size in shape):
        raise DataError(f"its pickle holds an array of the shape {tuple(shape)}")
    return math.prod(shape)  # type: ignore[arg-type]
