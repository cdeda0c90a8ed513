"""Writes a model folder from the outputs of a run."""

import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from scipy.stats import betabinom

from umemma import hub
from umemma.data.batch import Batch
from umemma.files import write_json, written_whole
from umemma.metrics.classification import share_correct
from umemma.missingness import Pattern, pattern_name
from umemma.prediction import sets
from umemma.prediction.answers import labelled
from umemma.prediction.predictions import Predictions
from umemma.reporting import results
from umemma.reporting.results import Accounting
from umemma.serving import calibration, card, folder, output, reference
from umemma.serving.answer import SEPARATOR, Answers
from umemma.serving.calibration import Calibrated
from umemma.serving.folder import Facts, Inputs, Measured, MeasuredPattern
from umemma.serving.reference import Reference
from umemma.serving.row import Row
from umemma.serving.summary import summaries

SET_COVERAGE = 0.9  # of the sets whose size and coverage are measured
_UNLIKELY = 0.05  # of all patterns together


@dataclass(frozen=True)
class Run:
    """What a run leaves behind. `train_present` and `train_label` are of training samples, in the manifest's order.

    `test`: the arrays of the test samples, whose keys and groups are `test_keys` and `test_groups`.
    """

    facts: Facts
    inputs: Inputs
    accounting: Accounting
    weights: Path
    backbones: Mapping[str, Path]
    predictions: Mapping[str, Predictions]
    train_present: torch.Tensor
    train_label: torch.Tensor
    test: Batch
    test_keys: Sequence[str]
    test_groups: Sequence[str]


def write(run: Run, path: Path, test: Path) -> str:
    """Write the whole folder, and what it answers to each test sample as CSV; return the digest that names the model."""
    calibrated = _calibrated(run)
    measured = _measured(run, calibrated)
    with written_whole(path) as temporary:
        temporary.mkdir()
        shutil.copyfile(run.weights, temporary / folder.WEIGHTS)
        for name, backbone in run.backbones.items():
            (temporary / folder.BACKBONES).mkdir(exist_ok=True)
            shutil.copyfile(backbone, temporary / folder.BACKBONES / f"{name}.safetensors")
        inputs = _with_tokenizers(run.inputs, temporary)
        write_json(temporary / folder.FACTS, run.facts.model_dump(mode="json"))
        write_json(temporary / folder.INPUTS, inputs.model_dump(mode="json"))
        results.write(temporary / folder.MEASURED, measured)
        calibration.write(temporary / folder.CALIBRATION, calibrated)
        (temporary / folder.CALIBRATION).chmod(0o644)  # safetensors lets nobody else read it
        summarised = {name: summaries(value) for name, value in run.test.values.items()}
        reference.write(temporary, Reference(run.predictions["test"], summarised))
        (temporary / folder.CARD).write_text(card.card(run.facts, inputs, measured), "utf-8")
        digest = folder.seal(temporary)
    answers = Answers(run.facts.classes, run.facts.modalities, calibrated, measured, digest=digest)
    with written_whole(test) as temporary:
        output.write_text(temporary, iter([_test_rows(run, answers)]))
    return digest


def package() -> str:
    """Return the version of the package."""
    return version("umemma")


def _calibrated(run: Run) -> Calibrated:
    val = run.predictions["val"]
    return Calibrated(
        val.logits[(False,) * len(val.modalities)][0].clone(),
        sets.calibrations(val, run.train_present, run.train_label),
        {pattern: threshold.float() for pattern, threshold in val.threshold.items()},
        several=val.label.ndim == 2,
    )


def _measured(run: Run, calibrated: Calibrated) -> Measured:
    test, account = run.predictions["test"], run.accounting
    prior = share_correct(test.logits[(False,) * len(test.modalities)], test.label).double().mean().item()
    patterns = {
        name: _pattern(pattern, account, test, calibrated)
        for pattern in test.patterns()
        if pattern in calibrated.by_pattern and (name := pattern_name(pattern, test.modalities)) in account.metrics
    }
    patterns = {
        name: one.model_copy(update={"falls_short": falls_short(one, _UNLIKELY / len(patterns))})
        for name, one in patterns.items()
    }
    return Measured(entropy=account.entropy, prior=round(prior, 6), patterns=patterns)


