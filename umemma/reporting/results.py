"""Typed content of each JSON report of a run; a report is written and read through its model here.

The order of fields is the order of keys in the file. Fields that may be left out belong to multi-label data: F1 is
reported beside accuracy only there. Undefined figures are None, never absent.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from umemma.errors import DataError, some
from umemma.files import read_json, write_json


class Result(BaseModel):
    """A report or a part of one: no unknown keys, no silent conversion, immutable."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    def content(self, without: set[str] | None = None) -> dict[str, Any]:
        """Return JSON-compatible content, without the fields that were never set."""
        return self.model_dump(exclude_unset=True, exclude=without)


Report = TypeVar("Report", bound=Result)


def write(path: Path, report: Result) -> None:
    """Write a report."""
    write_json(path, report.content())


def read(path: Path, kind: type[Report]) -> Report:
    """Read a report. Raises DataError naming the file, and the key that is missing, unknown or of the wrong type."""
    try:
        return kind.model_validate(read_json(path))
    except ValidationError as error:
        wrong = [f"{'.'.join(map(str, detail['loc']))}: {detail['msg']}" for detail in error.errors(include_url=False)]
        raise DataError(f"{path} is not what this version writes: {some(wrong, 3)}") from None


class Interval(Result):
    """A figure and the ends of its interval; None if undefined."""

    value: float | None
    low: float | None
    high: float | None


class Dataset(Result):
    """The data: `fingerprint` of arrays and labels, `n` samples by split."""

    name: str
    fingerprint: str
    n: dict[str, int]


# robustness.json


class Training(Result):
    """How the model was trained; None for settings that its arm does not use."""

    protocol: str | None
    missing_rate: dict[str, float] | None
    head: str | None
    substitute: str | None
    substitute_at: str | None


class Budget(Result):
    """What training cost, in `unit`, and how far that of `fuse` moved each part from where it began: see `Movement`."""

    unit: str
    pretrain: dict[str, int]
    fuse: int
    total: int
    moved: dict[str, float] = Field(default_factory=dict)


class PatternScores(Result):
    """Scores on the test samples that have all modalities of a pattern, and those of its best tower (`uni`).

    `auroc` and `auprc` are means over classes, each against the rest; of two exclusive classes they are the rarer one's.
    None where no class has both such samples and others.
    """

    n: int
    accuracy: float
    f1_macro: float | None = None
    f1_micro: float | None = None
    cross_entropy: float
    uni: float
    uni_f1_macro: float | None = None
    uni_f1_micro: float | None = None
    uni_tower: str
    auroc: float | None
    auprc: float | None
    auroc_micro: float | None = None
    auprc_micro: float | None = None
    auroc_by_class: dict[str, float | None]
    auprc_by_class: dict[str, float | None]


class Expected(Result):
    """Expected scores over all test samples; micro F1 is hits / labels."""

    accuracy: float
    cross_entropy: float
    f1_macro: float | None = None
    f1_micro: float | None = None
    hits: float | None = None
    labels: float | None = None


class _Rates(Result):
    missing_rate: dict[str, float]


class AtRates(Expected, _Rates):
    """At independent rates of all modalities; the fields of the last base class come first."""


class _Protocol(Result):
    protocol: str
    missing: str
    rate: float


class UnderProtocol(Expected, _Protocol):
    """With modalities hidden as a training protocol does it."""


class UnderNamed(Result):
    """Expected scores under a protocol that papers name, with what it hides: shares of the test samples.

    `missing` by modality and `incomplete` count what the data lack by themselves too. `sets`: how many sets of modalities
    the scores are of, drawn from `of_sets`. Scores are None where `why` says so.
    """

    protocol: str
    missing: dict[str, float]
    incomplete: float
    sets: int
    of_sets: int
    scores: Expected | None
    auroc: float | None
    auprc: float | None
    why: str | None


class Robustness(Result):
    """robustness.json: a pattern is named by its modalities, joined with `+`.

    `kept` holds the scores over all test samples by the set that is not hidden, the empty one ("") too.
    """

    dataset: Dataset
    arm: str
    seed: int
    training: Training
    budget: Budget
    classes: list[str]
    patterns: dict[str, PatternScores]
    kept: dict[str, Expected]
    rates: list[AtRates]
    protocols: list[UnderProtocol]
    named_protocols: list[UnderNamed]

    @property
    def score(self) -> Literal["f1_micro", "accuracy"]:
        """The key of the headline score: accuracy, or micro F1 for multi-label data."""
        return "accuracy" if all(row.f1_micro is None for row in self.patterns.values()) else "f1_micro"


