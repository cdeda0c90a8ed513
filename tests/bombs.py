"""Files of a few kilobytes that ask for gigabytes or minutes: how each is made, and which reader is given it.

`python -m tests.bombs [NAME ...]` makes them, reads each in a process of its own, and prints what it took: CPU seconds, the
largest memory of that process, and what it said.
"""

import bz2
import gzip
import io
import json
import lzma
import re
import resource
import struct
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import h5py
import numpy as np
import openpyxl
import pyarrow as pa
from PIL import Image
from pyarrow import parquet
from scipy.io import savemat

from tests.media_files import numbered, picture, png, sound, tone
from umemma.errors import DataError, UmemmaError

MIB = 2**20
PART = bytes(16 * MIB)
MOST_SECONDS, MOST_MIB = 10, 1500


@dataclass(frozen=True)
class Bomb:
    """`read` is the name of one of `READERS`; `says` what the error holds."""

    file: str
    content: Callable[[], bytes]
    read: str
    says: str


def table(path: Path) -> object:
    from umemma.sources.tables import file

    return file.read(path)


def pieces(path: Path) -> object:
    from umemma.sources.tables import pieces
    from umemma.sources.tables.file import Dialect

    return list(pieces.pieces(path, Dialect(), 10_000))


def media(path: Path) -> object:
    from umemma.media.facts import facts

    return facts(path.name, path.read_bytes())


def series(path: Path) -> object:
    from umemma.sources.tables.recordings import Recording
    from umemma.sources.tables.series import Reading

    recording = Recording(time=0, rate_hz=1000.0) if path.stem == "years" else Recording()
    return Reading("series", recording=recording).of_file(path.name, path.suffix[1:], path.read_bytes())


def pickled(path: Path) -> object:
    from umemma.sources.layouts import plain_pickle

    return plain_pickle.loads(path.read_bytes())


def archive(path: Path) -> object:
    from umemma.sources.layouts import archives

    return sum(1 for _ in archives.files(path.parent, path.name.partition(".")[0], ".txt"))


def films(path: Path) -> object:
    from umemma.sources.layouts import mmimdb_hdf5

    return len(mmimdb_hdf5.rows(path))


def poster(path: Path) -> object:
    from umemma.sources.layouts import mmimdb_hdf5

    with mmimdb_hdf5.opened(path) as file:
        return mmimdb_hdf5.poster(file, 0)


def plot(path: Path) -> object:
    from umemma.sources.layouts import mmimdb_hdf5

    mmimdb_hdf5.genres(path)
    with mmimdb_hdf5.opened(path) as file:
        return mmimdb_hdf5.plot(file, 0, {0: "a"})


def listed(path: Path) -> object:
    from umemma.sources.layouts import lists

    return lists.mapping(path)


def named(path: Path) -> object:
    from umemma.sources.tables import paths

    return paths.content(path.name, path.parent, [path.parent.resolve()])


def cell(path: Path) -> object:
    from umemma.sources.tables.cells import structure
    from umemma.sources.tables.numbers import Number

    text = path.read_text()
    try:
        return structure(text) or Number(units={"kg": 1.0})(text)
    except ValueError as error:  # what a column's reader turns into the reason of a row
        raise DataError(str(error)) from error


READERS = {
    reader.__name__: reader
    for reader in (table, pieces, media, series, pickled, archive, films, poster, plot, listed, named, cell)
}


def repeated(pack: Callable[[bytes], bytes], times: int) -> Callable[[], bytes]:
    """16 MiB of zeros, packed once and repeated: the formats allow several streams, one after the other."""
    return lambda: pack(PART) * times


def packed_tar(pack: Callable[[bytes], bytes], times: int) -> bytes:
    member = tarfile.TarInfo("a.txt")
    member.size = times * len(PART)
    return pack(member.tobuf()) + pack(PART) * times + pack(bytes(1024))


def many_members(num: int) -> bytes:
    """A tar of many files, none of them too large."""
    member = tarfile.TarInfo("a.txt")
    member.size = len(PART)
    return gzip.compress(member.tobuf() + PART) * num + gzip.compress(bytes(1024))


def zipped(name: str, content: bytes = PART, declared: int | None = None) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    result = stream.getvalue()
    if declared is not None:
        result = result.replace(struct.pack("<I", len(content)), struct.pack("<I", declared))
    return result


