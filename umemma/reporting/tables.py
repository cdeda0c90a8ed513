"""Results as rows for plots, as metrics by name, and as one picture."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from umemma.reporting.results import Accounting, Robustness

SCORED = ("accuracy", "cross_entropy", "f1_micro", "f1_macro", "auroc", "auprc")
SCORES = {"accuracy": "accuracy", "f1_micro": "F1, micro"}


def tables(results: Robustness, accounting: Accounting) -> dict[str, list[dict[str, Any]]]:
    """Return the data of the plots: {file: rows}; at least one row each, as its keys are the columns."""
    return {
        "patterns": pattern_rows(results),
        "rates": rate_rows(results),
        "information": information_rows(accounting),
        "modalities": modality_rows(accounting),
        "prices": price_rows(accounting),
        "reliability": reliability_rows(accounting),
        "arms": arm_rows(accounting),
        "heat_map": heat_map_rows(accounting),
    }


def metrics(results: Robustness, accounting: Accounting) -> dict[str, float]:
    """Return the metrics in MLflow's table of runs: the headline, by its names in `dvc exp show`, then by pattern.

    By pattern: scores, gain over the majority and utilisation.
    """
    result: dict[str, float] = {
        f"{score}.{name}": value
        for score, summary in headline(results).items()
        for name, value in summary.items()
        if name != "patterns" and value is not None
    }
    for name, row in results.patterns.items():
        scores = {key: getattr(row, key) for key in SCORED}
        result |= {f"test_{key}/{name}": value for key, value in scores.items() if value is not None}
        others = {
            "utilisation": accounting.information[name].utilisation.value,
            "test_gain_over_majority": accounting.majority[name].gain.value,
        }
        result |= {f"{key}/{name}": value for key, value in others.items() if value is not None}
    return result


def headline(results: Robustness) -> dict[str, dict[str, Any]]:
    """Return the few figures by which experiments are compared: those of the headline score first, AUROC and AUPRC.

    `all`: of the fullest pattern; `worst_single`: of the modality that is worst alone, None without patterns of one
    modality; `mean`: over patterns, each with the same weight; of the headline score also every pattern's own.
    """
    scores = {name: getattr(row, results.score) for name, row in results.patterns.items()}
    return {results.score: {**_summary(scores), "patterns": scores}} | {
        key: _summary({name: getattr(row, key) for name, row in results.patterns.items()}) for key in ("auroc", "auprc")
    }


def _summary(scores: Mapping[str, float | None]) -> dict[str, float | None]:
    known = {name: score for name, score in scores.items() if score is not None}
    return {
        "all": next(iter(scores.values())),
        "worst_single": min((score for name, score in known.items() if "+" not in name), default=None),
        "mean": round(fmean(known.values()), 6) if known else None,
    }


def pattern_rows(results: Robustness) -> list[dict[str, Any]]:
    """Return a row for each pattern and model: pattern, model, accuracy."""
    return [
        {"present": name, "model": model, "accuracy": accuracy}
        for name, row in results.patterns.items()
        for model, accuracy in (("fused", row.accuracy), ("best tower", row.uni))
    ]


def rate_rows(results: Robustness) -> list[dict[str, Any]]:
    """Return the parts of the grid that a 2-D plot can show: one modality missing at a rate, or all at the same."""
    rows = []
    for entry in results.rates:
        rates = entry.missing_rate
        hidden = {name for name, rate in rates.items() if rate > 0}
        lines = [name for name in rates if hidden <= {name}]
        if len(set(rates.values())) == 1:
            lines.append("every modality")
        scores = entry.content(without={"missing_rate"})
        rows += [{"missing": line, "missing_rate": max(rates.values()), **scores} for line in lines]
    return sorted(rows, key=lambda row: (row["missing"], row["missing_rate"]))


def information_rows(accounting: Accounting) -> list[dict[str, Any]]:
    """Return nats by pattern: used by this run's model, attained by the best known model, and the truth where known."""
    return [
        {"present": name, "bound": bound, "nats": value}
        for name, row in accounting.information.items()
        for bound, value in (
            ("used by this run", row.lower_bound.value),
            ("best known", row.best_known.value),
            ("truth", row.truth),
        )
        if value is not None
    ]


