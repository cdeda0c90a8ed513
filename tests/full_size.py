"""The published data sets at full size, with small synthetic media: python -m tests.full_size mmimdb food101 ave ...

Each tree has the genuine list of its data set, every file that it names, and nothing of the files' own content: noise of a
few hundred bytes, no two alike. `fetch`, `prepare`, `validate` and `admit` run on it as `make run DATASET=NAME` runs them;
seconds, those of the processor and peak memory are printed. So a person who has the data meets no number here for the first time. Needs
$UMEMMA_DATA with the genuine lists, and up to 1 GB in the temporary folder, which is removed.
"""

import csv
import io
import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
import soundfile
from PIL import Image

from tests.stages_here import compose, run_stage
from tests.trees import AVE_LISTS, genuine
from umemma.data import shards
from umemma.data.sample import SPLITS
from umemma.sources.adapters import kinetics_sounds as kinetics_adapter
from umemma.sources.adapters import mmimdb as mmimdb_adapter

ROOT = Path(__file__).parents[1]
STAGES = ("fetch", "prepare", "validate", "admit")
JUDGED = {  # rows of the published lists, the validation split that some adapters draw from training counted as training
    "ave": 3_338 + 402 + 402,
    "cremad": 6_698 + 744,
    "food101": 61_142 + 6_846 + 22_716,
    "kinetics_sounds": 14_799 + 2_597,
    "mmimdb": 15_552 + 2_608 + 7_799,
}


def jpeg(rng: np.random.Generator) -> bytes:
    """Return a photograph of noise, 16 x 16 px."""
    buffer = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (16, 16, 3), np.uint8)).save(buffer, "JPEG")
    return buffer.getvalue()


def wav(path: Path, rng: np.random.Generator) -> None:
    """Write a tenth of a second of noise."""
    soundfile.write(path, rng.uniform(-0.5, 0.5, 1_600).astype(np.float32), 16_000, subtype="PCM_16")


def mp4() -> bytes:
    """Return ten frames of noise and ten seconds of sound."""
    rng, buffer = np.random.default_rng(0), io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        video = container.add_stream("mpeg4", rate=1, width=32, height=32, pix_fmt="yuv420p")
        audio = container.add_stream("aac", rate=16_000, layout="mono")
        for _ in range(10):
            picture = rng.integers(0, 256, (32, 32, 3), np.uint8)
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        noise = rng.uniform(-0.5, 0.5, (1, 160_000)).astype(np.float32)
        sound = av.AudioFrame.from_ndarray(noise, format="fltp", layout="mono")
        sound.sample_rate = 16_000
        container.mux(audio.encode(sound))
        for stream in (video, audio):
            container.mux(stream.encode(None))
    return buffer.getvalue()


def frames(folder: Path, rng: np.random.Generator, count: int) -> None:
    """Write numbered photographs."""
    folder.mkdir(parents=True)
    for number in range(1, count + 1):
        (folder / f"frame_{number:05d}.jpg").write_bytes(jpeg(rng))


def mmimdb(folder: Path) -> None:
    """25,959 films: a poster and a plot each, two of 23 genres."""
    rng, split = np.random.default_rng(0), json.loads(genuine("mmimdb_split.json"))
    (folder / "dataset").mkdir()
    (folder / "split.json").write_text(json.dumps(split))
    for number, key in enumerate(key for keys in split.values() for key in keys):
        genres = [mmimdb_adapter.GENRES[(number + step) % 23] for step in (0, 7)]
        film = {"genres": genres, "plot": [f"Film {key} is about {genres[0]}.::Nobody"], "title": key}
        (folder / f"dataset/{key}.json").write_text(json.dumps(film))
        (folder / f"dataset/{key}.jpeg").write_bytes(jpeg(rng))


