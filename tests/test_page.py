"""The page against the reports it was made from, and its sentences and sums against independent computations."""

import itertools
import json
import math
import re
import subprocess
import sys
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.page_sample import FOUR, HOSTILE, TWO, holes, sample
from umemma.evaluation.comparison import as_finding
from umemma.missingness import patterns, probability
from umemma.reporting import findings, svg
from umemma.reporting.expected import expected, kept, per_pattern, presence
from umemma.reporting.formatting import tick
from umemma.reporting.page import page
from umemma.reporting.reports import Reports
from umemma.reporting.results import Accounting, Gates, Robustness
from umemma.reporting.terminal import encoder_lines, protocol_lines, table

VOID = {"meta", "link", "input", "br"}


class Parsed(HTMLParser):
    """What the tests need: balanced tags, attributes, text, and the cells of each labelled table, row by row."""

    def __init__(self, html):
        super().__init__()
        self.open, self.tags, self.texts, self.tables, self.region = [], [], [], {}, None
        self.feed(html)
        self.close()
        assert not self.open
        self.text = " ".join(self.texts)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.tags.append((tag, attributes))
        if tag not in VOID:
            self.open.append(tag)
        if attributes.get("role") == "region":
            self.region = self.tables.setdefault(attributes["aria-label"], [])
        if tag == "tr":
            self.region.append([])
        if tag in ("td", "th"):
            self.region[-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not {"style", "script"} & set(self.open):
            self.texts.append(data.strip())
        if {"td", "th"} & set(self.open) and "svg" not in self.open:
            self.region[-1][-1] += data

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]

    def row(self, table, start, *more):
        """Return the only row that starts with these cells in tables whose name ends so, with single spaces."""
        wanted = (start, *more)
        matching = [
            row
            for name, rows in self.tables.items()
            if name.endswith(table)
            for row in rows
            if tuple(" ".join(cell.split()) for cell in row[: len(wanted)]) == wanted
        ]
        assert len(matching) == 1, (table, wanted, len(matching))
        return " ".join(" ".join(matching[0]).split())


def percent(value):
    return f"{100 * value:.1f}".replace("-0.0", "0.0").replace("-", "\u2212")


def nats(value):
    return f"{value:.3f}".replace("-0.000", "0.000").replace("-", "\u2212")


def words(pattern):
    return pattern.replace("+", " + ")


def loaded(kind):
    reports = sample(kind)
    return *reports, Parsed(page(reports))


@pytest.fixture(scope="module", params=[TWO, FOUR], ids=["2 modalities", "4 modalities"])
def shown(request):
    return loaded(request.param)


def assert_interval(row, value, form):
    for key in ("value", "low", "high"):
        assert form(getattr(value, key)) in row, (row, key, form(getattr(value, key)))


