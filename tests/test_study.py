"""Studies: what is planned, how differences are judged, what a page says; the last test runs one."""

import dataclasses
import math
import sys
from pathlib import Path
from statistics import fmean

import pytest
import torch
from ruamel.yaml import YAML
from scipy.stats import ttest_1samp

from flows.experiments import Experiments
from flows.overrides import check_overrides
from flows.stage_seconds import StageSeconds, num_bytes
from flows.study_page import Price, Written, answer, command, page
from flows.study_plan import Study, names, narrowed, read, trials
from tests.conftest import ROOT, run
from tests.test_flows import call, nothing_left
from umemma.errors import ParameterError
from umemma.evaluation import parts, study
from umemma.evaluation.bootstrap import Resamples
from umemma.evaluation.comparison import Model
from umemma.evaluation.overall import overall
from umemma.evaluation.study import Claim, Differences, condition, corrected
from umemma.missingness import Pattern, patterns
from umemma.prediction.predictions import Predictions
from umemma.settings import section
from umemma.sources import synthetic_distribution

NUM = 400
RESAMPLES = Resamples(torch.arange(NUM), replicates=1_000, seed=0)


def defined(**changes: object) -> Study:
    content = {
        "question": "Is it better?",
        "seeds": [0, 1],
        "compare": "how",
        "baseline": "as before",
        "factors": {"arm": {"frozen": [], "joint": ["arm=joint"]}, "how": {"as before": [], "new": ["fuse.lr=0.1"]}},
        "cases": {"digits": {"dataset": "digits", "settings": ["fuse.epochs=1"]}, "other": {"dataset": "grid"}},
    }
    return section(Study, **{**content, **changes})


def model(*, seed: int, accuracy: float, shift: int = 0) -> Model:
    """A model of two modalities that is right about so many of the samples, from the one numbered `shift` on."""
    label = torch.arange(NUM) % 2
    right = torch.arange(NUM).roll(shift) < accuracy * NUM
    logits = torch.nn.functional.one_hot(torch.where(right, label, 1 - label), 2).float() * 3
    by_pattern: dict[Pattern, torch.Tensor] = dict.fromkeys([*patterns(2), (False, False)], logits)
    by_pattern[False, False] = torch.zeros(NUM, 2)
    present = torch.ones(NUM, 2, dtype=torch.bool)
    part = Predictions(("image", "audio"), present, label, torch.arange(NUM), torch.arange(NUM), by_pattern)
    return Model("m", "frozen", seed, None, 1_000, {"val": part, "test": part})


def variants(**accuracies: float) -> dict[str, dict[int, Model]]:
    return {name: {seed: model(seed=seed, accuracy=value) for seed in (0, 1)} for name, value in accuracies.items()}


def test_every_combination_is_planned_for_every_case_and_seed_under_a_name_of_its_own() -> None:
    planned = trials("s", defined())
    assert len(planned) == len({trial.planned.name for trial in planned}) == 2 * 2 * 2 * 2
    assert planned[3].planned.overrides == ("dataset=digits", "seed=0", "fuse.epochs=1", "arm=joint", "fuse.lr=0.1")
    assert (planned[3].condition, planned[3].variant, planned[3].seed) == ("digits, arm joint", "new", 0)
    assert [trial.seed for trial in planned] == [0] * 8 + [1] * 8, "an interrupted study leaves whole comparisons"


def test_a_case_has_levels_of_its_own() -> None:
    own = {"dataset": "grid", "factors": {"how": {"as before": [], "slow": ["fuse.epochs=9"]}}}
    planned = trials("s", defined(cases={"other": own}))
    assert {trial.variant for trial in planned} == {"as before", "slow"}


