"""Exact evaluation: every sample under every pattern once; the result at any missing rate follows by arithmetic.

The expected metric at rates eta is sum_S p_eta(S) metric(S): no masks are drawn, so there is no sampling noise, and a
further rate needs no forward pass. With many modalities not every pattern is on file; then only those rates have a
result at which no other pattern can occur.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from types import MappingProxyType
from typing import Any, NamedTuple

import torch

from umemma.evaluation.information import pattern_shares
from umemma.metrics import classification, ranking
from umemma.missingness import PROTOCOLS, Pattern, in_order, outcomes, pattern_name, probability
from umemma.prediction.predictions import Predictions


class Table:
    """Metrics of a model's predictions for every sample under every pattern, including the empty one.

    `share_correct` and `nll` map a pattern to (sample,) float64. If a sample lacks part of a pattern, its entry is that
    of the part it has; `has[pattern]` (sample,) bool says which samples have all of it. With several labels
    `share_correct`, like the bounds on it, is for the most probable classes; F1 is for the decision thresholds.
    `ranked`: the classes that AUROC and AUPRC rank against the rest, the same under every pattern.
    """

    def __init__(self, predictions: Predictions) -> None:
        self.modalities, self.present = predictions.modalities, predictions.present
        self.label, self.logits = predictions.label, predictions.logits
        self.ranked = ranking.ranked_classes(predictions.label, predictions.num_classes)
        self.has = {pattern: predictions.has(pattern) for pattern in predictions.logits}
        self.has_several_labels = predictions.label.ndim == 2
        decisions = {pattern: predictions.decisions(pattern) for pattern in predictions.logits}
        self.is_correct = {
            pattern: classification.is_correct(value, predictions.label)
            for pattern, value in predictions.logits.items()
        }
        self.counts = {
            pattern: classification.class_counts(value, predictions.label) for pattern, value in decisions.items()
        }
        self.nll_by_variable = {
            pattern: classification.nll_by_variable(value, predictions.label)
            for pattern, value in predictions.logits.items()
        }
        self.share_correct = {pattern: value.double().mean(dim=1) for pattern, value in self.is_correct.items()}
        self.nll = {pattern: value.sum(dim=1) for pattern, value in self.nll_by_variable.items()}

    def patterns(self) -> list[Pattern]:
        """Return the non-empty patterns on file that some sample has in full, the complete one first."""
        return [pattern for pattern in in_order(self.logits) if any(pattern) and self.has[pattern].any()]

    def accuracy(self, pattern: Pattern) -> float:
        """Return the accuracy on the samples that have the whole pattern."""
        return self.share_correct[pattern][self.has[pattern]].mean().item()

    def cross_entropy(self, pattern: Pattern) -> float:
        """Return the cross-entropy in nats on the samples that have the whole pattern."""
        return self.nll[pattern][self.has[pattern]].mean().item()

    def f1(self, pattern: Pattern) -> dict[str, float]:
        """Return macro and micro F1 on the samples that have the whole pattern."""
        return _f1(self.counts[pattern][self.has[pattern]].sum(dim=0))

    def ranking(self, pattern: Pattern, classes: Sequence[str]) -> dict[str, Any]:
        """Return AUROC and AUPRC on the samples that have the whole pattern: the mean over classes, and by class.

        With several labels the micro average too. None where a class has no such sample, or no class any other.
        """
        rows = self.has[pattern]
        logits, label = self.logits[pattern][rows], self.label[rows]
        each = ranking.by_class(logits, label, self.ranked)
        result: dict[str, Any] = {name: _defined(value.item()) for name, value in each.macro()._asdict().items()}
        if self.has_several_labels:
            micro = ranking.micro(logits, label)._asdict()
            result |= {f"{name}_micro": _defined(value.item()) for name, value in micro.items()}
        named = [classes[number] for number in self.ranked]
        return result | {
            f"{name}_by_class": dict(zip(named, map(_defined, values[0].tolist()), strict=True))
            for name, values in each._asdict().items()
        }

    def worth(self, pattern: Pattern, rows: torch.Tensor) -> dict[str, float]:
        """Return the accuracy, with several labels F1 too, under a pattern on the samples `rows`."""
        metrics = {"accuracy": self.share_correct[pattern][rows].mean().item()}
        return metrics | _f1(self.counts[pattern][rows].sum(dim=0)) if self.has_several_labels else metrics

    def expected(self, rates: Sequence[float]) -> dict[str, float]:
        """Return the exact expected accuracy and cross-entropy when each modality is missing at its own rate.

        Over all samples, in addition to what is missing in the data; a sample left with nothing gets the prior. With
        several labels also F1 of the expected counts, and the two means whose ratio is micro F1.
        """
        everyone = torch.ones(len(self._sums.has), dtype=torch.float64)
        return self._mixed({pattern: probability(pattern, rates) * everyone for pattern in self.logits})

    def over_all(self, pattern: Pattern) -> dict[str, float]:
        """Return what `expected` returns if exactly the modalities that the pattern lacks are hidden."""
        return self._mixed({pattern: torch.ones(len(self._sums.has), dtype=torch.float64)})

    def is_known(self, rates: Sequence[float]) -> bool:
        """Return whether every pattern that can occur at these rates is on file."""
        possible = 2 ** sum(0 < rate < 1 for rate in rates)
        return sum(probability(pattern, rates) > 0 for pattern in self.logits) == possible

    def expected_many(self, rates: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return what `expected` returns, each (vector,) float64, for many rates (vector, modality) at once."""
        shares = pattern_shares(list(self.share_correct), rates.double())
        return {
            name: shares @ torch.stack([value.mean() for value in values.values()])
            for name, values in (("accuracy", self.share_correct), ("cross_entropy", self.nll))
        }

    def under(self, protocol: str, rates: Sequence[float]) -> dict[str, float] | None:
        """Return the exact expected accuracy and cross-entropy if modalities are hidden as in training.

        In addition to what is missing in the data, but never everything that a sample has. None where that needs a
        pattern that is not on file.
        """
        shares: dict[Pattern, torch.Tensor] = {}
        for number, has in enumerate(self._sums.has):
            left = outcomes(has, rates, protocol) if any(has) else {has: 1.0}
            for kept, share in left.items():
                # what a sample lacks makes no difference to its prediction; of many modalities, large sets are on file
                pattern = tuple(is_kept or not in_data for is_kept, in_data in zip(kept, has, strict=True))
                if pattern not in self.logits:
                    return None
                by_group = shares.setdefault(pattern, torch.zeros(len(self._sums.has), dtype=torch.float64))
                by_group[number] += share
        return self._mixed(shares)

    def under_chances(self, chance: torch.Tensor) -> dict[str, float] | None:
        """Return the exact expected scores if each modality of a sample is hidden with its own `chance` (sample, modality).

        In addition to what is missing in the data; a sample left with nothing gets the prior. None where not every pattern is
        on file.
        """
        if len(self.logits) < 2 ** len(self.modalities):
            return None
        shares = {
            pattern: torch.where(torch.tensor(pattern), 1 - chance, chance).prod(dim=1) for pattern in self.logits
        }
        return self.each.mixed(shares)

    @cached_property
    def each(self) -> "_Sums":
        """The metrics of every sample, each a group of its own."""
        has = [tuple(row) for row in self.present.tolist()]
        return _Sums(has, self.share_correct, self.nll, self.counts if self.has_several_labels else {})

    @cached_property
    def _sums(self) -> "_Sums":
        has, group = self.present.unique(dim=0, return_inverse=True)

        def summed(values: Mapping[Pattern, torch.Tensor]) -> dict[Pattern, torch.Tensor]:
            return {
                pattern: value.new_zeros(len(has), *value.shape[1:], dtype=torch.float64).index_add_(
                    0, group, value.double()
                )
                for pattern, value in values.items()
            }

        counts = summed(self.counts) if self.has_several_labels else {}
        return _Sums([tuple(row) for row in has.tolist()], summed(self.share_correct), summed(self.nll), counts)

    def _mixed(self, shares: Mapping[Pattern, torch.Tensor]) -> dict[str, float]:
        return self._sums.mixed(shares, len(self.present))


