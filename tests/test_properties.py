"""What must hold for whatever is drawn: shards, masks, heads, evaluation, accounting, serving."""

import itertools
import json
import math
import tempfile
from importlib import import_module
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from umemma.data import shard_writer, shards
from umemma.data.sample import SPLITS, BadSample, Sample
from umemma.evaluation import bootstrap, information
from umemma.missingness import PROTOCOLS, hide, key_digest, outcomes, patterns, probability
from umemma.prediction import predictions, sets
from umemma.prediction.predictions import Predictions
from umemma.prediction.sets import Calibration
from umemma.serving.http import body
from umemma.serving.http.limits import Limits
from umemma.settings import plugins

few = settings(max_examples=10, derandomize=True, deadline=None, database=None)
many = settings(max_examples=60, derandomize=True, deadline=None, database=None)
CLASSES, MODALITIES = ("a", "b", "c"), ("said", "told")
text = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufeff"), min_size=1, max_size=20)
members = st.dictionaries(st.sampled_from(["said.txt", "told.txt"]), text.map(str.encode), max_size=2)
samples = st.lists(st.tuples(st.sampled_from(SPLITS), st.integers(0, 2), members), min_size=1, max_size=12)


class Drawn:
    """An adapter of drawn samples; one without members cannot be used."""

    modalities = MODALITIES

    def __init__(self, rows):
        self.rows = {split: [row for row in rows if row[0] == split] for split in SPLITS}
        self.num_samples = {split: len(of_split) for split, of_split in self.rows.items()}

    def sample(self, split, index):
        _, label, content = self.rows[split][index]
        if content and len(content.get("said.txt", b"")) == 13:
            raise BadSample("a.txt", "is unlucky")
        return Sample(f"{split}-{index}", split, label, f"{index}", content)


@few
@given(samples, st.integers(1, 5), st.integers(1, 5))
def test_shards_give_back_what_was_written_whatever_their_size(rows, size, other_size):
    adapter = Drawn([*rows, ("train", 0, {"said.txt": b"x"})])
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for number, samples_per_shard in enumerate((size, other_size)):
            place = Path(folder) / str(number)
            index = shard_writer.write(
                adapter, place, dataset="d", task="single_label", classes=CLASSES, samples_per_shard=samples_per_shard
            )
            read = {name: [] for name in MODALITIES}
            for shard, name in itertools.product(shards.verify(place).shards, MODALITIES):
                read[name] += shards.members(place, shard, name)
            found.append(read)
            kept = shards.read_manifest(place)["split"].value_counts()
            assert all(index.judged[split] == index.quarantined[split] + kept.get(split, 0) for split in SPLITS)
            assert all(index.judged[split] == adapter.num_samples[split] for split in SPLITS)
    assert found[0] == found[1]
    for name in MODALITIES:
        for key, content in found[0][name]:
            split, _, index = key.partition("-")
            assert content == adapter.rows[split][int(index)][2].get(f"{name}.txt")


rates = st.lists(st.sampled_from([0.0, 0.1, 0.25, 0.3]), min_size=3, max_size=3)


@many
@given(st.lists(st.lists(st.booleans(), min_size=3, max_size=3).filter(any), min_size=1, max_size=8), rates, st.data())
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_mask_hides_of_what_is_there_never_all_and_never_by_company(protocol, present, rate, data):
    present, key = torch.tensor(present), key_digest([f"k{row}" for row in range(len(present))])
    kept = hide(present, key, rate, protocol=protocol, seed=1, epoch=2)
    assert not (kept & ~present).any()
    assert kept.any(dim=1).all()
    order = data.draw(st.permutations(range(len(present))))
    assert torch.equal(hide(present[order], key[order], rate, protocol=protocol, seed=1, epoch=2), kept[order])
    alone = [hide(present[[row]], key[[row]], rate, protocol=protocol, seed=1, epoch=2) for row in range(len(key))]
    assert torch.equal(torch.cat(alone), kept)
    for has, left in zip(present.tolist(), kept.tolist(), strict=True):
        assert outcomes(tuple(has), rate, protocol).get(tuple(left), 0) > 0, "what was drawn is possible"