def test_some_data_sets_and_seeds_are_chosen_by_data_set_or_case() -> None:
    assert list(narrowed(defined(), ["grid"], [5]).cases) == list(narrowed(defined(), ["other"], []).cases) == ["other"]
    assert {trial.seed for trial in trials("s", narrowed(defined(), [], [5]))} == {5}
    with pytest.raises(ParameterError, match=r"--datasets.*'grit'.*Did you mean 'grid'"):
        narrowed(defined(), ["grit"], [])


@pytest.mark.parametrize("name", names(ROOT))
def test_every_study_can_be_planned_and_names_each_experiment_once(name: str) -> None:
    found = read(ROOT, name)
    planned = trials(name, found)
    assert len({trial.planned.name for trial in planned}) == len(planned) > 1
    assert found.question.endswith("?")
    for case in found.cases.values():
        assert (ROOT / f"conf/dataset/{case.dataset}.yaml").exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", names(ROOT))
def test_every_experiment_of_a_study_can_be_composed(name: str, tmp_path: Path) -> None:
    for trial in trials(name, narrowed(read(ROOT, name), [], [0])):
        check_overrides(ROOT, trial.planned.overrides, tmp_path / "params.yaml")
        dataset = YAML(typ="safe").load((tmp_path / "params.yaml").read_text("utf-8"))["dataset"]["name"]
        assert f"dataset={dataset}" in trial.planned.overrides


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("compare: arm", "compare: amr", r"compare: there is no factor called 'amr'.*Did you mean 'arm'"),
        ("baseline: ume-mma", "baseline: ume", r"cases.synthetic: baseline.*'ume'"),
        ("arm=joint]", "seed=3]", r"seed=3: seed is set by the study itself"),
        ("question:", "qestion:", r"complementarity.yaml: .*question"),
        ("seeds: [0, 1, 2]", "seeds: []", r"seeds"),
        ("synthetic: {", "with XOR: {", r"cases.with XOR: a case's name is one word, as in with-XOR"),
    ],
)
def test_a_file_that_is_no_study_is_an_error_that_says_why(tmp_path: Path, old: str, new: str, message: str) -> None:
    text = (ROOT / "conf/study/complementarity.yaml").read_text("utf-8")
    assert old in text
    (tmp_path / "conf/study").mkdir(parents=True)
    (tmp_path / "conf/study/complementarity.yaml").write_text(text.replace(old, new))
    with pytest.raises(ParameterError, match=message):
        read(tmp_path, "complementarity")
    with pytest.raises(ParameterError, match=r"conf/study/.*Did you mean 'complementarity'"):
        read(tmp_path, "complementary")


def estimate(differences: torch.Tensor) -> list[torch.Tensor]:
    """Return the estimates of paired differences (seed, sample) as a study has them."""
    return [RESAMPLES.mean(row, torch.ones(NUM, dtype=torch.bool)) for row in differences]


def test_of_one_seed_a_claim_is_the_paired_t_test_over_samples() -> None:
    differences = (torch.rand(1, NUM, generator=torch.Generator().manual_seed(0)) < 0.6).double() - 0.53
    claim = study.claim([Differences(estimate(differences), NUM, NUM)])
    expected = ttest_1samp(differences[0].numpy(), 0)
    assert claim.value == pytest.approx(differences.mean().item())
    assert math.log(claim.p) == pytest.approx(math.log(expected.pvalue), rel=0.1)  # replicates are drawn
    low, high = expected.confidence_interval()
    assert (claim.low, claim.high) == pytest.approx((low, high), abs=0.006)


def test_seeds_that_differ_by_more_than_samples_do_are_what_counts() -> None:
    differences = torch.tensor([0.10, 0.30, -0.10])[:, None].expand(3, NUM).double()
    claim = study.claim([Differences(estimate(differences), NUM, NUM)])
    expected = ttest_1samp([0.10, 0.30, -0.10], 0)
    assert claim.p == pytest.approx(expected.pvalue, abs=0.01)


