"""Random tables with known truth, as people have them: for the property that what is undamaged gets in, as it is.

A table is drawn from its seed alone: rows, modalities of all kinds, holes, odd columns beside them, how the file is
written. `truth` says for every column of features and every row what must come out.
"""

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import soundfile
from PIL import Image

WORDS = {
    "latin-1": [
        "the",
        "river",
        "café",
        "naïve",
        "house",
        "über",
        "moon",
        "señor",
        "and",
        "red",
        "tree",
        "walks",
        "slowly",
        "déjà",
        "home",
        "again",
    ],
    "russian": [
        "река",
        "дом",
        "луна",
        "дерево",
        "красный",
        "медленно",
        "снова",
        "идёт",
        "домой",
        "утром",
        "человек",
        "город",
    ],
    "chinese": list("天地玄黄宇宙洪荒日月盈昃辰宿列张寒来暑往秋收冬藏"),
    "greek": ["ποταμός", "σπίτι", "φεγγάρι", "δέντρο", "κόκκινο", "αργά", "πάλι", "πόλη", "άνθρωπος", "πρωί"],
}
WRITTEN = ("csv", "semicolon", "tsv", "pipe", "parquet", "jsonl")
CLASSES = (("cat", "dog"), ("low", "middle", "high"), ("0", "1", "2"), ("a b", "c", "d-e", "f"), ("yes", "no"))
FEW_ROWS = 90  # of a table whose modalities lie in files


@dataclass
class RandomTable:
    """`path`, and the truth by row: `labels`; `truth` {column: values}, None for a hole; `kinds` {column: kind}."""

    path: Path
    labels: list[list[str]]
    truth: dict[str, list[object]] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)
    cells: dict[str, list[object]] = field(default_factory=dict)
    not_features: set[str] = field(default_factory=set)

    def add(self, column: str, kind: str, truth: Sequence[object], cells: Sequence[object]) -> None:
        """Add a column of features."""
        self.truth[column], self.kinds[column], self.cells[column] = list(truth), kind, list(cells)


def random_table(seed: int, folder: Path) -> RandomTable:
    """Write the table of a seed into the folder, with its files."""
    rng = np.random.default_rng(seed)
    written = WRITTEN[rng.integers(len(WRITTEN))]
    makers = list(rng.choice(list(MAKERS), size=rng.integers(1, 6), replace=True))
    in_files = any(maker in IN_FILES for maker in makers)
    count = int(rng.integers(40, FEW_ROWS)) if in_files else int(10 ** rng.uniform(1.5, 3.0 if seed % 20 else 3.7))
    classes = CLASSES[rng.integers(len(CLASSES))]
    several = bool(rng.random() < 0.15)
    drawn = [int(rng.integers(len(classes))) for _ in range(count)]
    second = [int(rng.integers(len(classes))) if several and rng.random() < 0.4 else first for first in drawn]
    labels = [sorted({classes[a], classes[b]}) for a, b in zip(drawn, second, strict=True)]
    path = folder / f"table.{'csv' if written in ('semicolon', 'pipe') else written}"
    table = RandomTable(path, labels)
    odd_before = _odd(rng, table, drawn)
    share = float(rng.choice([0.0, 0.1, 0.4]))
    for number, maker in enumerate(makers):
        holes = rng.random(count) < share
        if number == 0:
            holes &= rng.random(count) < 0.5  # most rows have something
        MAKERS[maker](rng, table, f"{'uvwxy'[number]}{maker[:3]}", holes, written, folder)
    label = ["|".join(row) for row in labels]
    keys = {"id": [f"r{i:05}" for i in range(count)]} if rng.random() < 0.6 else {}
    group = {"person": [f"p{rng.integers(count // 4)}" for _ in range(count)]} if rng.random() < 0.3 else {}
    columns = keys | odd_before | table.cells | group | {"label": label}
    names = list(rng.permutation(list(columns))) if rng.random() < 0.3 else list(columns)
    _write(rng, path, written, {str(name): columns[str(name)] for name in names})
    return table


def _odd(rng: np.random.Generator, table: RandomTable, drawn: Sequence[int]) -> dict[str, list[object]]:
    """Return columns that are no features: a counter, a constant, the fold, the label once more."""
    count = len(drawn)
    odd: dict[str, list[object]] = {
        "Unnamed: 0": list(range(count)),
        "source": ["web"] * count,
        "fold": [int(value) for value in rng.integers(5, size=count)],
    }
    if all(len(row) == 1 for row in table.labels):
        odd["label_id"] = [10 + value for value in drawn]
    chosen = {name: values for name, values in odd.items() if rng.random() < 0.3}
    table.not_features |= set(chosen)
    return chosen


Maker = Callable[[np.random.Generator, RandomTable, str, np.ndarray, str, Path], None]


def _numbers(rng: np.random.Generator, table: RandomTable, name: str, holes: np.ndarray, written: str, _: Path) -> None:
    gaps = float(rng.choice([0.0, 0.1]))
    style = str(rng.choice(["plain", "thousands", "percent", "unit", "question"]))
    for column in range(int(rng.integers(2, 7))):
        values = np.round(rng.normal(5, 3, len(holes)) * 10.0 ** rng.integers(0, 4), 2)
        absent = holes | (rng.random(len(holes)) < gaps)
        truth = [None if hole else float(value) for hole, value in zip(absent, values, strict=True)]
        cells = [_number(value, style, written) for value in truth]
        table.add(f"{name}_{column}", "number", truth, cells)


