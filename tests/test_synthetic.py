"""The synthetic data set: its exact information against independent formulas, its samples against its distribution."""

import math
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import chisquare, entropy
from sklearn.metrics import mutual_info_score

from stages.decode import decode
from stages.prepare import prepare
from tests.conftest import ROOT
from tests.gate import pass_gate
from tests.stages_here import compose, run_stages
from umemma import composition, parameters
from umemma.data import arrays
from umemma.data.manifest import targets
from umemma.errors import DataError, ParameterError
from umemma.files import read_json
from umemma.launchers.local_launcher import Launcher
from umemma.media import facts as media
from umemma.media.decoders.vector import Decoder
from umemma.missingness import outcomes, pattern_name, patterns
from umemma.models.encoders import lenet, mlp
from umemma.settings import call
from umemma.sources import synthetic_distribution
from umemma.sources.adapters import synthetic
from umemma.sources.adapters.synthetic import NOISE, Adapter
from umemma.sources.synthetic_distribution import Holes, Structure, joint

DIALS = [
    {},
    {"num_modalities": 4},
    {"redundant": 0.3, "unique": 0.9, "synergistic": 0.5},
    {"num_modalities": 4, "redundant": 1, "unique": 0.2, "synergistic": 0},
]
FEW = {"train": 400, "val": 200, "test": 200}


def dials(options):
    structure = synthetic_distribution.Structure.of(options)
    return structure.redundant, structure.unique, structure.synergistic


def capacity(dial):
    """Return the capacity of a binary symmetric channel, in nats."""
    return math.log(2) - float(entropy([(1 + dial) / 2, (1 - dial) / 2]))


def named(by_pattern):
    names = synthetic_distribution.MODALITIES[: len(next(iter(by_pattern)))]
    return {pattern_name(pattern, names): value for pattern, value in by_pattern.items()}


def simulated(options, count, seed=0):
    """Labels (count,) and symbols (count, modality) by tossing coins, with no table of probabilities."""
    rng = np.random.default_rng(seed)
    num_modalities = options.get("num_modalities", 3)
    redundant, unique, synergistic = dials(options)

    def noisy(bit, dial):
        return bit ^ (rng.random(count) < (1 - dial) / 2)

    bits = rng.integers(2, size=(num_modalities, count))
    copy, coin = noisy(bits[0], redundant), rng.integers(2, size=count)
    channels = [coin, coin ^ noisy(bits[1], synergistic), *(noisy(bit, unique) for bit in bits[2:])]
    label = sum(bit << place for place, bit in enumerate(bits[::-1]))
    return label, np.stack([2 * copy + bit for bit in channels], axis=1)


def assert_drawn_from(drawn, p):
    """Hold (sample, 1 + modality), label and symbols, to their distribution by Pearson's test, with rare cells pooled."""
    counts = np.zeros(p.shape)
    np.add.at(counts, tuple(drawn.T), 1)
    assert counts[p == 0].sum() == 0
    common = p * len(drawn) >= 5
    rare = ~common & (p > 0)
    observed = [*counts[common], *([counts[rare].sum()] if rare.any() else [])]
    expected = np.array([*p[common], *([p[rare].sum()] if rare.any() else [])])
    assert chisquare(observed, expected / expected.sum() * len(drawn)).pvalue > 1e-4


def combined(symbols, pattern):
    return symbols[:, np.array(pattern)] @ 4 ** np.arange(sum(pattern))


@pytest.mark.parametrize("options", DIALS)
def test_the_enumerated_information_is_the_sum_of_the_channels_capacities(options):
    redundant, unique, synergistic = map(capacity, dials(options))
    information = synthetic_distribution.information(options)
    assert len(information) == 2 ** options.get("num_modalities", 3)
    for (a, b, *rest), value in information.items():
        expected = redundant * any((a, b, *rest)) + synergistic * (a and b) + unique * sum(rest)
        assert value == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("options", DIALS)
def test_the_best_rule_guesses_each_bit_by_itself(options):
    redundant, unique, synergistic = ((1 + dial) / 2 for dial in dials(options))
    for (a, b, *rest), value in synthetic_distribution.bayes_accuracy(options).items():
        expected = (redundant if any((a, b, *rest)) else 0.5) * (synergistic if a and b else 0.5)
        assert value == pytest.approx(expected * math.prod(unique if is_present else 0.5 for is_present in rest))