def test_a_difference_that_is_chance_is_claimed_as_often_as_it_should_be() -> None:
    """Samples and seeds of equal variance, three seeds: at most 5 % and what 300 repetitions leave open."""
    generator, false = torch.Generator().manual_seed(0), 0
    for _ in range(300):
        seeds = 0.02 * torch.randn(3, 1, generator=generator)
        of_samples = 0.4 * torch.randn(1, NUM, generator=generator)
        differences = seeds + of_samples + 0.3 * torch.randn(3, NUM, generator=generator)
        claim = study.claim([Differences(estimate(differences.double()), NUM, NUM)])
        false += claim.p is not None and claim.p < 0.05
    assert false <= 15 + 2 * math.sqrt(300 * 0.05 * 0.95)


@pytest.mark.parametrize(("seeds", "spread"), [(2, 0.015), (3, 0.015), (3, 0.01)])
def test_of_many_claims_of_few_seeds_none_is_false_though_some_seeds_agree_by_luck(seeds: int, spread: float) -> None:
    """42 differences that are chance, between seeds above all: of 100 tables at most 5 % hold a claim after correction."""
    generator, false = torch.Generator().manual_seed(4), 0
    of_samples = 0.005 * torch.randn(1, 1_000, generator=generator, dtype=torch.float64)
    for _ in range(100):
        value = spread * torch.randn(42, seeds, 1, generator=generator, dtype=torch.float64)
        by_seed = torch.cat([value, value + of_samples], dim=2)
        table = {number: study.claim([Differences(list(row), NUM, 10_000)]) for number, row in enumerate(by_seed)}
        false += any(each.verdict != "undecided" for each in study.holm_corrected(table).values())
    assert false <= 5 + 2 * math.sqrt(100 * 0.05 * 0.95)


