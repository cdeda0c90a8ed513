"""The verdict claims what the figures support, the first line warns of a better baseline, the next step follows from both."""

import pytest

from tests.page_sample import FOUR, TEN, TWO, interval, sample
from umemma.reporting import next_step, terminal, verdict
from umemma.reporting.formatting import in_words
from umemma.reporting.page import page
from umemma.reporting.results import Accounting, Robustness
from umemma.reporting.shown import shown_patterns

FULL = "image+audio"


def changed(change, kind=TWO, *, several=False, alone=False):
    """Return robustness and accounting after `change(accounting content)`, without findings about interaction."""
    reports = sample(kind, several=several, alone=alone)
    content = reports.accounting.content()
    content["arms"] = [row for row in content["arms"] if row["arm"] not in ("early", "specialist")]
    change(content)
    return reports.robustness, Accounting.model_validate(content)


def nothing(_):
    """Change nothing."""


def baseline(name, *, difference, p_holm=0.001, patterns=(FULL, "image", "audio")):
    """Return a change that adds a baseline with this difference to the run."""

    def change(content):
        template = next(row for row in content["arms"] if row["arm"] == "ensemble")
        versus = {"difference": interval(difference, 0.02), "p": p_holm, "p_holm": p_holm}
        tie = {"difference": interval(0.0, 0.02), "p": 1.0, "p_holm": 1.0}
        content["arms"].append(
            {
                **template,
                "arm": name,
                "about": "plain",
                "versus": {p: versus if p in patterns else tie for p in content["metrics"]},
            }
        )

    return change


def score(*, value, low, high, n=38, clusters=38):
    def change(content):
        content["metrics"][FULL] |= {
            "n": n,
            "clusters": clusters,
            "accuracy": {"value": value, "low": low, "high": high},
        }

    return change


def test_the_verdict_names_everything_alone_and_without_with_their_intervals():
    _, accounting = changed(nothing)
    text = " ".join(verdict.sentences(accounting))
    row = accounting.metrics[FULL]
    assert f"With everything present, {100 * row.accuracy.value:.1f}% [{100 * row.accuracy.low:.1f}% to " in text
    assert "Always answering \u201czero\u201d would reach 21.0%." in text
    assert "Alone, image reaches" in text
    assert text.index("image reaches") < text.index("audio reaches")
    assert "Without image it loses 18.9 points [17.7 to 20.1] and without audio it loses 15.6 points" in text


def test_a_model_that_is_no_better_than_the_most_frequent_class_is_not_said_to_be():
    def change(content):
        content["majority"][FULL]["gain"] = interval(0.01, 0.02)
        content["majority"]["audio"]["gain"] = interval(0.0, 0.03)
        content["metrics"]["audio"]["auroc"] = interval(0.51, 0.03)

    text = " ".join(verdict.sentences(changed(change)[1]))
    assert "That is not more than always answering \u201czero\u201d reaches (21.0%)" in text
    assert "audio alone is no better than always answering \u201czero\u201d" in text
    assert "image alone is no better" not in text


def test_a_modality_that_ranks_samples_is_not_said_to_tell_nothing():
    def change(content):
        content["majority"]["audio"]["gain"] = interval(0.0, 0.03)
        content["metrics"]["audio"]["auroc"] = interval(0.7, 0.03)

    robustness, accounting = changed(change)
    text = " ".join(verdict.sentences(accounting))
    assert "audio alone is right no more often than always answering \u201czero\u201d, but ranks samples better" in text
    assert "pretrain.lr" not in next_step.next_step(robustness, accounting).command


def test_where_samples_have_holes_the_verdict_begins_with_all_of_them():
    def change(content):
        row = content["metrics"][FULL] | {"n": 4321, "accuracy": interval(0.654)}
        content["every_sample"] = {FULL: row | {"majority": content["majority"][FULL]}}

    robustness, accounting = changed(change)
    assert verdict.sentences(accounting)[0].startswith("Over all 4,321 test samples, each with what it has, 65.4% [")
    assert "all test samples, each with what it has:" in terminal.table(robustness, accounting)


