"""Shards: deterministic bytes, nothing read unverified, atomic writes."""

import json
import os
import re
import tarfile
from types import MappingProxyType

import numpy as np
import pandas as pd
import pytest
import torch
from pyarrow import parquet

from tests.media_files import PIXELS, picture
from umemma.data import arrays, shard_writer, shards
from umemma.data.manifest import targets
from umemma.data.row import as_table, joined
from umemma.data.sample import Sample
from umemma.errors import DamagedFile, DataError
from umemma.files import read_json, written_whole
from umemma.launchers.local_launcher import Launcher
from umemma.media.decoders.image import Decoder
from umemma.sources.adapters import digits

LABELS = [(0, 4), (), (9,)]
NUM = {"train": 7, "val": 3, "test": 4}


class Holey:
    """Digits where every third sample has no image."""

    modalities = ("image", "audio")
    num_samples = NUM

    def __init__(self, root):
        self._digits = digits.Adapter(root)

    def sample(self, split, index):
        whole = self._digits.sample(split, index)
        members = {name: value for name, value in whole.members.items() if index % 3 or name != "image.png"}
        return Sample(whole.key, split, whole.label, whole.group, members)


def write(folder, adapter, samples_per_shard=3, task="single_label", **options):
    return shard_writer.write(
        adapter,
        folder,
        dataset="d",
        task=task,
        classes=list("0123456789"),
        samples_per_shard=samples_per_shard,
        **options,
    )


class Bereaved:
    """A launcher of which a process was killed amid a shard, whose number may be another's here; the shard is made again."""

    def __init__(self, folder):
        self._folder = folder

    def map(self, function, jobs):
        for job in jobs:
            (self._folder / f".{job.split}-{job.number:06d}.tar.1.part").write_bytes(b"half")
            yield function(job)


@pytest.fixture
def folder(tmp_path):
    write(tmp_path / "shards", Holey(tmp_path))
    return tmp_path / "shards"


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_same_data_give_the_same_bytes(folder, tmp_path):
    write(tmp_path / "again", Holey(tmp_path))
    assert content(tmp_path / "again") == content(folder)


def test_any_number_of_workers_writes_and_decodes_the_same_bytes(folder, tmp_path):
    arrays.write(shards.verify(folder), folder, "image", Decoder(), tmp_path / "arrays")
    for workers in (2, 3):
        launcher = Launcher(workers)
        again = tmp_path / f"shards{workers}"
        write(again, Holey(tmp_path), launcher=launcher)
        assert content(again) == content(folder)
        arrays.write(shards.verify(again), again, "image", Decoder(), tmp_path / f"arrays{workers}", launcher=launcher)
        assert content(tmp_path / f"arrays{workers}") == content(tmp_path / "arrays")


def test_what_a_process_that_was_killed_has_left_is_no_part_of_the_shards(folder, tmp_path):
    write(tmp_path / "again", Holey(tmp_path), launcher=Bereaved(tmp_path / "again"))
    assert content(tmp_path / "again") == content(folder)


def test_an_error_of_another_process_is_the_one_it_raised(tmp_path):
    def job(number):
        raise DamagedFile(f"shard {number} is damaged", tmp_path)

    with pytest.raises(DamagedFile, match="shard 1 is damaged") as raised:
        list(Launcher(2).map(job, [1, 2]))
    assert raised.value.path == tmp_path


def test_a_missing_modality_has_no_member_and_the_manifest_says_so(folder):
    with tarfile.open(folder / "train-000000.tar") as tar:
        suffixes = [name.split(".", 1)[1] for name in tar.getnames()]
    assert suffixes.count("image.png") == 2
    assert suffixes.count("audio.wav") == 3
    manifest = shards.read_manifest(folder)
    assert manifest["image_present"].sum() == sum(i % 3 > 0 for n in NUM.values() for i in range(n))
    assert manifest.loc[~manifest["image_present"], "image_sha256"].isna().all()


def damage_flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def damage_cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2 // 512 * 512])


@pytest.mark.parametrize("name", ["train-000001.tar", "manifest.parquet", "quarantine.parquet"])
@pytest.mark.parametrize("damage", [damage_flip, damage_cut, os.unlink])
def test_a_damaged_file_is_named_before_anything_is_read(folder, name, damage):
    shards.verify(folder)
    damage(folder / name)
    with pytest.raises(DataError, match=name):
        shards.verify(folder)


