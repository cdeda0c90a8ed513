"""MM-IMDb in its three layouts, and each thing that can be wrong with a film."""

import io
import json
import shutil

import numpy as np
import pytest
from PIL import Image

from tests import trees
from tests.trees import GENUINE, needs_genuine
from umemma.data.sample import BadSample
from umemma.errors import DataError, ParameterError
from umemma.sources.adapters.mmimdb import GENRES, Adapter, plot_of, read

pytestmark = needs_genuine


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("films")
    trees.mmimdb(folder / "files")
    trees.mmimdb(folder / "apart", labels="labels", images="images")
    trees.mmimdb_hdf5(folder / "hdf5")
    return folder


@pytest.fixture
def root(built, tmp_path):
    """A copy of layout `files` that a test may corrupt."""
    return shutil.copytree(built / "files", tmp_path / "mmimdb").parent


def first(root):
    return root / "mmimdb/dataset" / json.loads((root / "mmimdb/split.json").read_text())["train"][0]


def change(root, **changes):
    path = first(root).with_suffix(".json")
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_the_published_split_has_the_published_counts(tmp_path):
    path = tmp_path / "split.json"
    path.write_text(trees.genuine("mmimdb_split.json"))
    rows, rejected = read(path)
    assert [sum(row.split == split for row in rows) for split in ("train", "val", "test")] == [15_552, 2_608, 7_799]
    assert not rejected


def test_a_film_has_its_genres_its_poster_and_its_longest_plot(built):
    adapter = Adapter(built / "files")
    assert adapter.num_samples == {"train": 60, "val": 24, "test": 24}
    assert adapter.classes == GENRES
    sample = adapter.sample("train", 3)
    film = json.loads((built / f"files/dataset/{sample.key}.json").read_text())
    assert film["genres"] == ["Thriller", "Adult", "Documentary"]
    assert sample.label == (3, 8)
    assert sample.group == sample.key == json.loads((built / "files/split.json").read_text())["train"][3]
    assert sample.members["image.jpeg"] == (built / f"files/dataset/{sample.key}.jpeg").read_bytes()
    assert sample.members["text.txt"].decode() == film["plot"][1].split("::")[0]


def test_both_folder_forms_give_the_same_samples(built):
    files, apart = Adapter(built / "files"), Adapter(built / "apart")
    assert files.num_samples == apart.num_samples
    assert [files.sample("test", i) for i in range(24)] == [apart.sample("test", i) for i in range(24)]


def test_mmimdb_lite_is_read_where_it_lies():
    adapter = Adapter(GENUINE, folder="mmimdb_lite")
    assert adapter.num_samples == {"train": 2_426, "val": 360, "test": 1_077}
    assert not adapter.rejected
    assert all(adapter.sample("val", i).modalities == ("image", "text") for i in range(360))


@pytest.mark.parametrize(
    ("which", "text"),
    [
        ("longest", "A much longer one: with a colon."),
        ("first", "Short."),
        ("all", "Short.\nA much longer one: with a colon.\nThird."),
    ],
)
def test_the_plot_is_chosen_and_loses_its_author(which, text):
    film = {
        "plot": ["Short.::Anna <a@example.org>", "  A much longer one: with a colon.::Bo", "::Nobody", "Third."],
        "plot outline": "Outline of a length that beats all of the plots by far, and is not asked for.",
    }
    assert plot_of(film, which) == text
    assert plot_of({"plot": "As one text.::Bo"}, which) == "As one text."
    assert plot_of({"plot": ["::Bo", ""], "plot outline": " Outline. "}, which) == "Outline."
    assert plot_of({"plot outline": "Outline."}, which) == "Outline."
    assert plot_of({"plot": None}, which) == ""


def test_only_genres_that_are_classes_count_in_their_order(built):
    adapter = Adapter(built / "files", classes=["Romance", "Adult", "Drama"])
    assert adapter.classes == ("Romance", "Adult", "Drama")
    assert adapter.sample("train", 0).label == (1, 2)
    assert adapter.sample("train", 1).label == (1,)