def shared_tuples(depth: int) -> bytes:
    """A mapping whose key is a tuple that holds the one before twice, 2 ** depth in all."""
    return b"}(" + b")" + b"".join(b"2\x86" for _ in range(depth)) + b"K\1u."


def arrays_of_one(num: int) -> bytes:
    """Many arrays of the same bytes, which are written once."""
    shared = bytes(2**18)
    dtype = b"cnumpy\ndtype\n(X\x02\0\0\0u1tR"
    body = b"\x80\x02]" + b"B" + struct.pack("<I", len(shared)) + shared + b"q\0" + dtype + b"q\1" + b"00("
    each = b"cnumpy.core.numeric\n_frombuffer\n(h\0h\1(J" + struct.pack("<i", len(shared)) + b"tX\1\0\0\0CtR"
    return body + each * num + b"e."


def written(save: Callable[[Path], object], suffix: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"a.{suffix}"
        save(path)
        return path.read_bytes()


def of_parquet(values: pa.Table, **options: object) -> bytes:
    stream = io.BytesIO()
    parquet.write_table(values, stream, **options)
    return stream.getvalue()


def dictionary(num_rows: int) -> bytes:
    cells = pa.DictionaryArray.from_arrays(pa.array(np.zeros(num_rows, np.int32)), pa.array(["x" * MIB]))
    return of_parquet(pa.table({"a": cells, "b": cells}))


def hdf5(**shapes: tuple[int, ...]) -> bytes:
    """An HDF5 file as MM-IMDb has it, whose arrays are declared and never written."""

    def save(path: Path) -> None:
        with h5py.File(path, "w") as file:
            for name, shape in shapes.items():
                kind = "S7" if name == "imdb_ids" else "f4"
                file.create_dataset(name, shape, kind, chunks=tuple(min(size, 64) for size in shape))
            kinds = [("split", "S5"), ("source", "S12"), ("start", "i8"), ("stop", "i8")]
            parts = [(split, b"genres", 0, 2**40) for split in (b"train", b"dev", b"test")]
            file.attrs["split"] = np.array(parts, kinds)

    return written(save, "hdf5")


def hdf5_of_lengths(plot: int = 7, names: int = 9) -> bytes:
    """An HDF5 file with one plot, a word of 4 bytes each, and a text, whose lengths are not what it says they are."""

    def save(path: Path) -> None:
        with h5py.File(path, "w") as file:
            file.create_dataset("sequences", (1,), h5py.vlen_dtype(np.int32))[0] = np.zeros(7)
            file.create_dataset("genres", (1, 1), "i4").attrs["target_names"] = '["drama"]'

    content = bytearray(written(save, "hdf5"))
    heap = content.index(b"GCOL").to_bytes(8, "little")
    for true, said in ((7, plot), (len('["drama"]'), names)):
        at = content.index(true.to_bytes(4, "little") + heap)  # a length is followed by where the values are
        content[at : at + 4] = said.to_bytes(4, "little")
    return bytes(content)


def one_picture(num_frames: int) -> bytes:
    """An MP4 of one encoded picture, shown again and again."""
    picture_ = numbered(1, 16, 16)[0]

    def save(path: Path) -> None:
        with av.open(str(path), "w", format="mp4") as container:
            stream = container.add_stream("mpeg4", rate=25)
            stream.height, stream.width, stream.pix_fmt = 16, 16, "yuv420p"
            (packet,) = stream.encode(av.VideoFrame.from_ndarray(picture_, format="rgb24")) or stream.encode(None)
            content = bytes(packet)
            for number in range(num_frames):
                packet = av.Packet(content)
                packet.stream, packet.time_base, packet.pts, packet.dts = stream, Fraction(1, 25), number, number
                packet.is_keyframe = True
                container.mux(packet)

    return written(save, "mp4")


def flac_of(num_samples: int) -> bytes:
    """A FLAC of eight channels whose header says how many samples it has."""
    content = bytearray(sound(tone(channels=8), 48_000, "FLAC"))
    old = int.from_bytes(content[18:26], "big")
    content[18:26] = (old & ~(2**36 - 1) | num_samples).to_bytes(8, "big")
    return bytes(content)


def scans(num: int) -> bytes:
    """A progressive JPEG whose last pass is repeated."""
    content = picture(Image.new("RGB", (4000, 4000), "gray"), "JPEG", progressive=True)
    last = content.rindex(b"\xff\xda")
    return content[:-2] + content[last:-2] * num + content[-2:]


def corners() -> bytes:
    """A spreadsheet of two cells, in opposite corners."""
    book = openpyxl.Workbook()
    book.active["A1"], book.active["XFD1048576"] = "a", 1
    return written(book.save, "xlsx")


def icon() -> bytes:
    """An icon of 16 x 16 that holds a PNG of 30,000 x 30,000."""
    inner = png(30_000, 30_000, 8, 0)
    return struct.pack("<HHHBBBBHHII", 0, 1, 1, 16, 16, 0, 0, 1, 32, len(inner), 22) + inner


def header(shape: tuple[int, ...]) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "<f4", "fortran_order": False, "shape": shape})
    return stream.getvalue() + bytes(64)


