"""Results as people read them: a text table, the rows that `dvc plots` draws, and one picture."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Results = Mapping[str, Any]  # the content of robustness.json or accounting.json


def score(results: Results) -> tuple[str, str]:
    """Return key and name of the figure that counts: accuracy, or micro F1 where a sample has several labels."""
    has_f1 = any("f1_micro" in row for row in results["patterns"].values())
    return ("f1_micro", "F1, micro") if has_f1 else ("accuracy", "accuracy")


def text_table(results: Results, accounting: Results) -> str:
    """Return the table of patterns as text: what is there, n, the score, the best tower alone, utilisation."""
    if score(results)[0] != "accuracy":
        return _text_table_of_several_labels(results, accounting)
    dataset, (present, which) = results["dataset"], _widths(results)
    lines = [
        f"{dataset['name']} ({dataset['fingerprint'][:12]}), arm {results['arm']}, seed {results['seed']}, test split",
        f"{'present':<{present}}{'n':>7}{'accuracy':>10}{'95 %':>19}{'best tower':>12}  {'(which)':<{which}}"
        f"{'cross-entropy':>14}{'utilisation':>13}",
    ]
    for name, row in results["patterns"].items():
        accuracy = accounting["metrics"][name]["accuracy"]
        used = accounting["information"][name]["utilisation"]["value"]
        between = f"{accuracy['low']:.4f} to {accuracy['high']:.4f}"
        lines.append(
            f"{name:<{present}}{row['n']:>7}{row['accuracy']:>10.4f}{between:>19}{row['uni']:>12.4f}  "
            f"{'(' + row['uni_tower'] + ')':<{which}}{row['cross_entropy']:>14.4f}"
            f"{'' if used is None else f'{used:.3f}':>13}"
        )
    return "\n".join(lines)


def _text_table_of_several_labels(results: Results, accounting: Results) -> str:
    dataset, (present, which) = results["dataset"], _widths(results)
    lines = [
        f"{dataset['name']} ({dataset['fingerprint'][:12]}), arm {results['arm']}, seed {results['seed']}, test split",
        f"{'present':<{present}}{'n':>7}{'F1 micro':>10}{'95 %':>19}{'F1 macro':>10}{'best tower micro':>18}"
        f"{'macro':>8}  {'(which)':<{which}}{'cross-entropy':>14}{'utilisation':>13}",
    ]
    for name, row in results["patterns"].items():
        f1, used = accounting["metrics"][name]["f1_micro"], accounting["information"][name]["utilisation"]["value"]
        between = f"{f1['low']:.4f} to {f1['high']:.4f}"
        lines.append(
            f"{name:<{present}}{row['n']:>7}{row['f1_micro']:>10.4f}{between:>19}{row['f1_macro']:>10.4f}"
            f"{row['uni_f1_micro']:>18.4f}{row['uni_f1_macro']:>8.4f}  "
            f"{'(' + row['uni_tower'] + ')':<{which}}{row['cross_entropy']:>14.4f}"
            f"{'' if used is None else f'{used:.3f}':>13}"
        )
    return "\n".join(lines)


def _widths(results: Results) -> tuple[int, int]:
    """Return the widths of the columns that hold names: patterns, and towers in brackets."""
    rows = results["patterns"]
    return max(24, *(len(name) + 2 for name in rows)), max(10, *(len(row["uni_tower"]) + 2 for row in rows.values()))


def tables(results: Results, accounting: Results) -> dict[str, list[dict[str, Any]]]:
    """Return what `dvc plots` draws: {file: rows}, each with the columns that dvc.yaml names; never without a row."""
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


def metrics(results: Results, accounting: Results) -> dict[str, float]:
    """Return what MLflow's table of runs shows: accuracy, cross-entropy and utilisation of every pattern."""
    found: dict[str, float] = {}
    for name, row in results["patterns"].items():
        found |= {
            f"test_{key}/{name}": row[key]
            for key in ("accuracy", "cross_entropy", "f1_micro", "f1_macro")
            if key in row
        }
        used = accounting["information"][name]["utilisation"]["value"]
        if used is not None:
            found[f"utilisation/{name}"] = used
    return found


def pattern_rows(results: Results) -> list[dict[str, Any]]:
    """Return a row for each pattern and model: pattern, model, accuracy."""
    return [
        {"present": name, "model": model, "accuracy": row[key]}
        for name, row in results["patterns"].items()
        for model, key in (("fused", "accuracy"), ("best tower", "uni"))
    ]


def rate_rows(results: Results) -> list[dict[str, Any]]:
    """Return the lines of the grid that a plane can show: one modality missing at a rate, or all at the same."""
    rows = []
    for entry in results["rates"]:
        rates = entry["missing_rate"]
        hidden = {name for name, rate in rates.items() if rate > 0}
        lines = [name for name in rates if hidden <= {name}]
        if len(set(rates.values())) == 1:
            lines.append("every modality")
        rows += [
            {
                "missing": line,
                "missing_rate": max(rates.values()),
                **{key: value for key, value in entry.items() if key != "missing_rate"},
            }
            for line in lines
        ]
    return sorted(rows, key=lambda row: (row["missing"], row["missing_rate"]))