def test_a_film_without_any_genre_that_is_a_class_is_a_bad_sample_that_says_which_it_has(root):
    change(root, genres=["Adult", "News"])
    with pytest.raises(BadSample, match=r"no genre that is in dataset\.classes; its own are Adult, News") as caught:
        Adapter(root).sample("train", 0)
    assert caught.value.file == str(first(root)) + ".json"
    change(root, genres=[])
    with pytest.raises(BadSample, match="its own are none"):
        Adapter(root).sample("train", 0)
    change(root, genres="Drama")
    with pytest.raises(BadSample, match="its genres are no list but 'Drama'"):
        Adapter(root).sample("train", 0)


@pytest.mark.parametrize(("lacking", "left"), [("poster", "text.txt"), ("plot", "image.jpeg")])
def test_a_missing_poster_or_plot_is_a_missing_modality_or_by_choice_a_bad_sample(root, lacking, left):
    if lacking == "poster":
        first(root).with_suffix(".jpeg").unlink()
    else:
        change(root, plot=["", "::Bo"], **{"plot outline": ""})
    assert list(Adapter(root).sample("train", 0).members) == [left]
    with pytest.raises(BadSample, match=rf"has no {lacking}"):
        Adapter(root, incomplete="reject").sample("train", 0)


def test_a_film_with_neither_is_a_bad_sample(root):
    first(root).with_suffix(".jpeg").unlink()
    change(root, plot=[], **{"plot outline": ""})
    with pytest.raises(BadSample, match="has no poster and no plot"):
        Adapter(root).sample("train", 0)


@pytest.mark.parametrize(
    ("suffix", "content", "reason"),
    [
        (".json", None, "cannot be read: No such file"),
        (".json", b"", "is empty"),
        (".json", b'{"genres": [', "no v"),
        (".json", b"[1]", "holds no mapping but a list"),
        (".json", b'"\xff"', "is no UTF-8: byte 1 is 0xff"),
        (".jpeg", b"", "is empty"),
    ],
)
def test_a_file_that_is_named_and_not_there_or_broken_is_a_bad_sample(root, suffix, content, reason):
    path = first(root).with_suffix(suffix)
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BadSample, match=reason) as caught:
        Adapter(root).sample("train", 0)
    assert (caught.value.file, caught.value.key) == (str(path), path.stem)
    assert Adapter(root).sample("train", 1)


def test_a_film_in_two_splits_counts_where_it_is_measured(root):
    path = root / "mmimdb/split.json"
    split = json.loads(path.read_text())
    split["train"][5], split["dev"][1] = split["test"][0], split["dev"][0]
    path.write_text(json.dumps(split))
    adapter = Adapter(root)
    assert adapter.num_samples == {"train": 59, "val": 23, "test": 24}
    assert sorted((row.key, row.split, row.reason) for row in adapter.rejected) == sorted(
        [
            (split["test"][0], "train", "also in test (split.json)"),
            (split["dev"][0], "val", "listed twice; split.json counts (the first)"),
        ]
    )


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ('{"train": [], "test": []}', "holds train, test, not train, dev and test"),
        ('{"train": ["0000001"], "dev": [7], "test": []}', "dev holds 7, no IMDb id"),
        ('{"train": ["../0000001"], "dev": [], "test": []}', r"train holds '\.\./0000001', no IMDb id"),
        ('{"train": [], "dev": [], "test": []}', "no sample is left"),
    ],
)
def test_a_split_that_cannot_be_understood_is_named(root, content, sentence):
    (root / "mmimdb/split.json").write_text(content)
    with pytest.raises(DataError, match=sentence):
        Adapter(root)


def test_a_folder_without_films_is_named(root):
    shutil.rmtree(root / "mmimdb/dataset")
    with pytest.raises(DataError, match="neither a folder dataset nor the folders labels and images"):
        Adapter(root)


@pytest.mark.parametrize("option", ["layout", "plot", "incomplete"])
def test_an_option_that_is_none_is_named_with_the_choices(built, option):
    with pytest.raises(ParameterError, match=rf"dataset\.options\.{option}: there is no choice called 'lngest'"):
        Adapter(built / "files", **{option: "lngest"})