def _pattern(pattern: Pattern, account: Accounting, test: Predictions, calibrated: Calibrated) -> MeasuredPattern:
    name = pattern_name(pattern, test.modalities)
    metrics, of_pattern = account.metrics[name], calibrated.by_pattern[pattern]
    coverage, set_size = _of_sets(pattern, test, calibrated)
    return MeasuredPattern(
        n=metrics.n,
        groups=metrics.clusters,
        accuracy=metrics.accuracy,
        f1_micro=metrics.f1_micro if calibrated.several else None,
        information=account.information[name].lower_bound,
        ece=metrics.ece,
        coverage=coverage,
        set_size=set_size,
        own_calibration=of_pattern.is_own,
        calibration_n=len(of_pattern.scores),
    )


def falls_short(one: MeasuredPattern, significance: float) -> bool:
    """Whether sets hold the truth less often than independent samples alike to the calibration samples let expect.

    Over calibration samples coverage is Beta(k, n + 1 - k) with k = ceil((n + 1) 0.9) (Vovk 2012), so the number of sets
    that hold the truth is beta-binomial; a group counts once.
    """
    n, sets_needed = one.calibration_n, math.ceil((one.calibration_n + 1) * SET_COVERAGE - 1e-9)
    if sets_needed > n:
        return False  # a set is all classes
    held = round(one.coverage * one.groups)
    return bool(betabinom.cdf(held, one.groups, sets_needed, n + 1 - sets_needed) < significance)


def _of_sets(pattern: Pattern, test: Predictions, calibrated: Calibrated) -> tuple[float, float]:
    """Return how often sets hold the truth, and their mean size, for samples of exactly the pattern, as sets are made for.

    Where there are too few of them, samples that have more stand for them, with the weights that calibration gives them.
    """
    of_pattern, exact = calibrated.by_pattern[pattern], (test.present == torch.tensor(pattern)).all(dim=1)
    rows = exact if of_pattern.is_own and exact.any() else test.has(pattern)
    label = test.label[rows]
    _, _, in_set = calibrated.judged(pattern, test.logits[pattern][rows], SET_COVERAGE)
    weight = torch.ones(len(label), dtype=torch.float64) if calibrated.several else of_pattern.weight[label]
    share = weight / weight.sum()
    coverage, set_size = _holds(in_set, label).double() @ share, in_set.sum(dim=1).double() @ share
    return round(coverage.item(), 6), round(set_size.item(), 6)


def _test_rows(run: Run, answers: Answers) -> list[dict[str, Any]]:
    """Return a row for each test sample, answered from all that it has: what is true, then what is answered."""
    test = run.predictions["test"]
    logits, _ = test.own()
    asked = [Row("", key, _values(run.test, number)) for number, key in enumerate(run.test_keys)]
    found = answers(asked, test.present, logits, SET_COVERAGE)
    rows = []
    for group, true, answer in zip(run.test_groups, labelled(test.label, run.facts.classes), found, strict=True):
        cells = answer.cells()
        row = {"key": answer.key, "group": group, "split": "test", "true": SEPARATOR.join(true)}
        rows.append(row | {name: cell for name, cell in cells.items() if name not in ("place", "key", "rejected")})
    return rows


def _values(data: Batch, row: int) -> dict[str, torch.Tensor]:
    return {
        name: value[row] for (name, value), there in zip(data.values.items(), data.present[row], strict=True) if there
    }


def _holds(in_set: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    """Return (sample,) bool: does the set hold the truth, of several labels all true ones?"""
    return in_set.gather(1, label[:, None]).squeeze(1) if label.ndim == 1 else (in_set | ~label).all(dim=1)


def _with_tokenizers(inputs: Inputs, path: Path) -> Inputs:
    """Save the tokenizers that decoders of texts use into the folder; return inputs that name them there."""
    decoded = dict(inputs.decoded)
    for name, one in inputs.decoded.items():
        if one.decode["name"] == "tokens":
            from transformers import AutoTokenizer  # takes seconds, and most models need none

            place = f"{folder.TOKENIZERS}/{name}"
            hub.opened(one.decode["model"], AutoTokenizer.from_pretrained).save_pretrained(path / place)
            decoded[name] = one.model_copy(update={"decode": {**one.decode, "model": place}})
    return inputs.model_copy(update={"decoded": decoded})