def information_rows(accounting: Results) -> list[dict[str, Any]]:
    """Return nats by pattern: what this run's model uses, what the best known model shows, the truth where known."""
    return [
        {"present": name, "bound": what, "nats": value}
        for name, row in accounting["information"].items()
        for what, value in (
            ("used by this run", row["lower_bound"]["value"]),
            ("best known", row["best_known"]["value"]),
            ("truth", row["truth"]),
        )
        if value is not None
    ]


def modality_rows(accounting: Results) -> list[dict[str, Any]]:
    """Return nats by modality: its Shapley value, and what is lost for good without it."""
    return [
        {"modality": name, "what": what.replace("_", " "), "nats": row[what]["value"]}
        for name, row in accounting["by_modality"].items()
        for what in ("shapley", "lost_for_good")
        if row[what]["value"] is not None
    ] or [{"modality": "", "what": "", "nats": 0.0}]


def price_rows(accounting: Results) -> list[dict[str, Any]]:
    """Return the price of each modality by missing rate."""
    return [
        {"modality": name, "missing_rate": one["missing_rate"], "nats": one["value"]}
        for name, row in accounting["by_modality"].items()
        for one in row["price"]
    ]


def reliability_rows(accounting: Results) -> list[dict[str, Any]]:
    """Return confidence against accuracy by pattern and bin."""
    return [{"present": name, **one} for name, bins in accounting["reliability"].items() for one in bins]


def arm_rows(accounting: Results) -> list[dict[str, Any]]:
    """Return mean accuracy by arm and pattern."""
    return [
        {"arm": row["arm"], "present": name, "accuracy": one["accuracy"]["mean"]}
        for row in accounting["arms"]
        for name, one in row["patterns"].items()
    ]


def heat_map_rows(accounting: Results) -> list[dict[str, Any]]:
    """Return expected accuracy by arm, training rate and test rate; a run alone has no training rates to compare."""
    return [
        {"arm": one["arm"], "train_rate": trained, "test_rate": tested, "accuracy": value}
        for one in accounting["matrices"]
        for trained, row in zip(one["train_rates"], one["accuracy"], strict=True)
        for tested, value in zip(one["test_rates"], row, strict=True)
    ] or [{"arm": accounting["arm"], "train_rate": None, "test_rate": None, "accuracy": None}]


def picture(results: Results, path: Path) -> None:
    """Draw accuracy by pattern and by missing rate into an SVG whose bytes depend on the results alone."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"svg.hashsalt": "umemma", "svg.fonttype": "none", "font.size": 9}):
        names = list(results["patterns"])
        longest = max(len(one) for name in names for one in name.split("+"))
        wide = max(4.5, max(0.9, 0.075 * (longest + 2)) * len(names))  # inches, so that neither names nor figures touch
        figure = Figure(figsize=(wide + 4.5, 3.6), layout="constrained")
        patterns_axes, rates_axes = figure.subplots(1, 2, width_ratios=(wide, 4.5))
        _draw_patterns(patterns_axes, results)
        _draw_rates(rates_axes, rate_rows(results), *score(results))
        dataset = results["dataset"]
        figure.suptitle(f"{dataset['name']}, arm {results['arm']}, seed {results['seed']}, test split")
        figure.savefig(path, format="svg", metadata={"Date": None})


def _draw_patterns(axes: Any, results: Results) -> None:
    names, (own, title) = list(results["patterns"]), score(results)
    tower = "uni" if own == "accuracy" else f"uni_{own}"
    for offset, key, label in ((-0.2, own, "fused"), (0.2, tower, "best tower of the set")):
        bars = axes.bar(
            [at + offset for at in range(len(names))],
            [results["patterns"][name][key] for name in names],
            0.4,
            label=label,
        )
        axes.bar_label(bars, fmt="%.3f", fontsize=7)
    axes.set(
        xticks=range(len(names)),
        xticklabels=[name.replace("+", "\n+ ") for name in names],
        ylim=(0, 1.15),
        ylabel=title,
        title="what is there",
    )
    axes.legend(loc="upper right", ncols=2, frameon=False)


def _draw_rates(axes: Any, rows: Sequence[Mapping[str, Any]], key: str, title: str) -> None:
    for line in dict.fromkeys(row["missing"] for row in rows):
        own = [row for row in rows if row["missing"] == line]
        axes.plot([row["missing_rate"] for row in own], [row[key] for row in own], marker="o", label=line)
    axes.set(xlabel="missing rate", ylabel=f"expected {title} (exact)", ylim=(0, 1.02), title="how much is missing")
    axes.legend(title="missing", frameon=False)
