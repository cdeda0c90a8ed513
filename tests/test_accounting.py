"""The accounting of models that predict the exact probabilities of a small distribution, where everything is known."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from scipy import stats

from umemma.errors import DataError
from umemma.evaluation.accounting import account, counter_intuitive
from umemma.evaluation.bootstrap import Resamples
from umemma.evaluation.comparison import Model, as_finding, gate_baselines, gate_never_below
from umemma.missingness import key_digest, pattern_name, patterns, probability
from umemma.prediction.predictions import Predictions

MODALITIES = ("image", "audio")
CLASSES = ["one", "two", "three"]
SHARE = np.array([0.5, 0.3, 0.2])
IMAGE = np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6]])  # p(symbol of the image | label)
AUDIO = np.array([[0.85, 0.15], [0.3, 0.7], [0.15, 0.85]])
JOINT = SHARE[:, None, None] * IMAGE[:, :, None] * AUDIO[:, None, :]  # (label, image, audio)
NAMES = {pattern: pattern_name(pattern, MODALITIES) for pattern in patterns(2)}
SIZES = {"val": 1500, "test": 4000}


def marginal(pattern):
    """Return p(label, image, audio) with missing modalities summed out and their axes kept."""
    return JOINT.sum(axis=tuple(m + 1 for m in range(2) if not pattern[m]), keepdims=True)


def truth():
    values = {}
    for pattern in patterns(2):
        p = marginal(pattern).reshape(3, -1)
        values[pattern] = stats.entropy(SHARE) - stats.entropy(p.ravel()) + stats.entropy(p.sum(axis=0))
    return values


def bayes(symbols, pattern):
    """Return (sample, class) float32: the exact log-probabilities given the symbols (sample, 2) of the pattern."""
    p = np.broadcast_to(marginal(pattern), JOINT.shape)[:, symbols[:, 0], symbols[:, 1]].T
    return torch.from_numpy(np.log(p / p.sum(axis=1, keepdims=True))).float()


def exact_predictions(how, *, present=None, split_seed=0):
    """Return {split: Predictions} of a model `how(symbols, pattern) -> logits`."""
    splits = {}
    for split, size in SIZES.items():
        rng = np.random.default_rng([split_seed, size])
        label, image, audio = np.unravel_index(rng.choice(JOINT.size, size=size, p=JOINT.ravel()), JOINT.shape)
        symbols = np.stack([image, audio], axis=1)
        presence = torch.ones(size, 2, dtype=torch.bool) if present is None else present(size)
        logits = {pattern: how(symbols, pattern) for pattern in patterns(2)}
        logits[(False, False)] = torch.from_numpy(np.log(SHARE)).float().expand(size, -1)
        splits[split] = Predictions(
            MODALITIES,
            presence,
            torch.from_numpy(label),
            torch.arange(size),
            key_digest([f"{split}{i}" for i in range(size)]),
            logits,
        )
    return splits


def flattened(symbols, pattern):
    """Underconfident: as accurate as the Bayes rule, but with a higher cross-entropy."""
    return 0.5 * bayes(symbols, pattern)


def deaf(symbols, pattern):
    """Ignore the audio."""
    return bayes(symbols, (pattern[0], False))


def tower(symbols, pattern):
    return bayes(symbols, (True, False) if pattern[0] else pattern)


def model(name, how, *, arm=None, seed=0, rate=0.5, **options):
    missing_rate = None if rate is None else dict.fromkeys(MODALITIES, rate)
    return Model(name, arm or name, seed, missing_rate, 1000, exact_predictions(how, **options))


def run(models, main=None, **options):
    given = {
        "probes": None,
        "truth": truth(),
        "classes": CLASSES,
        "seed": 0,
        "replicates": 200,
        "rates": [0.0, 0.5, 1.0],
    } | options
    return account(models, main=main or models[0], **given)


@pytest.fixture(scope="module")
def models():
    return [
        model("best", bayes),
        model("careful", flattened),
        model("deaf", deaf),
        model("towers", tower, arm="uni", rate=0.0),
    ]


@pytest.fixture(scope="module")
def report(models):
    return run(models)


def within(interval, value, slack=0.0):
    return interval["low"] - slack <= value <= interval["high"] + slack


def test_the_bound_of_the_exact_model_reaches_the_truth(report):
    assert report["entropy"] == pytest.approx(stats.entropy(SHARE), abs=0.02)
    for pattern, name in NAMES.items():
        row = report["information"][name]
        assert row["truth"] == pytest.approx(truth()[pattern], abs=1e-6)
        assert within(row["lower_bound"], truth()[pattern], slack=0.01)
        assert row["lower_bound"]["value"] == pytest.approx(truth()[pattern], abs=0.03)


def test_the_exact_model_uses_all_there_is_and_a_worse_one_less(models, report):
    for name in NAMES.values():
        assert report["information"][name]["utilisation"]["value"] == pytest.approx(1, abs=0.02)
    careful = run(models, main=models[1])
    for name in NAMES.values():
        row = careful["information"][name]
        assert row["utilisation"]["high"] < 1
        assert row["best_known"]["model"] in ("best", "deaf", "towers")  # models that may coincide under this pattern
        assert row["utilisation"]["value"] == pytest.approx(
            row["lower_bound"]["value"] / row["best_known"]["value"], abs=1e-4
        )


def test_nothing_is_used_where_nothing_is_known_to_be_there(models):
    report = run([models[2]])
    audio = report["information"]["audio"]
    assert audio["best_known"]["value"] == pytest.approx(0, abs=1e-3)
    assert audio["utilisation"] == {"value": None, "low": None, "high": None}
    assert report["models"][0]["patterns"]["audio"]["utilisation"] is None
    assert report["arms"][0]["patterns"]["audio"]["utilisation"] == {"mean": None, "spread": None, "n": 0}
    json.dumps(report, allow_nan=False)


def test_the_best_known_model_is_chosen_on_validation_data(models):
    """A model that has seen the test labels but is poor on validation data is not chosen."""
    cheat = exact_predictions(flattened)
    test = cheat["test"]
    cheat["test"] = dataclasses.replace(
        test, logits={pattern: 9.0 * torch.nn.functional.one_hot(test.label, 3) for pattern in test.logits}
    )
    report = run([models[0], Model("cheat", "cheat", 0, None, None, cheat)])
    assert report["information"]["image+audio"]["best_known"]["model"] == "best"
    assert report["models"][1]["patterns"]["image+audio"]["accuracy"] == 1.0


def test_the_best_rules_accuracy_lies_between_floor_and_ceiling(report):
    for pattern, name in NAMES.items():
        best = marginal(pattern).reshape(3, -1).max(axis=0).sum()
        row = report["information"][name]
        assert row["floor"]["low"] <= best <= row["ceiling"]["high"]
        assert within(report["metrics"][name]["accuracy"], best, slack=0.01)


def test_price_and_shapley_follow_from_the_bounds(report):
    v = {name: row["best_known"]["value"] for name, row in report["information"].items()}
    image = report["by_modality"]["image"]
    assert image["shapley"]["value"] == pytest.approx((v["image"] + v["image+audio"] - v["audio"]) / 2, abs=2e-6)
    assert image["lost_for_good"]["value"] == pytest.approx(v["image+audio"] - v["audio"], abs=2e-6)
    assert [point["missing_rate"] for point in image["price"]] == [0.0, 0.5, 1.0]
    assert [point["value"] for point in image["price"]] == pytest.approx(
        [v["image+audio"] - v["audio"], image["shapley"]["value"], v["image"]], abs=2e-6
    )
    shares = [row["shapley_share"]["value"] for row in report["by_modality"].values()]
    assert sum(shares) == pytest.approx(1, abs=2e-6)


def test_the_gain_is_over_answering_the_most_frequent_class_and_the_loss_over_hiding_one_modality(models, report):
    label, table = models[0].splits["test"].label, models[0].tables["test"]
    assert report["majority_labels"] == [CLASSES[int(SHARE.argmax())]]
    share = (label == int(SHARE.argmax())).double().mean().item()
    for pattern, name in NAMES.items():
        row = report["majority"][name]
        assert row["score"] == pytest.approx(share, abs=1e-6)
        assert row["gain"]["value"] == pytest.approx(table.accuracy(pattern) - share, abs=2e-6)
        assert within(row["gain"], table.accuracy(pattern) - share)
    for m, name in enumerate(MODALITIES):
        without = tuple(number != m for number in range(2))
        difference = (table.share_correct[True, True] - table.share_correct[without]).mean().item()
        assert report["by_modality"][name]["loss"]["value"] == pytest.approx(difference, abs=1e-6)
    deaf_ = run([models[2]])["by_modality"]["audio"]["loss"]
    assert deaf_ == {"value": 0.0, "low": 0.0, "high": 0.0}


def test_fusion_noise_is_what_the_tower_has_over_the_model(models, report):
    for row in report["by_modality"].values():
        assert row["fusion_noise"]["value"] == 0
        assert row["encoder_term"] is None
    noise = run(models, main=models[2])["by_modality"]["audio"]["fusion_noise"]
    towers, deaf_ = (next(row for row in report["models"] if row["name"] == name) for name in ("towers", "deaf"))
    expected = towers["patterns"]["audio"]["accuracy"] - deaf_["patterns"]["audio"]["accuracy"]
    assert noise["value"] == pytest.approx(expected, abs=2e-6)


def test_the_encoder_term_is_the_difference_of_the_probes(models):
    before, after = torch.ones(SIZES["test"]), (torch.arange(SIZES["test"]) % 4 > 0).float()
    by_modality = run(models, probes={"image": (before, after), "audio": (before, before)})["by_modality"]
    assert by_modality["image"]["encoder_term"]["value"] == 0.25
    assert within(by_modality["image"]["encoder_term"], 0.25)
    assert by_modality["audio"]["encoder_term"] == {"value": 0.0, "low": 0.0, "high": 0.0}


def test_the_counter_intuitive_rate_counts_answers_that_one_more_modality_spoils(models, report):
    test = models[0].splits["test"]
    for row in report["counter_intuitive"]:
        before = test.logits[next(pattern for pattern, name in NAMES.items() if name == row["present"])]
        after = test.logits[True, True]
        number = sum(
            bool(
                before[i].argmax() == test.label[i]
                and after[i].argmax() != test.label[i]
                and after[i].softmax(0)[test.label[i]] < before[i].softmax(0)[test.label[i]]
            )
            for i in range(len(test.label))
        )
        assert number > 0
        assert row["rate"]["value"] == pytest.approx(number / len(test.label), abs=1e-6)
    assert [(row["present"], row["added"]) for row in report["counter_intuitive"]] == [
        ("image", "audio"),
        ("audio", "image"),
    ]


def test_an_answer_is_not_spoilt_where_the_right_class_became_more_likely():
    share = {
        (True, False): [0.4, 0.3, 0.3],
        (False, True): [0.2, 0.7, 0.1],
        (True, True): [0.45, 0.5, 0.05],
        (False, False): [0.3, 0.3, 0.4],
    }
    predicted = Predictions(
        MODALITIES,
        torch.ones(2, 2, dtype=torch.bool),
        torch.tensor([0, 0]),
        torch.arange(2),
        torch.arange(2),
        {pattern: torch.tensor([probabilities, probabilities]).log() for pattern, probabilities in share.items()},
    )
    for more_likely, rate in ((True, 0.0), (False, 0.5)):
        if not more_likely:
            predicted.logits[True, True][1] = torch.tensor([0.35, 0.5, 0.15]).log()
        rows = counter_intuitive(
            Model("one", "one", 0, None, None, {"test": predicted}), Resamples(predicted.group, replicates=10, seed=0)
        )
        assert [row["rate"]["value"] for row in rows] == [rate, 0.0]


def test_floor_and_ceiling_hold_where_every_model_is_worse_than_its_prior():
    report = run([model("sure", lambda symbols, pattern: 9 * bayes(symbols, pattern).roll(1, dims=1))])
    for row in report["information"].values():
        assert row["lower_bound"]["high"] < 0
        assert (row["best_known"]["uses"], row["best_known"]["value"]) == ("nothing", pytest.approx(0, abs=0.01))
        assert row["floor"]["value"] == pytest.approx(0.5, abs=0.03)
        assert row["floor"]["value"] <= row["ceiling"]["value"] < 0.7


def test_arms_have_mean_and_spread_over_seeds_and_paired_differences(models):
    seeds = [model("deaf", deaf, seed=seed) for seed in (0, 1)]
    for trained in seeds[1:]:  # another seed makes other errors
        test = trained.splits["test"]
        test.logits[True, True][:300] = 9.0 * torch.nn.functional.one_hot(test.label[:300], 3)
    arms = {row["arm"]: row for row in run([models[0], *seeds])["arms"]}
    assert arms["best"]["versus"] is None
    assert arms["best"]["patterns"]["image"]["accuracy"]["spread"] is None
    assert arms["best"]["patterns"]["image"]["accuracy"]["n"] == arms["best"]["num_seeds"] == 1
    values = [trained.tables["test"].accuracy((True, True)) for trained in seeds]
    accuracy = arms["deaf"]["patterns"]["image+audio"]["accuracy"]
    assert accuracy == {
        "mean": pytest.approx(np.mean(values), abs=1e-6),
        "spread": pytest.approx(np.std(values, ddof=1), abs=1e-6),
        "n": 2,
    }
    versus = arms["deaf"]["versus"]
    assert versus["image+audio"]["difference"]["value"] == pytest.approx(  # on seed 0, which both have
        values[0] - models[0].tables["test"].accuracy((True, True)), abs=1e-6
    )
    assert versus["image+audio"]["difference"]["high"] < 0
    assert versus["image+audio"]["p"] < versus["image+audio"]["p_holm"] < 0.05
    assert versus["image"]["difference"] == {"value": 0.0, "low": 0.0, "high": 0.0}
    assert versus["image"]["p_holm"] == 1.0


def test_arms_without_a_common_seed_are_not_compared(models):
    arms = run([models[0], model("deaf", deaf, seed=1)])["arms"]
    assert arms[1]["versus"] == {}


def test_the_same_arm_at_two_training_rates_makes_a_matrix_of_exact_expectations(models):
    quarter = model("other", deaf, arm="best", rate=0.25)
    (matrix,) = run([models[0], quarter, model("specialist", bayes, rate=None)], rates=[0.0, 0.3])["matrices"]
    assert (matrix["arm"], matrix["train_rates"], matrix["test_rates"]) == ("best", [0.25, 0.5], [0.0, 0.3])
    for trained, row in zip((quarter, models[0]), matrix["accuracy"], strict=True):
        right = trained.tables["test"].share_correct
        expected = [
            sum(
                probability(pattern, (rate, rate)) * right[pattern].mean().item()
                for pattern in [*patterns(2), (False, False)]
            )
            for rate in (0.0, 0.3)
        ]
        assert row == pytest.approx(expected, abs=1e-6)


def test_ten_thousand_rates_at_once_are_each_as_expected_one_by_one(models):
    table = models[2].tables["test"]
    rates = torch.rand(10_000, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    rates[:3] = torch.tensor([[0.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    expected = table.expected_many(rates)
    for row in (0, 1, 2, 3, 9_999):
        one_by_one = table.expected(rates[row].tolist())
        for metric in ("accuracy", "cross_entropy"):
            assert expected[metric].shape == (10_000,)
            assert expected[metric][row].item() == pytest.approx(one_by_one[metric])


def test_samples_that_lack_a_modality_for_real_count_only_where_they_have_the_pattern():
    def present(size):
        return torch.stack([torch.arange(size) % 3 > 0, torch.arange(size) % 2 > 0], dim=1)

    report = run([model("best", bayes, present=present), model("towers", tower, arm="uni", present=present)])
    test = exact_predictions(bayes)["test"]
    assert list(report["every_sample"]) == ["image+audio", "image", "audio"]
    for pattern, name in NAMES.items():
        rows = [i for i in range(SIZES["test"]) if (i % 3 or not pattern[0]) and (i % 2 or not pattern[1])]
        row = report["metrics"][name]
        assert row["n"] == len(rows)
        right = (test.logits[pattern].argmax(1) == test.label)[rows].double().mean().item()
        assert row["accuracy"]["value"] == row["f1_micro"]["value"] == pytest.approx(right, abs=1e-6)
        shares = test.label[rows].bincount().double() / len(rows)
        loss = torch.nn.functional.cross_entropy(test.logits[pattern][rows], test.label[rows]).item()
        bound = report["information"][name]["lower_bound"]["value"]
        corrected = stats.entropy(shares.numpy()) + (3 - 1) / (2 * (len(rows) - 1))
        assert bound == pytest.approx(corrected - loss, abs=2e-6)
        all_right = (test.logits[pattern].argmax(1) == test.label).double().mean().item()
        assert report["every_sample"][name]["n"] == SIZES["test"]
        assert report["every_sample"][name]["accuracy"]["value"] == pytest.approx(all_right, abs=1e-6)


def test_without_holes_every_sample_has_every_pattern_and_nothing_is_said_twice(report):
    assert report["every_sample"] == {}


def test_a_set_that_no_sample_has_leaves_undefined_what_depends_on_it():
    def present(size):
        return torch.nn.functional.one_hot(torch.arange(size) % 2, 2).bool()

    report = run([model("best", bayes, present=present)])
    assert list(report["metrics"]) == ["image", "audio"]
    assert report["counter_intuitive"] == []
    image = report["by_modality"]["image"]
    assert image["shapley"]["value"] is image["lost_for_good"]["value"] is None
    assert (image["n"], image["price"], report["at_rates"], report["pairs"]) == (0, [], [], {})
    json.dumps(report, allow_nan=False)


def test_clusters_widen_the_intervals_and_are_reported(models):
    def alike(original):
        splits = {
            split: dataclasses.replace(predicted, group=predicted.label) for split, predicted in original.splits.items()
        }
        return dataclasses.replace(original, splits=splits)

    clustered = run([alike(models[0])])
    assert clustered["bootstrap"] == {"replicates": 200, "level": 0.95, "clusters": 3, "clustered": True}
    single = run([models[0]])
    assert single["bootstrap"]["clustered"] is False
    widths = [
        report["metrics"]["audio"]["accuracy"]["high"] - report["metrics"]["audio"]["accuracy"]["low"]
        for report in (clustered, single)
    ]
    assert widths[0] > 5 * widths[1]


def test_the_report_is_a_function_of_the_seed_and_holds_all_that_the_schema_names(models, report):
    assert json.dumps(run(models)) == json.dumps(report)
    assert run(models, seed=1)["metrics"] != report["metrics"]
    assert list(report) == [
        "arm",
        "seed",
        "task",
        "modalities",
        "classes",
        "entropy",
        "bootstrap",
        "metrics",
        "every_sample",
        "majority_labels",
        "majority",
        "information",
        "at_rates",
        "as_they_come",
        "holes",
        "elsewhere",
        "by_modality",
        "late_fusion",
        "pairs",
        "lost",
        "halves",
        "counter_intuitive",
        "reliability",
        "models",
        "arms",
        "matrices",
    ]
    assert list(report["metrics"]) == list(NAMES.values())
    assert set(report["metrics"]["audio"]) == {
        "n",
        "clusters",
        "accuracy",
        "f1_macro",
        "f1_micro",
        "f1_samples",
        "auprc",
        "auroc",
        "cross_entropy",
        "ece",
    }
    assert set(report["information"]["audio"]) == {
        "lower_bound",
        "best_known",
        "truth",
        "utilisation",
        "floor",
        "ceiling",
        "parts",
    }
    assert report["matrices"] == []
    assert [row["this_run"] for row in report["models"]] == [True, False, False, False]


@pytest.mark.parametrize("split", ["val", "test"])
def test_answers_in_another_order_are_refused(models, split):
    splits = dict(models[1].splits)
    predicted = splits[split]
    order = torch.arange(len(predicted.label)).roll(1)
    splits[split] = dataclasses.replace(
        predicted, label=predicted.label[order], key=predicted.key[order], present=predicted.present[order]
    )
    with pytest.raises(DataError, match=f"careful: its {split} predictions differ from those of best in key"):
        run([models[0], dataclasses.replace(models[1], splits=splits)])


def test_answers_to_other_labels_are_refused(models):
    splits = dict(models[1].splits)
    splits["test"] = dataclasses.replace(splits["test"], label=2 - splits["test"].label)
    with pytest.raises(DataError, match="in label"):
        run([models[0], dataclasses.replace(models[1], splits=splits)])


def test_the_gate_names_the_pattern_where_a_tower_is_better(models):
    towers = models[3]
    assert gate_never_below(models[0], towers, seed=0, replicates=200) == {
        "gate": "never below the uni-modal model",
        "passed": True,
        "checked": 3,
        "failures": [],
    }
    worse = model("joint", lambda symbols, pattern: bayes(symbols, pattern).roll(int(not pattern[0]), dims=1))
    gate = gate_never_below(worse, towers, seed=0, replicates=200)
    fused, unimodal = (trained.tables["test"].accuracy((False, True)) for trained in (worse, towers))
    assert not gate["passed"]
    assert gate["failures"] == [
        f"joint, audio: accuracy {fused:.3f}, tower audio {unimodal:.3f}: {unimodal - fused:.3f} lower (p 0.002 after Holm)"
    ]


def test_the_gate_compares_with_the_better_tower_of_a_set(models):
    listens_only = model("joint", lambda symbols, pattern: bayes(symbols, (pattern[0] and not pattern[1], pattern[1])))
    (failure,) = gate_never_below(listens_only, models[3], seed=0, replicates=200)["failures"]
    assert failure.startswith("joint, image+audio: ")
    assert "tower image" in failure


def test_a_baseline_that_is_better_is_a_finding_of_every_run_and_fails_none(models):
    worse = model("joint", lambda symbols, pattern: bayes(symbols, pattern).roll(int(not pattern[0]), dims=1))
    gate = gate_baselines(worse, [models[0], models[3]], seed=0, replicates=200)
    assert (gate["passed"], gate["failures"], gate["checked"]) == (True, [], 6)
    assert len(gate["findings"]) == 2
    assert all(sentence.startswith("joint, audio: accuracy ") for sentence in gate["findings"])
    assert not gate_baselines(models[0], [models[0], models[3]], seed=0, replicates=200)["findings"]


def test_what_an_arm_does_not_promise_is_a_finding_and_passes(models):
    worse = model("joint", lambda symbols, pattern: bayes(symbols, pattern).roll(int(not pattern[0]), dims=1))
    gate = gate_never_below(worse, models[3], seed=0, replicates=200)
    finding = as_finding(gate)
    assert finding["findings"] == gate["failures"] != []
    assert finding["passed"]
    assert finding["failures"] == []


def test_the_gate_lets_chance_pass(models):
    unlucky = model("joint", bayes)
    logits = unlucky.splits["test"].logits[False, True]
    logits[:3] = 9.0 * torch.nn.functional.one_hot((unlucky.splits["test"].label[:3] + 1) % 3, 3)
    assert gate_never_below(unlucky, models[3], seed=0, replicates=200)["passed"]


def test_the_gate_looks_only_at_samples_that_have_the_pattern():
    def present(size):
        return torch.stack([torch.ones(size, dtype=torch.bool), torch.arange(size) % 2 > 0], dim=1)

    ours, towers = (model("joint", how, present=present) for how in (bayes, tower))
    logits = ours.splits["test"].logits[False, True]
    logits[::2] = 9.0 * torch.nn.functional.one_hot((ours.splits["test"].label[::2] + 1) % 3, 3)
    assert gate_never_below(ours, towers, seed=0, replicates=200)["passed"]