@pytest.mark.parametrize("options", DIALS[:3])
def test_tossed_coins_have_the_information_and_the_accuracy_that_are_enumerated(options):
    label, symbols = simulated(options, 200_000)
    information, accuracy = synthetic_distribution.information(options), synthetic_distribution.bayes_accuracy(options)
    for pattern in patterns(symbols.shape[1]):
        seen = combined(symbols, pattern)
        bias = len(np.unique(label)) * len(np.unique(seen)) / (2 * len(label))  # of the plug-in estimate, at most
        assert information[pattern] == pytest.approx(mutual_info_score(label, seen), abs=0.005 + bias)
        counts = np.zeros((seen.max() + 1, label.max() + 1))
        np.add.at(counts, (seen[::2], label[::2]), 1)
        assert (counts.argmax(1)[seen[1::2]] == label[1::2]).mean() == pytest.approx(accuracy[pattern], abs=0.01)


@pytest.mark.parametrize("options", DIALS)
def test_tossed_coins_follow_the_enumerated_distribution(options):
    label, symbols = simulated(options, 50_000)
    assert_drawn_from(
        np.column_stack([label, symbols]), synthetic_distribution.joint(synthetic_distribution.Structure.of(options))
    )


@pytest.mark.parametrize("options", DIALS)
def test_every_class_is_as_likely_and_the_distribution_sums_to_one(options):
    p = synthetic_distribution.joint(synthetic_distribution.Structure.of(options))
    np.testing.assert_allclose(p.reshape(len(p), -1).sum(axis=1), 1 / len(p), rtol=1e-12)
    assert synthetic_distribution.entropy(options) == pytest.approx(math.log(len(p)))
    empty = (False,) * (p.ndim - 1)
    assert synthetic_distribution.information(options)[empty] == 0
    assert synthetic_distribution.bayes_accuracy(options)[empty] == pytest.approx(1 / len(p))


@pytest.mark.parametrize("num_modalities", [3, 4])
@pytest.mark.parametrize("dial", [0.4, 1.0])
def test_what_is_redundant_is_all_in_every_modality(num_modalities, dial):
    values = named(
        synthetic_distribution.information(
            {"num_modalities": num_modalities, "redundant": dial, "unique": 0, "synergistic": 0}
        )
    )
    assert {round(value, 12) for name, value in values.items() if name} == {round(capacity(dial), 12)}


def test_what_is_synergistic_is_in_the_pair_and_in_neither_alone():
    values = named(synthetic_distribution.information({"redundant": 0, "unique": 0, "synergistic": 1}))
    assert [values[name] for name in ("a+b", "a+b+c")] == pytest.approx([math.log(2)] * 2)
    assert [values[name] for name in ("a", "b", "c", "a+c", "b+c")] == pytest.approx([0] * 5, abs=1e-12)


def test_what_is_unique_is_in_one_modality_alone_and_adds_up():
    values = named(
        synthetic_distribution.information({"num_modalities": 4, "redundant": 0, "unique": 0.7, "synergistic": 0})
    )
    assert [values[name] for name in ("a", "b", "a+b")] == pytest.approx([0] * 3, abs=1e-12)
    assert [values[name] for name in ("c", "d", "a+b+d")] == pytest.approx([capacity(0.7)] * 3)
    assert [values[name] for name in ("c+d", "a+b+c+d")] == pytest.approx([values["c"] + values["d"]] * 2)


@pytest.mark.parametrize(
    ("dial", "moved"),
    [
        ("redundant", {"a", "b", "c", "a+b", "a+c", "b+c", "a+b+c"}),
        ("synergistic", {"a+b", "a+b+c"}),
        ("unique", {"c", "a+c", "b+c", "a+b+c"}),
    ],
)
def test_a_dial_moves_its_own_kind_by_the_same_amount_everywhere(dial, moved):
    low, high = (
        named(synthetic_distribution.information({dial: 0.2})),
        named(synthetic_distribution.information({dial: 0.6})),
    )
    gain = capacity(0.6) - capacity(0.2)
    for name in low:
        assert high[name] - low[name] == pytest.approx(gain if name in moved else 0, abs=1e-12)


def test_in_the_default_mix_every_kind_can_be_seen():
    accuracy = named(synthetic_distribution.bayes_accuracy({}))
    assert min(accuracy[name] for name in "abc") > 1.5 * accuracy[""]
    assert accuracy["a+b+c"] > 1.5 * max(accuracy[pair] for pair in ("a+b", "a+c", "b+c"))