# accounting.json


class Bootstrap(Result):
    """How intervals were computed."""

    replicates: int
    level: float
    clusters: int
    clustered: bool


class PatternMetrics(Result):
    """Every metric of this run's model on the `n` test samples, of `clusters` groups, that have a whole pattern."""

    n: int
    clusters: int
    accuracy: Interval
    f1_macro: Interval
    f1_micro: Interval
    f1_samples: Interval
    auroc: Interval
    auprc: Interval
    cross_entropy: Interval
    ece: Interval


class BestKnown(Interval):
    """A bound on the information, the model that attains it, and the modalities that it uses: not always the whole pattern."""

    model: str
    uses: str


class Failure(Result):
    """How much worse than the best known model a run is, in nats, and in which part of it: the three sum to `failure`."""

    failure: Interval
    encoder: Interval
    family: Interval
    adaptation: Interval


class Information(Result):
    """What is known about the information in a pattern, in nats; floor and ceiling are accuracies.

    With several labels it is the sum over labels of the information about each, no bound on that about all together.
    `parts` is None if no other heads on the run's encoders are known: early fusion has no features of one modality.
    """

    lower_bound: Interval
    best_known: BestKnown
    utilisation: Interval
    floor: Interval
    ceiling: Interval
    truth: float | None
    parts: Failure | None


class Tested(Interval):
    """An estimate, and p of its being 0 after Holm's correction over all of its table."""

    p_holm: float | None


class LateFusion(Result):
    """What heads that sum one term per modality miss under a pattern, in nats, of what the best head on the same features finds.

    `product`: the product of the calibrated towers; `additive`: the best additive head, trained for this pattern alone.
    """

    product: Tested
    additive: Tested


class AtRate(Result):
    """What is known, used and failed, in nats, if every modality is missing at a rate."""

    missing_rate: float
    best_known: Interval
    used: Interval
    failed: Interval


class Holes(Result):
    """What the presence of a modality depends on: p by question, after Holm's correction over all.

    `least`: nats of I(presence; label) that the test of the label finds with a power of 0.8. `group` is None where no
    group has several samples. `share` of the `n` test samples have the modality.
    """

    n: int
    share: float
    least: float | None
    label: float
    seen: float
    seen_given_label: float
    group: float | None


class Elsewhere(Result):
    """The accuracy to expect where every modality is missing by chance at a rate, from data whose own holes are not random.

    `naive`: of all that hold each pattern, alike; `accuracy`: weighted, where holes depend at most on the label and
    what is seen of the modalities in `given`, which are always there; None if `why` says so. `bounds` hold whatever holes depend on, if the odds of presence change by at most a factor of 2.
    """

    missing_rate: float
    naive: float | None
    accuracy: Interval
    given: list[str]
    n_effective: float | None
    bounds: list[float] | None
    why: str | None


class AsTheyCome(Result):
    """What is known, used and failed, in nats, over all test samples, each with exactly what it has.

    `presence`: what is known to be told by presence alone.
    """

    n: int
    entropy: Interval
    used: Interval
    best_known: Interval
    failed: Interval
    presence: Interval


class _Rate(Result):
    missing_rate: float


class Price(Interval, _Rate):
    """Nats lost per unit of a modality's missing rate, when all modalities are missing at the same rate."""


class Worth(Result):
    """What a modality is worth; `encoder_term` is None if the model's encoders see several modalities at once.

    `loss`: by how much the headline score falls if it alone is hidden from samples that have everything, of which there
    are `n`; on these are the price, the Shapley value and what is lost for good, undefined where there are none.
    """

    n: int
    loss: Interval
    price: list[Price]
    shapley: Interval
    shapley_share: Interval
    lost_for_good: Interval
    encoder_term: Interval | None
    fusion_noise: Interval


class Majority(Result):
    """The answer that the training labels alone suggest, on a pattern's samples: its score, and how much the run gains.

    The most frequent class; with several labels the classes that the prior predicts. `gain` is paired, in the headline
    score: accuracy, or micro F1.
    """

    score: float
    gain: Interval


class EverySample(PatternMetrics):
    """Every metric over all test samples, each with what it has of a set of modalities."""

    majority: Majority


