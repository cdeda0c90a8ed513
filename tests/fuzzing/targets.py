"""Every reader of what comes from elsewhere, as a function of bytes, and the files that fuzzing starts from.

A reader may return or raise one of the project's errors, nothing else. The files are the same, byte for byte, whenever
they are made, so that a number of runs is the same runs: none holds a time or a number drawn at random.
"""

import bz2
import gzip
import io
import json
import lzma
import pickle
import re
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import pandas as pd

from tests.bombs import hdf5, written
from tests.media_files import PIXELS, npy, numbered, picture, sound, tone, video
from umemma.errors import UmemmaError

FOLDER = Path("/dev/shm") if Path("/dev/shm").is_dir() else Path(tempfile.gettempdir())


@dataclass(frozen=True)
class Target:
    """`read` takes the bytes of a file; `seeds` are good ones."""

    read: Callable[[bytes], object]
    seeds: Callable[[], Sequence[bytes]]


def checked(target: Target, content: bytes) -> None:
    """Read; let pass only what a reader may raise."""
    from umemma.serving.http.limits import Refused

    with suppress(UmemmaError, Refused):
        target.read(content)


def _media(name: str, decoder: str, **settings: object) -> Callable[[bytes], object]:
    from importlib import import_module

    from umemma.media.facts import facts

    decode = import_module(f"umemma.media.decoders.{decoder}").Decoder(**settings)

    def read(content: bytes) -> object:
        facts(name, content)
        return decode(content)

    return read


def _on_disk(name: str, read: Callable[[Path], object]) -> Callable[[bytes], object]:
    """Return a reader of bytes for one of paths."""
    folder = tempfile.TemporaryDirectory(dir=FOLDER)

    def of_bytes(content: bytes) -> object:
        path = Path(folder.name) / name
        path.write_bytes(content)
        return read(path)

    return of_bytes


def _table(name: str) -> Callable[[bytes], object]:
    from umemma.sources.tables import file, pieces

    def read(path: Path) -> object:
        for piece in pieces.pieces(path, file.Dialect(), 100):
            assert len(piece.table.places) <= 100
        return file.read(path)

    return _on_disk(name, read)


def _guessed(path: Path) -> object:
    from umemma.init import dialect

    return dialect.opened(path)


def _series(name: str) -> Callable[[bytes], object]:
    from umemma.sources.tables.recordings import Recording
    from umemma.sources.tables.series import Reading

    readings = [
        Reading("series"),
        Reading("series", recording=Recording(time=0, rate_hz=10.0)),
        Reading("vector", fill=0.0),
    ]

    def read(content: bytes) -> None:
        for reading in readings:
            with suppress(UmemmaError):
                reading.of_file(name, name.rpartition(".")[2], content)

    return read


def _cell(content: bytes) -> None:
    from umemma.sources.tables import cells, times
    from umemma.sources.tables.numbers import Number
    from umemma.sources.tables.readings import NumberList

    text = content.decode("utf-8", "replace")
    cells.structure(text)
    cells.is_missing(text)
    for read in (
        lambda: cells.items(text, "|"),
        lambda: cells.one_hot(text),
        lambda: cells.yes_or_no(text),
        lambda: NumberList()(text),
        lambda: Number(units={"kg": 1.0, "%": 0.01}, thousands=",", words={"yes": 1.0})(text),
        lambda: times.read(text, "iso"),
        lambda: times.read(text, "%d.%m.%Y %H:%M"),
    ):
        with suppress(ValueError):  # what these raise by contract; columns turn it into the reason of a row
            read()


def _pickle(content: bytes) -> object:
    from umemma.sources.layouts import plain_pickle

    return plain_pickle.loads(content)


def _words(path: Path) -> object:
    from umemma.sources.layouts import mmimdb_hdf5

    return mmimdb_hdf5.words(path)


def _films(path: Path) -> None:
    from umemma.sources.layouts import lists, mmimdb_hdf5

    columns = mmimdb_hdf5.genres(path)
    for row in mmimdb_hdf5.rows(path):
        index = int(row.fields[0])
        for read in (
            lambda file: mmimdb_hdf5.labels(file, index, columns),  # noqa: B023  called at once
            lambda file: mmimdb_hdf5.poster(file, index),  # noqa: B023
            lambda file: mmimdb_hdf5.plot(file, index, {0: "a", 1: "b"}),  # noqa: B023
            lambda file: mmimdb_hdf5.vector(file, "features", index),  # noqa: B023
        ):
            with suppress(UmemmaError), lists.blamed(row.file), mmimdb_hdf5.opened(path) as file:
                read(file)


def _archive(path: Path) -> int:
    from umemma.sources.layouts import archives

    return sum(len(content) for _, _, content in archives.files(path.parent, path.name.partition(".")[0], ""))