def test_a_shard_that_loses_samples_silently_is_found_by_counting(folder):
    index = shards.verify(folder)
    shard = index.shards[0]
    with tarfile.open(folder / shard.name) as tar:
        third = [member.offset for member in tar if member.isfile()][-3]
    (folder / shard.name).write_bytes((folder / shard.name).read_bytes()[:third])  # webdataset itself raises nothing
    with pytest.raises(DataError, match=r"train-000000\.tar gave \d samples"):
        list(shards.members(folder, shard, "audio"))


def test_decoded_rows_are_the_manifests_in_order_and_absent_ones_are_zero(folder, tmp_path):
    facts = arrays.write(shards.verify(folder), folder, "image", Decoder(), tmp_path / "decoded")
    assert facts["shape"] == [1, 8, 8]
    adapter = Holey(tmp_path)
    of_samples = targets(folder / "manifest.parquet", 10)
    for split, count in NUM.items():
        batch = arrays.load({"image": tmp_path / "decoded"}, split, of_samples)
        for row in range(count):
            members = adapter.sample(split, row).members
            assert batch.present[row, 0] == ("image.png" in members)
            expected = Decoder()(members["image.png"]) if "image.png" in members else torch.zeros(1, 8, 8)
            assert torch.equal(batch.values["image"][row], expected)


@pytest.mark.parametrize("change", ["one left out", "another order"])
def test_arrays_of_other_samples_than_the_manifests_are_refused(folder, tmp_path, change):
    """Labels and arrays are joined by order, so a changed order would assign wrong labels."""
    arrays.write(shards.verify(folder), folder, "image", Decoder(), tmp_path / "decoded")
    table = parquet.read_table(folder / "manifest.parquet")
    rows = list(range(len(table)))
    rows = rows[1:] if change == "one left out" else rows[::-1]
    parquet.write_table(table.take(rows), tmp_path / "manifest.parquet")
    with pytest.raises(
        DataError, match=r"decoded/train\.npy holds other samples than the manifest, or in another order"
    ):
        arrays.load({"image": tmp_path / "decoded"}, "train", targets(tmp_path / "manifest.parquet", 10))


def test_an_image_of_another_size_is_named(folder, tmp_path):
    def decoder(data: bytes) -> torch.Tensor:
        value = Decoder()(data)
        return value if np.asarray(value).sum() % 2 else value[:, :4]

    with pytest.raises(DataError, match=r"\.tar: sample digit-\d+: image has shape"):
        arrays.write(shards.verify(folder), folder, "image", decoder, tmp_path / "decoded")


@pytest.mark.parametrize("wrong", [torch.float32, torch.int16])
def test_values_of_another_type_are_named_and_not_converted(folder, tmp_path, wrong):
    def decoder(data: bytes) -> torch.Tensor:
        value = Decoder()(data)
        return value.to(wrong) if np.asarray(value).sum() % 2 else value

    with pytest.raises(DataError, match=r"sample digit-\d+: image has shape .* and type .* the first sample's are"):
        arrays.write(shards.verify(folder), folder, "image", decoder, tmp_path / "decoded")


@pytest.mark.parametrize("dtype", [torch.int16, torch.int32, torch.float16, torch.bool])
def test_decoded_values_keep_their_type(folder, tmp_path, dtype):
    def decoder(data: bytes) -> torch.Tensor:
        return (Decoder()(data) > 9).to(dtype)

    arrays.write(shards.verify(folder), folder, "image", decoder, tmp_path / "decoded")
    batch = arrays.load({"image": tmp_path / "decoded"}, "val", targets(folder / "manifest.parquet", 10))
    assert batch.values["image"].dtype == dtype
    assert batch.values["image"].sum() > 0


def test_a_sample_that_cannot_be_decoded_is_named_even_if_it_is_the_first(folder, tmp_path):
    def decoder(data: bytes) -> torch.Tensor:
        raise DataError("no readable image: it is of another age")

    with pytest.raises(DataError, match=r"train-000000\.tar: sample digit-\d+: image: no readable image: it is of"):
        arrays.write(shards.verify(folder), folder, "image", decoder, tmp_path / "decoded")


def test_files_of_every_suffix_are_found(tmp_path):
    forms = {"png": "PNG", "jpg": "JPEG", "jpeg": "JPEG", "webp": "WEBP"}
    files = [(f"image.{suffix}", picture(PIXELS, form)) for suffix, form in forms.items()]

    class Mixed(Holey):
        num_samples = dict.fromkeys(NUM, 4)
        modalities = ("image",)

        def sample(self, split, index):
            return Sample(f"{split}{index}", split, 0, f"{split}{index}", dict([files[index]]))

    write(tmp_path / "shards", Mixed(tmp_path))
    index = shards.verify(tmp_path / "shards")
    facts = arrays.write(index, tmp_path / "shards", "image", Decoder(), tmp_path / "decoded")
    assert facts["present"] == 12