def test_the_page_is_whole_and_loads_nothing(shown):
    parsed = shown[-1]
    html = page(Reports(*shown[:-1]))
    assert html.startswith("<!doctype html>")
    assert not re.search(r"(?i)https?:|//[a-z]|@import|url\(|<(img|audio|iframe|object|embed|base)\b", html)
    ids = [attributes["id"] for _, attributes in parsed.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes in parsed.tags:
        assert {"src", "srcset", "poster", "action"}.isdisjoint(attributes)
        link = attributes.get("href", "#main")
        assert link in ("data:,", "predictions.csv") or link[1:] in ids
        for key in ("for", "aria-labelledby", "aria-describedby"):
            assert attributes.get(key, ids[0]) in ids


def test_the_structure_can_be_walked_without_looking(shown):
    parsed = shown[-1]
    assert parsed.all("html")[0]["lang"] == "en"
    levels = [int(tag[1]) for tag, _ in parsed.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    assert len(parsed.all("caption")) == len(parsed.all("table")) > 10
    assert all(attributes.get("scope") in ("col", "row") for attributes in parsed.all("th"))
    assert all(attributes["role"] == "img" for attributes in parsed.all("svg"))
    after_svg = [after for (tag, _), (after, _) in itertools.pairwise(parsed.tags) if tag == "svg"]
    assert set(after_svg) == {"title"}
    regions = [attributes for _, attributes in parsed.tags if attributes.get("role") == "region"]
    assert all(region["tabindex"] == "0" for region in regions)
    assert len({region["aria-label"] for region in regions}) == len(regions)
    assert [tag for tag, _ in parsed.tags if tag in ("nav", "main", "header")] == ["header", "nav", "main"]


def test_every_figure_of_the_patterns_stands_in_its_row(shown):
    robustness, accounting, parsed = shown[0], shown[1], shown[-1]
    for name, metrics in accounting.metrics.items():
        known, tower = accounting.information[name], robustness.patterns[name]
        row = parsed.row("Table of patterns", f"{words(name)} {metrics.n:,} samples")
        assert_interval(row, metrics.accuracy, percent)
        assert f"{percent(tower.uni)}% {tower.uni_tower}" in row
        row = parsed.row("Table of all metrics", words(name))
        for key in ("f1_macro", "f1_micro", "auprc", "auroc", "ece"):
            assert_interval(row, getattr(metrics, key), percent)
        assert_interval(row, metrics.cross_entropy, nats)
        row = parsed.row("Table of information", words(name))
        for key in ("floor", "ceiling", "utilisation"):
            assert_interval(row, getattr(known, key), percent)
        assert_interval(row, known.lower_bound, nats)
        assert_interval(row, known.best_known, nats)
        assert nats(known.truth) in row
        assert known.best_known.model in row


def test_every_figure_of_failure_mixtures_pairs_and_late_fusion_is_there(shown):
    accounting, parsed = shown[1], shown[-1]
    for name, row in accounting.information.items():
        if row.parts is not None:
            for part in (row.parts.failure, row.parts.encoder, row.parts.family, row.parts.adaptation):
                assert_interval(parsed.row("Table of the parts of the failure", words(name)), part, nats)
        assert ("uses" in parsed.row("Table of information", words(name))) == (row.best_known.uses != name)
    for row in accounting.at_rates:
        for part in (row.best_known, row.used, row.failed):
            assert_interval(parsed.row("Table of mixtures of patterns", f"each at {row.missing_rate:.0%}"), part, nats)
    if accounting.as_they_come is not None:
        for part in (accounting.as_they_come.best_known, accounting.as_they_come.used, accounting.as_they_come.failed):
            assert_interval(parsed.row("Table of mixtures of patterns", "as the 9,000 test samples come"), part, nats)
    for name, row in accounting.holes.items():
        shown_row = parsed.row("Table of what holes depend on", name)
        assert all(f"{p:.3f}" in shown_row for p in (row.label, row.seen, row.seen_given_label))
        assert nats(row.least) in shown_row
    assert "Whether image is there depends on the label" in parsed.text
    weighted, withheld = accounting.elsewhere
    assert_interval(parsed.row("Table of accuracy if holes came by chance", "30%"), weighted.accuracy, percent)
    assert f"cannot be known: {withheld.why}" in parsed.row("Table of accuracy if holes came by chance", "60%")
    assert "weighted so that holes may depend on the label; without weights" in parsed.text
    for name, row in accounting.pairs.items():
        assert_interval(parsed.row("Table of pairs", words(name)), row, nats)
    for name, row in accounting.late_fusion.items():
        for part in (row.product, row.additive):
            assert_interval(parsed.row("Table of what late fusion misses", words(name)), part, nats)


def test_every_figure_of_rates_and_protocols_is_there(shown):
    robustness, parsed = shown[0], shown[-1]
    for entry in robustness.rates:
        rates = list(entry.missing_rate.values())
        hidden = [rate for rate in rates if rate]
        if len(hidden) == 1 or len(set(rates)) == 1:
            row = parsed.row("Table of accuracy by missing rate", f"{max(rates):.0%}")
            assert percent(entry.accuracy) in row
            assert nats(entry.cross_entropy) in row
    for entry in robustness.protocols:
        row = parsed.row("Table of protocols", entry.protocol, entry.missing, f"{entry.rate:.0%}")
        assert percent(entry.accuracy) in row
        assert nats(entry.cross_entropy) in row
    for entry in robustness.named_protocols:
        row = parsed.row("Table of named protocols", entry.protocol)
        assert f"{entry.incomplete:.0%}" in row
        if entry.scores is None:
            assert entry.why in row
            continue
        scores = [entry.scores.accuracy, entry.scores.f1_micro, entry.scores.f1_macro, entry.auroc, entry.auprc]
        assert all(percent(score) in row for score in scores if score is not None)
        assert nats(entry.scores.cross_entropy) in row
        assert f"{entry.protocol}: {entry.sets} of its {entry.of_sets} sets of modalities" in parsed.text


def test_every_figure_of_the_modalities_is_there(shown):
    accounting, parsed = shown[1], shown[-1]
    for name, figures in accounting.by_modality.items():
        row = parsed.row("Table of modalities", name)
        for key in ("shapley", "lost_for_good"):
            assert_interval(row, getattr(figures, key), nats)
        for key in ("shapley_share", "encoder_term", "fusion_noise"):
            assert_interval(row, getattr(figures, key), percent)
        for price in figures.price:
            assert_interval(parsed.row("Table of prices", f"{price.missing_rate:.0%}"), price, nats)
    for name, figures in accounting.lost.items():
        for score, form in (("accuracy", percent), ("cross-entropy", nats)):
            row = parsed.row(f"what is gone and what failed, {score}", f"{name} {figures.n:,} samples have it")
            assert figures.model in row
            split = figures.scores[score]
            for part in (split.loss, split.gone, split.failed, split.failed_before):
                assert_interval(row, part, form)
    for entry in accounting.counter_intuitive:
        row = parsed.row("counter-intuitive rates", words(entry.present), entry.added)
        assert_interval(row, entry.rate, percent)
    for bins in accounting.reliability.values():
        for bucket in bins:
            assert (
                f"confidence {percent(bucket.confidence)}%: accuracy {percent(bucket.accuracy)}%, "
                f"{percent(bucket.share)}% of the samples"
            ) in parsed.text


def test_every_figure_of_arms_models_and_matrices_is_there(shown):
    accounting, parsed = shown[1], shown[-1]
    for arm in accounting.arms:
        label = arm.arm + (", each 0.5" if arm.missing_rate else "")
        for name, cells in arm.patterns.items():
            row = parsed.row(f"Arms, {words(name)}", label)
            for key, form in (("accuracy", percent), ("cross_entropy", nats), ("utilisation", percent)):
                assert form(getattr(cells, key).mean) in row
                assert f"\u00b1 {form(getattr(cells, key).spread)}" in row
            if arm.versus:
                assert_interval(row, arm.versus[name].difference, percent)
                assert "0.012 0.046" in row
    for model in accounting.models:
        row = parsed.row("Table of models", model.name + " this run" * model.this_run)
        for name, cells in model.patterns.items():
            if len(accounting.modalities) > 2 and "+" in name and name != "+".join(accounting.modalities):
                continue  # the table would be too wide
            assert f"{percent(cells.accuracy)}%" in row
            assert f"{nats(cells.cross_entropy)}, {percent(cells.utilisation)}%" in row
        assert f"{model.budget:,}" in row
    for matrix in accounting.matrices:
        for rate, cells in zip(matrix.train_rates, matrix.accuracy, strict=True):
            row = parsed.row(f"Heat map of {matrix.arm}", f"{rate:.0%}")
            assert row.split()[1:] == [f"{percent(cell)}%" for cell in cells]


def test_provenance_and_gates_are_reported_in_full(shown):
    robustness, accounting, gates, masks, *_, parsed = shown
    for fact in (
        robustness.dataset.fingerprint,
        "sum_logits",
        "each 0.5",
        "independent",
        nats(accounting.entropy),
        "1 of 3 gates failed",
        f"{robustness.budget.total:,} training samples seen by an encoder",
        "0.21%, head 34%.",
    ):
        assert fact in parsed.text
    for gate in gates.gates:
        assert f"{gate.gate} : {'passed' if gate.passed else 'failed'}, {gate.checked} checked" in parsed.text
        assert all(failure in parsed.text for failure in gate.failures)
    for split, of_split in masks.splits.items():
        row = parsed.row("Table of masks", split)
        assert of_split.sha256 in row
        for rate in of_split.realised.values():
            assert f"{100 * rate:.4g}%" in row
        for name, rates in of_split.by_class.items():
            row = parsed.row(f"Realised rates by class, {split}", name)
            assert all(f"{100 * rate:.4g}%" in row for rate in rates.values())


def test_whatever_is_in_quarantine_is_counted_by_split_and_reason(shown):
    data, parsed = shown[-3], shown[-1]
    assert "Of 70,020 samples 20 could not be used and are in quarantine" in " ".join(parsed.text.split())
    for name in ("judged", "used", "quarantined"):
        row = parsed.row("Table of data", name)
        counts = getattr(data, name).values()
        assert row.split()[1:] == [f"{count:,}" for count in [*counts, sum(counts)]]
    for reason in data.reasons:
        row = parsed.row("Table of data", reason.reason).removeprefix(reason.reason)
        counts = [reason.by_split.get(split, 0) for split in data.splits]
        assert row.split()[:5] == [f"{count:,}" for count in [*counts, reason.total]]
        assert reason.example in row
    assert "warns of 1 thing that did not stop it" in parsed.text
    assert "clipping: train/audio, column audio_clipped_share: <i>too loud</i>" in parsed.text
    assert "same_shape, silence" in parsed.text


def test_names_from_the_data_cannot_become_markup():
    html = page(sample(HOSTILE))
    parsed = Parsed(html)
    assert "<b>bold" not in html
    assert "</script><b>bold</b>" in parsed.text
    assert parsed.row("Table of modalities", 'sound"&')
    assert parsed.row("Realised rates by class, val", '"&')
    data = re.search(r'<script type="application/json" id="explore-data">(.*?)</script>', html).group(1)
    assert json.loads(data)["modalities"] == list(HOSTILE[0])


def test_the_same_reports_give_the_same_bytes_in_every_process():
    reports = sample(FOUR)
    contents, towers = [report.content() for report in reports[:-1]], reports.towers
    code = """
import json, sys
from umemma.reporting import data_summary, page, reports, results
kinds = (*list(results.REPORTS.values())[:5], data_summary.Summary)
*contents, towers = json.load(sys.stdin)
towers = {name: results.TowerResult.model_validate(content) for name, content in towers.items()}
reports = reports.Reports(*(kind.model_validate(c) for kind, c in zip(kinds, contents, strict=True)), towers)
sys.stdout.write(page.page(reports))
"""
    pages = [
        subprocess.run(
            [sys.executable, "-c", code],
            input=json.dumps([*contents, {name: tower.content() for name, tower in towers.items()}]),
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": seed, "PYTHONUTF8": "1"},
        ).stdout
        for seed in "12"
    ]
    assert pages == [page(reports)] * 2


def test_a_gate_that_the_arm_does_not_promise_is_reported_as_a_finding_and_not_counted():
    reports = sample(TWO, passed=False)
    entries = [gate.model_dump(exclude_unset=True) for gate in reports.gates.gates]
    gates = Gates.model_validate(
        {"passed": True, "gates": [as_finding(gate) if gate["failures"] else gate for gate in entries]}
    )
    parsed = Parsed(page(reports._replace(gates=gates)))
    assert "all 2 gates passed" in parsed.text
    assert "not judged, as ume-mma does not promise it; a finding, 3 checked" in parsed.text
    assert "joint, audio: accuracy 0.499, tower audio 0.618: 0.119 lower" in parsed.text


def test_encoders_that_were_tried_are_compared_and_the_best_is_named():
    reports = sample(TWO)
    parsed = Parsed(page(reports))
    rows = [parsed.row("Table of encoders", "image", name) for name in ("tcn width 32", "trees", "mlp")]
    assert [row.split("%")[0] for row in rows] == [
        "image tcn width 32 0.700 66.0",
        "image trees 0.930 51.2",
        "image mlp failed: <i>NaN</i> after 3 steps",
    ]
    assert encoder_lines(reports.towers) == ["", "encoders, by validation data: image tcn (not trees or mlp)"]


def test_without_a_search_nothing_is_said_of_encoders():
    reports = sample(TWO, alone=True)
    assert "Encoders that were tried" not in page(reports)
    assert encoder_lines(reports.towers) == [""]


def test_a_run_that_is_alone_gets_a_page_without_what_it_lacks():
    parsed = Parsed(page(sample(TWO, alone=True)))
    assert "No other arm has been trained on these data yet" in parsed.text
    assert "this arm hides no modality in training" in parsed.text
    assert "all 3 gates passed" in parsed.text
    assert "#matrices" not in [attributes["href"] for attributes in parsed.all("a")]
    assert parsed.row("Table of models", "ume-mma this run").count("\u2013") == 4  # budget and three utilisations
    assert parsed.row("Table of modalities", "image").count("\u2013") == 1  # the encoder term
    assert "Of the information that the best known model finds" not in parsed.text
    assert "All 70,000 samples could be used; none is in quarantine." in parsed.text
    assert "The gate before training had no warnings." in parsed.text
    assert parsed.row("Table of presence", "samples") == "samples 55,000 5,000 10,000"


def test_a_page_without_rates_has_no_curve_and_no_sliders():
    reports = sample(TWO)
    robustness, accounting = (report.content() for report in reports[:2])
    del robustness["patterns"]["audio"], accounting["metrics"]["audio"], accounting["information"]["audio"]
    del robustness["kept"]["audio"]
    robustness["rates"] = [row for row in robustness["rates"] if set(row["missing_rate"].values()) == {0.0}]
    parsed = Parsed(
        page(Reports(Robustness.model_validate(robustness), Accounting.model_validate(accounting), *reports[2:]))
    )
    assert "Only one missing rate was evaluated" in parsed.text
    assert not parsed.all("input")


@pytest.mark.parametrize("rates", [(0.0, 0.0, 0.0, 0.0), (0.3, 0.0, 0.9, 0.5), (1.0, 1.0, 1.0, 1.0)])
def test_expected_metrics_are_the_sum_over_patterns(rates):
    robustness = sample(FOUR)[0]
    by_pattern = {
        pattern: robustness.patterns["+".join(itertools.compress(FOUR[0], pattern))] for pattern in patterns(4)
    }
    by_pattern[(False,) * 4] = robustness.kept[""]
    metrics = expected(per_pattern(robustness), dict(zip(FOUR[0], rates, strict=True)))
    for key in ("accuracy", "cross_entropy"):
        assert metrics[key] == pytest.approx(
            sum(probability(pattern, rates) * getattr(row, key) for pattern, row in by_pattern.items())
        )


@pytest.mark.parametrize("rates", [(0.0, 0.0, 0.0, 0.0), (0.3, 0.0, 0.9, 0.5), (1.0, 1.0, 1.0, 1.0)])
def test_what_samples_keep_is_what_they_have_less_what_the_rates_hide(rates):
    def chance(is_in_data, is_kept, rate):
        return (1 - rate if is_kept else rate) if is_in_data else float(not is_kept)

    robustness, exactly = sample(FOUR)[0], holes(FOUR[0])
    shares = presence(robustness)
    assert shares == {frozenset(itertools.compress(FOUR[0], has)): count / 10_000 for has, count in exactly.items()}
    likelihood = kept(shares, dict(zip(FOUR[0], rates, strict=True)))
    assert sum(likelihood.values()) == pytest.approx(1)
    for left in exactly:
        exact = sum(
            count / 10_000 * math.prod(chance(*values) for values in zip(has, left, rates, strict=True))
            for has, count in exactly.items()
        )
        assert likelihood.get(frozenset(itertools.compress(FOUR[0], left)), 0.0) == pytest.approx(exact)


def test_expectations_are_of_all_samples_not_of_those_that_have_the_whole_pattern():
    robustness = sample(TWO)[0].content()
    robustness["kept"]["image"]["accuracy"] = 0.4321
    assert per_pattern(Robustness.model_validate(robustness))[frozenset({"image"})]["accuracy"] == 0.4321


def test_without_the_empty_set_the_expectation_is_given_that_something_is_left():
    known = {
        frozenset({"image"}): {"accuracy": 0.6},
        frozenset({"audio"}): {"accuracy": 0.5},
        frozenset({"image", "audio"}): {"accuracy": 0.9},
    }
    assert expected(known, {"image": 0.5, "audio": 0.5}) == pytest.approx({"accuracy": (0.6 + 0.5 + 0.9) / 3})
    assert expected(known, {"image": 1.0, "audio": 1.0}) is None
    del known[frozenset({"audio"})]
    assert expected(known, {"image": 0.5, "audio": 0.5}) is None


def test_early_fusion_is_named_only_where_it_surely_wins():
    accounting = sample(TWO)[1]
    [sentence] = findings.interaction(accounting)
    early, best_late = (
        next(row.patterns["image+audio"].accuracy for row in accounting.arms if row.arm == arm)
        for arm in ("early", "ume-mma")
    )
    assert sentence.startswith("Late fusion loses here.")
    assert percent(early.mean) in sentence
    assert f"ume-mma, at {percent(best_late.mean)}%" in sentence
    assert sentence in page(sample(TWO))


def test_a_specialist_that_ties_with_early_fusion_is_no_late_arm():
    accounting = sample(TWO)[1].content()
    early = next(row for row in accounting["arms"] if row["arm"] == "early")
    for arm in ("specialist", "frozen specialist"):
        accounting["arms"].append(early | {"arm": arm})
    assert len(findings.interaction(Accounting.model_validate(accounting))) == 1
    accounting["arms"].append(early | {"arm": "ump"})
    assert findings.interaction(Accounting.model_validate(accounting)) == []


@pytest.mark.parametrize("change", ["p", "interval", "rival", "no early", "not compared"])
def test_a_win_of_early_fusion_that_may_be_chance_is_not_claimed(change):
    accounting = sample(TWO)[1].content()
    early, rival = (next(row for row in accounting["arms"] if row["arm"] == arm) for arm in ("early", "joint"))
    if change == "p":
        early["versus"]["image+audio"]["p_holm"] = 0.06
    elif change == "interval":
        early["versus"]["image+audio"]["difference"]["low"] = -0.001
    elif change == "rival":
        rival["versus"]["image+audio"]["difference"]["high"] = 0.02
    elif change == "no early":
        accounting["arms"].remove(early)
    else:
        del early["versus"]["image+audio"]
    assert findings.interaction(Accounting.model_validate(accounting)) == []


def test_a_run_that_is_itself_early_is_held_against_every_late_arm():
    accounting = sample(TWO)[1].content()
    early = next(row for row in accounting["arms"] if row["arm"] == "early")
    difference = {"value": -0.03, "low": -0.04, "high": -0.02}
    for row in accounting["arms"]:
        row["versus"] = {"image+audio": {"difference": dict(difference), "p": 0.01, "p_holm": 0.01}}
    early["versus"] = None
    assert len(findings.interaction(Accounting.model_validate(accounting))) == 1
    accounting["arms"][0]["versus"]["image+audio"]["difference"]["high"] = 0.001
    assert findings.interaction(Accounting.model_validate(accounting)) == []


def test_early_fusion_as_best_known_model_is_named_with_the_patterns_where_it_surely_finds_more():
    accounting = sample(FOUR)[1].content()
    accounting["arms"] = []
    for name in ("image+audio", "audio+text", "image+text", "text"):  # a single modality has no interaction
        accounting["information"][name]["best_known"]["model"] = "early-1"
    accounting["information"]["image+text"]["utilisation"]["high"] = 1.001
    [sentence] = findings.interaction(Accounting.model_validate(accounting))
    assert sentence.startswith("For image + audio and audio + text the best known model is early fusion")


def test_a_data_set_that_never_has_everything_gets_its_fullest_pattern_in_the_headline():
    accounting = sample(FOUR)[1].content()
    del accounting["metrics"]["image+audio+inertial+text"]
    head = findings.headline(Accounting.model_validate(accounting))
    assert head.fullest.count("+") == 2
    assert not head.everything
    assert head.worst == "inertial"


@given(st.lists(st.floats(0, 300), min_size=1, max_size=8))
def test_labels_keep_their_distance_and_order(wanted):
    places = svg.spread(wanted, 17, 0, 300)
    ranked = sorted(range(len(wanted)), key=lambda index: wanted[index])
    assert all(places[after] - places[before] >= 17 - 1e-9 for before, after in itertools.pairwise(ranked))
    assert all(-1e-9 <= place <= 300 + 1e-9 for place in places)


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=6), st.integers(3, 7))
def test_a_scale_holds_its_values_between_round_ticks(values, most):
    scale = svg.scale_over(values, 10, 200, most_ticks=most)
    assert scale.low - 1e-9 <= min(values) <= max(values) <= scale.high + 1e-9
    assert 2 <= len(scale.ticks()) <= most
    assert all(10 - 1e-6 <= scale(value) <= 200 + 1e-6 for value in values)