def test_of_few_groups_with_many_samples_chance_is_claimed_as_often_as_it_should_be_and_equals_are_equal() -> None:
    """Twelve groups of 25 samples that agree: what two variants differ by is a group's, not a sample's."""
    resamples = Resamples(torch.arange(300) // 25, replicates=1_000, seed=0)
    everything = torch.ones(300, dtype=torch.bool)
    generator, false = torch.Generator().manual_seed(3), 0
    for _ in range(300):
        of_groups = 0.3 * torch.randn(12, generator=generator).repeat_interleave(25)
        right = (0.2 * torch.randn(300, generator=generator) + of_groups).double()
        claim = study.claim([Differences([resamples.mean(right, everything)], 12, 300)])
        false += claim.p is not None and claim.p < 0.05
    assert false <= 15 + 2 * math.sqrt(300 * 0.05 * 0.95)
    equal = study.claim([Differences([resamples.mean(torch.zeros(300), everything)], 12, 300)])
    assert (equal.value, equal.p) == (0, 1)
    assert equal.high == pytest.approx(2.2 * math.sqrt(2) / 302, rel=0.01)


def of_data_set(generator: torch.Generator, effect: float = 0.0) -> Differences:
    """Return three seeds' differences in which seeds and samples are chance, about an effect."""
    seeds = 0.02 * torch.randn(3, 1, generator=generator)
    samples = 0.4 * torch.randn(1, NUM, generator=generator)
    return Differences(estimate((effect + seeds + samples).double()), NUM, NUM)


def test_an_average_over_data_sets_that_is_chance_is_claimed_as_often_as_it_should_be() -> None:
    generator = torch.Generator().manual_seed(1)
    claims = [study.claim([of_data_set(generator) for _ in range(4)]) for _ in range(300)]
    false = sum(claim.p is not None and claim.p < 0.05 for claim in claims)
    assert false <= 15 + 2 * math.sqrt(300 * 0.05 * 0.95)


def test_an_average_shows_what_comparisons_one_by_one_seldom_do() -> None:
    generator, alone, together = torch.Generator().manual_seed(2), 0, 0
    for _ in range(50):
        given = [of_data_set(generator, effect=0.05) for _ in range(6)]
        corrected_alone = study.holm_corrected({number: study.claim([one]) for number, one in enumerate(given)})
        alone += sum(claim.verdict == "better" for claim in corrected_alone.values())
        average = study.claim(given)
        assert average.value == pytest.approx(fmean(claim.value for claim in corrected_alone.values()))
        together += average.verdict == "better"
    assert together >= 40
    assert alone / 6 <= together / 2


def test_averages_are_over_conditions_within_a_data_set_then_over_data_sets_and_have_ranks() -> None:
    good, bad = (condition(variants(old=0.6, new=new), "old", rates=[0.5]) for new in (0.8, 0.5))
    found = overall({"a 1": good, "a 2": good, "b": bad}, {"a 1": "a", "a 2": "a", "b": "b"})
    assert list(found.claims["new"]) == ["everything", "one alone", "50 % missing"]
    assert found.claims["new"]["everything"].value == pytest.approx((0.2 - 0.1) / 2)
    assert (found.num_conditions["new"], found.num_data_sets["new"]) == (3, 2)
    assert found.ranks["new"] == pytest.approx({"everything": 1.5, "one alone": 1.5, "50 % missing": 1.5})
    alone = overall({"a": good}, {"a": "a"})
    assert alone.ranks["new"]["everything"] == 1
    assert alone.claims["new"]["everything"].low == pytest.approx(good.claims["new"]["image+audio", "accuracy"].low)


def test_a_variant_that_some_conditions_lack_has_an_average_of_its_own_and_no_rank() -> None:
    both, one = condition(variants(old=0.6, new=0.7, rare=0.8), "old"), condition(variants(old=0.6, new=0.7), "old")
    found = overall({"a": both, "b": one}, {"a": "a", "b": "b"})
    assert found.num_conditions == {"new": 2, "rare": 1}
    assert found.claims["rare"]["one alone"].value == pytest.approx(0.2)
    assert list(found.ranks) == ["old", "new"]
    assert overall({}, {}).claims == {}


def test_a_condition_has_scores_budgets_and_a_claim_for_each_part_and_variant() -> None:
    found = condition(variants(old=0.6, new=0.8, same=0.6), "old", rates=[0.5])
    assert list(found.claims) == ["new", "same"]
    assert list(found.claims["new"]) == [
        (name, "accuracy") for name in ("image+audio", "image", "audio", "50 % missing")
    ]
    assert found.scores["new"]["image", "accuracy"].mean == pytest.approx(0.8)
    assert found.claims["new"]["image", "accuracy"].value == pytest.approx(0.2)
    nothing_left = 0.25 * 0.5  # both missing: the prior, right about half
    assert found.scores["new"]["50 % missing", "accuracy"].mean == pytest.approx(0.75 * 0.8 + nothing_left)
    assert found.budgets == dict.fromkeys(("old", "new", "same"), 1_000)


def test_holm_corrects_over_all_conditions_of_a_study() -> None:
    one = condition(variants(old=0.6, new=0.65), "old")
    alone, together = corrected({"a": one}), corrected({"a": one, "b": one, "c": one})
    cell = ("image", "accuracy")
    raw, p, more = (
        one.claims["new"][cell].p,
        alone["a"].claims["new"][cell].p_holm,
        together["c"].claims["new"][cell].p_holm,
    )
    assert raw is not None
    assert p == pytest.approx(3 * raw)  # three parts of one condition, equal p values
    assert more == pytest.approx(9 * raw)


def test_the_exact_optimum_of_synthetic_stands_beside() -> None:
    possible = synthetic_distribution.bayes_accuracy({"num_modalities": 3})
    part = parts.Part("half", {(True, True, True): 0.5, (False, False, False): 0.5})
    assert study._mixed(part, possible) == pytest.approx((possible[True, True, True] + 1 / 8) / 2)


def written(**changes: object) -> Written:
    conditions = corrected(
        {
            "digits, arm frozen": condition(variants(**{"as before": 0.6, "new": 0.8}), "as before"),
            "other, arm frozen": condition(variants(**{"as before": 0.6, "new": 0.6}), "as before"),
        }
    )
    averages = overall(conditions, {title: title.partition(",")[0] for title in conditions})
    prices = {("digits, arm frozen", "new"): Price(2**21, None, 7.4)}
    made = Written("bigger", defined(), defined(), conditions, averages, prices, 90.0, {}, "abc1234", 8, [0, 1])
    return dataclasses.replace(made, **changes)  # type: ignore[arg-type]


def test_the_answer_follows_from_the_claims() -> None:
    head, _, line = answer(written())
    assert head.startswith(
        "**Answer**, against `as before`. On average over all conditions, `new` is better with everything: +10.0 ("
    )
    assert "; 0 of 2 averages are undecided. Of 6 comparisons one by one, 3 are better, 0 worse, and 3 un" in head
    assert line.startswith(
        "- `new`: better in 3 of 6 (digits, arm frozen), most in digits, arm frozen, image+audio: +20.0 ("
    )
    assert "undecided in 3, where the intervals allow " in line
    nothing = answer(written(conditions={}))
    assert nothing == ["**Answer.** None: nothing has been run that could be compared with `as before`."]


def test_a_page_has_question_command_tables_and_what_was_not_run() -> None:
    text = page(written())
    assert text.startswith("# Bigger\n\n*Is it better?*\n\n**Answer**, against ")
    assert "```\nmake study NAME=bigger\n```" in text
    assert "8 experiments, seeds 0, 1, commit abc1234, " in text
    assert "| `new` | 80.0 ± 0.0 | 80.0 ± 0.0 | 80.0 ± 0.0 | 1,000 | 2.00 |  | 7 |" in text
    assert "| `new` | **+20.0 (" in text
    average = text[text.index("## On average") : text.index("## digits, arm frozen")]
    assert "| how | conditions | data sets | everything | one alone | rank, everything | rank, one alone |" in average
    assert "| `as before` |  |  |  |  | 1.8 | 1.8 |" in average
    assert "| `new` | 2 | 2 | **+10.0 (" in average
    assert "| `new` | 0.0 (" in text
    assert "Not run" not in text
    fewer = written(chosen=narrowed(defined(), ["digits"], [0]), seeds=[0], missing={"bigger-x": "ERROR: no such head"})
    assert command(fewer) == "make study NAME=bigger DATASETS=digits SEEDS=0"
    text = page(fewer)
    assert "Not run: case `other`; `bigger-x` (ERROR: no such head); seed 1." in text
    assert "One seed: the intervals hold chance in the test samples, not in training." in text


def test_a_claim_without_an_interval_decides_nothing() -> None:
    assert Claim(0.5, None, None, None, None).verdict == "undecided"


LOCK = """
schema: '2.0'
stages:
  tower:
    cmd: python tower
    outs: [{path: data/towers/digits/image, md5: abc, size: 5}]
  fusion:
    cmd: python fusion
    outs: [{path: data/model, md5: def, size: 1024}, {path: data/masks, size: 7}]
"""


class Metered:
    """A meter that has seen some stages."""

    def __init__(self, **seconds: float) -> None:
        self.seconds = seconds


def test_seconds_are_known_by_what_was_computed_not_by_which_experiment_did(tmp_path: Path) -> None:
    (tmp_path / "dvc.lock").write_text(LOCK)
    seconds = StageSeconds(tmp_path)
    assert list(seconds.took(LOCK).values()) == [None, None]
    seconds.keep(tmp_path, Metered(fusion=2.5))  # type: ignore[arg-type]
    assert list(StageSeconds(tmp_path).took(LOCK, ("data/model",)).values()) == [2.5]
    assert list(seconds.took(LOCK.replace("md5: def", "md5: fed"), ("data/model",)).values()) == [None]
    assert list(seconds.took(LOCK, ("data/towers/digits",)).values()) == [None]
    assert num_bytes(LOCK, "data/model") == 1024


TOY_STEP = """
import os, pathlib, sys, yaml
from tests.test_study import model
from umemma.prediction import predictions
params = yaml.safe_load(pathlib.Path("params.yaml").read_text())
with open(pathlib.Path(os.environ["DVC_ROOT"], ".dvc/tmp/log"), "a") as log:
    log.write(f"{params['arm']} {params['seed']}\\n")
if params["arm"] == "broken":
    sys.exit("ERROR: no such head")
made = model(seed=params["seed"], accuracy={"frozen": 0.6, "joint": 0.8}[params["arm"]], shift=params["seed"])
facts = {"arm": "frozen", "seed": params["seed"], "missing_rate": None, "budget": 1000, "fingerprint": ""}
pathlib.Path("data/predictions").mkdir(parents=True)
predictions.write(pathlib.Path("data/predictions/model.safetensors"), made.splits, facts)
pathlib.Path("data/model").write_bytes(bytes(2**20))
"""
TOY_STUDY = """
question: Does training together help?
seeds: [0, 1]
compare: arm
baseline: frozen
factors:
  arm: {frozen: [], joint: [arm=joint], broken: [arm=broken]}
cases:
  toy: {dataset: toy}
"""
TOY = {
    "dvc.yaml": "stages: {all: {cmd: python step.py, deps: [step.py], params: [seed, arm, dataset],"
    " outs: [data/predictions, data/model]}}",
    "step.py": TOY_STEP,
    "conf/config.yaml": "defaults: [_self_, {dataset: toy}]\nseed: 0\narm: frozen\n",
    "conf/dataset/toy.yaml": "name: toy\nadapter: digits\noptions: {}\n",
    "conf/study/help.yaml": TOY_STUDY,
    "docs/studies/help.md": "the page of an earlier commit\n",
    ".gitignore": "/data/\n",
    "params.yaml": "seed: 7\narm: joint\ndataset: {name: mine}\n",
}


@pytest.mark.slow
def test_experiments_are_run_once_a_failed_one_is_named_and_the_page_is_of_the_rest(tmp_path: Path) -> None:
    for path, text in TOY.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    for words in (
        "git init -q -b main",
        "dvc init -q",
        "dvc config hydra.enabled true",
        "git add .",
        "git commit -qm toy",
    ):
        call(tmp_path, *words.split())
    command = (sys.executable, "-m", "flows.study")
    assert "Did you mean 'help'" in call(tmp_path, *command, "hepl", code=2)
    said = call(tmp_path, *command, "help", "--seeds", "0", code=1)
    assert "3 experiments, 0 of them there already" in said
    assert "missing: help-toy-broken-s0: ERROR: no such head" in said
    file = tmp_path / "docs/studies/help.md"
    assert "Of 3 comparisons one by one, 3 are better" in file.read_text()
    log = tmp_path / ".dvc/tmp/log"
    assert log.read_text().split("\n") == ["frozen 0", "joint 0", "broken 0", ""]
    said = call(tmp_path, *command, "help", "--as-it-is", code=1)
    assert log.read_text().count("\n") == 3, "nothing was run"
    page = file.read_text()
    assert "Not run: `help-toy-broken-s0` and 3 more (not run)." in page
    assert "2 experiments, seed 0, commit" in page
    row = next(line for line in page.splitlines() if line.startswith("| `joint` | 80.0"))
    *_, samples, mib, towers, fusion, _ = (cell.strip() for cell in row.split("|"))
    assert (samples, mib, towers) == ("1,000", "1.00", "")
    assert int(fusion) >= 1, "importing torch takes seconds"
    assert nothing_left(tmp_path)
    assert (tmp_path / "params.yaml").read_text() == TOY["params.yaml"]
    assert call(tmp_path, "git", "status", "--porcelain").strip() == "M docs/studies/help.md"


TINY = """
question: Does hiding help?
seeds: [0]
compare: arm
baseline: frozen
settings:
  - "dataset.options.num_samples={train: 400, val: 100, test: 200}"
  - "baselines=[]"
  - fuse.epochs=1
factors:
  arm: {frozen: [arm=frozen], ensemble: [arm=ensemble]}
cases:
  synthetic: {dataset: synthetic}
"""


@pytest.mark.slow
def test_a_study_runs_resumes_and_leaves_a_page_alone(checkout) -> None:
    folder = checkout()
    (folder / "conf/study/tiny.yaml").write_text(TINY)
    run(folder, "git", "add", "-A")
    run(folder, "git", "commit", "-qm", "tiny")
    command = (sys.executable, "-m", "flows.study", "tiny")
    done = run(folder, *command)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 experiments, 0 of them there already" in done.stdout
    text = (folder / "docs/studies/tiny.md").read_text()
    assert "**Answer**, against `frozen`. Of 7 comparisons" in text
    assert "| possible (exact) | " in text
    frozen = next(line for line in text.splitlines() if line.startswith("| `frozen` |"))
    *_, num_bytes_mib, towers, fusion, _ = (cell.strip() for cell in frozen.split("|"))
    assert float(num_bytes_mib) > 0
    assert float(towers) > 0
    assert float(fusion) > 0
    assert run(folder, "git", "status", "--porcelain").stdout == "?? docs/studies/tiny.md\n"
    again = run(folder, *command)
    assert "2 experiments, 2 of them there already" in again.stdout
    assert (folder / "docs/studies/tiny.md").read_text() == text
    head = run(folder, "git", "rev-parse", "HEAD").stdout.strip()
    assert Experiments(folder, head).revision("tiny-synthetic-ensemble-s0")


def test_an_average_is_of_the_data_sets_that_have_a_seed_in_common_and_says_so() -> None:
    both = {seed: model(seed=seed, accuracy=0.6, shift=seed) for seed in range(3)}
    old = {seed: model(seed=seed, accuracy=0.5, shift=seed) for seed in range(3)}
    whole = condition({"old": old, "new": both}, "old")
    one = condition({"old": {0: old[0]}, "new": {0: both[0]}}, "old")
    other = condition({"old": {1: old[1]}, "new": {1: both[1]}}, "old")
    found = overall({"a 1": one, "a 2": other, "b": whole}, {"a 1": "a", "a 2": "a", "b": "b"})
    assert (found.num_conditions["new"], found.num_data_sets["new"]) == (1, 1)
    assert found.claims["new"]["everything"].value == pytest.approx(0.1)


def test_a_data_set_with_one_seed_does_not_make_an_average_surer() -> None:
    generator = torch.Generator().manual_seed(0)
    whole = [of_data_set(generator, 0.1) for _ in range(2)]
    fewer = [whole[0], dataclasses.replace(whole[1], by_seed=whole[1].by_seed[:1])]
    assert study.claim(whole).p is not None
    assert study.claim(fewer) == Claim(study.claim(fewer).value, None, None, None, None)


def test_the_mean_over_each_modality_alone_is_of_those_that_have_it() -> None:
    """A tenth has the sound, which a model answers in 8 of 10 cases, the picture in 6: 7 on average, whatever lacks the sound."""
    given = model(seed=0, accuracy=0.6)
    test = given.splits["test"]
    test.present[:, 1] = torch.arange(NUM) % 10 == 0
    right = torch.where(test.present[:, 1], torch.arange(NUM) < 0.8 * NUM, False)
    heard = torch.nn.functional.one_hot(torch.where(right, test.label, 1 - test.label), 2).float()
    test.logits[False, True] = heard
    (_, alone) = parts.summaries(test)
    assert alone.estimate(given, "accuracy", RESAMPLES)[0].item() == pytest.approx(0.7)
    assert int(alone.rows(test).sum()) == NUM // 10
