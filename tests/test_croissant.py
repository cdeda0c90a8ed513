"""Croissant of the shards, read by MLCommons' own library: it validates, and its records are the samples."""

import io
import json
import logging
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from tests.test_shards import LABELS, NUM, Holey, write
from umemma.data import croissant, shards
from umemma.errors import DataError
from umemma.files import sha256

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:(rdflib|mlcroissant)"),  # of libraries that they use
    pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning"),  # mlcroissant leaves it to Python
]
CLASSES = list("0123456789")


class Mixed(Holey):
    """Digits with holes, several labels each, and a vector, a text."""

    modalities = ("image", "audio", "body", "note")

    def sample(self, split, index):
        sample = super().sample(split, index)
        body = io.BytesIO()
        np.save(body, np.array([index, 2.0], np.float32))
        more = {"body.npy": body.getvalue(), "note.txt": f"{split} {index}".encode()}
        return replace(sample, label=LABELS[index % 3], members={**sample.members, **more})


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """mlcroissant; where it unpacks archives is read from the environment when it is imported."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CROISSANT_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield pytest.importorskip("mlcroissant")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The folder of shards with several labels, and the file that describes them."""
    root = tmp_path_factory.mktemp("data")
    write(root / "shards", Mixed(root), task="multi_label")
    about = [
        "--license",
        "https://spdx.org/licenses/MIT",
        "--version",
        "1.0.0",
        "--published",
        "2026-11-27",
        "--cite",
        "x",
    ]
    croissant.main([str(root / "shards"), *about])
    return root / "shards", root / "croissant.json"


def test_the_library_finds_nothing_to_complain_of(library, written, caplog):
    with caplog.at_level(logging.WARNING, "absl"):
        metadata = library.Dataset(str(written[1])).metadata
    assert caplog.messages == []
    assert (metadata.name, metadata.license) == ("d", ["https://spdx.org/licenses/MIT"])


def test_every_file_is_named_with_its_digest_and_by_its_address_where_it_is_published(written):
    folder, path = written
    content = json.loads(path.read_text())
    files = {one["contentUrl"]: one["sha256"] for one in content["distribution"] if one["@type"] == "cr:FileObject"}
    named = [one for one in folder.iterdir() if one.suffix == ".tar" or one.name == shards.MANIFEST]
    assert files == {f"shards/{one.name}": sha256(one) for one in named}
    again = croissant.croissant(folder, "https://example.org/d/", {})
    assert again["distribution"][0]["contentUrl"] == "https://example.org/d/manifest.parquet"
    assert "license" not in again


def test_the_records_are_the_samples_with_their_labels_splits_and_files(library, written):
    folder, path = written
    dataset, manifest = library.Dataset(str(path)), shards.read_manifest(folder).set_index("key")
    samples = {text(row["samples/key"]): row for row in dataset.records("samples")}
    assert list(samples) == list(manifest.index)
    assert len(samples) == sum(NUM.values())
    for key, row in samples.items():
        assert text(row["samples/split"]) == manifest.split[key]
        assert list(row["samples/labels"]) == list(manifest.labels[key])
        assert row["samples/image_present"] == manifest.image_present[key]
    for modality in ("image", "audio", "note", "body"):
        rows = {text(row[f"{modality}/key"]): row for row in dataset.records(modality)}
        assert set(rows) == set(manifest.index[manifest[f"{modality}_present"]]), modality
        for key, row in rows.items():
            assert text(row[f"{modality}/split"]) == manifest.split[key]
            assert list(row[f"{modality}/labels"]) == list(manifest.labels[key])
            _, content = shards.files(folder, manifest.shard[key], key)[modality]
            assert_same(modality, row, content)
    names = {text(row["splits/name"]) for row in dataset.records("splits")}
    assert names == set(manifest.split)
    classes = {int(row["classes/number"]): text(row["classes/name"]) for row in dataset.records("classes")}
    assert classes == dict(enumerate(CLASSES))


def assert_same(modality, row, content):
    """An array in .npy has no type in Croissant: its file is named."""
    if modality == "image":
        assert row["image/content"].tobytes() == Image.open(io.BytesIO(content)).tobytes()
    elif modality == "body":
        assert text(row["body/file"]) == f"{text(row['body/key'])}.body.npy"
    else:
        assert row[f"{modality}/content"] == content


def test_a_sample_of_one_class_has_its_number(library, tmp_path):
    write(tmp_path / "single", Holey(tmp_path))
    croissant.main([str(tmp_path / "single"), "--output", str(tmp_path / "other/croissant.json")])
    manifest = shards.read_manifest(tmp_path / "single").set_index("key")
    rows = list(library.Dataset(str(tmp_path / "other/croissant.json")).records("image"))
    assert {text(row["image/key"]): row["image/label"] for row in rows} == dict(
        manifest.label[manifest.image_present].items()
    )


def test_damaged_shards_are_not_described(written, tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        croissant.croissant(tmp_path, "", {})


def text(value):
    return value.decode() if isinstance(value, bytes) else value
