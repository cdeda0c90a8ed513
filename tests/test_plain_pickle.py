"""Pickles load as arrays and plain containers, and execute nothing."""

import io
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import ROOT
from umemma.errors import DataError
from umemma.sources.layouts import plain_pickle


class Runs:
    """Unpickled by the ordinary loader, it makes a folder."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self):
        return os.mkdir, (str(self.place),)


@pytest.mark.parametrize("protocol", range(6))
def test_arrays_numbers_texts_and_containers_are_read_in_every_protocol(protocol):
    content = {"a": np.arange(6.0).reshape(2, 3).T, "b": [np.float32(2.5), "é", b"\xff", (1, None)]}
    loaded = plain_pickle.loads(pickle.dumps(content, protocol))
    assert np.array_equal(loaded["a"], content["a"])
    assert loaded["b"] == content["b"]


def test_plain_strings_of_python_2_are_bytes():
    assert plain_pickle.loads(b"(dp0\nS'a'\np1\nV\\u00e9\np2\ns.") == {b"a": "é"}


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_that_would_run_something_is_refused_and_runs_nothing(tmp_path, protocol):
    place = tmp_path / "made"
    for content in (Runs(place), [np.zeros(2), {"a": Runs(place)}], np.array([Runs(place)], dtype=object)):
        with pytest.raises(DataError, match=r"its pickle holds posix\.mkdir; only arrays"):
            plain_pickle.loads(pickle.dumps(content, protocol))
    assert not place.exists()
    pickle.loads(pickle.dumps(Runs(place), protocol))
    assert place.exists(), "the ordinary loader does run it"


@pytest.mark.parametrize("content", [b"", b"garbage", pickle.dumps(np.zeros(9))[:-20]])
def test_a_damaged_pickle_is_named(content):
    with pytest.raises(DataError, match="no readable pickle"):
        plain_pickle.loads(content)


def npy(value: object) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, value, allow_pickle=True)
    return buffer.getvalue()


def test_an_object_in_an_npy_file_is_read(tmp_path):
    assert plain_pickle.npy(npy(np.array({"a": 1}, dtype=object))) == {"a": 1}
    with pytest.raises(DataError, match=r"posix\.mkdir"):
        plain_pickle.npy(npy(np.array({"a": Runs(tmp_path / "made")}, dtype=object)))
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(b"garbage", r"no readable \.npy file"), (npy(np.zeros(3)), r"holds an array \(3,\) of float64, not one object")],
)
def test_an_npy_file_without_an_object_is_named(content, sentence):
    with pytest.raises(DataError, match=sentence):
        plain_pickle.npy(content)


ARRAYS = [
    np.arange(6.0).reshape(2, 3),
    np.arange(6).reshape(2, 3).T,
    np.arange(24.0).reshape(2, 3, 4).transpose(1, 0, 2),
    np.array(5.0),
    np.zeros((3, 0)),
    np.arange(4, dtype=">u2"),
    np.array([True, False]),
    np.array([1 + 2j]),
    np.array(["ab", "é"]),
    np.array([b"ab", b"c"]),
    np.arange(9.0)[::2],
    np.array([], "U"),
    np.float32([1, 2]),
    np.array([{"a": [1]}, None, "x"], dtype=object),
    np.array([[1, "a"], [b"b", None]], dtype=object).T,
]


def in_numpy_1(content: bytes) -> bytes:
    """Return a pickle under the names that NumPy 1 gave its functions, without frames."""
    if content[2:3] == pickle.FRAME:
        content = content[:2] + content[11:]
    for name in (b"numpy._core.multiarray", b"numpy._core.numeric"):
        short = name.replace(b"_core", b"core")
        content = content.replace(b"\x8c" + bytes([len(name)]) + name, b"\x8c" + bytes([len(short)]) + short)
        content = content.replace(b"c" + name, b"c" + short)
    return content


@pytest.mark.parametrize("protocol", range(2, 6))
@pytest.mark.parametrize("value", ARRAYS, ids=str)
def test_every_array_of_plain_values_is_read_as_numpy_reads_it(value, protocol):
    content = pickle.dumps(value, protocol)
    for pickled in (content, in_numpy_1(content)):
        loaded = plain_pickle.loads(pickled)
        assert (loaded.dtype, loaded.shape) == (value.dtype, value.shape)
        assert np.array_equal(loaded, value)
        assert loaded.flags.writeable


@pytest.mark.parametrize("protocol", range(2, 6))
def test_scalars_types_sets_and_things_in_two_places_are_read(protocol):
    shared = np.arange(3)
    value = [
        np.float64(2.5),
        np.str_("x"),
        np.str_(""),
        np.bool_(True),
        np.int8(-3),
        np.bytes_(b"ab"),
        2**70,
        np.dtype(">f4"),
        {np.int64(4): (shared, [shared])},
        *([{1, "a"}, frozenset([2])] if protocol > 3 else []),
    ]
    loaded = plain_pickle.loads(pickle.dumps(value, protocol))
    assert loaded[:8] + loaded[9:] == value[:8] + value[9:]
    assert [type(item) for item in loaded] == [type(item) for item in value]
    first, (second,) = loaded[8][4]
    assert first is second
    assert np.array_equal(first, shared)


def test_a_list_may_hold_itself_and_an_array_may_not():
    value: list = [np.zeros(2)]
    value.append(value)
    loaded = plain_pickle.loads(pickle.dumps(value))
    assert loaded[1] is loaded
    inside = np.empty(1, dtype=object)
    inside[0] = inside
    with pytest.raises(DataError, match="something inside itself"):
        plain_pickle.loads(pickle.dumps(inside))


@pytest.mark.parametrize(
    "value",
    [
        np.zeros(2, "M8[s]"),
        np.zeros(2, [("a", "f4")]),
        np.ma.array([1]),
        np.zeros(1, "V8"),
        np.void(b"ab"),
        np.ndarray,
        np.zeros(2, np.dtype("f4", metadata={"a": 1})),
    ],
    ids=repr,
)
def test_what_is_no_plain_array_is_named(value):
    with pytest.raises(DataError, match="its pickle holds"):
        plain_pickle.loads(pickle.dumps(value))


def name(module: str, of: str) -> bytes:
    return f"c{module}\n{of}\n".encode()


def plain(value: object) -> bytes:
    return pickle.dumps(value, 3)[2:-1]


def typed(kind: object, *state: object) -> bytes:
    """Return the opcodes of a NumPy type and, where it is given, of its state."""
    made = name("numpy", "dtype") + b"(" + plain(kind) + b"\x89\x88tR"
    return made + (plain(state) + b"b" if state else b"")


def array(*parts: bytes) -> bytes:
    """Return the opcodes of an array whose state is the parts."""
    new = name("numpy._core.multiarray", "_reconstruct") + name("numpy", "ndarray") + plain((0,)) + plain(b"b")
    return new + b"\x87R(" + b"".join(parts) + b"tb"


def called(function: bytes, *given: bytes) -> bytes:
    return function + b"(" + b"".join(given) + b"tR"


SCALAR, BUFFER = name("numpy._core.multiarray", "scalar"), name("numpy._core.numeric", "_frombuffer")
RECONSTRUCT, NDARRAY = name("numpy._core.multiarray", "_reconstruct"), name("numpy", "ndarray")
A_OBJECT = typed("O8", 3, "|", None, None, None, -1, -1, 0)  # without NumPy's flag for objects
FORGED = {
    "a type of a negative size": called(SCALAR, typed("S8", 3, "|", None, None, None, -(2**30), 1, 0), plain(b"A")),
    "a type of another size": called(SCALAR, typed("S8", 3, "|", None, None, None, 2**30, 1, 0), plain(b"A" * 8)),
    "bytes as the addresses of objects": called(BUFFER, plain(b"A" * 8), A_OBJECT, plain((1,)), plain("C")),
    "bytes as addresses, by the array itself": called(NDARRAY, plain((1,)), A_OBJECT, plain(b"A" * 8)),
    "bytes as addresses, by its state": array(plain(1), plain((1,)), A_OBJECT, plain(False), plain(b"A" * 8)),
    "bytes as the address of a single object": called(SCALAR, A_OBJECT, plain(b"A" * 8)),
    "an array that is not filled": called(NDARRAY, plain((9,)), typed("O8")),
    "fewer bytes than the shape needs": array(plain(1), plain((5,)), typed("f8"), plain(False), plain(b"A" * 8)),
    "fewer bytes, by protocol 5": called(BUFFER, plain(b"A" * 8), typed("f8"), plain((5,)), plain("C")),
    "a shape that overflows": array(plain(1), plain((2**62, 8)), typed("f8"), plain(False), plain(b"")),
    "a negative shape": array(plain(1), plain((-1, -1)), typed("f8"), plain(False), plain(b"A" * 8)),
    "fewer objects than the shape needs": array(plain(1), plain((5,)), typed("O8"), plain(False), plain([1])),
    "objects as numbers": array(plain(1), plain((1,)), typed("f8"), plain(False), plain([1])),
    "an array without its state": called(RECONSTRUCT, NDARRAY, plain((10**12,)), plain(b"b")),
    "an array of another class": called(RECONSTRUCT, name("numpy", "dtype"), plain((0,)), plain(b"b")),
    "fields that are none": typed("V8", 3, "|", None, ("a",), {"a": (1, 2)}, 8, 1, 16),
    "a type by its fields": called(name("numpy", "dtype"), plain({"names": ["a"], "formats": ["O"], "offsets": [1]})),
    "a type with the flags of objects": called(
        SCALAR, typed("f8", 3, "<", None, None, None, -1, -1, 63), plain(b"A" * 8)
    ),
    "an array changed twice": called(BUFFER, plain(b"A" * 8), typed("f8"), plain((1,)), plain("C"))
    + plain((1, (1,), None, False, b"A"))
    + b"b",
    "a function that is changed": SCALAR + plain((None, {"__defaults__": (1,), "_call": 1})) + b"b",
    "a class that is changed": NDARRAY + plain({"a": 1}) + b"b",
    "an empty class": name("numpy", "dtype") + b")\x81",
    "characters that there are not": array(plain(1), plain((1,)), typed("U1"), plain(False), plain(b"\xff" * 4)),
    "bytes of a size": called(name("__builtin__", "bytes"), plain(2**40)),
    "lists in lists": b"]" * 100_000 + b"a" * 99_999,
    "very many memos": b"]r\xff\xff\xff\x7f",
    "very many bytes": b"\x96" + (2**36).to_bytes(8, "little") + b"x",
}
READ = """
import pickle, resource, sys
resource.setrlimit(resource.RLIMIT_AS, (2**32, 2**32))
from umemma.errors import DataError
from umemma.sources.layouts import plain_pickle
for name, content in pickle.load(sys.stdin.buffer):
    try:
        found = repr(plain_pickle.loads(content))[:80]
    except DataError as error:
        found = f"DataError: {error}"
    print(repr(name), found, flush=True)
