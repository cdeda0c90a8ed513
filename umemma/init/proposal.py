"""The options that `umemma init` proposes for a table's adapter, and a survey of its media.

The adapter itself reads the table with these options, so either the proposal works or an error says why it cannot.
Media are only sampled (`survey`).
"""

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np

from umemma.data.sample import SPLITS, BadSample
from umemma.errors import DataError, ParameterError, some
from umemma.init import dialect, kinds, modalities, paths, roles, series, settling
from umemma.init.columns import Column, column
from umemma.init.giveaways import giveaways
from umemma.init.label import Label
from umemma.init.names import Files, likely_root, namings
from umemma.init.roles import NONE, Guess, Named
from umemma.init.survey import Survey, encoding, survey
from umemma.media import formats
from umemma.sources.adapters.table import Adapter
from umemma.sources.tables import file as table_file
from umemma.sources.tables.rows import SPELLINGS
from umemma.validation import informative
from umemma.validation.settings import Validation

_FEW_ROWS = 10


@dataclass(frozen=True)
class Given(Named):
    """What the user has specified: columns by name, the table's encoding, modalities as {name: columns or patterns}.

    `kinds`: {column: kind of modality}. `rare`: what becomes of classes that are too small; `missing_files`: of files
    that do not exist.
    """

    encoding: str | None = None
    sheet: str | None = None
    modalities: Mapping[str, Sequence[str]] = field(default_factory=dict)
    kinds: Mapping[str, str] = field(default_factory=dict)
    rare: str = "drop"
    missing_files: str | None = None


@dataclass(frozen=True)
class Proposal:
    """Options for the adapter, and the adapter with them; `surveys` by modality; `unused` {column: reason}.

    Sentences: `first` is what may spoil every result, `unsure` the rest. `bounds` are the gate's defaults.
    """

    bounds: Validation
    root: Path
    options: Mapping[str, Any]
    label: Label
    guesses: Sequence[Guess]
    num_rows: int
    adapter: Adapter
    rejected: Mapping[str, int]
    surveys: Mapping[str, Survey]
    unused: Mapping[str, str]
    first: Sequence[str]
    unsure: Sequence[str]

    def kind(self, modality: str) -> str:
        """Return the kind of a modality."""
        return str(self.options["modalities"][modality]["kind"])

    @property
    def num_samples(self) -> Mapping[str, int]:
        """The number of samples of each split."""
        return self.adapter.num_samples

    @property
    def damaged_share(self) -> float:
        """The largest share of samples that could not be read: of rows in a split, or of a modality's files looked at."""
        rows = Counter(rejection.split for rejection in self.adapter.rejected if rejection.is_damage)
        judged = {split: count + rows[split] for split, count in self.num_samples.items()}
        shares = [rows[split] / count for split, count in judged.items() if count]
        seen = [sum(result.troubles.values()) / max(1, result.num_seen) for result in self.surveys.values()]
        return max([*shares, sum(seen), rows[""] / self.num_rows])

    @property
    def repeated(self) -> list[str]:
        """Names of expectations that a file which several rows name would violate."""
        names = [
            name
            for name, entry in self.options["modalities"].items()
            if entry.get("inline") is False or "path" in entry or entry["kind"] in ("image", "audio", "video", "series")
        ]
        for name in names:
            files = Counter(self._files(name))
            if files and max(files.values()) > 1:
                return ["duplicates_across_splits", "conflicting_labels"]
        return []

    def _files(self, modality: str) -> Iterator[str]:
        for row in self.adapter.rows.label:
            if self.adapter.members.has(modality, row):
                try:
                    file = self.adapter.members.file(modality, row)
                except BadSample:  # `sample` says why
                    continue
                if file is not None:
                    yield file

    def num_present(self, modality: str) -> int:
        """Return the number of samples that have a modality."""
        return sum(self.adapter.members.has(modality, row) for row in self.adapter.rows.label)


def propose(file: Path, root: Path | None, given: Given, bounds: Validation) -> Proposal:
    """Inspect a table below `root`, None: the folder that holds its files; `bounds` are the gate's defaults.

    Raises DataError or ParameterError if the table cannot be used. A guessed group is given up if splits by it lack
    classes, and others would not.
    """
    with table_file.read_once():
        return _with_a_group_that_can_be_cut(file, root, given, bounds)


