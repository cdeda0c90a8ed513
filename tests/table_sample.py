"""Tables as users bring them: the same rows in every file format, and one of four modalities with missing values."""

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

from umemma.sources.adapters.table import Adapter

FORMATS = ("csv", "tsv", "parquet", "jsonl")
Row = Mapping[str, object]


def write_table(path: Path, rows: Sequence[Row]) -> Path:
    """Write rows, None for a missing value, in the format of the path's suffix."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    if path.suffix == ".parquet":
        pq.write_table(pa.table({name: [row.get(name) for row in rows] for name in names}), path)
    elif path.suffix == ".jsonl":
        lines = [{k: v for k, v in row.items() if v is not None or not i} for i, row in enumerate(rows)]  # null, absent
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    else:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, delimiter="\t" if path.suffix == ".tsv" else ",")
            writer.writerow(names)
            writer.writerows([["" if row.get(name) is None else row[name] for name in names] for row in rows])
    return path


def adapter(
    path: Path, *, classes: Sequence[str] = ("cat", "dog"), task: str = "single_label", **options: object
) -> Adapter:
    """Return the adapter on a table of columns id, split, label and note (a text), unless options say otherwise."""
    chosen = {
        "key": "id",
        "split": "split",
        "label": "label",
        "modalities": {"note": {"column": "note", "kind": "text"}},
    }
    return Adapter(path.parent, classes=classes, task=task, file=path.name, **{**chosen, **options})


def samples(made: Adapter) -> list:
    return [made.sample(split, index) for split, count in made.num_samples.items() for index in range(count)]


def plain_rows(count: int = 6) -> list[dict[str, object]]:
    """Return valid rows."""
    splits = ("train", "val", "test")
    return [
        {"id": f"k{i}", "split": splits[i % 3], "label": ("cat", "dog")[i % 2], "note": f"note {i}"}
        for i in range(count)
    ]


def png(rng: np.random.Generator, mode: str = "RGB", side_px: int = 24, light: Sequence[bool] = (True,) * 4) -> bytes:
    """Return noise of which only the quarters that are `light` reach full brightness."""
    shape = (side_px, side_px, 3) if mode == "RGB" else (side_px, side_px)
    pixels, half = rng.integers(0, 256, shape, dtype=np.uint8), side_px // 2
    for quarter, is_light in enumerate(light):
        top, left = half * (quarter // 2), half * (quarter % 2)
        pixels[top : top + half, left : left + half] >>= 0 if is_light else 1
    buffer = io.BytesIO()
    Image.fromarray(pixels, mode).save(buffer, "PNG")
    return buffer.getvalue()


def wav(rng: np.random.Generator, seconds: float = 0.25, rate_hz: int = 8000, tones: Sequence[bool] = ()) -> bytes:
    """Return noise, with a tone of 500 Hz, 1000 Hz and so on where `tones` are true."""
    samples = rng.uniform(-0.5, 0.5, int(seconds * rate_hz))
    for number, sounds in enumerate(tones):
        if sounds:
            samples += 0.1 * np.sin(2 * np.pi * 500 * (number + 1) * np.arange(len(samples)) / rate_hz)
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate_hz, format="WAV", subtype="PCM_16")
    return buffer.getvalue()


def series(rng: np.random.Generator, steps: int = 40) -> np.ndarray:
    return rng.standard_normal((steps, 3)).astype(np.float32)


GENRES = {
    "Drama": "family grief silence letter",
    "Comedy": "wedding joke neighbour disguise",
    "War & Peace": "general winter retreat ballroom",
    "no": "shogun mask stage drum",
}


def stranger(folder: Path, count: int = 120, *, suffix: str = "csv", holes: float = 0.3, seed: int = 0) -> Path:
    """Write a table of images, sound, plots and four numbers; two genres a film, one studio for a few films.

    Every modality shows each genre, wrongly one time in ten, and is missing from its share of the rows, never all of
    one row.
    """
    rng = np.random.default_rng(seed)
    for name in ("posters", "sound"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    rows = []
    for i in range(count):
        has = rng.permuted(np.arange(4) < 2)
        shown = has ^ (rng.random((4, 4)) < 0.1)  # (modality, genre)
        here = rng.random(4) >= holes
        here[rng.integers(4)] |= not here.any()
        numbers = (np.array([40, 1.7, 9, 100]) * (1 + 0.3 * shown[3] + 0.1 * rng.standard_normal(4))).round(3)
        rows.append(
            {
                "film": f"tt{i:04d}.x",
                "genres": "|".join(name for name, has_genre in zip(GENRES, has, strict=True) if has_genre),
                "studio": f"studio {rng.integers(count // 4)}",
                "poster": f"posters/{i}.png" if here[0] else None,
                "trailer_sound": f"sound/{i}.wav" if here[1] else None,
                "plot": _plot(rng, shown[2]) if here[2] else None,
                **{
                    name: float(number) if here[3] else None
                    for name, number in zip(("age", "height", "budget", "minutes"), numbers, strict=True)
                },
            }
        )
        if here[0]:
            (folder / f"posters/{i}.png").write_bytes(png(rng, light=shown[0]))
        if here[1]:
            (folder / f"sound/{i}.wav").write_bytes(wav(rng, tones=shown[1]))
    return write_table(folder / f"films.{suffix}", rows)


def spoil(path: Path) -> dict[str, str]:
    """Make three films of the table unusable; return {film: the expected reason}."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    no_poster = next(row for row in rows if row["poster"])
    cut_sound = next(row for row in rows if row["trailer_sound"] and row is not no_poster)
    (path.parent / no_poster["poster"]).unlink()
    sound = path.parent / cut_sound["trailer_sound"]
    sound.write_bytes(sound.read_bytes()[:30])
    rows[-1]["genres"] = ""
    write_table(path, rows)
    return {no_poster["film"]: "does not exist", cut_sound["film"]: "no readable sound", rows[-1]["film"]: "no label"}


def _plot(rng: np.random.Generator, shown: np.ndarray) -> str:
    said = [
        word
        for words, is_shown in zip(GENRES.values(), shown, strict=True)
        if is_shown
        for word in rng.choice(words.split(), 2, replace=False)
    ]
    other = rng.choice(
        ["the", "and", "then", "with", "from", "of", "every", "one", "house", "river", "Anna,", "who"], 6
    )
    return " ".join(rng.permutation([*said, *other])) + "."