class _Sums(NamedTuple):
    """Sums over groups of test samples that have the same modalities: `has` (group), the others pattern -> (group, ...).

    A group may be a single sample. `counts` is empty where a sample has one label.
    """

    has: list[Pattern]
    share_correct: Mapping[Pattern, torch.Tensor]
    nll: Mapping[Pattern, torch.Tensor]
    counts: Mapping[Pattern, torch.Tensor]

    def mixed(self, shares: Mapping[Pattern, torch.Tensor], num: int | None = None) -> dict[str, float]:
        """Return the metrics over all `num` samples; `shares`: how often each pattern meets each group (group,)."""
        number = num or len(self.has)

        def total(values: Mapping[Pattern, torch.Tensor]) -> float:
            return sum((share @ values[pattern]).item() for pattern, share in shares.items()) / number

        metrics = {"accuracy": total(self.share_correct), "cross_entropy": total(self.nll)}
        if self.counts:
            counts = sum(
                torch.einsum("g,gkc->kc", share, self.counts[pattern].double()) for pattern, share in shares.items()
            )
            assert isinstance(counts, torch.Tensor), "a mixture has at least one pattern"
            hits, predicted, true = (counts.sum(dim=1) / number).tolist()
            metrics |= _f1(counts)
            metrics |= {"hits": hits, "labels": (predicted + true) / 2}  # micro F1 of any mixture follows from these
        return metrics