def _number(value: float | None, style: str, written: str) -> object:
    if value is None:
        return "?" if style == "question" and written != "parquet" else None
    if written in ("parquet", "jsonl"):
        return value
    text = f"{value:,.2f}" if style == "thousands" and written != "csv" else f"{value:.2f}"
    if written == "semicolon":
        text = text.translate({ord("."): ",", ord(","): "."})
    return text + {"percent": "%", "unit": " kg"}.get(style, "")


def _categories(
    rng: np.random.Generator, table: RandomTable, name: str, holes: np.ndarray, written: str, _: Path
) -> None:
    words = ["north", "south", "east", "west"][: int(rng.integers(2, 5))]
    truth = [None if hole else words[rng.integers(len(words))] for hole in holes]
    table.add(f"{name}_where", "category", truth, truth)


def _dates(rng: np.random.Generator, table: RandomTable, name: str, holes: np.ndarray, written: str, _: Path) -> None:
    days = [None if hole else int(rng.integers(0, 2000)) for hole in holes]
    start = np.datetime64("2019-03-01")
    table.add(f"{name}_on", "time", days, [None if day is None else str(start + day) for day in days])


def _texts(rng: np.random.Generator, table: RandomTable, name: str, holes: np.ndarray, written: str, _: Path) -> None:
    script = str(rng.choice(list(WORDS)))
    glue = "" if script == "chinese" else " "
    truth = [
        None if hole else glue.join(rng.choice(WORDS[script], size=int(rng.integers(8, 20)))) + f" {row}"
        for row, hole in enumerate(holes)
    ]
    table.add(f"{name}_note", "text", truth, truth)


def _embeddings(
    rng: np.random.Generator, table: RandomTable, name: str, holes: np.ndarray, written: str, _: Path
) -> None:
    size = int(rng.integers(4, 12))
    truth = [None if hole else [round(float(x), 4) for x in rng.normal(size=size)] for hole in holes]
    cells = truth if written in ("parquet", "jsonl") else [None if row is None else json.dumps(row) for row in truth]
    table.add(f"{name}_vector", "list", truth, cells)


def _in_files(suffixes: Sequence[str], kind: str, content: Callable[[np.random.Generator, str, int], bytes]) -> Maker:
    def make(
        rng: np.random.Generator, table: RandomTable, name: str, holes: np.ndarray, written: str, folder: Path
    ) -> None:
        suffix = str(rng.choice(suffixes))
        (folder / name).mkdir()
        truth: list[object] = []
        for row, hole in enumerate(holes):
            path = f"{name}/{row}.{suffix}"
            if not hole:
                (folder / path).write_bytes(content(rng, suffix, row))
            truth.append(None if hole else path)
        table.add(f"{name}_file", kind, truth, truth)

    return make


def _picture(rng: np.random.Generator, suffix: str, row: int) -> bytes:
    buffer = io.BytesIO()
    picture = rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)
    Image.fromarray(picture).save(buffer, {"jpg": "JPEG"}.get(suffix, suffix.upper()))
    return buffer.getvalue()


def _sound(rng: np.random.Generator, suffix: str, row: int) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, rng.normal(0, 0.1, 1600 + row), 8000, format=suffix.upper())
    return buffer.getvalue()


def _series(rng: np.random.Generator, suffix: str, row: int) -> bytes:
    values = rng.normal(1000, 20, (30, 3)).round(3)
    if suffix == "npy":
        buffer = io.BytesIO()
        np.save(buffer, values.astype(np.float32))
        return buffer.getvalue()
    lines = [",".join(("x", "y", "z")), *(",".join(map(str, step)) for step in values)]
    return "\n".join(lines).encode()


MAKERS: dict[str, Maker] = {
    "numbers": _numbers,
    "categories": _categories,
    "dates": _dates,
    "texts": _texts,
    "embeddings": _embeddings,
    "pictures": _in_files(("png", "jpg", "bmp", "gif"), "image", _picture),
    "sounds": _in_files(("wav", "flac"), "audio", _sound),
    "series": _in_files(("npy", "csv"), "series", _series),
}
IN_FILES = ("pictures", "sounds", "series")


def _write(rng: np.random.Generator, path: Path, written: str, columns: dict[str, list[object]]) -> None:
    if written == "parquet":
        pq.write_table(pa.table(columns), path)
        return
    rows = list(zip(*columns.values(), strict=True))
    if written == "jsonl":
        lines = [json.dumps(dict(zip(columns, row, strict=True)), ensure_ascii=False) for row in rows]
        path.write_text("\n".join(lines) + "\n", "utf-8")
        return
    stream = io.StringIO()
    delimiter = {"semicolon": ";", "tsv": "\t", "pipe": "|"}.get(written, ",")
    writer = csv.writer(stream, delimiter=delimiter, lineterminator=str(rng.choice(["\n", "\r\n"])))
    writer.writerow(columns)
    writer.writerows([["" if cell is None else cell for cell in row] for row in rows])
    text = stream.getvalue()
    encodings = ["utf-8", "utf-8-sig", "utf-16"] + (["cp1252"] if _fits(text, "cp1252") else [])
    path.write_bytes(text.encode(str(rng.choice(encodings))))


def _fits(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True
