"""The pictures of the page: which numbers of the reports each chart shows, in which order and on which scale."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from markupsafe import Markup

from umemma.reporting import charts, findings, formatting
from umemma.reporting.charts import Line, Panel
from umemma.reporting.expected import Metrics, expected
from umemma.reporting.formatting import in_words, nats, percent
from umemma.reporting.results import Accounting, Arm, ArmScores, Classes, Interval, Robustness
from umemma.reporting.svg import element
from umemma.reporting.tables import SCORES, rate_rows

EVERY = "every modality"
MOST_CLASSES = 40  # of a confusion matrix that can be read
MOST_FLIPS = 40


def strips(robustness: Robustness, accounting: Accounting, shown: Sequence[str]) -> dict[str, Markup]:
    """Return a picture for each pattern of accuracy, best tower, floor and ceiling, and the axis (key "")."""
    rows = {
        name: (accounting.metrics[name].accuracy, accounting.information[name], robustness.patterns[name].uni)
        for name in shown
    }
    values = [
        value
        for accuracy, row, tower in rows.values()
        for value in (accuracy.value, accuracy.low, row.floor.value, row.ceiling.value, tower)
        if value is not None
    ]
    scale = charts.strip_scale(values)
    drawn = {"": charts.strip_axis(scale, formatting.tick)}
    for name, (accuracy, row, tower) in rows.items():
        floor, ceiling = row.floor.value, row.ceiling.value
        drawn[name] = charts.strip(
            scale,
            accuracy,
            mark=tower,
            band=None if floor is None or ceiling is None else (floor, ceiling),
            title=f"{in_words(name)}: accuracy {percent(accuracy.value)}, best tower {percent(tower)}, between floor "
            f"{percent(floor)} and ceiling {percent(ceiling)}",
        )
    return drawn


def rates(robustness: Robustness) -> dict[float, dict[str, dict[str, Any]]]:
    """Return the measured points of the curves: missing rate -> line -> row."""
    table: dict[float, dict[str, dict[str, Any]]] = {}
    for row in sorted(rate_rows(robustness), key=lambda row: row["missing_rate"]):
        table.setdefault(row["missing_rate"], {})[row["missing"]] = row
    return table


def rate_curves(robustness: Robustness, known: Mapping[frozenset[str], Metrics]) -> Markup | None:
    """Return expected accuracy over the missing rate of one modality and of all; None if there is only one rate.

    The lines are exact between the measured points too, as they follow from `known`, the metrics by pattern; without
    the score there they only join the points. A line that needs sets which were not evaluated is left out.
    """
    rows, lines, key, title = rate_rows(robustness), [], robustness.score, SCORES[robustness.score]
    if len({row["missing_rate"] for row in rows}) < 2:
        return None
    modalities = list(robustness.rates[0].missing_rate)
    for index, name in enumerate([*modalities, EVERY] if len(modalities) > 1 else modalities):
        points = [(row["missing_rate"], row[key]) for row in rows if row["missing"] == name]
        exact = [
            (rate, expected(known, {modality: rate if name in (modality, EVERY) else 0.0 for modality in modalities}))
            for rate in (step / 50 for step in range(51))
            if points[0][0] <= rate <= points[-1][0]
        ]
        if any(metrics is None for _, metrics in exact):  # sets in between were not evaluated: a line would be a guess
            continue
        path = [(rate, metrics[key]) for rate, metrics in exact if metrics is not None and key in metrics]
        lines.append(Line(name, "all" if name == EVERY else charts.tone(index), path or points, points))
    return _for_every_screen(
        lines,
        title=f"Expected {title} against the missing rate",
        y_label=f"expected {title}",
        format_value=formatting.tick,
        highest=1.0,
    )


def information(accounting: Accounting, shown: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return, for each pattern, H(Y) split into what is used, what only the best known model finds, and the rest.

    H(Y) is the entropy over the samples that have the pattern, on which cross-entropy and bound, its summands, were
    measured.
    """
    rows, result = {name: accounting.information[name] for name in shown}, {}
    entropy = {
        name: _defined(row.lower_bound) + _defined(accounting.metrics[name].cross_entropy) for name, row in rows.items()
    }
    for name, row in rows.items():
        used, best = _defined(row.lower_bound), _defined(row.best_known)
        within = min(max(used, 0.0), entropy[name])
        failure = max(best - within, 0.0)
        rest = max(entropy[name] - within - failure, 0.0)
        title = (
            f"{in_words(name)}: this run uses {nats(used)} of {nats(entropy[name])} nats, "
            f"{row.best_known.model} finds {nats(failure)} more, {nats(rest)} unknown or lost"
        )
        result[name] = {
            "failure": failure,
            "rest": rest,
            "has_truth": row.truth is not None,
            "bar": charts.stack(
                [("used", within), ("failure", failure), ("rest", rest)],
                total=max(entropy.values()),
                mark=row.truth,
                title=title,
            ),
        }
    return result