def test_half_of_the_modalities_removed_is_said_as_a_share_of_specialists():
    def change(content):
        row = {"this_run": interval(0.72), "specialists": interval(0.8), "ratio": interval(0.9)}
        content["halves"] = {"kept": 2, "of": 4, "sets": 6, "scores": {"accuracy": row}}

    text = " ".join(verdict.sentences(changed(change)[1]))
    assert "With 2 of the 4 modalities left (all test samples, the mean of 6 sets), the model reaches 90.0% [" in text
    assert "] of the accuracy of specialists" in text


def test_too_few_samples_are_said_to_be_too_few_and_groups_count():
    few = changed(score(value=1.0, low=0.7, high=1.0, n=38, clusters=6))[1]
    text = " ".join(verdict.sentences(few))
    assert "Too few samples to tell more, with 38 test samples from 6 groups" in text
    assert "anywhere from 70.0% to 100.0%" in text
    assert verdict.is_too_few(changed(score(value=1.0, low=None, high=None))[1])
    assert not verdict.is_too_few(changed(nothing)[1])


@pytest.mark.parametrize(
    ("loss", "sentence"),
    [
        (interval(-0.05, 0.01), "Without audio it is better, by 5.0 points [4.0 to 6.0]"),
        (interval(0.0, 0.01), "Without audio nothing changes that these samples could show"),
        (interval(0.02, 0.09), "Whether audio is needed, these samples are too few to tell"),
    ],
)
def test_what_a_modality_is_needed_for_is_only_claimed_where_the_interval_excludes_zero(loss, sentence):
    text = " ".join(verdict.sentences(changed(lambda content: content["by_modality"]["audio"].update(loss=loss))[1]))
    assert sentence in text
    assert "without audio it loses" not in text


def test_where_a_baseline_is_better_page_and_terminal_begin_with_it():
    robustness, accounting = changed(baseline("trees", difference=0.06))
    first = verdict.beaten(accounting)
    assert first.startswith("A plain baseline is better than this model: trees (plain), with everything present")
    assert "[+4.0 to +8.0 points]" in first
    assert " ".join(terminal.first_lines(accounting)).strip() == first
    html = page(sample(TWO)._replace(accounting=accounting))
    assert html.index("A plain baseline is better") < html.index("<h1>")
    assert next_step.next_step(robustness, accounting).command == "dvc exp run -S arm=trees"


@pytest.mark.parametrize(("difference", "p_holm"), [(0.01, 0.001), (0.06, 0.2), (-0.06, 0.001)])
def test_a_baseline_that_may_be_better_by_chance_is_not_said_to_be(difference, p_holm):
    robustness, accounting = changed(baseline("linear", difference=difference, p_holm=p_holm))
    assert verdict.beaten(accounting) is None
    assert terminal.first_lines(accounting) == []
    assert "arm=linear" not in next_step.next_step(robustness, accounting).command
    text = " ".join(verdict.sentences(accounting))
    assert ("is 6.0 points [4.0 to 8.0] behind" in text) == (difference < 0)
    assert ("is 6.0 points [4.0 to 8.0] ahead" in text and "may be chance (p 0.200 after" in text) == (p_holm == 0.2)
    assert ("show no difference" in text) == (difference == 0.01)


def test_a_baseline_that_is_better_with_one_modality_alone_is_named_with_it():
    _, accounting = changed(baseline("trees", difference=0.06, patterns=("audio",)))
    assert "trees (plain), with audio " in verdict.beaten(accounting)
    assert verdict.better_baselines(accounting) == []


def test_the_verdict_of_several_labels_is_in_f1():
    text = " ".join(verdict.sentences(changed(nothing, several=True)[1]))
    assert "the model reaches a micro F1 of" in text
    assert "points of F1" in text


