"""Results as people read them: a text table, the rows that `dvc plots` draws, and one picture."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Results = Mapping[str, Any]  # the content of robustness.json


def text_table(results: Results) -> str:
    """Return the table of patterns as text: what is there, n, accuracy, the best tower alone, cross-entropy."""
    dataset = results["dataset"]
    lines = [f"{dataset['name']} ({dataset['fingerprint'][:12]}), arm {results['arm']}, seed {results['seed']}, "
             "test split",
             f"{'present':<24}{'n':>7}{'accuracy':>10}{'best tower':>12}  {'(which)':<10}{'cross-entropy':>14}"]
    for name, row in results["patterns"].items():
        lines.append(f"{name:<24}{row['n']:>7}{row['accuracy']:>10.4f}{row['uni']:>12.4f}  "
                     f"{'(' + row['uni_tower'] + ')':<10}{row['cross_entropy']:>14.4f}")
    return "\n".join(lines)


def pattern_rows(results: Results) -> list[dict[str, Any]]:
    """Return a row for each pattern and model: pattern, model, accuracy."""
    return [{"present": name, "model": model, "accuracy": row[key]}
            for name, row in results["patterns"].items()
            for model, key in (("fused", "accuracy"), ("best tower", "uni"))]


def rate_rows(results: Results) -> list[dict[str, Any]]:
    """Return the lines of the grid that a plane can show: one modality missing at a rate, or all at the same."""
    rows = []
    for entry in results["rates"]:
        rates = entry["missing_rate"]
        hidden = {name for name, rate in rates.items() if rate > 0}
        lines = [name for name in rates if hidden <= {name}]
        if len(set(rates.values())) == 1:
            lines.append("every modality")
        rows += [{"missing": line, "missing_rate": max(rates.values()), "accuracy": entry["accuracy"],
                  "cross_entropy": entry["cross_entropy"]} for line in lines]
    return sorted(rows, key=lambda row: (row["missing"], row["missing_rate"]))


def picture(results: Results, path: Path) -> None:
    """Draw accuracy by pattern and by missing rate into an SVG whose bytes depend on the results alone."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"svg.hashsalt": "umemma", "svg.fonttype": "none", "font.size": 9}):
        figure = Figure(figsize=(9, 3.6), layout="constrained")
        patterns_axes, rates_axes = figure.subplots(1, 2)
        _draw_patterns(patterns_axes, results)
        _draw_rates(rates_axes, rate_rows(results))
        dataset = results["dataset"]
        figure.suptitle(f"{dataset['name']}, arm {results['arm']}, seed {results['seed']}, test split")
        figure.savefig(path, format="svg", metadata={"Date": None})


def _draw_patterns(axes: Any, results: Results) -> None:
    names = list(results["patterns"])
    for offset, key, label in ((-0.2, "accuracy", "fused"), (0.2, "uni", "best tower of the set")):
        bars = axes.bar([at + offset for at in range(len(names))], [results["patterns"][name][key] for name in names],
                        0.4, label=label)
        axes.bar_label(bars, fmt="%.3f", fontsize=7)
    axes.set(xticks=range(len(names)), xticklabels=[name.replace("+", "\n+ ") for name in names], ylim=(0, 1.15),
             ylabel="accuracy", title="what is there")
    axes.legend(loc="upper right", ncols=2, frameon=False)


def _draw_rates(axes: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    for line in dict.fromkeys(row["missing"] for row in rows):
        own = [row for row in rows if row["missing"] == line]
        axes.plot([row["missing_rate"] for row in own], [row["accuracy"] for row in own], marker="o", label=line)
    axes.set(xlabel="missing rate", ylabel="expected accuracy (exact)", ylim=(0, 1.02), title="how much is missing")
    axes.legend(title="missing", frameon=False)