def test_text_of_a_drawing_is_escaped_and_numbers_are_short():
    assert svg.element("text", '<&"', x=1 / 3, class_=None) == '<text x="0.33">&lt;&amp;&#34;</text>'
    assert svg.element("g", x=-0.001, y=2.0) == '<g x="0" y="2"></g>'
    assert svg.fitted("a very long name of a modality", 60).endswith("\u2026")


def test_multi_label_f1_is_shown_wherever_accuracy_is():
    results, account, *others = sample(FOUR, several=True)
    parsed = Parsed(page(Reports(results, account, *others)))
    full = "+".join(FOUR[0])
    assert f"reaches a micro F1 of {percent(results.patterns[full].f1_micro)}%" in " ".join(parsed.text.split())
    for name, row in results.patterns.items():
        cells = parsed.row("Table of patterns", f"{name.replace('+', ' + ')} {account.metrics[name].n:,} samples")
        assert all(
            f"{percent(getattr(row, key))}%" in cells for key in ("accuracy", "f1_micro", "f1_macro", "uni_f1_micro")
        )
    for row in (arm for arm in account.arms if full in arm.patterns):
        cells = parsed.row(f"Arms, {full.replace('+', ' + ')}", f"{row.arm}, each 0.5" if row.missing_rate else row.arm)
        assert f"{percent(row.patterns[full].f1_macro.mean)}%" in cells
    worst = min(results.patterns.values(), key=lambda row: row.f1_micro)
    assert f"{percent(worst.f1_micro)}%" in parsed.text.split("Contents")[0]
    assert "micro F1" not in page(sample(FOUR))


