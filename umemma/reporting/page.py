"""The report of one experiment as one page: self-contained, readable without JavaScript, reproducible to the byte.

Its Content-Security-Policy forbids loading anything: style, script, charts and data are inline. All text from the data
(names of modalities, classes, models) is escaped by jinja2 and markupsafe.
"""

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2

from umemma.reporting import charts, data_figures, encoders, figures, findings, formatting, verdict
from umemma.reporting.expected import Metrics, per_pattern, presence
from umemma.reporting.next_step import next_step
from umemma.reporting.preview import Preview
from umemma.reporting.reports import Reports
from umemma.reporting.results import Robustness
from umemma.reporting.shown import ALL_OF, shown_patterns

_WIDE = 7  # columns of the table of models
_LISTED_SETS = 16  # sets whose share is listed beside the sliders


def page(reports: Reports, previews: Mapping[str, Sequence[Preview]] | None = None) -> str:
    """Return report.html; `previews`: what there is to see of the wrongly predicted samples, by key."""
    robustness, accounting, gates, masks, classes, data, towers = reports
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        filter_.__name__: filter_
        for filter_ in (
            formatting.percent,
            formatting.nats,
            formatting.points,
            formatting.rate,
            formatting.interval,
            formatting.settings,
            formatting.chance,
            formatting.listed,
            formatting.lacking,
        )
    }
    modalities, shown = accounting.modalities, shown_patterns(accounting)
    environment.filters["in_words"] = lambda pattern: formatting.in_words(pattern, modalities)
    few = [name for name in shown if name in (shown[0], *modalities)]
    known = per_pattern(robustness)
    in_data = data_figures.patterns(data.statistics)
    drawn = list(dict.fromkeys([*shown, *(name for name, _ in in_data if _is_set_of(name, modalities))]))
    return environment.get_template("page.html").render(
        robustness=robustness,
        accounting=accounting,
        gates=gates,
        masks=masks,
        data=data,
        classes=classes,
        labels=data_figures.classes(data.statistics),
        in_data=in_data,
        presence_tells=data_figures.presence_tells(data.statistics),
        previews=previews or {},
        confusion=figures.confusion(classes),
        beaten=verdict.beaten(accounting),
        verdict=verdict.sentences(accounting),
        step=next_step(robustness, accounting),
        shown=shown,
        model_columns=shown if len(shown) <= _WIDE else few,
        arm_tables=shown if len(shown) <= ALL_OF else few,
        modalities=modalities,
        headline=findings.headline(accounting),
        about=next((row.about for row in accounting.arms if row.versus is None), ""),
        interaction=findings.interaction(accounting),
        holes=findings.holes(accounting),
        tone={name: charts.tone(index) for index, name in enumerate(modalities)},
        sprite=charts.sprite({name: _flags(name, modalities) for name in drawn}),
        dots={name: charts.dots(number, modalities, _flags(name, modalities)) for number, name in enumerate(drawn)},
        strips=figures.strips(robustness, accounting, shown),
        information=figures.information(accounting, shown),
        rates=figures.rates(robustness),
        rate_curves=figures.rate_curves(robustness, known),
        explored=_explored(robustness, known, modalities),
        prices=figures.prices(accounting),
        worth=figures.worth(accounting),
        flips=figures.flips(accounting, shown),
        arms=figures.arms(accounting),
        tried=encoders.tried(towers),
        reliability=figures.reliability(accounting, shown),
        budget=figures.budget(robustness),
    )


def _flags(pattern: str, modalities: Sequence[str]) -> list[bool]:
    present = pattern.split("+")
    return [name in present for name in modalities]


def _is_set_of(pattern: str, modalities: Sequence[str]) -> bool:
    return set(filter(None, pattern.split("+"))) <= set(modalities)


def _explored(
    robustness: Robustness, known: Mapping[frozenset[str], Metrics], modalities: Sequence[str]
) -> dict[str, Any] | None:
    """Return the data, text and initial values of the page's sliders; None if a non-empty set is unknown."""
    if len(known.keys() - {frozenset()}) < 2 ** len(modalities) - 1:
        return None
    flags = {present: [name in present for name in modalities] for present in [*known, frozenset()]}
    trained = robustness.training.missing_rate or {}
    return {
        "start": [round(trained.get(name, 0.0), 2) for name in modalities],
        "has_empty": frozenset() in known,
        "has_f1": all("labels" in metrics for metrics in known.values()),
        "rows": [
            {
                "pattern": "+".join(itertools.compress(modalities, present)),
                "name": " + ".join(itertools.compress(modalities, present)) or "nothing",
            }
            for present in (flags.values() if len(flags) <= _LISTED_SETS else ())
        ],
        "data": {
            "modalities": list(modalities),
            "patterns": [{"present": flags[present], **metrics} for present, metrics in known.items()],
            "rows": list(flags.values()) if len(flags) <= _LISTED_SETS else [],
            "samples": [{"has": flags[has], "share": share} for has, share in presence(robustness).items()],
        },
    }