class OneSample(Holey):
    """A data set of one sample in train, with whatever label, key and files."""

    num_samples = MappingProxyType({"train": 1})

    def __init__(self, root, label=0, key="k", members=None):
        scan = digits.Adapter(root).sample("train", 0).members
        self._sample = Sample(key, "train", label, "g", scan if members is None else {**scan, **members})

    def sample(self, split, index):
        return self._sample


@pytest.mark.parametrize("key", ["a.b", "a/b", "a\nb", "a\0b"])
def test_a_key_that_a_shard_cannot_hold_is_named(tmp_path, key):
    with pytest.raises(DataError, match=re.escape(repr(key))):
        write(tmp_path / "shards", OneSample(tmp_path, key=key))


@pytest.mark.parametrize(
    ("task", "label", "sentence"),
    [
        ("single_label", 10, "sample k: label 10, but dataset.classes has 10 classes, 0 to 9"),
        ("single_label", -1, "sample k: label -1, but dataset.classes has 10 classes, 0 to 9"),
        ("single_label", 2.0, "sample k: label 2.0 is no number of a class"),
        ("single_label", (2,), "sample k: label (2,) is a tuple, but dataset.task is single_label"),
        ("multi_label", 2, "sample k: label 2 is one class, but dataset.task is multi_label"),
        ("multi_label", (0, 10), "sample k: label 10, but dataset.classes has 10 classes, 0 to 9"),
        ("multi_label", ("drama",), "sample k: label ('drama',) is no number of a class"),
        ("multi_label", (4, 0), "sample k: labels [4, 0] must ascend, each of them once"),
        ("multi_label", (4, 4), "sample k: labels [4, 4] must ascend, each of them once"),
    ],
)
def test_a_label_that_is_no_class_is_named_with_its_sample(tmp_path, task, label, sentence):
    with pytest.raises(DataError, match=re.escape(sentence)):
        write(tmp_path / "shards", OneSample(tmp_path, label), task=task)


@pytest.mark.parametrize(
    ("members", "sentence"),
    [
        ({"depth.png": b""}, "sample k: its adapter declares no modality depth"),
        ({"image.jpg": b""}, "sample k: two files for image: audio.wav, image.jpg, image.png"),
    ],
)
def test_files_that_the_adapter_may_not_yield_are_named(tmp_path, members, sentence):
    with pytest.raises(DataError, match=sentence):
        write(tmp_path / "shards", OneSample(tmp_path, members=members))


def test_a_split_that_does_not_exist_is_not_left_out_silently(tmp_path):
    adapter = Holey(tmp_path)
    adapter.num_samples = {"train": 2, "dev": 3}
    with pytest.raises(DataError, match="no split called 'dev'; there are test, train, val"):
        write(tmp_path / "shards", adapter)


def test_several_labels_are_a_list_in_shard_and_manifest_and_rows_of_a_matrix_in_training(tmp_path):
    class Several(Holey):
        def sample(self, split, index):
            whole = super().sample(split, index)
            return Sample(whole.key, split, LABELS[index % 3], whole.group, whole.members)

    write(tmp_path / "shards", Several(tmp_path), task="multi_label")
    with tarfile.open(tmp_path / "shards/train-000000.tar") as tar:
        stored = [json.load(tar.extractfile(name)) for name in tar.getnames() if name.endswith(".json")]
    assert [entry["labels"] for entry in stored] == [list(entry) for entry in LABELS]
    assert all(set(entry) == {"labels", "group"} for entry in stored)
    manifest = shards.read_manifest(tmp_path / "shards")
    assert list(manifest.columns[:5]) == ["key", "split", "labels", "group", "shard"]
    loaded = targets(tmp_path / "shards/manifest.parquet", 10)
    for split, count in NUM.items():
        assert loaded.label[split].dtype == torch.bool
        expected = torch.zeros(count, 10, dtype=torch.bool)
        for row in range(count):
            for label in LABELS[row % 3]:
                expected[row, label] = True
        assert torch.equal(loaded.label[split], expected)