def _with_a_group_that_can_be_cut(file: Path, root: Path | None, given: Given, bounds: Validation) -> Proposal:
    proposal = _proposed(file, root, given, bounds)
    group, lacking = proposal.options.get("group"), settling.lacking_classes(proposal.adapter)
    if given.group is not None or group is None or not lacking:
        return proposal
    try:
        without = _proposed(file, root, replace(given, group=NONE, drop=[*given.drop, group]), bounds)
    except DataError:  # nothing to learn from is left without the column, as it names files
        return proposal
    if settling.lacking_classes(without.adapter):
        return proposal
    said = f"{group} is not taken: splits by it lack classes ({some(lacking)})"
    return replace(
        without,
        guesses=[replace(one, reason=said) if one.role == "group" else one for one in without.guesses],
        unused={**without.unused, group: f"may say what must stay in one split; --group {group} keeps it there"},
    )


def _proposed(file: Path, root: Path | None, given: Given, bounds: Validation) -> Proposal:
    opened = dialect.opened(file, given.encoding, given.sheet)
    options, table = dict(opened.options), opened.table
    columns = {name: column(name, cells, given.missing) for name, cells in table.columns.items()}
    root = root or likely_root(file, columns.values())
    options = {"file": os.path.relpath(file, root)} | options
    chosen = roles.roles(columns, table.columns, _with_kept(given, columns))
    rest = {name: candidate for name, candidate in columns.items() if name not in chosen.reserved}
    base = paths.start(file, root, rest.values())
    files = Files(root, file)
    probe = modalities.Probe(
        axes=lambda candidate: paths.num_axes(candidate, base, root),
        namings=lambda candidate: namings(candidate, columns, base, files),
    )
    guesses = modalities.modalities(
        rest,
        probe,
        key=chosen.key if chosen.key and chosen.key.name not in rest else None,
        given=given.modalities,
        said=given.kinds,
    )
    if not guesses.entries:
        raise DataError(
            f"{file}: none of the columns {some(columns, 20)} holds media, texts or numbers to learn from"
            + "".join(f"; {name}: {why}" for name, why in list(guesses.unused.items())[:5])
        )
    unused = {name: f"{why}; --keep takes it" if why != "--drop" else why for name, why in chosen.left_out.items()}
    unused |= guesses.unused
    label, first = settling.without_rare(chosen.label, chosen.group, chosen.split is not None, given.rare, file)
    options |= {"label": label.columns} | dict(label.options)
    named = {"key": chosen.key, "group": chosen.group, "split": chosen.split}
    options |= {option: candidate.name for option, candidate in named.items() if candidate} | _shares(chosen.split)
    if base != file.parent:
        options["media_root"] = os.path.relpath(base, root)
    if read_as := options.pop("columns", {}) | guesses.columns:
        options["columns"] = read_as
    options["modalities"] = guesses.entries
    settled = settling.settled(root, options, label, unused, given.missing_files)
    entries = settled.options["modalities"]
    guessed = deepcopy(entries)
    said = [
        *kinds.by_streams(entries, settled.adapter, given.kinds),
        *series.complete(entries, settled.adapter),
        *_name_encodings(entries, settled.adapter),
    ]
    if entries != guessed:
        options["modalities"] = entries
        settled = settling.settled(root, options, label, settled.unused, given.missing_files)
    surveys = _surveys(settled)
    if hopeless := {name: _hopeless(result) for name, result in surveys.items() if result.is_hopeless}:
        for name, why in hopeless.items():
            if (said_of := settled.options["modalities"][name]["column"]) in given.kinds:
                raise ParameterError(f"--kind {said_of}={given.kinds[said_of]}: {why}")
        settled = settling.without(root, settled, hopeless, given.missing_files)
        surveys = _surveys(settled)
    adapter, options, unused = settled.adapter, settled.options, dict(settled.unused)
    entries = options["modalities"]
    rejected = Counter(rejection.reason.split(":")[0] for rejection in adapter.rejected)
    unnamed = files.unnamed(set().union(*guesses.files.values()))
    unsure = [*opened.said, *chosen.unsure, *guesses.unsure, *said, *_rare(label)]
    if unnamed:
        folders = some((f"{count} in {folder}" for folder, count in unnamed.items()), 3)
        unsure.append(f"pictures, sounds or videos below {root} that no column names: {folders}")
    unsure += [doubt for name in surveys for doubt in _doubts(name, surveys[name], entries[name])]
    if label.task == "single_label":
        labels = {row: value for row, value in adapter.rows.label.items() if isinstance(value, int)}
        for name, entry in entries.items():
            first += giveaways(name, str(entry["kind"]), surveys[name], labels)
    first = [
        *(f"{name} is left out: {why}" for name, why in hopeless.items()),
        *_presence(adapter, bounds.max_presence_effect),
        *settled.said,
        *chosen.label.said,
        *first,
        *settling.lacking_classes(adapter),
    ]
    return Proposal(
        bounds,
        root,
        options,
        label,
        chosen.guesses,
        len(table.places),
        adapter,
        rejected,
        surveys,
        unused,
        first,
        unsure,
    )


