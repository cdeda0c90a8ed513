"""A model folder asked about the test samples of shards: as its own run was, and with modalities that come and go."""

import pytest
import torch

from tests import served_sample
from umemma.data import shard_writer
from umemma.errors import DataError
from umemma.missingness import patterns
from umemma.serving import retest
from umemma.sources.adapters import table

NAMES = list(served_sample.MODALITIES)


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    return served_sample.made(tmp_path_factory.mktemp("pets"))


def shards(served, folder, *, modalities=None, classes=served_sample.CLASSES):
    """Write the table that the model was made of as shards."""
    options = {"file": served.table.name, "key": "id", "split": "split", "label": "label"}
    options |= {"modalities": modalities or served_sample.MODALITIES, "columns": served_sample.COLUMNS}
    adapter = table.Adapter(served.table.parent, classes=classes, task="single_label", **options)
    written = {"dataset": "pets", "task": "single_label", "classes": classes, "samples_per_shard": 5}
    shard_writer.write(adapter, folder, **written)
    return folder


def of_test(served, predicted):
    """The rows of predictions on file that are of the test split, in the order of `predicted`."""
    keys = {number: row for row, number in enumerate(served.predictions.key.tolist())}
    return [keys[number] for number in predicted.key.tolist()]


def test_the_answers_to_its_own_test_samples_are_those_on_file_to_the_bit(served, tmp_path):
    predicted = retest.predictions(served.folder, shards(served, tmp_path / "shards"), NAMES)
    rows = of_test(served, predicted)
    assert len(rows) == 13
    assert torch.equal(predicted.present, served.predictions.present[rows])
    assert torch.equal(predicted.label, served.predictions.label[rows])
    assert predicted.logits.keys() == served.predictions.logits.keys()
    for pattern, logits in predicted.logits.items():
        assert torch.equal(logits, served.predictions.logits[pattern][rows]), pattern


def test_a_modality_that_the_model_does_not_know_changes_no_answer_and_one_that_is_gone_is_missing(served, tmp_path):
    known = dict(served_sample.MODALITIES)
    more = {"size": {"columns": ["age"], "kind": "vector"}, **{name: known[name] for name in ("note", "photo")}}
    predicted = retest.predictions(served.folder, shards(served, tmp_path / "shards", modalities=more), list(more))
    assert predicted.modalities == ("size", "note", "photo")
    assert predicted.present[:, 0].any()
    rows = of_test(served, predicted)
    for size, note, photo in patterns(3):
        expected = served.predictions.logits[(photo, False, note)][rows]
        assert torch.equal(predicted.logits[(size, note, photo)], expected), (size, note, photo)


def test_other_classes_cannot_be_compared(served, tmp_path):
    folder = shards(served, tmp_path / "shards", classes=("cat", "dog", "fox", "owl"))
    with pytest.raises(DataError, match="knows other classes than the data have: fox"):
        retest.predictions(served.folder, folder, NAMES)