def test_one_modality_is_neither_alone_nor_missed():
    text = " ".join(verdict.sentences(changed(nothing, (("text",), (0.6,)), alone=True)[1]))
    assert "With everything present" in text
    assert "Alone" not in text
    assert "Without" not in text


def test_the_next_step_follows_from_what_is_found():
    def fused_is_worse(content):
        content["patterns"][FULL]["uni"] = 0.99

    def weak(content):
        content["majority"]["audio"]["gain"] = interval(0.0, 0.03)
        content["metrics"]["audio"]["auroc"] = interval(0.51, 0.03)
        content["information"][FULL]["utilisation"]["high"] = 1.0

    def used_up(content):
        content["information"][FULL]["utilisation"]["high"] = 1.0

    def nearly_used_up(content):
        content["information"][FULL]["utilisation"] |= {"value": 0.995, "low": 0.994, "high": 0.996}

    def command(change, arm="ume-mma"):
        robustness, accounting = changed(change)
        return next_step.next_step(Robustness.model_validate(robustness.content() | {"arm": arm}), accounting).command

    assert command(score(value=0.9, low=0.6, high=0.98)) == 'make ablation SEEDS="0 1 2"'
    assert command(weak) == "dvc exp run -S pretrain.lr=0.001"
    assert command(used_up) == 'make ablation SEEDS="0 1 2"'
    assert command(nearly_used_up, "frozen") == 'make ablation SEEDS="0 1 2"', "half a percent is worth no run"
    assert command(nothing, "frozen") == "dvc exp run -S arm=ume-mma"
    assert command(nothing, "ume-mma") == 'make ablation SEEDS="0 1 2"', "its towers are trained further already"
    robustness, accounting = changed(nothing)
    content = robustness.content()
    fused_is_worse(content)
    step = next_step.next_step(Robustness.model_validate(content), accounting)
    assert step.command == "dvc exp run -S fuse.head=pool"
    assert "99.0%" in step.sentence
    for head in ("pool", "pool_residual"):
        content["training"]["head"] = head
        assert next_step.next_step(Robustness.model_validate(content), accounting).command != step.command


def test_of_many_patterns_those_are_shown_that_a_reader_asks_for_and_the_worst():
    accounting = sample(TEN).accounting
    shown = shown_patterns(accounting)
    sizes = [name.count("+") + 1 for name in shown]
    assert sizes.count(10) == 1
    assert sizes.count(9) == sizes.count(1) == 10
    assert len(shown) == 26
    rest = [row.accuracy.value for name, row in accounting.metrics.items() if 1 < name.count("+") + 1 < 9]
    worst = [accounting.metrics[name].accuracy.value for name in shown if 1 < name.count("+") + 1 < 9]
    assert sorted(worst) == sorted(rest)[:5]
    assert shown_patterns(sample(FOUR).accounting) == list(sample(FOUR).accounting.metrics)


def test_a_set_of_many_modalities_is_named_by_what_is_missing():
    names = [f"m{number}" for number in range(6)]
    assert in_words("+".join(names), names) == "everything"
    assert in_words("+".join(names[1:]), names) == "all but m0"
    assert in_words("+".join(names[2:]), names) == "all but m0 and m1"
    assert in_words("m0+m1", names) == "m0 + m1"
    assert in_words("m0+m1", names[:3]) == "m0 + m1"


@pytest.mark.parametrize("several", [False, True])
def test_a_page_is_small(several):
    previews = 160_000
    assert len(page(sample(FOUR, several=several)).encode()) < 600_000 - previews
    assert len(page(sample(TEN, several=several)).encode()) < 640_000


def test_the_table_in_the_terminal_is_short_however_many_modalities_there_are():
    reports = sample(TEN)
    lines = terminal.table(reports.robustness, reports.accounting).splitlines()
    assert len(lines) == 2 + 26 + 1
    assert lines[-1] == "(51 more sets of modalities in data/reports/robustness.json)"
    assert any(line.startswith("all but group 3") for line in lines)