def _list(path: Path) -> None:
    from umemma.sources.layouts import lists

    for read in (lists.mapping, lists.lines):
        with suppress(UmemmaError):
            read(path)


def _cut(content: bytes) -> None:
    from umemma.sources.layouts import cutting

    for read in (
        cutting.has_sound,
        cutting.seconds,
        lambda content: cutting.sound_span(content, 0.1, 0.3),
        lambda content: cutting.video_span(content, 0.0, 0.1),
    ):
        with suppress(UmemmaError):
            read(content)


def _body(content: bytes) -> None:
    from umemma.serving.http import body
    from umemma.serving.http.limits import Limits

    for kind, content_type in ((body.JSON, body.JSON), (body.FORM, f"{body.FORM}; boundary=x")):
        with suppress(body.Refused):
            body.rows(kind, content_type, content, Limits())


def _model(path: Path) -> None:
    from umemma.serving import folder

    for kind in (folder.Facts, folder.Inputs, folder.Measured):
        with suppress(UmemmaError):
            folder.read(path, kind)


def film() -> bytes:
    """A small file as MM-IMDb's."""
    import h5py

    def save(path: Path) -> None:
        with h5py.File(path, "w") as file:
            file["imdb_ids"] = np.array([b"0000001", b"0000002", b"0000003"])
            file["images"] = np.zeros((3, 3, 4, 4), np.float32)
            file.create_dataset("genres", data=np.ones((3, 2), np.int32), chunks=(2, 2), compression="gzip")
            file["genres"].attrs["target_names"] = '["a", "b"]'
            words = file.create_dataset("sequences", (3,), dtype=h5py.special_dtype(vlen=np.dtype("int32")))
            for row in range(3):
                words[row] = np.arange(row) % 2
            file["features"] = np.zeros((3, 5))
            parts = [(b"train", b"genres", 0, 1), (b"dev", b"genres", 1, 2), (b"test", b"genres", 2, 3)]
            kinds = [("split", "S5"), ("source", "S12"), ("start", "i8"), ("stop", "i8")]
            file.attrs["split"] = np.array(parts, kinds)

    return written(save, "hdf5")


def _gzip(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)


def _tar() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name in ("a/1.txt", "a/2.txt"):
            member = tarfile.TarInfo(name)
            member.size = 5
            tar.addfile(member, io.BytesIO(b"words"))
    return stream.getvalue()


def _zip(members: Mapping[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)  # of 1980
    return stream.getvalue()


def _saved(save: Callable[[io.BytesIO], object]) -> bytes:
    stream = io.BytesIO()
    save(stream)
    return stream.getvalue()


def _mat() -> list[bytes]:
    from scipy.io import savemat

    values = {"a": np.arange(6.0).reshape(2, 3), "b": "text"}
    dated = [_saved(lambda stream: savemat(stream, values, do_compression=packed)) for packed in (False, True)]  # noqa: B023  called at once
    return [
        *(b"MATLAB 5.0 MAT-file".ljust(116) + content[116:] for content in dated),
        _saved(lambda stream: savemat(stream, {"a": np.eye(2)}, format="4")),
    ]


def _sheet() -> list[bytes]:
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", None]})
    with zipfile.ZipFile(io.BytesIO(_saved(lambda stream: frame.to_excel(stream, index=False)))) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    return [_zip({name: re.sub(rb"\d{4}-\d\d-\d\dT[\d:]+Z", b"", content) for name, content in members.items()})]


def _vorbis() -> bytes:
    """Ogg in new pages: libsndfile draws their serial number at random."""
    stream = io.BytesIO()
    with (
        av.open(io.BytesIO(sound(tone(seconds=0.05), form="OGG", subtype="VORBIS"))) as drawn,
        av.open(stream, "w", format="ogg", options={"fflags": "+bitexact"}) as container,
    ):
        track = container.add_stream_from_template(drawn.streams.audio[0])
        for packet in drawn.demux():
            if packet.size:  # the last is empty
                packet.stream = track
                container.mux(packet)
    return stream.getvalue()


CSV = b'file,label,age\na.png,cat,1\nb.png,"dog, ""old""",2.5\n'
LINES = b'{"a": 1, "b": {"c": [1, 2]}}\n{"a": null, "b": "x"}\n'
FRAME = pd.DataFrame({"t": [0.0, 1.0, 2.0], "a": [1.0, None, 3.0]})
CLIP = video(numbered(4), samples=tone()[:, 0])
IMAGES = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "ICO", "PPM", "TGA", "PCX", "SGI", "JPEG2000")
SOUNDS = (("WAV", None), ("FLAC", None), ("MP3", None), ("AIFF", None), ("AU", None), ("CAF", None))


def _array_seeds() -> list[bytes]:
    return [npy(np.arange(12.0).reshape(4, 3)), npy(np.arange(4)), npy(np.zeros((1, 3), np.float32))]