@pytest.mark.parametrize("options", DIALS[:2])
def test_a_vector_tells_its_symbol_without_error(options):
    adapter = Adapter(Path(), **options, num_samples={"train": 800, "val": 1, "test": 1})
    decoder = Decoder()
    for i in range(800):
        sample, (label, *symbols) = adapter.sample("train", i), adapter.latent("train", i)
        assert sample.label == label
        for name, symbol in zip(adapter.modalities, symbols, strict=True):
            signs = adapter.directions[name] @ decoder(sample.members[f"{name}.npy"]).numpy()
            assert (signs > 0) @ [2, 1] == symbol
            assert np.abs(np.abs(signs) - 1).max() < 6 * NOISE  # of ten that a misread sign takes


@pytest.mark.parametrize("options", DIALS)
def test_samples_follow_the_distribution(options):
    adapter = Adapter(Path(), **options)
    drawn = np.array([adapter.latent(split, i) for split in ("train", "test") for i in range(3_000)])
    assert_drawn_from(drawn, synthetic_distribution.joint(synthetic_distribution.Structure.of(options)))


def test_a_sample_depends_on_seed_split_and_index_alone():
    first, again, other = Adapter(Path()), Adapter(Path(), num_samples=FEW), Adapter(Path(), seed=1)
    again.sample("test", 7)
    assert first.sample("train", 7) == again.sample("train", 7)
    assert first.sample("train", 7).members != first.sample("test", 7).members
    assert first.sample("train", 7).members != other.sample("train", 7).members


@pytest.mark.parametrize(
    ("missing", "rates"), [(0.3, (0.3, 0.3, 0.3)), ({"a": 0.6, "c": 0.2}, (0.6, 0.0, 0.2)), (0.9, (0.9, 0.9, 0.9))]
)
def test_modalities_are_missing_at_their_rates_and_one_is_left(missing, rates):
    adapter, count = Adapter(Path(), missing=missing), 2_000
    mask = np.array(
        [[name in adapter.sample("train", i).modalities for name in adapter.modalities] for i in range(count)]
    )
    assert mask.any(axis=1).all()
    for pattern, share in outcomes((True, True, True), rates, "independent").items():
        assert abs((mask == pattern).all(axis=1).mean() - share) < 4.5 * math.sqrt(share * (1 - share) / count)


def test_what_is_missing_is_independent_of_the_values_and_changes_nothing_that_is_left():
    whole, holey, count = Adapter(Path()), Adapter(Path(), missing=0.4), 3_000
    drawn = np.array([whole.latent("train", i) for i in range(count)])
    samples = [holey.sample("train", i) for i in range(count)]
    has_a = np.array(["a" in sample.modalities for sample in samples])
    for column in drawn.T:
        assert mutual_info_score(column, has_a) < 0.005
    for i in range(50):
        complete = whole.sample("train", i)
        assert samples[i].label == complete.label
        assert samples[i].members.items() <= complete.members.items()


