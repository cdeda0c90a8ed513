"""Makes what `umemma init` has guessed work: classes, splits, files, so that the run it proposes can be made.

- Classes of fewer rows than the splits need are left out, merged or kept, and said.
- The seed is the first of a few whose splits all have every class and every modality.
- A modality that some split lacks altogether is left out: nothing could be judged.
- Files that do not exist are holes, unless the user says otherwise; a column of which no file exists, or none can be
  read, is no modality.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from umemma.data.sample import SPLITS
from umemma.errors import DataError, ParameterError, some, unknown
from umemma.init.columns import Column
from umemma.init.groups import NUM_SPLITS, group_of_rows, holders
from umemma.init.label import Label
from umemma.sources.adapters.table import Adapter

RARE = ("drop", "other", "keep")
OTHER = "other"
_LEAST_ROWS = 20  # with a label
_LEAST_OF_CLASS = 4  # two to train on, one to choose with, one to test
_SEEDS = 10


@dataclass(frozen=True)
class Settled:
    """The adapter with its options and label, and what must be said first."""

    adapter: Adapter
    options: dict[str, Any]
    label: Label
    unused: Mapping[str, str]
    said: Sequence[str]


def without_rare(
    label: Label, group: Column | None, has_split: bool, rare: str, where: Path
) -> tuple[Label, list[str]]:
    """Return the label without the classes that are too small, and what to say. Raises DataError if too little is left."""
    if rare not in RARE:
        raise ParameterError(unknown("--rare", "choice", rare, RARE))
    num_rows = sum(any(values[row] is not None for values in label.targets.values()) for row in range(_num_rows(label)))
    if num_rows < _LEAST_ROWS:
        raise DataError(
            f"{where}: {num_rows} rows with a label are too few to train, choose and test with; "
            f"{max(_LEAST_ROWS, 2 * _LEAST_OF_CLASS * len(label.classes))} would do for its {len(label.classes)} classes"
        )
    small = [] if has_split else [name for name in label.classes if _is_small(label, name, group)]
    if not small or rare == "keep" or "one_hot" in label.options:
        told = f"classes too small for three splits: {_counted(label, small)}"
        return label, [told] if small else []
    if not isinstance(label.columns, str):
        return label, [
            f"classes too small for three splits: {_counted(label, small)}; --label without them leaves them out"
        ]
    num_other = sum(label.counts[name] for name in small)
    into = OTHER if rare == "other" and num_other >= _LEAST_OF_CLASS else None
    if len(label.classes) - len(small) + (into is not None) < 2:
        raise DataError(
            f"{where}: {len(small)} of the {len(label.classes)} classes of {label.columns} have fewer than {_LEAST_OF_CLASS} rows "
            f"or stand in fewer than {NUM_SPLITS} groups, as {_counted(label, small)}; two classes of {_LEAST_OF_CLASS} rows would do"
        )
    what = f"merged into the class {into!r}" if into else f"left out, {num_other} rows"
    undo = "--rare drop leaves them out" if into else "--rare other merges them, --rare keep keeps them"
    return label.without(small, into), [
        f"classes of fewer than {_LEAST_OF_CLASS} rows{' or 3 groups' if group else ''} are {what}: {_counted(label, small)}; {undo}"
    ]


def settled(
    root: Path, options: dict[str, Any], label: Label, unused: Mapping[str, str], asked_files: str | None
) -> Settled:
    """Return an adapter whose splits can be judged. Raises DataError if no modality is left."""
    said: list[str] = []
    options, unused = dict(options), dict(unused)
    adapter = _adapter(root, options, label)
    dead = _dead_links(adapter)
    for name, (num_dead, num_named) in dead.items():
        if num_dead == num_named:
            _leave_out(
                options,
                unused,
                name,
                f"none of the {num_named} files that it names exists; --root names another folder",
            )
    dead = {name: counts for name, counts in dead.items() if name in options["modalities"]}
    if dead:
        options["missing_files"] = asked_files or "hole"
        told = ", ".join(f"{count} of the {total} that {name} names" for name, (count, total) in dead.items())
        said.append(
            f"files that do not exist: {told}. "
            + (
                "They are taken as missing modalities; --missing-files error would take their rows as damaged"
                if options["missing_files"] == "hole"
                else "Their rows go to the quarantine; --missing-files hole would take them as missing modalities"
            )
        )
    adapter = _drawn(root, options, label, adapter)
    for name in adapter.modalities:
        num_present = _num_present(adapter, name)
        lacking = [split for split in SPLITS if not num_present[split]]
        if lacking:
            _leave_out(
                options, unused, name, f"no row of {' and '.join(lacking)} has it, so nothing could be judged with it"
            )
    if set(options["modalities"]) != set(adapter.modalities):
        adapter = _drawn(root, options, label, None)
    return Settled(adapter, options, label, unused, said)


def without(root: Path, made: Settled, whys: Mapping[str, str], asked_files: str | None) -> Settled:
    """Return what is settled without some modalities, {name: why}. Raises DataError if none is left."""
    options, unused = dict(made.options), dict(made.unused)
    for name, why in whys.items():
        _leave_out(options, unused, name, why)
    options.pop("missing_files", None)
    return settled(root, options, made.label, unused, asked_files)


def lacking_classes(adapter: Adapter) -> list[str]:
    """Return the classes that are absent from a split: `test has no a, b`."""
    return [
        f"{split} has no {some(missing, 4)}"
        for split, counts in class_counts(adapter).items()
        if (missing := [name for name in adapter.classes if not counts[name]])
    ]


def class_counts(adapter: Adapter) -> dict[str, Counter[str]]:
    """Return {split: {class: labels}}."""
    counts: dict[str, Counter[str]] = {split: Counter() for split in SPLITS}
    for row, split in adapter.rows.split.items():
        label = adapter.rows.label[row]
        counts[split].update(adapter.classes[number] for number in ((label,) if isinstance(label, int) else label))
    return counts


def presence_shares(adapter: Adapter) -> list[float]:
    """Return the share of the rows of each split that have each modality."""
    return [
        count / max(1, adapter.num_samples[split])
        for name in adapter.modalities
        for split, count in _num_present(adapter, name).items()
    ]


def _drawn(root: Path, options: dict[str, Any], label: Label, adapter: Adapter | None) -> Adapter:
    """Return the adapter of the first seed with which no split lacks a class or a modality; of seed 0 if there is none."""
    if adapter is None or "missing_files" in options or set(adapter.modalities) != set(options["modalities"]):
        adapter = _adapter(root, options, label)
    if "split" in options and "shares" not in options:
        return adapter
    first = adapter
    for seed in range(1, _SEEDS + 1):
        if not lacking_classes(adapter) and all(share > 0 for share in presence_shares(adapter)):
            if seed > 1:
                options["seed"] = seed - 1
            return adapter
        adapter = _adapter(root, options | {"seed": seed}, label)
    return first


def _adapter(root: Path, options: Mapping[str, Any], label: Label) -> Adapter:
    return Adapter(root, classes=label.classes, task=label.task, **options)


def _dead_links(adapter: Adapter) -> dict[str, tuple[int, int]]:
    """Return {modality: (files that do not exist, files that are named)} where some do not exist."""
    counts = {}
    for name in adapter.modalities:
        named = [row for row in adapter.rows.label if adapter.members.has(name, row)]
        if dead := sum(adapter.members.is_dead_link(name, row) for row in named):
            counts[name] = dead, len(named)
    return counts


def _num_present(adapter: Adapter, name: str) -> dict[str, int]:
    counts = Counter(split for row, split in adapter.rows.split.items() if adapter.members.has(name, row))
    return {split: counts[split] for split in SPLITS}


def _leave_out(options: dict[str, Any], unused: dict[str, str], name: str, why: str) -> None:
    entries = dict(options["modalities"])
    entry = entries.pop(name)
    unused[str(entry.get("column") or name)] = why
    if not entries:
        raise DataError(f"{name}, the only modality: {why}")
    options["modalities"] = entries


def _is_small(label: Label, name: str, group: Column | None) -> bool:
    if label.counts[name] < _LEAST_OF_CLASS:
        return True
    return group is not None and len(holders(group_of_rows(group), label, name)) < NUM_SPLITS


def _num_rows(label: Label) -> int:
    return len(next(iter(label.targets.values())))


def _counted(label: Label, names: Sequence[str]) -> str:
    return some((f"{name} ({label.counts[name]})" for name in names), 5)