class Split(Result):
    """`loss` = `gone` + `failed` - `failed_before`: how much lower a score is, or how many nats more, if a modality is hidden."""

    loss: Interval
    gone: Interval
    failed: Interval
    failed_before: Interval


class Lost(Result):
    """What hiding a modality costs over all test samples, of which `n` have it; `model`: the best known without it."""

    n: int
    model: str
    scores: dict[str, Split]


class AgainstSpecialists(Result):
    """A score of this run and of specialists, and the first as a share of the second."""

    this_run: Interval
    specialists: Interval
    ratio: Interval


class Halves(Result):
    """The mean over `sets` of `kept` of all modalities, over all test samples with what each has of the set."""

    kept: int
    of: int
    sets: int
    scores: dict[str, AgainstSpecialists]


class CounterIntuitive(Result):
    """How often adding `added` turns a correct prediction from `present` into a wrong one."""

    present: str
    added: str
    rate: Interval


class Bin(Result):
    """Predictions of similar confidence: their accuracy, and their share of all."""

    confidence: float
    accuracy: float
    share: float


class Scores(Result):
    """One model's scores on a pattern."""

    accuracy: float | None
    cross_entropy: float | None
    utilisation: float | None
    f1_macro: float | None = None
    f1_micro: float | None = None


class ComparedModel(Result):
    """A model compared with this run's own (`this_run`); rate and budget are None where they do not apply."""

    name: str
    arm: str
    seed: int
    missing_rate: dict[str, float] | None
    this_run: bool
    budget: int | None
    patterns: dict[str, Scores]


class OverSeeds(Result):
    """Mean and standard deviation over `n` seeds."""

    mean: float | None
    spread: float | None
    n: int


class ArmScores(Result):
    """An arm's scores on a pattern, over seeds."""

    accuracy: OverSeeds
    cross_entropy: OverSeeds
    utilisation: OverSeeds
    f1_macro: OverSeeds | None = None
    f1_micro: OverSeeds | None = None


class Versus(Result):
    """An arm's accuracy minus this run's, with its p value before and after Holm's correction."""

    difference: Interval
    p: float | None
    p_holm: float | None


class Arm(Result):
    """All models of one arm and rate; `versus` is by pattern, None for this run's own arm. `about`: what it is."""

    arm: str
    about: str
    missing_rate: dict[str, float] | None
    num_seeds: int
    patterns: dict[str, ArmScores]
    versus: dict[str, Versus] | None


class Matrix(Result):
    """Expected accuracy of an arm, of shape (training rate, test rate)."""

    arm: str
    train_rates: list[float]
    test_rates: list[float]
    accuracy: list[list[float]]


class Accounting(Result):
    """accounting.json. `every_sample`: by what is not hidden, where samples have holes of their own."""

    dataset: Dataset
    arm: str
    seed: int
    task: Literal["single_label", "multi_label"]
    modalities: list[str]
    classes: list[str]
    entropy: float | None
    bootstrap: Bootstrap
    metrics: dict[str, PatternMetrics]
    every_sample: dict[str, EverySample] = {}
    majority_labels: list[str]
    majority: dict[str, Majority]
    information: dict[str, Information]
    at_rates: list[AtRate] = []
    as_they_come: AsTheyCome | None = None
    holes: dict[str, Holes] = {}
    elsewhere: list[Elsewhere] = []
    by_modality: dict[str, Worth]
    late_fusion: dict[str, LateFusion] = {}
    pairs: dict[str, Tested] = {}
    lost: dict[str, Lost] = {}
    halves: Halves | None = None
    counter_intuitive: list[CounterIntuitive]
    reliability: dict[str, list[Bin]]
    models: list[ComparedModel]
    arms: list[Arm]
    matrices: list[Matrix]

    @property
    def score(self) -> Literal["f1_micro", "accuracy"]:
        """The key of the headline score, as in `Robustness`."""
        return "f1_micro" if self.task == "multi_label" else "accuracy"


# classes.json


class ClassScores(Result):
    """How a class is predicted: test samples that have it (`support`), and those that are said to.

    None where nothing is divided by: precision of a class that is never predicted.
    """

    support: int
    predicted: int
    precision: float | None
    recall: float | None
    f1: float | None
    auroc: float | None
    auprc: float | None


class Confused(Result):
    """How often the class `true` was missed and `predicted` given in its place; `share`: of all that are `true`."""

    true: str
    predicted: str
    n: int
    share: float