@pytest.mark.parametrize("mechanism", ["mcar", "mar", "mnar", "by_class"])
def test_holes_follow_the_law_of_their_mechanism(mechanism):
    """Shares of (label, symbols, pattern), as exact as 6,000 samples allow; and the rates asked for."""
    missing = {"b": 0.3, "c": 0.5} | ({} if mechanism == "mar" else {"a": 0.2})
    adapter, count = Adapter(Path(), missing=missing, mechanism=mechanism, slope=2.5), 6_000
    structure, holes = Structure(), Holes(missing, mechanism, 2.5)
    p, laws = joint(structure), holes.patterns(structure)
    np.testing.assert_allclose(sum(laws.values()), 1)
    for m, name in enumerate(structure.modalities):
        assert (holes.chances(structure)[m] * p).sum() == pytest.approx(missing.get(name, 0.0))
    drawn = [(adapter.latent("train", i), adapter.sample("train", i).modalities) for i in range(count)]
    nothing = holes.chances(structure).prod(axis=0)
    for pattern, law in laws.items():
        names = tuple(name for name, there in zip(structure.modalities, pattern, strict=True) if there)
        for first_bit in (0, 1):
            of_label = np.arange(8) // 4 == first_bit
            expected = float((p * law)[of_label].sum())
            share = np.mean([outcome[0] // 4 == first_bit and has == names for outcome, has in drawn])
            assert abs(share - expected) < 4.5 * math.sqrt(max(expected, 1e-4) / count), (pattern, first_bit)
    assert nothing.max() < 1


def test_what_is_true_of_samples_with_holes_is_true_of_those_that_have_the_set():
    """Where c hides itself, those that have c know less of its bit; at random, nothing changes."""
    plain = synthetic_distribution.information({})
    missing = {"a": 0.2, "b": 0.3, "c": 0.5}
    by_chance = synthetic.information({"missing": missing})
    hidden = synthetic.information({"missing": missing, "mechanism": "mnar", "slope": 4.0})
    assert by_chance == pytest.approx(plain)
    assert hidden[False, False, True] < plain[False, False, True] - 0.05
    assert synthetic_distribution.presence_information({}, Holes(missing)) == pytest.approx(0, abs=1e-12)
    told = synthetic_distribution.presence_information({}, Holes(missing, "by_class", 3.0))
    assert 0.05 < told < math.log(2)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"mechanism": "chance"}, r"there is no mechanism called 'chance'; there are by_class, mar, mcar, mnar"),
        ({"mechanism": "mar", "missing": {"a": 0.1}}, r"with mechanism `mar` modality a decides and is always there"),
        ({"slope": math.inf}, r"options\.slope must be a number of -20 to 20, not inf"),
    ],
)
def test_a_law_of_holes_that_there_is_not_is_named_by_truth_and_adapter(options, sentence):
    for call_ in (lambda: Adapter(Path(), **options), lambda: synthetic.information(options)):
        with pytest.raises(ParameterError, match=sentence):
            call_()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"redundant": 1.2}, r"options\.redundant must be a number of 0 to 1, not 1\.2"),
        ({"unique": -0.1}, r"options\.unique must be a number of 0 to 1, not -0\.1"),
        ({"synergistic": math.nan}, r"options\.synergistic must be a number of 0 to 1, not nan"),
        ({"num_modalities": 5}, r"options\.num_modalities must be 3 or 4, not 5"),
        ({"num_modalities": 3.0}, r"options\.num_modalities must be 3 or 4, not 3\.0"),
    ],
)
def test_a_dial_out_of_range_is_named_by_truth_and_adapter(options, sentence):
    with pytest.raises(ParameterError, match=sentence):
        Adapter(Path(), **options)
    for question in (
        synthetic_distribution.information,
        synthetic_distribution.bayes_accuracy,
        synthetic_distribution.entropy,
    ):
        with pytest.raises(ParameterError, match=sentence):
            question(options)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"missing": 1.0}, r"options\.missing: the rate of a must be 0 or more and below 1, not 1\.0"),
        ({"missing": {"b": -0.2}}, r"options\.missing: the rate of b must be 0 or more and below 1, not -0\.2"),
        ({"missing": {"d": 0.2}}, r"options\.missing: there is no modality called 'd'; there are a, b, c"),
        ({"missing": "many"}, r"options\.missing: the rate of a .* not 'many'"),
        (
            {"num_samples": {"trian": 3}},
            r"options\.num_samples: there is no split called 'trian'.*Did you mean 'train'",
        ),
        ({"num_samples": {"train": 3, "val": 0, "test": 3}}, r"num_samples\.val must be a whole number .*, not 0"),
        ({"num_samples": {"train": 3, "val": 2}}, r"num_samples\.test must be a whole number of 1 or more, not None"),
        ({"num_samples": 300}, r"options\.num_samples must be {train: ., val: ., test: .}, not 300"),
        ({"seed": "zero"}, r"options\.seed must be a number"),
    ],
)
def test_another_option_out_of_range_is_named(options, sentence):
    with pytest.raises(ParameterError, match=sentence):
        call(Adapter, options, "dataset.options", Path())


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((2, 3), np.float32),
        np.zeros(0, np.float32),
        np.array(["a"]),
        np.zeros(3, bool),
        np.zeros((), np.float32),
    ],
)
def test_what_is_no_vector_is_named(array, tmp_path):
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(DataError, match=r"no readable vector: shape \("):
        Decoder()((tmp_path / "a.npy").read_bytes())


def test_a_vector_that_holds_no_number_or_code_is_named(tmp_path):
    np.save(tmp_path / "a.npy", np.array([1.0, np.inf]))
    with pytest.raises(DataError, match="infinity"):
        Decoder()((tmp_path / "a.npy").read_bytes())
    np.save(tmp_path / "b.npy", np.array([{}]), allow_pickle=True)
    with pytest.raises(DataError, match="no readable vector"):
        Decoder()((tmp_path / "b.npy").read_bytes())
    damaged = (tmp_path / "a.npy").read_bytes().replace(b"'fortran_order': F", b"'fortran_order': 0")
    for read in (Decoder(), lambda content: media.facts("a.npy", content)):
        with pytest.raises(DataError, match="no readable vector"):
            read(damaged)