@many
@given(st.lists(st.booleans(), min_size=1, max_size=4).filter(any), st.data())
def test_independent_outcomes_are_the_products_of_rates_given_that_something_is_left(has, data):
    rate = [data.draw(st.floats(0.01, 0.99)) for _ in has]
    found = outcomes(tuple(has), rate, "independent")
    shown = [rate[m] for m, is_there in enumerate(has) if is_there]
    for left, share in found.items():
        of_shown = [left[m] for m, is_there in enumerate(has) if is_there]
        assert share == pytest.approx(probability(tuple(of_shown), shown) / (1 - math.prod(shown)))
    assert sum(found.values()) == pytest.approx(1)


@pytest.mark.parametrize("name", plugins("heads"))
@few
@given(st.lists(st.lists(st.booleans(), min_size=3, max_size=3), min_size=1, max_size=6), st.integers(0, 99), st.data())
def test_a_head_answers_each_sample_by_itself_and_by_what_is_visible_of_it(name, visible, seed, data):
    torch.manual_seed(seed)
    visible = torch.tensor(visible)
    towers = {f"m{m}": nn.Linear(4 + m, 3) for m in range(3)}
    head = import_module(f"umemma.models.heads.{name}").Head(towers, torch.tensor([0.2, 0.3, 0.5]).log()).eval()
    features = {name: torch.randn(len(visible), tower.in_features) for name, tower in towers.items()}
    with torch.no_grad():
        logits = head(features, visible)
        order = data.draw(st.permutations(range(len(visible))))
        shuffled = head({name: value[order] for name, value in features.items()}, visible[order])
        other = {
            name: torch.where(visible[:, m, None], value, torch.nan) for m, (name, value) in enumerate(features.items())
        }
        assert logits.isfinite().all()
        assert torch.allclose(shuffled, logits[order], atol=1e-5)
        assert torch.equal(head(other, visible), logits)


def drawn_values(data, num_modalities):
    numbers = st.floats(-2, 2).map(lambda value: torch.tensor(value, dtype=torch.float64))
    return {pattern: data.draw(numbers) for pattern in patterns(num_modalities)}


@many
@given(st.integers(1, 4), st.data())
def test_shares_of_the_account_add_up_and_prices_are_differences(num_modalities, data):
    values = drawn_values(data, num_modalities)
    rate = torch.tensor([[data.draw(st.floats(0, 1)) for _ in range(num_modalities)]], dtype=torch.float64)
    shares = [information.shapley(values, m) for m in range(num_modalities)]
    assert sum(shares).item() == pytest.approx(values[(True,) * num_modalities].item(), abs=1e-9)
    brute = sum(probability(pattern, rate[0].tolist()) * value.item() for pattern, value in values.items())
    assert information.expected_information(values, rate).item() == pytest.approx(brute, abs=1e-9)
    for m in range(num_modalities):
        low, high = rate.clone(), rate.clone()
        low[0, m], high[0, m] = 0.25, 0.75
        change = information.expected_information(values, low) - information.expected_information(values, high)
        assert information.price(values, m, rate).item() == pytest.approx(2 * change.item(), abs=1e-9)


@many
@given(st.lists(st.floats(0, 2), min_size=1, max_size=4))
def test_where_modalities_add_up_each_is_worth_its_own_part_in_every_way_of_asking(parts):
    values = {
        pattern: torch.tensor(sum(part for part, is_there in zip(parts, pattern, strict=True) if is_there)).double()
        for pattern in patterns(len(parts))
    }
    rate = torch.full((1, len(parts)), 0.3, dtype=torch.float64)
    for m, part in enumerate(parts):
        for worth in (
            information.shapley(values, m),
            information.lost_for_good(values, m),
            information.price(values, m, rate),
        ):
            assert worth.item() == pytest.approx(part, abs=1e-6)