def results(
    main: Table,
    uni: Table,
    grid: Sequence[float],
    classes: Sequence[str],
    mechanisms: Mapping[str, Callable[[float], torch.Tensor]] = MappingProxyType({}),
) -> dict[str, Any]:
    """Return `patterns`, `kept`, `rates` and `protocols` of robustness.json; `uni` holds each tower's predictions.

    `mechanisms`: by name, how likely each modality of each test sample is hidden, (sample, modality), at a rate.

    `kept` holds the metrics over all test samples by the set that is not hidden, the empty set (key "") too: those at
    any rates follow from it (`umemma.reporting.expected`), so `rates` holds the two kinds of lines that are drawn, not
    the whole grid, which grows with the number of modalities as its exponent. A pattern's `uni` is the accuracy of the
    best tower of the set, selected and measured on the same samples: that favours the towers, so "not below the
    uni-modal model" is not made easier. With several labels the best is the one with the highest micro F1, and F1 is
    given beside every accuracy.
    """
    by_pattern: dict[str, Any] = {}
    for pattern in main.patterns():
        rows = main.has[pattern]
        towers = {
            main.modalities[m]: uni.worth(_only(m, len(pattern)), rows)
            for m, is_present in enumerate(pattern)
            if is_present
        }
        best = max(towers, key=lambda name: towers[name].get("f1_micro", towers[name]["accuracy"]))
        by_pattern[pattern_name(pattern, main.modalities)] = {
            "n": int(rows.sum()),
            **_rounded(
                {
                    **main.worth(pattern, rows),
                    "cross_entropy": main.cross_entropy(pattern),
                    **{"uni" if name == "accuracy" else f"uni_{name}": value for name, value in towers[best].items()},
                }
            ),
            "uni_tower": best,
            **main.ranking(pattern, classes),
        }
    return {
        "classes": list(classes),
        "patterns": by_pattern,
        "kept": {
            pattern_name(pattern, main.modalities): _rounded(main.over_all(pattern))
            for pattern in in_order(main.logits)
        },
        "rates": [
            {"missing_rate": dict(zip(main.modalities, rates, strict=True)), **_rounded(main.expected(rates))}
            for rates in _lines(len(main.modalities), grid)
            if main.is_known(rates)
        ],
        "protocols": [*_by_protocol(main, grid), *_by_mechanism(main, grid, mechanisms)],
    }


def _lines(num_modalities: int, grid: Sequence[float]) -> list[tuple[float, ...]]:
    """Return the rates at which one modality is missing, or all are at the same rate; each once."""
    alike = [(rate,) * num_modalities for rate in grid]
    alone = [tuple(rate * flag for flag in _only(m, num_modalities)) for m in range(num_modalities) for rate in grid]
    return list(dict.fromkeys([*alike, *alone]))


def _by_protocol(table: Table, grid: Sequence[float]) -> list[dict[str, Any]]:
    """Return a row for every protocol, what it hides (every modality equally, or one) and rate."""
    rows = []
    for protocol in PROTOCOLS:
        for missing, rates_at in _settings(table.modalities, protocol).items():
            measured = {
                rate: table.under(protocol, rates_at(rate)) for rate in (grid if protocol != "absent" else [1.0])
            }
            rows += [
                {"protocol": protocol, "missing": missing, "rate": rate, **_rounded(metrics)}
                for rate, metrics in measured.items()
                if metrics is not None
            ]
    return rows


def _by_mechanism(
    table: Table, grid: Sequence[float], mechanisms: Mapping[str, Callable[[float], torch.Tensor]]
) -> list[dict[str, Any]]:
    """Return a row for every mechanism and rate of all modalities, but those that it never hides."""
    rows = []
    for name, chances in mechanisms.items():
        is_never = (chances(0.5) == 0).all(dim=0).tolist()
        never = [modality for modality, flag in zip(table.modalities, is_never, strict=True) if flag]
        missing = f"all but {', '.join(never)}" if never else "every modality"
        for rate in grid:
            metrics = table.under_chances(chances(rate))
            if metrics is not None:
                rows.append({"protocol": name, "missing": missing, "rate": rate, **_rounded(metrics)})
    return rows


def _settings(modalities: Sequence[str], protocol: str) -> dict[str, Callable[[float], tuple[float, ...]]]:
    """Return {what is missing: rate -> rates}; under `absent` not every modality can be missing."""
    num = len(modalities)
    settings: dict[str, Callable[[float], tuple[float, ...]]] = {}
    if protocol != "absent":
        settings["every modality"] = lambda rate: (rate / (num if protocol == "balanced" else 1),) * num
    for m, name in enumerate(modalities):
        settings[name] = lambda rate, m=m: tuple(rate * flag for flag in _only(m, num))  # type: ignore[misc]
    return settings


def _only(m: int, num_modalities: int) -> Pattern:
    return tuple(number == m for number in range(num_modalities))


def _f1(counts: torch.Tensor) -> dict[str, float]:
    return {"f1_macro": classification.f1_macro(counts).item(), "f1_micro": classification.f1_micro(counts).item()}


def _rounded(values: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 6) for name, value in values.items()}


def _defined(value: float) -> float | None:
    return round(value, 6) if math.isfinite(value) else None