def ones(num: int) -> bytes:
    return b",".join([b"1"] * num) + b"\n"


def sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(8 * 2**30)


BOMBS = {
    "pickle: 60 nested tuples as a key": Bomb("a.pkl", lambda: shared_tuples(60), "pickled", "with a tuple for a key"),
    "pickle: 200,000 nested tuples as a key": Bomb(
        "a.pkl", lambda: b"})" + b"\x85" * 200_000 + b"K\1s.", "pickled", "with a tuple for a key"
    ),
    "pickle: 200,000 nested lists": Bomb(
        "a.pkl", lambda: b"]" * 200_000 + b"a" * 199_999 + b".", "pickled", "limits.depth"
    ),
    "pickle: 8,000 arrays of the same bytes": Bomb("a.pkl", lambda: arrays_of_one(8_000), "pickled", "limits.file_mib"),
    "npy: an array that is declared and not there": Bomb(
        "a.npy", lambda: header((10_000_000_000,)), "series", "it is truncated: 40,000,000,000 bytes"
    ),
    "npy: a negative shape": Bomb("a.npy", lambda: header((-1, 4)), "series", "an axis cannot be of less than nothing"),
    "npz: 4 GiB of zeros": Bomb("a.npz", lambda: zipped("a.npy", declared=2**32 - 1), "series", "limits.file_mib"),
    "mat: 512 MiB of zeros": Bomb(
        "a.mat",
        lambda: written(lambda path: savemat(path, {"a": np.zeros((2**13, 2**13))}, do_compression=True), "mat"),
        "series",
        "limits.file_mib",
    ),
    "parquet: a cell of 128 MiB": Bomb(
        "a.parquet", lambda: of_parquet(pa.table({"a": ["x" * 2**27], "b": [1]})), "table", "limits.cell_mib"
    ),
    "parquet: 60 million rows": Bomb(
        "a.parquet",
        lambda: of_parquet(pa.table({name: pa.array(np.zeros(60_000_000, np.int8)) for name in "ab"})),
        "table",
        "limits.rows",
    ),
    "parquet: 20,000 rows of the same MiB": Bomb("a.parquet", lambda: dictionary(20_000), "table", "limits.file_mib"),
    "parquet: the same, piece by piece": Bomb("a.parquet", lambda: dictionary(20_000), "pieces", "limits.file_mib"),
    "parquet: cells that share their beginnings": Bomb(
        "a.parquet",
        lambda: of_parquet(
            pa.table({"a": ["x" * (10 * row) for row in range(8_000)]}),
            use_dictionary=False,
            column_encoding={"a": "DELTA_BYTE_ARRAY"},
        ),
        "table",
        "limits.file_mib",
    ),
    "parquet: a list of 100 million": Bomb(
        "a.parquet",
        lambda: of_parquet(pa.table({"a": [np.zeros(100_000_000, np.int8)], "b": [1]})),
        "table",
        "limits.file_mib",
    ),
    "JSON lines: a column for each of 20,000 rows": Bomb(
        "a.jsonl", lambda: "".join(f'{{"c{row}": 1}}\n' for row in range(20_000)).encode(), "table", "limits.cells"
    ),
    "JSON lines: the same, piece by piece": Bomb(
        "a.jsonl", lambda: "".join(f'{{"c{row}": 1}}\n' for row in range(20_000)).encode(), "pieces", "limits.cells"
    ),
    "JSON lines: keys in objects": Bomb(
        "a.jsonl",
        lambda: "".join(
            json.dumps({"a": {f"k{row}": {f"x{key}": 0 for key in range(400)}}}) + "\n" for row in range(500)
        ).encode(),
        "table",
        "limits.c",
    ),
    "JSON: 100 levels": Bomb("a.jsonl", lambda: b'{"a":' * 100 + b"1" + b"}" * 100, "table", "limits.depth"),
    "JSON: 100,000 levels": Bomb("a.json", lambda: b'{"a":' + b"[" * 100_000, "listed", "limits.depth"),
    "CSV: 8 GiB of nothing": Bomb("sparse.csv", lambda: b"", "table", "limits.file_mib"),
    "picture: 8 GiB of nothing": Bomb("sparse.png", lambda: b"", "named", "limits.file_mib"),
    "list: 8 GiB of nothing": Bomb("sparse.json", lambda: b"", "listed", "limits.file_mib"),
    "CSV in gzip: 4 GiB of zeros": Bomb("a.csv.gz", repeated(gzip.compress, 256), "table", "limits.file_mib"),
    "CSV in bzip2: 4 GiB of zeros": Bomb("a.csv.bz2", repeated(bz2.compress, 256), "table", "limits.file_mib"),
    "CSV in xz: 4 GiB of zeros": Bomb(
        "a.csv.xz", repeated(lambda part: lzma.compress(part, preset=0), 256), "table", "limits.file_mib"
    ),
    "tar in gzip: a file of 4 GiB": Bomb(
        "a.tar.gz", lambda: packed_tar(gzip.compress, 256), "archive", "limits.file_mib"
    ),
    "tar in gzip: 256 files of 16 MiB": Bomb("a.tgz", lambda: many_members(256), "archive", "limits.unpack_ratio"),
    "tar in xz: a file of 4 GiB": Bomb(
        "a.tar.xz", lambda: packed_tar(lambda part: lzma.compress(part, preset=0), 256), "archive", "limits.file_mib"
    ),
    "zip: a file of 4 GiB": Bomb("a.zip", lambda: zipped("a.txt", declared=2**32 - 1), "archive", "limits.file_mib"),
    "CSV of a series: 900 million cells of padding": Bomb(
        "a.csv", lambda: ones(30_000) + b"\n" * 30_000 + ones(30_000), "series", "limits.array_values"
    ),
    "CSV of a series: two times, 30 years apart": Bomb(
        "years.csv", lambda: b"0,1\n1000000000,2\n", "series", "limits.array_values"
    ),
    "CSV: 100,000 columns": Bomb("a.csv", lambda: ones(100_000) * 2, "table", "limits.columns"),
    "CSV: a header of 20,000 columns and short lines": Bomb(
        "a.csv",
        lambda: b",".join(b"c%d" % number for number in range(20_000)) + b"\n1\n" * 100_000,
        "pieces",
        "limits.cells",
    ),
    "cell: an array that almost ends": Bomb(
        "a.txt", lambda: b"array([1]" + b",a=" * 200_000 + b"x", "cell", "is no number"
    ),
    "cell: a number and blanks": Bomb("a.txt", lambda: b"1" + b" " * 200_000 + b"x", "cell", "is no number"),
    "xlsx: cells in opposite corners": Bomb("a.xlsx", corners, "table", "limits.cells"),
    "xlsx: 4 GiB of zeros": Bomb(
        "a.xlsx", lambda: zipped("xl/workbook.xml", declared=2**32 - 1), "table", "limits.file_mib"
    ),
    "HDF5: 10^12 films": Bomb("multimodal_imdb.hdf5", lambda: hdf5(imdb_ids=(10**12, 1)), "films", "limits.rows"),
    "HDF5: splits of 10^12 rows": Bomb(
        "multimodal_imdb.hdf5", lambda: hdf5(imdb_ids=(10, 1)), "films", "and there are 10"
    ),
    "HDF5: a poster of 10^10 pixels": Bomb(
        "a.hdf5", lambda: hdf5(images=(2, 3, 10**5, 10**5)), "poster", "limits.file_mib"
    ),
    "HDF5: a plot of 10^9 words": Bomb("a.hdf5", lambda: hdf5_of_lengths(plot=10**9), "plot", "limits.file_mib"),
    "HDF5: a text of 4 GiB": Bomb("a.hdf5", lambda: hdf5_of_lengths(names=2**32 - 1), "plot", "limits.file_mib"),
    "PNG: 30,000 x 30,000": Bomb("a.png", lambda: png(30_000, 30_000, 8, 0), "media", "limits.pixels"),
    "ICO: a PNG of 30,000 x 30,000 inside": Bomb("a.ico", icon, "media", "limits.pixels"),
    "GIF: 65,000 x 65,000": Bomb(
        "a.gif",
        lambda: picture(np.zeros((4, 4), np.uint8), "GIF").replace(b"GIF87a\4\0\4\0", b"GIF87a\xe8\xfd\xe8\xfd"),
        "media",
        "limits.pixels",
    ),
    "TIFF: 60,000 x 60,000": Bomb(
        "a.tif",
        lambda: (
            picture(np.zeros((7, 9), np.uint8), "TIFF")
            .replace(struct.pack("<HHIHH", 256, 4, 1, 9, 0), struct.pack("<HHIHH", 256, 4, 1, 60_000, 0))
            .replace(struct.pack("<HHIHH", 257, 4, 1, 7, 0), struct.pack("<HHIHH", 257, 4, 1, 60_000, 0))
        ),
        "media",
        "limits.pixels",
    ),
    "JPEG: 1,000 passes": Bomb("a.jpg", lambda: scans(1_000), "media", "limits.scans"),
    "MP4: two hours": Bomb("a.mp4", lambda: one_picture(180_000), "media", "limits.frames"),
    "FLAC: two hours of eight channels": Bomb(
        "a.flac", lambda: flac_of(2 * 3600 * 48_000), "media", "limits.sound_values"
    ),
    "FLAC: more than it holds": Bomb("a.flac", lambda: flac_of(3600 * 4_800), "media", "no readable sound"),
    "WAV: 2 GHz": Bomb(
        "a.wav",
        lambda: sound(tone()).replace(struct.pack("<I", 16_000), struct.pack("<I", 2**31 - 1)),
        "media",
        "limits.rate_hz",
    ),
    "text: 2 MiB": Bomb("a.txt", lambda: b"word " * 400_000, "media", "limits.text_bytes"),
}


