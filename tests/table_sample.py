"""Tables as strangers bring them: the same rows in every file format, and one of four modalities with holes."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import soundfile
from PIL import Image

from umemma.datasets.table import Adapter

FORMATS = ("csv", "tsv", "parquet", "jsonl")
Row = Mapping[str, object]


def write_table(path: Path, rows: Sequence[Row]) -> Path:
    """Write rows, None where there is nothing, in the format that the path's suffix names."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    if path.suffix == ".parquet":
        pq.write_table(pa.table({name: [row.get(name) for row in rows] for name in names}), path)
    elif path.suffix == ".jsonl":
        lines = [{k: v for k, v in row.items() if v is not None or not i} for i, row in enumerate(rows)]  # null, absent
        path.write_text("".join(json.dumps(one) + "\n" for one in lines))
    else:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, delimiter="\t" if path.suffix == ".tsv" else ",")
            writer.writerow(names)
            writer.writerows([["" if row.get(name) is None else row[name] for name in names] for row in rows])
    return path


def adapter(path: Path, *, classes: Sequence[str] = ("cat", "dog"), task: str = "single_label", **options: object
            ) -> Adapter:
    """Return the adapter on a table of columns id, split, label and note (a text), unless options say otherwise."""
    chosen = {"key": "id", "split": "split", "label": "label",
              "modalities": {"note": {"column": "note", "kind": "text"}}}
    return Adapter(path.parent, classes=classes, task=task, file=path.name, **{**chosen, **options})


def samples(made: Adapter) -> list:
    return [made.sample(split, index) for split, count in made.num_samples.items() for index in range(count)]


def plain_rows(count: int = 6) -> list[dict[str, object]]:
    """Return rows that nothing is wrong with."""
    splits = ("train", "val", "test")
    return [{"id": f"k{i}", "split": splits[i % 3], "label": ("cat", "dog")[i % 2], "note": f"note {i}"}
            for i in range(count)]


def png(rng: np.random.Generator, mode: str = "RGB", side_px: int = 24) -> bytes:
    shape = (side_px, side_px, 3) if mode == "RGB" else (side_px, side_px)
    buffer = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8), mode).save(buffer, "PNG")
    return buffer.getvalue()


def wav(rng: np.random.Generator, seconds: float = 0.25, rate_hz: int = 8000) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, rng.uniform(-0.5, 0.5, int(seconds * rate_hz)), rate_hz, format="WAV", subtype="PCM_16")
    return buffer.getvalue()


def series(rng: np.random.Generator, steps: int = 40) -> np.ndarray:
    return rng.standard_normal((steps, 3)).astype(np.float32)


def stranger(folder: Path, count: int = 120, *, suffix: str = "csv", holes: float = 0.3, seed: int = 0) -> Path:
    """Write a table of images, sound, plots, motion and two numbers; two genres a film, one studio for a few films.

    Every modality is missing from its share of the rows, never all of one row.
    """
    rng = np.random.default_rng(seed)
    for name in ("posters", "sound", "motion"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    genres = ("Drama", "Comedy", "War & Peace", "no")
    rows = []
    for i in range(count):
        here = rng.random(4) >= holes
        here[rng.integers(4)] |= not here.any()
        row: dict[str, object] = {
            "film": f"tt{i:04d}.x", "genres": "|".join(sorted(rng.choice(genres, 2, replace=False))),
            "studio": f"studio {rng.integers(count // 4)}"}
        row |= {"poster": f"posters/{i}.png" if here[0] else None,
                "trailer_sound": f"sound/{i}.wav" if here[1] else None,
                "motion_file": f"motion/{i}.npy" if here[2] else None,
                "age": round(float(rng.uniform(1, 90)), 2) if here[3] else None,
                "height": round(float(rng.uniform(1, 2)), 3) if here[3] else None}
        if here[0]:
            (folder / f"posters/{i}.png").write_bytes(png(rng))
        if here[1]:
            (folder / f"sound/{i}.wav").write_bytes(wav(rng))
        if here[2]:
            np.save(folder / f"motion/{i}.npy", series(rng, int(rng.integers(30, 50))))
        rows.append(row)
    return write_table(folder / f"films.{suffix}", rows)