def test_one_label_is_a_number_in_shard_manifest_and_training(folder, tmp_path):
    with tarfile.open(folder / "train-000000.tar") as tar:
        stored = [json.load(tar.extractfile(name)) for name in tar.getnames() if name.endswith(".json")]
    adapter = Holey(tmp_path)
    expected = [adapter.sample("train", row).label for row in range(NUM["train"])]
    assert [entry["label"] for entry in stored] == expected[:3]
    assert list(shards.read_manifest(folder).columns[:5]) == ["key", "split", "label", "group", "shard"]
    loaded = targets(folder / "manifest.parquet", 10).label["train"]
    assert (loaded.dtype, loaded.tolist()) == (torch.int64, expected)


@pytest.mark.parametrize(("task", "label"), [("single_label", 7), ("multi_label", (1, 7))])
def test_a_label_beyond_the_classes_of_today_is_named_with_its_sample(tmp_path, task, label):
    write(tmp_path / "shards", OneSample(tmp_path, label), task=task)
    with pytest.raises(DataError, match=r"manifest\.parquet: sample k has label 7, but dataset\.classes has 7 classes"):
        targets(tmp_path / "shards/manifest.parquet", 7)


def test_a_modality_may_have_capitals_in_its_name(tmp_path):
    class Capital(Holey):
        modalities = ("Image",)

        def sample(self, split, index):
            whole = super().sample(split, index)
            members = {"Image.png": whole.members["image.png"]} if "image.png" in whole.members else {}
            return Sample(whole.key, split, whole.label, whole.group, members)

    index = write(tmp_path / "shards", Capital(tmp_path))
    contents = [content for _, content in shards.members(tmp_path / "shards", index.shards[0], "Image")]
    assert sum(content is not None for content in contents) == len(contents) == 2


@pytest.mark.parametrize("name", ["../secret.tar", "/etc/passwd", "pipe:touch HIT", "train-000000.tar/../../x.tar"])
def test_an_index_names_no_file_outside_of_its_folder(folder, name):
    content = json.loads((folder / "index.json").read_text())
    content["shards"][0]["name"] = name
    (folder / "index.json").write_text(json.dumps(content))
    with pytest.raises(DamagedFile, match="is no shard of its folder"):
        shards.verify(folder)


def test_an_index_of_another_version_is_named(folder):
    content = json.loads((folder / "index.json").read_text())
    del content["judged"]
    (folder / "index.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"index\.json is no index of this version"):
        shards.verify(folder)


def test_a_full_disk_leaves_what_was_there_and_nothing_half_written(tmp_path):
    """/dev/full refuses every write with ENOSPC, as a full disk does."""
    target = tmp_path / "shards"
    target.mkdir()
    (target / "index.json").write_text("{}")

    def prepare_on_a_full_disk() -> None:
        with written_whole(target) as temporary, open("/dev/full", "wb", buffering=0) as disk:
            temporary.mkdir()
            (temporary / "train-000000.tar").write_bytes(b"half")
            disk.write(b"x")

    with pytest.raises(DataError, match=r"the disk is full: .*shards"):
        prepare_on_a_full_disk()
    assert [path.name for path in tmp_path.iterdir()] == ["shards"]
    assert read_json(target / "index.json") == {}


KINDS = {
    "whole": lambda rng: int(rng.integers(5)),
    "real": lambda rng: float(rng.random()),
    "flag": lambda rng: bool(rng.random() < 0.5),
    "word": lambda rng: "ab"[rng.integers(2)],
    "list": lambda rng: [int(rng.integers(3))] * int(rng.integers(3)),
}


@pytest.mark.parametrize("seed", range(50))
def test_a_manifest_of_parts_is_that_of_all_rows_to_the_byte(seed):
    """Whatever a part lacks: a fact that no sample of a shard has, or whose value is None in all of them."""
    rng = np.random.default_rng(seed)
    kinds = {f"fact_{i}": kind for i, kind in enumerate(rng.permutation(list(KINDS)))}
    parts = []
    for _ in range(rng.integers(1, 5)):
        share = {name: rng.choice([0.0, 0.5, 1.0]) for name in kinds}
        rows = [{"key": f"{len(parts)}/{i}"} for i in range(rng.integers(4))]
        for row in rows:
            for name, kind in kinds.items():
                if (drawn := rng.random()) < share[name]:
                    row[name] = KINDS[kind](rng)
                elif drawn < (1 + share[name]) / 2:
                    row[name] = None
        parts.append(rows)
    whole = pd.DataFrame([row for rows in parts for row in rows])
    assert joined([as_table(rows) for rows in parts]).to_parquet(index=False) == whole.to_parquet(index=False)