def modality_rows(accounting: Accounting) -> list[dict[str, Any]]:
    """Return nats by modality: its Shapley value, and the information lost for good without it."""
    return [
        {"modality": name, "what": measure.replace("_", " "), "nats": worth.value}
        for name, row in accounting.by_modality.items()
        for measure, worth in (("shapley", row.shapley), ("lost_for_good", row.lost_for_good))
        if worth.value is not None
    ] or [{"modality": "", "what": "", "nats": 0.0}]


def price_rows(accounting: Accounting) -> list[dict[str, Any]]:
    """Return the price of each modality by missing rate."""
    return [
        {"modality": name, "missing_rate": price.missing_rate, "nats": price.value}
        for name, row in accounting.by_modality.items()
        for price in row.price
    ]


def reliability_rows(accounting: Accounting) -> list[dict[str, Any]]:
    """Return confidence against accuracy by pattern and bin."""
    return [{"present": name, **row.content()} for name, bins in accounting.reliability.items() for row in bins]


def arm_rows(accounting: Accounting) -> list[dict[str, Any]]:
    """Return mean accuracy by arm and pattern."""
    return [
        {"arm": row.arm, "present": name, "accuracy": scores.accuracy.mean}
        for row in accounting.arms
        for name, scores in row.patterns.items()
    ]


def heat_map_rows(accounting: Accounting) -> list[dict[str, Any]]:
    """Return expected accuracy by arm, training rate and test rate; a single run has no training rates to compare."""
    return [
        {"arm": matrix.arm, "train_rate": trained, "test_rate": tested, "accuracy": value}
        for matrix in accounting.matrices
        for trained, row in zip(matrix.train_rates, matrix.accuracy, strict=True)
        for tested, value in zip(matrix.test_rates, row, strict=True)
    ] or [{"arm": accounting.arm, "train_rate": None, "test_rate": None, "accuracy": None}]


def picture(results: Robustness, path: Path) -> None:
    """Draw accuracy by pattern and by missing rate into an SVG that depends, byte for byte, on the results alone."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"svg.hashsalt": "umemma", "svg.fonttype": "none", "font.size": 9}):
        names = list(results.patterns)
        longest = max(len(modality) for name in names for modality in name.split("+"))
        wide = max(4.5, max(0.9, 0.075 * (longest + 2)) * len(names))  # inches; neither names nor numbers may touch
        figure = Figure(figsize=(wide + 4.5, 3.6), layout="constrained")
        patterns_axes, rates_axes = figure.subplots(1, 2, width_ratios=(wide, 4.5))
        _draw_patterns(patterns_axes, results)
        _draw_rates(rates_axes, rate_rows(results), results.score)
        figure.suptitle(f"{results.dataset.name}, arm {results.arm}, seed {results.seed}, test split")
        figure.savefig(path, format="svg", metadata={"Date": None})


def _draw_patterns(axes: Any, results: Robustness) -> None:
    names, key = list(results.patterns), results.score
    tower = "uni" if key == "accuracy" else f"uni_{key}"
    for offset, field, label in ((-0.2, key, "fused"), (0.2, tower, "best tower of the set")):
        bars = axes.bar(
            [at + offset for at in range(len(names))],
            [getattr(row, field) for row in results.patterns.values()],
            0.4,
            label=label,
        )
        axes.bar_label(bars, fmt="%.3f", fontsize=7)
    axes.set(
        xticks=range(len(names)),
        xticklabels=[name.replace("+", "\n+ ") for name in names],
        ylim=(0, 1.15),
        ylabel=SCORES[key],
        title="by modalities present",
    )
    axes.legend(loc="upper right", ncols=2, frameon=False)


def _draw_rates(axes: Any, rows: Sequence[Mapping[str, Any]], key: str) -> None:
    for line in dict.fromkeys(row["missing"] for row in rows):
        points = [row for row in rows if row["missing"] == line]
        axes.plot([row["missing_rate"] for row in points], [row[key] for row in points], marker="o", label=line)
    axes.set(xlabel="missing rate", ylabel=f"expected {SCORES[key]} (exact)", ylim=(0, 1.02), title="by missing rate")
    axes.legend(title="missing", frameon=False)
