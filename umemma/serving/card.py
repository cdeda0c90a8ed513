"""The card of a model: what it is, what it takes and what it is worth, as README.md with metadata that hubs read."""

import json
import math
import re
from collections.abc import Iterator

from umemma.reporting.results import Interval
from umemma.serving.folder import Facts, Inputs, Measured, MeasuredPattern
from umemma.visible import visible


def card(facts: Facts, inputs: Inputs, measured: Measured) -> str:
    """Return the text; equal models have equal cards."""
    return "\n".join(
        [*_metadata(facts, measured), *_about(facts), *_takes(facts, inputs), *_worth(facts, measured), ""]
    )


def _metadata(facts: Facts, measured: Measured) -> Iterator[str]:
    """Yield YAML as the model cards of Hugging Face have it; every value is written as JSON, which YAML contains."""
    yield from ("---", "library_name: umemma", 'tags: ["multimodal", "missing-modality"]')
    yield f"datasets: {json.dumps([facts.dataset])}"
    yield from ("model-index:", f"- name: {json.dumps(facts.dataset + ' ' + facts.arm)}", "  results:")
    for name, one in measured.patterns.items():
        yield f"  - task: {{type: {json.dumps(_task(facts))}}}"
        yield f"    dataset: {{name: {json.dumps(facts.dataset)}, type: {json.dumps(facts.dataset)}, split: test, config: {json.dumps(name)}}}"
        yield f"    metrics: [{{type: {_score(one)[0]}, value: {json.dumps(_score(one)[1].value)}}}]"
    yield "---"


def _about(facts: Facts) -> Iterator[str]:
    samples = ", ".join(f"{count:,} {split}" for split, count in facts.num_samples.items())
    yield from (f"# {facts.dataset}, {facts.arm}", "")
    yield (
        f"A model of {len(facts.modalities)} modalities ({', '.join(facts.modalities)}) that answers from whichever are there; "
        f"{_task(facts)}, {len(facts.classes)} classes. Trained on `{facts.dataset}` ({samples} samples), seed {facts.seed}, "
        f"by umemma {facts.umemma}."
    )
    yield from ("", "```", "umemma predict FOLDER rows.csv --output answers.csv", "```", "```python", "import umemma")
    yield from ('umemma.load("FOLDER").predict(rows)  # a DataFrame, a list of dictionaries, a path', "```", "")


def _takes(facts: Facts, inputs: Inputs) -> Iterator[str]:
    yield from ("## What a row may hold", "", "Any of these may be absent, as a column or in a row.", "")
    yield from ("| modality | kind | columns |", "|---|---|---|")
    for name in facts.modalities:
        entry = inputs.modalities[name]
        columns = entry.get("columns") or [entry["column"]]
        yield f"| {name} | {entry['kind']} | {', '.join(map(_cell, columns))} |"
    yield from ("", f"Classes: {', '.join(map(_cell, facts.classes))}.", "")


def _worth(facts: Facts, measured: Measured) -> Iterator[str]:
    yield from ("## What it is worth", "")
    yield (
        "On test samples that have all of a set of modalities, with the rest hidden; intervals are of 95 %. Information is a "
        "lower bound on what the set tells of the label, in bits. Sets are prediction sets of 90 %: how often they hold the "
        "truth for samples of exactly this set of modalities, and how many classes are in one."
    )
    score = "micro F1" if facts.task == "multi_label" else "accuracy"
    yield from (
        "",
        f"| there is | samples | {score} | information | sets hold | set size |",
        "|---|---|---|---|---|---|",
    )
    for name, one in measured.patterns.items():
        yield (
            f"| {name} | {one.n:,} | {_interval(_score(one)[1])} | {_bits(one.information)} | {one.coverage:.3f}"
            f"{'' if one.own_calibration else ' (borrowed)'}{' **too few**' if one.falls_short else ''} | {one.set_size:.2f} |"
        )
    if short := measured.falling_short():
        yield from ("", f"**{short}**")
    yield from (
        "",
        f"A row that has nothing is answered by how often each class was in training: accuracy {measured.prior:.3f}.",
        "",
        "A set of modalities that calibration samples do not have by themselves borrows samples that have more (borrowed). "
        "That is valid where it depends on nothing, or on the label alone, what is missing; where values hide themselves, "
        "no figure here holds for that set. All figures hold for data like those of the test.",
    )


def _task(facts: Facts) -> str:
    return "multi-label classification" if facts.task == "multi_label" else "classification"


def _score(one: MeasuredPattern) -> tuple[str, Interval]:
    return ("accuracy", one.accuracy) if one.f1_micro is None else ("f1", one.f1_micro)


def _interval(one: Interval) -> str:
    if one.value is None:
        return "-"
    return f"{one.value:.3f}" + (
        f" ({one.low:.3f} to {one.high:.3f})" if one.low is not None and one.high is not None else ""
    )


def _bits(one: Interval) -> str:
    return "-" if one.value is None else f"{max(0.0, one.value) / math.log(2):.3f}"


def _cell(text: object) -> str:
    """Return a text as itself in Markdown: no link, no markup, no cell of its own."""
    return re.sub(r"([\\`*_\[\]<>#|&~$!])", r"\\\1", visible(str(text)).replace("\n", " "))