def test_the_hdf5_file_gives_posters_without_loss_plots_as_words_and_named_genres(built):
    import h5py

    adapter = Adapter(built / "hdf5", layout="hdf5")
    assert adapter.num_samples == {"train": 6, "val": 2, "test": 2}
    sample = adapter.sample("val", 1)
    with h5py.File(built / "hdf5/multimodal_imdb.hdf5") as file:
        pixels, key, row = file["images"][7], file["imdb_ids"][7].decode(), file["genres"][7]
    assert sample.key == sample.group == key
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(sample.members["image.png"]))), np.moveaxis(pixels, 0, -1))
    expected = next(film for number, film in enumerate(trees.films()) if number == 7)["plot"][0].lower().split()[:20]
    assert sample.members["text.txt"].decode() == " ".join(expected)
    assert sample.label == tuple(sorted(22 - column for column in np.flatnonzero(row)))
    assert adapter.sample("val", 1) == sample


def test_the_features_of_the_hdf5_file_need_no_vocabulary(built, tmp_path):
    shutil.copy(built / "hdf5/multimodal_imdb.hdf5", tmp_path)
    sample = Adapter(tmp_path, layout="features").sample("test", 0)
    shapes = {name: np.load(io.BytesIO(content)).shape for name, content in sample.members.items()}
    assert shapes == {"image.npy": (4096,), "text.npy": (300,)}
    with pytest.raises(DataError, match=r"metadata\.npy cannot be read.*layout 'features' needs none"):
        Adapter(tmp_path, layout="hdf5")


def test_a_vocabulary_with_a_program_in_it_is_refused(built, tmp_path):
    shutil.copytree(built / "hdf5", tmp_path, dirs_exist_ok=True)
    np.save(tmp_path / "metadata.npy", np.array({"ix_to_word": print}, dtype=object))
    with pytest.raises(DataError, match=r"metadata\.npy: its pickle holds builtins\.print"):
        Adapter(tmp_path, layout="hdf5")
    np.save(tmp_path / "metadata.npy", np.array({"words": 3}, dtype=object))
    with pytest.raises(DataError, match=r"no table 'ix_to_word'; it has words"):
        Adapter(tmp_path, layout="hdf5")


def test_a_flaw_of_one_row_of_the_hdf5_file_is_a_bad_sample(built, tmp_path):
    import h5py

    shutil.copytree(built / "hdf5", tmp_path, dirs_exist_ok=True)
    trees.write_metadata(tmp_path, ["one", "word"])
    with h5py.File(tmp_path / "multimodal_imdb.hdf5", "a") as file:
        file["images"][1, 0, 0, 0] = 300
        file["genres"][2] = 0
        file["sequences"][3] = []
        file["sequences"][4] = [1, 0]
    adapter = Adapter(tmp_path, layout="hdf5")
    for index, reason in ((0, r"word \d+ is not in metadata\.npy"), (1, "pixels of 0 to 300")):
        with pytest.raises(BadSample, match=reason) as caught:
            adapter.sample("train", index)
        assert caught.value.file.endswith(f"multimodal_imdb.hdf5:{index}")
    assert adapter.sample("train", 3).modalities == ("image",)
    assert adapter.sample("train", 4).members["text.txt"] == b"word one"
    with pytest.raises(BadSample, match="its own are none"):
        Adapter(tmp_path, layout="features").sample("train", 2)


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda file: file.attrs.__delitem__("split"), "has no attribute 'split'"),
        (lambda file: file["genres"].attrs.__delitem__("target_names"), "no attribute 'target_names'"),
        (lambda file: file["genres"].attrs.__setitem__("target_names", '["Drama"]'), "23 columns and 1 names"),
        (lambda file: file.attrs.__setitem__("split", file.attrs["split"][6:7]), "has train, not train, dev and test"),
    ],
)
def test_an_hdf5_file_of_something_else_is_named(built, tmp_path, spoil, sentence):
    import h5py

    shutil.copytree(built / "hdf5", tmp_path, dirs_exist_ok=True)
    with h5py.File(tmp_path / "multimodal_imdb.hdf5", "a") as file:
        spoil(file)
    with pytest.raises(DataError, match=sentence):
        Adapter(tmp_path, layout="hdf5")


def test_a_file_that_is_no_hdf5_is_named(tmp_path):
    (tmp_path / "multimodal_imdb.hdf5").write_bytes(b"garbage" * 100)
    with pytest.raises(DataError, match=r"multimodal_imdb\.hdf5 is no readable HDF5 file"):
        Adapter(tmp_path, layout="features")