@many
@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holms_correction_is_what_its_definition_says(p):
    found = bootstrap.holm(torch.tensor(p, dtype=torch.float64)).tolist()
    order = sorted(range(len(p)), key=lambda place: p[place])
    for rank, place in enumerate(order):
        steps = [(len(p) - earlier) * p[order[earlier]] for earlier in range(rank + 1)]
        assert found[place] == pytest.approx(min(1.0, max(steps)))


@many
@given(st.lists(st.floats(0, 1), min_size=1, max_size=20), st.lists(st.floats(0, 1), min_size=3, max_size=3), st.data())
def test_a_prediction_set_is_that_of_its_definition_and_grows_with_coverage(scores, probability_, data):
    calibration = Calibration(
        torch.ones(()),
        torch.tensor(scores, dtype=torch.float64),
        torch.full((len(scores),), -1),
        torch.ones(3).double(),
        True,
    )
    given_, decided = torch.tensor([probability_], dtype=torch.float64), torch.tensor([[True, False, False]])
    coverage = data.draw(st.sampled_from([0.5, 0.8, 0.9, 0.99]))
    found = sets.sets(given_, decided, calibration, coverage)
    for place, share in enumerate(probability_):
        stranger = sum(score >= 1 - share for score in calibration.scores.tolist())
        is_in = (stranger + 1) / (len(scores) + 1) > 1 - coverage + 1e-9
        assert found[0, place] == (is_in or bool(decided[0, place]))
    assert (found | sets.sets(given_, decided, calibration, 0.995))[0].tolist() == sets.sets(
        given_, decided, calibration, 0.995
    )[0].tolist()


@few
@given(st.integers(1, 5), st.integers(0, 99))
def test_predictions_are_read_as_they_were_written(num, seed):
    torch.manual_seed(seed)
    written = Predictions(
        ("x", "y"),
        present=torch.rand(num, 2) > 0.5,
        label=torch.randint(3, (num,)),
        group=torch.arange(num),
        key=key_digest([str(row) for row in range(num)]),
        logits={pattern: torch.randn(num, 3) for pattern in [*patterns(2), (False, False)]},
        threshold={},
    )
    with tempfile.TemporaryDirectory() as folder:
        predictions.write(Path(folder) / "a.safetensors", {"val": written}, {"arm": "frozen"})
        read, facts = predictions.read(Path(folder) / "a.safetensors")
    assert facts["arm"] == "frozen"
    assert read["val"].logits.keys() == written.logits.keys()
    assert all(torch.equal(read["val"].logits[pattern], value) for pattern, value in written.logits.items())
    assert all(torch.equal(getattr(read["val"], name), getattr(written, name)) for name in ("present", "label", "key"))


cells = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=6,
)


@many
@given(st.lists(st.dictionaries(text, cells, max_size=4), min_size=1, max_size=3))
def test_a_request_in_json_is_read_as_it_was_written(rows):
    content = json.dumps(rows).encode()
    assert body.rows(body.JSON, body.JSON, content, Limits(depth=50)) == rows
    assert (
        body.rows(body.JSON, body.JSON, json.dumps(rows[0], ensure_ascii=False).encode(), Limits(depth=50)) == rows[:1]
    )


names = st.text(st.characters(codec="utf-8", categories=["L", "N"]), min_size=1, max_size=8)


@many
@given(st.dictionaries(names, st.binary(min_size=1, max_size=40) | text, min_size=1, max_size=4))
def test_a_form_is_read_as_it_was_written(row):
    parts = []
    for name, content in row.items():
        file = '; filename="f"' if isinstance(content, bytes) else ""
        head = f'--=x=\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'
        parts.append(head.encode() + (content if isinstance(content, bytes) else content.encode()) + b"\r\n")
    content = b"".join(parts) + b"--=x=--\r\n"
    assert body.rows(body.FORM, f'{body.FORM}; boundary="=x="', content, Limits()) == [row]
