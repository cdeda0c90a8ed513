"""The options that `umemma init` proposes for a table's adapter, and a survey of its media.

The adapter itself reads the table with these options, so either the proposal works or an error says why it cannot.
Media are only sampled (`survey`).
"""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from umemma.data.sample import SPLITS
from umemma.errors import DataError, some
from umemma.init import dialect, modalities, paths, roles, series
from umemma.init.columns import Column, column
from umemma.init.giveaways import giveaways
from umemma.init.names import Files, likely_root, namings
from umemma.init.roles import Label
from umemma.init.survey import Survey, encoding, survey
from umemma.sources.adapters.table import Adapter
from umemma.sources.tables.rows import SPELLINGS

_FEW_ROWS = 10


@dataclass(frozen=True)
class Given:
    """What the user has specified: columns by name, the table's encoding, modalities as {name: columns or patterns}."""

    key: str | None = None
    split: str | None = None
    label: Sequence[str] = ()
    group: str | None = None
    encoding: str | None = None
    modalities: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Proposal:
    """Options for the adapter; `surveys`, `num_present` by modality; `unused` {column: reason}; `unsure`: sentences."""

    root: Path
    options: Mapping[str, Any]
    label: Label
    num_rows: int
    num_samples: Mapping[str, int]
    num_present: Mapping[str, int]
    rejected: Mapping[str, int]
    surveys: Mapping[str, Survey]
    unused: Mapping[str, str]
    unsure: Sequence[str]

    def kind(self, modality: str) -> str:
        """Return the kind of a modality."""
        return str(self.options["modalities"][modality]["kind"])


def propose(file: Path, root: Path | None, given: Given) -> Proposal:
    """Inspect a table below `root`, None: the folder that holds its files. Raises DataError or ParameterError if it cannot be used."""
    opened = dialect.opened(file, given.encoding)
    options, table = dict(opened.options), opened.table
    columns = {name: column(name, cells) for name, cells in table.columns.items()}
    root = root or likely_root(file, columns.values())
    options = {"file": os.path.relpath(file, root)} | options
    chosen = roles.roles(columns, key=given.key, split=given.split, label=given.label, group=given.group)
    rest = {name: candidate for name, candidate in columns.items() if name not in chosen.reserved}
    base = paths.start(file, root, rest.values())
    files = Files(root, file)
    probe = modalities.Probe(
        axes=lambda candidate: paths.num_axes(candidate, base, root),
        namings=lambda candidate: namings(candidate, columns, base, files),
    )
    guesses = modalities.modalities(
        rest, probe, key=chosen.key if chosen.key and chosen.key.name not in rest else None, given=given.modalities
    )
    if not guesses.entries:
        raise DataError(
            f"{file}: none of the columns {some(columns, 20)} holds media, texts or numbers to learn from"
            + "".join(f"; {name}: {why}" for name, why in list(guesses.unused.items())[:5])
        )
    label = chosen.label
    options |= {"label": label.columns}
    if label.task == "multi_label" and isinstance(label.columns, str):
        options["separator"] = label.separator
    named = {"key": chosen.key, "group": chosen.group, "split": chosen.split}
    options |= {option: candidate.name for option, candidate in named.items() if candidate} | _shares(chosen.split)
    if base != file.parent:
        options["media_root"] = os.path.relpath(base, root)
    if read_as := options.pop("columns", {}) | guesses.columns:
        options["columns"] = read_as
    options["modalities"] = guesses.entries
    guessed = deepcopy(guesses.entries)
    adapter = Adapter(root, classes=label.classes, task=label.task, **options)
    said = [*series.complete(guesses.entries, adapter), *_name_encodings(guesses.entries, adapter)]
    if guesses.entries != guessed:
        adapter = Adapter(root, classes=label.classes, task=label.task, **options)
    surveys = {
        name: survey(adapter.members, name, str(entry["kind"]), list(adapter.rows.label))
        for name, entry in guesses.entries.items()
    }
    rejected = Counter(rejection.reason.split(":")[0] for rejection in adapter.rejected)
    unnamed = files.unnamed(set().union(*guesses.files.values()))
    unsure = [*opened.said, *chosen.unsure, *guesses.unsure, *said, *_rare(label)]
    if unnamed:
        folders = some((f"{count} in {folder}" for folder, count in unnamed.items()), 3)
        unsure.append(f"pictures, sounds or videos below {root} that no column names: {folders}")
    unsure += [doubt for name in surveys for doubt in _doubts(name, surveys[name])]
    if label.task == "single_label":
        labels = {row: value for row, value in adapter.rows.label.items() if isinstance(value, int)}
        for name, entry in guesses.entries.items():
            unsure += giveaways(name, str(entry["kind"]), surveys[name], labels)
    return Proposal(
        root,
        options,
        label,
        len(table.places),
        adapter.num_samples,
        _num_present(adapter),
        rejected,
        surveys,
        guesses.unused,
        unsure,
    )


def _shares(split: Column | None) -> dict[str, Any]:
    """Return the shares to draw from train for splits that the split column lacks."""
    present = {SPELLINGS.get(spelling.casefold()) for spelling in split.counts} if split else set(SPLITS)
    lacking = [name for name in SPLITS if name not in present and name != "train"]
    return {"shares": dict.fromkeys(lacking, 0.15)} if lacking else {}


def _name_encodings(entries: dict[str, dict[str, Any]], adapter: Adapter) -> list[str]:
    """Add to the entries of texts in files that are not UTF-8 their likely encoding; return sentences for the user."""
    said = []
    for name, entry in entries.items():
        if entry["kind"] == "text" and entry.get("inline") is False:
            likely = encoding(adapter.members, name, list(adapter.rows.label))
            if likely:
                entry["encoding"] = likely
                said.append(f"{name}: its files are not UTF-8; they are taken to be {likely} (its `encoding`)")
    return said


def _num_present(adapter: Adapter) -> dict[str, int]:
    return {name: sum(adapter.members.has(name, row) for row in adapter.rows.label) for name in adapter.modalities}


def _rare(label: Label) -> list[str]:
    rare = [f"{name} ({label.counts[name]})" for name in label.classes if label.counts[name] < _FEW_ROWS]
    return [f"classes with fewer than {_FEW_ROWS} rows are too small to learn: {some(rare)}"] if rare else []


def _doubts(name: str, result: Survey) -> list[str]:
    doubts = []
    if result.troubles:
        reasons = some(f"{why} ({count})" for why, count in result.troubles.items())
        count = sum(result.troubles.values())
        doubts.append(f"{name}: of {result.num_seen} looked at {count} cannot be used, as {result.example}: {reasons}")
    if len(set(result.facts.get("channels", ()))) > 1 and "num_steps" in result.facts:
        doubts.append(f"{name}: the series have different numbers of channels")
    return doubts