def test_the_table_in_the_terminal_has_f1_of_several_labels_auroc_auprc_and_the_best_modality_alone():
    results, account, *_ = sample(TWO, several=True)
    line = next(line for line in table(results, account).splitlines() if line.startswith("image "))
    row, ends = results.patterns["image"], account.metrics["image"].f1_micro
    expected = [
        row.f1_micro,
        ends.low,
        ends.high,
        row.f1_macro,
        row.auroc,
        row.auprc,
        row.uni_f1_micro,
        row.uni_f1_macro,
    ]
    assert [word for word in line.split() if re.fullmatch(r"[01]\.\d{4}", word)] == [
        f"{value:.4f}" for value in expected
    ]


@pytest.mark.parametrize("several", [False, True])
def test_the_terminal_says_what_to_expect_under_each_protocol_and_what_it_hides(several):
    results = sample(TWO, several=several)[0]
    _, head, *lines = protocol_lines(results)
    assert head.split()[-3:] == ["AUROC", "AUPRC", "lacking"]
    for line, row in zip(lines, results.named_protocols, strict=False):  # the last has no scores
        score = row.scores.f1_micro if several else row.scores.accuracy
        assert line.split("  ")[0] == row.protocol
        assert f" {score:.4f} " in line
        assert line.endswith(f"each {round(100 * row.missing['image'], 2):g}%")
    assert len(lines) == 2
    assert protocol_lines(results.model_copy(update={"named_protocols": []})) == []


@pytest.mark.parametrize("several", [False, True])
def test_columns_of_the_table_in_the_terminal_stand_below_their_names_however_long_those_in_it_are(several):
    results, account, *_ = sample(HOSTILE, several=several)
    _, head, *lines = table(results, account).splitlines()
    assert max(map(len, results.patterns)) > 24
    assert {len(line) for line in lines} == {len(head)}


def test_measures_of_a_modalitys_worth_are_named_in_full_beside_long_names():
    html = page(sample(HOSTILE))
    assert all(f">{name}, points</text>" in html for name in ("encoder term", "fusion noise"))


def test_the_curve_of_several_labels_shows_f1():
    results, *others = sample(TWO, several=True)
    html = page(Reports(results, *others))
    assert "expected F1, micro" in html
    row = next(rate for rate in results.rates if rate.missing_rate == {"image": 0.5, "audio": 0.0})
    assert f"image, missing rate 0.5: {tick(row.f1_micro)}" in html