def test_facts_of_a_vector(tmp_path):
    for name, array in (("real", np.arange(5.0)), ("blank", np.full(7, 0.25))):
        np.save(tmp_path / f"{name}.npy", array)
    by_name = {path.stem: media.facts("a.npy", path.read_bytes()) for path in tmp_path.iterdir()}
    assert {name: (row["num_values"], row["blank"]) for name, row in by_name.items()} == {
        "real": (5, False),
        "blank": (7, True),
    }
    assert by_name["real"]["kind"] == "vector"


def test_a_perceptron_takes_what_a_map_encoder_does_not():
    assert mlp.build((16,), dim=5)[-2].out_features == 5
    with pytest.raises(ValueError, match="width, depth and dim must be 1 or more"):
        mlp.build((16,), depth=0)
    with pytest.raises(ParameterError, match=r"encoder: lenet takes maps .*not \(16,\); mlp takes vectors"):
        call(lenet.build, {}, "encoder", (16,))


@pytest.fixture(scope="module")
def dataset():
    content = composition.composed(ROOT / "conf", ["dataset=synthetic"])
    return parameters.check(content, "conf")


@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_shards_pass_the_gate_and_are_decoded_with_their_holes(dataset, tmp_path, missing):
    options = {**dataset.dataset.options, "num_samples": FEW, "missing": missing}
    changed = dataset.dataset.model_copy(update={"options": options})
    prepare(changed, tmp_path, tmp_path / "shards", 300, Launcher(1))
    pass_gate(tmp_path / "shards", dataset.validation, tmp_path / "report.json", tmp_path / "gate.json")
    assert read_json(tmp_path / "gate.json")["passed"] is True
    loaded = targets(tmp_path / "shards/manifest.parquet", len(changed.classes))
    settings = dataset.dataset.modalities["b"].decode
    facts = decode(tmp_path / "shards", "b", settings, tmp_path / "b", Launcher(1))
    batch = arrays.load({"b": tmp_path / "b"}, "val", loaded)
    adapter = call(import_module("umemma.sources.adapters.synthetic").Adapter, options, "dataset.options", tmp_path)
    samples = [adapter.sample("val", i) for i in range(FEW["val"])]
    assert facts["shape"] == [16]
    assert batch.label.tolist() == [sample.label for sample in samples]
    assert batch.present[:, 0].tolist() == ["b" in sample.modalities for sample in samples]
    row = next(i for i, sample in enumerate(samples) if "b" in sample.modalities)
    assert batch.values["b"][row].equal(Decoder()(samples[row].members["b.npy"]))


def test_the_adapter_and_the_parameters_have_the_same_defaults(dataset):
    options = dataset.dataset.options
    assert synthetic_distribution.information(options) == synthetic_distribution.information({})
    by_parameters = call(Adapter, options, "dataset.options", Path())
    assert by_parameters.sample("test", 3) == Adapter(Path()).sample("test", 3)
    assert dict(by_parameters.num_samples) == dict(Adapter(Path()).num_samples)
    assert by_parameters.modalities == tuple(dataset.dataset.modalities)
    assert len(dataset.dataset.classes) == 2 ** len(by_parameters.modalities)


@pytest.mark.slow
def test_what_is_estimated_of_synthetic_data_agrees_with_what_is_true(checkout, dataset):
    project = checkout()
    compose(project, "dataset=synthetic")
    run_stages(project)
    accounting = read_json(project / "data/reports/accounting.json")
    options = dataset.dataset.options
    possible = {
        pattern_name(pattern, accounting["modalities"]): value
        for pattern, value in synthetic_distribution.bayes_accuracy(options).items()
        if any(pattern)
    }
    for name, row in accounting["information"].items():
        known = row["best_known"]
        assert known["value"] <= row["truth"] + (known["high"] - known["value"]), name
        assert known["value"] >= 0.95 * row["truth"] - 0.005, name
        assert row["floor"]["low"] <= possible[name] <= row["ceiling"]["high"] + 0.01, name
        assert accounting["metrics"][name]["accuracy"]["value"] <= row["ceiling"]["high"], name