class WrongAnswer(Result):
    """A test sample that is predicted wrongly; `confidence`: in the wrong decision, with several labels the worst one."""

    key: str
    group: str
    present: str
    true: list[str]
    predicted: list[str]
    confidence: float


class Classes(Result):
    """classes.json: each test sample predicted once, from all that it has.

    `confusion`: (true, predicted) counts in the order of `classes`, None where a sample may have several labels.
    `confused`: the most frequent confusions; `wrong`: the most confident wrong answers.
    """

    n: int
    num_wrong: int
    classes: dict[str, ClassScores]
    confusion: list[list[int]] | None
    confused: list[Confused]
    wrong: list[WrongAnswer]


# gates.json, masks.json, validation.json


class Gate(Result):
    """An expectation of the model, and a sentence for each violation.

    If the arm does not promise it, violations are `findings` and fail nothing; `findings` is None for all other gates.
    """

    gate: str
    passed: bool
    checked: int
    failures: list[str]
    findings: list[str] | None = None


class Gates(Result):
    """gates.json."""

    passed: bool
    gates: list[Gate]


class SplitMasks(Result):
    """The masks of a split: digest, and the hidden share of the modalities present; None where none is."""

    sha256: str
    rounds: int
    n: int
    realised: dict[str, float | None]
    by_class: dict[str, dict[str, float | None]]


class Masks(Result):
    """masks.json; for an arm that hides nothing, all fields are None and `splits` is empty."""

    protocol: str | None
    missing_rate: dict[str, float] | None
    seed: int | None
    slope: float | None = None
    splits: dict[str, SplitMasks]


# data/towers/<data set>/<modality>/result.json


class TriedEncoder(Result):
    """An encoder that a modality's tower was trained with, its calibrated figures on validation data, or why it `failed`."""

    encoder: dict[str, Any]
    val_cross_entropy: float | None = None
    val_accuracy: float | None = None
    samples_seen: int | None = None
    failed: str | None = None


class TowerResult(Result):
    """The calibrated tower: its figures, the name of its `encoder`, what was `tried`, in order, and `why` it was chosen."""

    samples_seen: int
    temperature: float
    n_val: int
    val_accuracy: float
    val_cross_entropy: float
    n_test: int
    test_accuracy: float
    test_cross_entropy: float
    encoder: str
    tried: list[TriedEncoder]
    why: str


class Quarantine(Result):
    """Samples by split, and those in quarantine by reason; the split "" is for samples without a split.

    `left_out`: those in quarantine that are not damaged but left out by rule, such as rows without a label. `dropped`:
    values that were left out of samples that are used, by reason, such as a file that does not exist and is a hole.
    """

    judged: dict[str, int] = {}
    kept: dict[str, int] = {}
    left_out: dict[str, int] = {}
    by_reason: dict[str, int] = {}
    dropped: dict[str, int] = {}


class PresenceTest(Result):
    """Whether the presence of a modality tells the label: p after Holm's correction, and Cramer's V."""

    p: float
    effect: float


class PresenceTellsLabel(Result):
    """What knowing nothing but which modalities are there is worth: accuracy on test, and of the commonest class.

    With several labels a sample: of yes and no, the mean over classes. `modalities`: those that some samples lack.
    """

    accuracy: float | None
    majority: float | None
    modalities: dict[str, PresenceTest]


class Statistics(Result):
    """What is in the shards, by split: samples, groups, labels by class, and samples by what they have.

    `presence`: the share of the samples that have a modality; `patterns`: samples that have exactly these; `gaps`: of a
    modality that is there, the share of its numbers that were not measured. Where the manifest is not whole, only
    `num_samples` is known.
    """

    num_samples: int
    splits: dict[str, int] = {}
    groups: dict[str, int] = {}
    classes: dict[str, dict[str, int]] = {}
    presence: dict[str, dict[str, float]] = {}
    patterns: dict[str, dict[str, int]] = {}
    gaps: dict[str, dict[str, float]] = {}
    presence_tells_label: PresenceTellsLabel | None = None


class Validation(Result):
    """validation.json."""

    dataset: str
    manifest_sha256: str
    passed: bool
    failures: list[str]
    statistics: Statistics
    quarantine: Quarantine = Quarantine()
    warnings: list[str] = []
    ignored: list[str] = []
    expectations: list[dict[str, Any]]


REPORTS: Mapping[str, type[Result]] = {
    "robustness": Robustness,
    "accounting": Accounting,
    "gates": Gates,
    "masks": Masks,
    "classes": Classes,
    "validation": Validation,
}
