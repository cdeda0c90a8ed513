"""Shards: the same bytes from the same data, nothing read unverified, nothing half-written left behind."""

import os
import tarfile

import numpy as np
import pytest
import torch

from umemma import decoded, shard_writer, shards
from umemma.datasets import digits
from umemma.decoders.image import Decoder
from umemma.errors import DataError
from umemma.files import read_json, written_whole
from umemma.sample import Sample

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


def write(folder, adapter, samples_per_shard=3):
    return shard_writer.write(
        adapter, folder, dataset="d", classes=list("0123456789"), samples_per_shard=samples_per_shard)


@pytest.fixture
def folder(tmp_path):
    write(tmp_path / "shards", Holey(tmp_path))
    return tmp_path / "shards"


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_same_data_give_the_same_bytes(folder, tmp_path):
    write(tmp_path / "again", Holey(tmp_path))
    assert content(tmp_path / "again") == content(folder)


def test_many_processes_write_what_one_writes(tmp_path, monkeypatch):
    adapter = digits.Adapter(tmp_path)
    write(tmp_path / "one", adapter, 300)
    monkeypatch.setattr(shard_writer, "_SMALL", 0)
    write(tmp_path / "many", adapter, 300)
    assert content(tmp_path / "many") == content(tmp_path / "one")


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


@pytest.mark.parametrize("name", ["train-000001.tar", "manifest.parquet"])
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
    (folder / shard.name).write_bytes((folder / shard.name).read_bytes()[:third])  # webdataset itself says nothing
    with pytest.raises(DataError, match=r"train-000000\.tar gave \d samples"):
        list(shards.members(folder, shard, "audio"))


def test_decoded_rows_are_the_manifests_in_order_and_absent_ones_are_zero(folder, tmp_path):
    facts = decoded.write(shards.verify(folder), folder, "image", Decoder(), tmp_path / "decoded")
    assert facts["shape"] == [1, 8, 8]
    adapter = Holey(tmp_path)
    for split, count in NUM.items():
        batch = decoded.load({"image": tmp_path / "decoded"}, split, torch.zeros(count), torch.zeros(count))
        for row in range(count):
            members = adapter.sample(split, row).members
            assert batch.present[row, 0] == ("image.png" in members)
            expected = Decoder()(members["image.png"]) if "image.png" in members else torch.zeros(1, 8, 8)
            assert torch.equal(batch.values["image"][row], expected)


def test_an_image_of_another_size_is_named(folder, tmp_path):
    def decoder(data: bytes) -> torch.Tensor:
        value = Decoder()(data)
        return value if np.asarray(value).sum() % 2 else value[:, :4]

    with pytest.raises(DataError, match=r"\.tar: sample digit-\d+: image has shape"):
        decoded.write(shards.verify(folder), folder, "image", decoder, tmp_path / "decoded")


@pytest.mark.parametrize("key", ["a.b", "a/b"])
def test_a_key_that_a_shard_cannot_hold_is_named(tmp_path, key):
    class Dotted(Holey):
        def sample(self, split, index):
            return Sample(key, split, 0, "g", {})

    with pytest.raises(DataError, match=key):
        write(tmp_path / "shards", Dotted(tmp_path))


def test_media_that_cannot_be_read_are_named_with_their_sample(tmp_path):
    class Broken(Holey):
        def sample(self, split, index):
            return Sample(f"k{index}", split, 0, "g", {"image.png": b"no image"})

    with pytest.raises(DataError, match=r"sample k0: image\.png: no readable image"):
        write(tmp_path / "shards", Broken(tmp_path))


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