def _surveys(settled: settling.Settled) -> dict[str, Survey]:
    members, rows = settled.adapter.members, list(settled.adapter.rows.label)
    return {
        name: survey(members, name, str(entry["kind"]), rows) for name, entry in settled.options["modalities"].items()
    }


def _hopeless(result: Survey) -> str:
    return f"none of the {result.num_seen} files looked at can be used, as {result.example}: {result.why}"


def _with_kept(given: Given, columns: Mapping[str, Column]) -> Given:
    """Return what is given; a column that the user makes part of a modality, or whose kind is said, is kept."""
    patterns = [pattern for several in given.modalities.values() for pattern in several]
    named = [name for name in columns if any(fnmatchcase(name, pattern) for pattern in patterns)]
    return replace(given, keep=[*given.keep, *named, *(name for name in given.kinds if name in columns)])


def _presence(adapter: Adapter, max_effect: float) -> list[str]:
    """Return a sentence if the presence of modalities tells the label."""
    rows = list(adapter.rows.label)
    present = {name: np.array([adapter.members.has(name, row) for row in rows]) for name in adapter.modalities}
    labels = [adapter.rows.label[row] for row in rows]
    if all(isinstance(label, int) for label in labels):
        codes = np.array(labels)
    else:
        codes = np.zeros((len(rows), len(adapter.classes)), bool)
        for row, label in enumerate(labels):
            codes[row, list(label) if isinstance(label, tuple) else label] = True
    presence = informative.judged(present, codes, [adapter.rows.split[row] for row in rows])
    said = informative.sentence(presence, presence.telling(max_effect))
    return [said] if said else []


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


def _rare(label: Label) -> list[str]:
    rare = [f"{name} ({label.counts[name]})" for name in label.classes if label.counts[name] < _FEW_ROWS]
    return [f"classes with fewer than {_FEW_ROWS} rows are too small to learn: {some(rare)}"] if rare else []


def _doubts(name: str, result: Survey, entry: Mapping[str, Any]) -> list[str]:
    doubts = []
    moving = [count for count in result.facts.get("num_frames", ()) if count > 1] if entry["kind"] == "image" else []
    if moving:
        is_video = all("video" in formats.FORMATS[format_].suffixes for format_ in result.formats)
        doubts.append(
            f"{name}: {len(moving)} of {len(result.rows)} pictures looked at have several frames, up to {max(moving):.0f}; the "
            f"first is used" + (f"; --kind {entry['column']}=video takes them as videos" if is_video else "")
        )
    if result.troubles:
        reasons = some(f"{why} ({count})" for why, count in result.troubles.items())
        count = sum(result.troubles.values())
        doubts.append(f"{name}: of {result.num_seen} looked at {count} cannot be used, as {result.example}: {reasons}")
    if len(set(result.facts.get("channels", ()))) > 1 and "num_steps" in result.facts:
        doubts.append(f"{name}: the series have different numbers of channels")
    return doubts