TARGETS: dict[str, Callable[[], Target]] = {
    "image": lambda: Target(
        _media("a.png", "image", mode="rgb", size_px=8), lambda: [picture(PIXELS, form) for form in IMAGES]
    ),
    "sound": lambda: Target(
        _media("a.wav", "waveform", sample_rate_hz=8000, seconds=0.2),
        lambda: [*(sound(tone(seconds=0.05), form=form, subtype=kind) for form, kind in SOUNDS), *(_vorbis(), CLIP)],
    ),
    "video": lambda: Target(
        _media("a.mp4", "frames", num_frames=2, size_px=8),
        lambda: [
            *(CLIP, video(numbered(3), form="flv", codec="flv1")),
            *(video(numbered(3), form=form) for form in ("matroska", "avi", "mpegts", "asf")),
        ],
    ),
    "cut": lambda: Target(_cut, lambda: [CLIP]),
    "text": lambda: Target(_media("a.txt", "words", length=8), lambda: [b"some words", "Wörter".encode("utf-16")]),
    "vector": lambda: Target(_media("a.npy", "series"), _array_seeds),
    "events": lambda: Target(_media("a.events", "events", variables=3, span=9.0, bins=3), _array_seeds),
    "series csv": lambda: Target(_series("a.csv"), lambda: [b"t,a\n0,1\n1,\n2,3\n", b"1;2\n3;4\n"]),
    "series npy": lambda: Target(_series("a.npy"), _array_seeds),
    "series npz": lambda: Target(
        _series("a.npz"), lambda: [_saved(lambda stream: np.savez_compressed(stream, a=np.eye(3)))]
    ),
    "series mat": lambda: Target(_series("a.mat"), _mat),
    "series parquet": lambda: Target(_series("a.parquet"), lambda: [_saved(FRAME.to_parquet)]),
    "series feather": lambda: Target(_series("a.feather"), lambda: [_saved(FRAME.to_feather)]),
    "csv": lambda: Target(_table("a.csv"), lambda: [CSV]),
    "csv gz": lambda: Target(_table("a.csv.gz"), lambda: [_gzip(CSV)]),
    "csv bz2": lambda: Target(_table("a.csv.bz2"), lambda: [bz2.compress(CSV)]),
    "csv xz": lambda: Target(_table("a.csv.xz"), lambda: [lzma.compress(CSV)]),
    "json": lambda: Target(_table("a.jsonl"), lambda: [LINES, b"[" + LINES.replace(b"\n", b",")[:-1] + b"]"]),
    "parquet": lambda: Target(
        _table("a.parquet"),
        lambda: [
            _saved(FRAME.to_parquet),
            _saved(pd.DataFrame({"a": ["x", None], "b": [[1.0], [2.0, 3.0]]}).to_parquet),
        ],
    ),
    "xlsx": lambda: Target(_table("a.xlsx"), _sheet),
    "guessed csv": lambda: Target(
        _on_disk("a.csv", _guessed), lambda: [CSV, b"a;b\n1,5;2\n", CSV.decode().encode("utf-16")]
    ),
    "cell": lambda: Target(
        _cell, lambda: [b"[1, 2]", b"array([1. 2.])", b"1,234.5 kg", b"{'a': 1}", b"2024-05-31T13:45:00Z"]
    ),
    "pickle": lambda: Target(
        _pickle,
        lambda: [
            pickle.dumps({"a": np.arange(6.0).reshape(2, 3), "b": [np.float32(1), "x", (1, None), {2}]}, protocol)
            for protocol in range(6)
        ],
    ),
    "pickle npy": lambda: Target(
        _on_disk("metadata.npy", _words),
        lambda: [_saved(lambda stream: np.save(stream, np.array({"ix_to_word": {1: "a", 2: b"b"}}, dtype=object)))],
    ),
    "films": lambda: Target(_on_disk("multimodal_imdb.hdf5", _films), lambda: [film(), hdf5(imdb_ids=(3, 1))]),
    "tar": lambda: Target(_on_disk("a.tar", _archive), lambda: [_tar()]),
    "tar gz": lambda: Target(_on_disk("a.tar.gz", _archive), lambda: [_gzip(_tar())]),
    "zip": lambda: Target(_on_disk("a.zip", _archive), lambda: [_zip({"a/1.txt": b"words"})]),
    "list": lambda: Target(_on_disk("a.json", _list), lambda: [LINES[:28], b"1 a\n2 b\n"]),
    "request": lambda: Target(
        _body,
        lambda: [
            LINES[:28],
            b'--x\r\nContent-Disposition: form-data; name="a"; filename="b"\r\n\r\nwords\r\n--x--\r\n',
        ],
    ),
    "model": lambda: Target(
        _on_disk("model.json", _model),
        lambda: [json.dumps({"format": 1, "umemma": "1", "classes": ["a"]}).encode(), b"{}"],
    ),
}