def prices(accounting: Accounting) -> Markup | None:
    """Return the price of each modality, -dI*/d eta, over the missing rate of all; None if no price is known."""
    lines = []
    for index, (name, row) in enumerate(accounting.by_modality.items()):
        known = [(at.missing_rate, at) for at in row.price if at.value is not None]
        points = [(rate, _defined(at)) for rate, at in known]
        band = [(rate, at.low, at.high) for rate, at in known if at.low is not None and at.high is not None]
        if len(points) > 1:
            lines.append(Line(name, charts.tone(index), points, points, band))
    return (
        _for_every_screen(
            lines,
            title="Price of losing a modality",
            y_label="nats for each unit of the rate",
            format_value=formatting.tick_nats,
            lowest=0.0,
        )
        if lines
        else None
    )


def _for_every_screen(lines: list[Line], **settings: Any) -> Markup:
    """Return a chart twice, wide and narrow; CSS shows the one that fits."""
    return Markup("").join(
        element("div", charts.curves(lines, width=width, **settings), class_=name)
        for name, width in (("wide", 760.0), ("narrow", 326.0))
    )


def worth(accounting: Accounting) -> Markup:
    """Return the worth of each modality by four measures side by side."""
    rows = accounting.by_modality
    kinds = (
        ("shapley_share", "Shapley share", formatting.tick),
        ("lost_for_good", "only it has, nats", formatting.tick_nats),
        ("encoder_term", "encoder term, points", formatting.tick_points),
        ("fusion_noise", "fusion noise, points", formatting.tick_points),
    )
    panels = [
        Panel(title, [getattr(row, key) for row in rows.values()], form, has_zero=True) for key, title, form in kinds
    ]
    return charts.dot_panels(
        list(rows), [charts.tone(index) for index in range(len(rows))], panels, title="Worth of each modality"
    )


def flips(accounting: Accounting, shown: Sequence[str]) -> list[dict[str, Any]]:
    """Return the counter-intuitive rates, the worst first, each with its picture and the axis."""
    known = [row for row in accounting.counter_intuitive if row.rate.value is not None and row.present in shown]
    rows = sorted(known, key=lambda row: -_defined(row.rate))[:MOST_FLIPS]
    scale = charts.strip_scale([0.0, *(row.rate.high or _defined(row.rate) for row in rows)])
    axis = charts.strip_axis(scale, formatting.tick)
    return [
        {
            "row": row,
            "axis": axis,
            "strip": charts.strip(
                scale, row.rate, title=f"{row.added} added to {in_words(row.present)}: {percent(row.rate.value)}"
            ),
        }
        for row in rows
    ]


def reliability(accounting: Accounting, shown: Sequence[str]) -> dict[str, Markup]:
    """Return a reliability diagram for each pattern."""
    return {
        name: charts.reliability(bins, f"Reliability of {in_words(name)}: confidence across, accuracy up")
        for name, bins in accounting.reliability.items()
        if name in shown
    }


def confusion(classes: Classes) -> list[list[tuple[int, float]]] | None:
    """Return rows of (count, share of the true class); None of too many classes, or where there is no matrix."""
    if classes.confusion is None or len(classes.classes) > MOST_CLASSES:
        return None
    return [[(count, round(count / max(1, sum(row)), 2)) for count in row] for row in classes.confusion]


def arms(accounting: Accounting) -> dict[str, Any]:
    """Return the arms by falling accuracy on the fullest pattern, with names, and a dot plot of several."""
    headline = findings.headline(accounting)
    fullest, key = headline.fullest, headline.score
    rows = sorted(
        accounting.arms, key=lambda row: -getattr(row.patterns[fullest], key).mean if fullest in row.patterns else 0.0
    )
    named = [(_arm_name(row), row) for row in rows]
    if len(rows) < 2:
        return {"rows": named, "plot": None}
    shown = list(dict.fromkeys([fullest, *(name for name in accounting.metrics if "+" not in name)]))
    panels = [
        Panel(
            "everything" if "+" in name else name,
            [_around(row.patterns.get(name), key) for row in rows],
            formatting.tick,
            highest=1.0,
        )
        for name in shown
    ]
    return {
        "rows": named,
        "plot": charts.dot_panels(
            [name for name, _ in named],
            ["this" if row.versus is None else "other" for row in rows],
            panels,
            title=f"{'Micro F1' if key == 'f1_micro' else 'Accuracy'} of every arm: mean and spread over seeds",
        ),
    }


def _arm_name(row: Arm) -> str:
    return row.arm if row.missing_rate is None else f"{row.arm}, {formatting.settings(row.missing_rate)}"


def _around(cell: ArmScores | None, key: Literal["accuracy", "f1_micro"]) -> Interval | None:
    scores = None if cell is None else getattr(cell, key)
    if scores is None or scores.mean is None:
        return None
    spread = scores.spread or 0.0
    return Interval(value=scores.mean, low=scores.mean - spread, high=scores.mean + spread)


def _defined(interval: Interval) -> float:
    assert interval.value is not None, "this figure is defined in every report that holds it"
    return interval.value


def budget(robustness: Robustness) -> Markup | None:
    """Return a bar of the training budget of each tower and of fusion; None if all are zero."""
    spent = robustness.budget
    if not spent.total:
        return None
    parts = [(charts.tone(index), count) for index, count in enumerate(spent.pretrain.values())]
    return charts.stack([*parts, ("fuse", spent.fuse)], total=spent.total, title=f"{spent.total} {spent.unit}")