"""


def read_elsewhere(named: list[tuple[object, bytes]]) -> list[str]:
    """Read pickles in a separate process, which they may crash; return a line for each."""
    done = subprocess.run(
        [sys.executable, "-c", READ], input=pickle.dumps(named), cwd=ROOT, capture_output=True, timeout=100, check=False
    )
    lines = done.stdout.decode().splitlines()
    assert done.returncode == 0, f"{done.returncode} after {lines[-1:]}: {done.stderr.decode()[-500:]}"
    return lines


def test_a_forged_pickle_is_an_error_and_does_not_end_the_process():
    lines = read_elsewhere([(about, b"\x80\x05" + content + b".") for about, content in FORGED.items()])
    assert len(lines) == len(FORGED)
    number = str(np.frombuffer(b"A" * 8)[0])  # flags are not trusted
    harmless = [f"'a type with the flags of objects' np.float64({number})", "'very many memos' []"]
    assert [line for line in lines if "DataError" not in line] == harmless


@pytest.mark.parametrize("about", ["a type of a negative size", "bytes as the addresses of objects"])
def test_a_forged_pickle_does_not_end_the_process_either_where_it_is_the_only_one(about):
    assert len(FORGED[about]) < 150
    assert len(read_elsewhere([(about, b"\x80\x05" + FORGED[about] + b".")])) == 1


def test_a_pickle_with_any_byte_changed_does_not_end_the_process():
    rng = np.random.default_rng(0)
    contents = [
        pickle.dumps([array, {"a": np.float32(1), "b": np.str_("x")}], protocol)
        for array in ARRAYS
        for protocol in (2, 5)
    ]
    named = []
    for number in range(4000):
        content = bytearray(contents[number % len(contents)])
        for place in rng.integers(2, len(content), rng.integers(1, 4)):
            content[place] = rng.integers(256)
        named.append((number, bytes(content)))
    assert len(read_elsewhere(named)) >= 4000