def food101(folder: Path) -> None:
    """90,704 photographs with the titles of their pages; training and validation in one list."""
    rng, split = np.random.default_rng(0), json.loads(genuine("food101_split.json"))
    (folder / "texts").mkdir()
    for part, names in (("train", split["train"] + split["val"]), ("test", split["test"])):
        with (folder / f"texts/{part}_titles.csv").open("w", newline="") as file:
            csv.writer(file).writerows((name, f"A recipe, {name}", name.rpartition("_")[0]) for name in names)
        for name in names:
            place = folder / f"images/{part}/{name.rpartition('_')[0]}/{name}"
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(jpeg(rng))


def ave(folder: Path) -> None:
    """4,096 videos of the 4,142 listed rows; a box that players skip makes each another file."""
    (folder / "AVE").mkdir()
    content = mp4()
    for name in AVE_LISTS.values():
        text = genuine(f"AVE_{name}")
        (folder / name).write_text(text)
        for line in text.splitlines():
            key = line.split("&")[1]
            box = key.encode()
            unlike = (8 + len(box)).to_bytes(4, "big") + b"free" + box
            (folder / f"AVE/{key}.mp4").write_bytes(content + unlike)


def kinetics_sounds(folder: Path) -> None:
    """17,396 clips in folders of 31 actions: four frames and a sound each."""
    rng = np.random.default_rng(0)
    for split in ("train", "test"):
        for line in genuine(f"KS_my_{split}.txt").splitlines():
            name, _, label = line.split(",")
            action = kinetics_adapter.CLASSES[int(label)]
            frames(folder / split / "video" / action / name, rng, 4)
            (folder / split / "audio" / action).mkdir(parents=True, exist_ok=True)
            wav(folder / split / "audio" / action / f"{name}.wav", rng)


def cremad(folder: Path) -> None:
    """7,442 clips: two frames and a sound each."""
    rng = np.random.default_rng(0)
    (folder / "AudioWAV").mkdir()
    for split in ("train", "test"):
        text = genuine(f"CREMAD_{split}.csv")
        (folder / f"{split}.csv").write_text(text)
        for line in text.splitlines():
            name = line.split(",")[0]
            frames(folder / "Image-01-FPS" / name, rng, 2)
            wav(folder / f"AudioWAV/{name}.wav", rng)


BUILT: Mapping[str, Callable[[Path], None]] = {
    "ave": ave,
    "cremad": cremad,
    "food101": food101,
    "kinetics_sounds": kinetics_sounds,
    "mmimdb": mmimdb,
}


class Step(NamedTuple):
    """What a step cost: on the clock, of the processor, and the memory of this process at its peak so far."""

    name: str
    wall_seconds: float
    cpu_seconds: float
    peak_gib: float


def tried(name: str, place: Path) -> Iterator[Step]:
    """Build a tree in `place` and run the stages on it, in this process alone; yield what each step cost.

    Raises AssertionError where other than the published number of rows was judged.
    """
    tree, project = place / "tree", place / "project"
    for folder in (tree, project):
        folder.mkdir()
    for linked in ("conf", "dvc.yaml"):
        (project / linked).symlink_to(ROOT / linked)
    yield _timed("tree", partial(BUILT[name], tree))
    compose(project, f"dataset={name}", f"dataset.root={tree}", "compute.workers=1")
    for stage in STAGES:
        yield _timed(stage, partial(run_stage, project, stage))
    index = shards.verify(project / "data/shards")
    assert sum(index.judged.values()) == JUDGED[name], index.judged
    assert set(index.judged) == set(SPLITS)


def _timed(name: str, work: Callable[[], None]) -> Step:
    started, cpu_started = time.perf_counter(), time.process_time()
    work()
    peak_gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # of KiB
    return Step(name, time.perf_counter() - started, time.process_time() - cpu_started, peak_gib)


if __name__ == "__main__":
    for name in sys.argv[1:] or sorted(BUILT):
        with tempfile.TemporaryDirectory() as folder:
            for step in tried(name, Path(folder)):
                cost = f"{step.wall_seconds:>8.1f} s{step.cpu_seconds:>8.1f} CPU-s{step.peak_gib:>8.2f} GiB"
                print(f"{name:<16}{step.name:<10}{cost}", flush=True)