def make(name: str, folder: Path) -> Path:
    """Write a bomb into a folder and return its path."""
    bomb = BOMBS[name]
    path = folder / bomb.file
    if path.stem == "sparse":
        sparse(path)
    else:
        path.write_bytes(bomb.content())
    return path


def read(name: str, path: Path) -> str:
    """Return what the reader says of a bomb."""
    try:
        return f"read: {str(READERS[BOMBS[name].read](path))[:60]}"
    except UmemmaError as error:
        return str(error).replace(f"{path.parent}/", "")


@dataclass(frozen=True)
class Taken:
    """CPU seconds, and MiB that the process had at most, of which `own_mib` before it read anything."""

    seconds: float
    mib: int
    own_mib: int
    says: str


def taken(name: str, path: Path) -> Taken:
    """Read a bomb in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.bombs", "--read", name, str(path)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if done.returncode:
        return Taken(0, 0, 0, f"ended by {done.returncode}: {done.stderr.strip().splitlines()[-1:]}")
    return Taken(**json.loads(done.stdout.splitlines()[-1]))


def _most_kib() -> int:
    """Return the largest memory of this process; what `getrusage` says begins with that of whoever started it."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s*(\d+)", status)[1])


def _user_seconds() -> float:
    return sum(resource.getrusage(who).ru_utime for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def _read_here(name: str, path: Path) -> None:
    with suppress(OSError):
        read(name, Path("/nonexistent") / path.name)  # imports the reader
    own = _most_kib()
    start = _user_seconds()
    says = read(name, path)
    seconds = _user_seconds() - start
    most = max(_most_kib(), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
    print(json.dumps({"seconds": seconds, "mib": most // 1024, "own_mib": own // 1024, "says": says}))


def main() -> None:
    """Print a table of all bombs, or of those named."""
    if sys.argv[1:2] == ["--read"]:
        _read_here(sys.argv[2], Path(sys.argv[3]))
        return
    print("| file | bytes | CPU s | MiB (before) | what is said |\n|---|---|---|---|---|", flush=True)
    for name in sys.argv[1:] or BOMBS:
        with tempfile.TemporaryDirectory() as folder:
            path = make(name, Path(folder))
            one = taken(name, path)
            size = path.stat().st_size
            print(
                f"| {name} | {size:,} | {one.seconds:.1f} | {one.mib} ({one.own_mib}) | {one.says[:200]} |", flush=True
            )


if __name__ == "__main__":
    main()
