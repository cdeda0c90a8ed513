"""Expectations of samples, labels, groups, presence and shards; those of files are in `files.py`."""

from collections import Counter
from collections.abc import Iterator, Sequence

import pandas as pd

from umemma.data import quarantine
from umemma.data.sample import SPLITS
from umemma.validation import gaps, statistics
from umemma.validation.expectation import Evidence, Table, among, between, equal, every, filled, typed, unique
from umemma.validation.settings import Validation

MANDATORY = {"key": "str", "split": "str", "group": "str", "shard": "str"}
_NAMED = 5  # quarantined samples listed in a sentence


def left_out(evidence: Evidence, bounds: Validation) -> Table:
    """Return a row for each split: samples judged, and those in quarantine, of which the key lists a few.

    `share` is that of damage: what is left out by rule, such as rows without a label, says nothing against the data.
    """
    index, rows = evidence.index, evidence.quarantine
    kept = {split: sum(shard.num_samples for shard in index.shards if shard.split == split) for split in index.judged}
    parts = {split: [row for row in rows if row.split == split] for split in index.judged} | {"all": rows}
    judged = dict(index.judged) | {"all": sum(index.judged.values())}
    kept["all"] = sum(kept.values())
    table = [
        {
            "key": f"{split or 'no split'}: {len(damaged)} of {judged[split]}"
            + (f", such as {quarantine.some(damaged, _NAMED)}" if damaged else ""),
            "judged": judged[split],
            "accounted": kept[split] + len(part),
            # Samples without a split are never kept, so they have no share of their own; they count in `all`.
            "share": statistics.share(len(damaged), judged[split] - len(part) + len(damaged))
            if split in (*SPLITS, "all")
            else None,
        }
        for split, part in parts.items()
        for damaged in [[row for row in part if row.is_damage]]
    ]
    return Table(
        "quarantine",
        pd.DataFrame(table),
        [equal("judged", "accounted"), between("share", None, bounds.max_quarantined, "quarantine")],
    )


def mandatory(evidence: Evidence) -> list[Table]:
    """Expect that the columns on which all else depends are filled and typed."""
    several = evidence.label_column == "labels"
    types = (
        MANDATORY
        | ({} if several else {"label": "int64"})
        | {f"{name}_present": "bool" for name in evidence.index.modalities}
    )
    # As objects: Great Expectations does not know pandas' string type; this way it reports rows of another type.
    rows = evidence.manifest.astype(
        {name: object for name in types if isinstance(evidence.manifest[name].dtype, pd.StringDtype)}
    )
    if several:  # nor does it know lists
        rows = rows.assign(labels=rows["labels"].map(lambda labels: None if labels is None else "present"))
    expected = [filled("labels")] if several else []
    for name, type_ in types.items():
        expected += [filled(name), typed(name, type_)]
    labels = statistics.labels(evidence)
    of_labels = [Table("labels", labels, [typed("label", "int64")])] if several and len(labels) else []
    return [Table("samples", rows, expected), *of_labels]


def contents(evidence: Evidence, bounds: Validation) -> Iterator[Table]:
    """Expect all the rest about samples."""
    yield _samples(evidence)
    yield from _labels(evidence)
    yield _groups(evidence)
    yield from _classes(evidence, bounds)
    yield _presence(evidence, bounds)
    yield from gaps.tables(evidence, bounds)
    yield _shards(evidence)


def _samples(evidence: Evidence) -> Table:
    manifest, index = evidence.manifest, evidence.index
    rows = manifest[[*MANDATORY, evidence.label_column]].assign(
        num_modalities=manifest[[f"{name}_present" for name in index.modalities]].sum(axis=1),
        split_of_shard=manifest["shard"].map({shard.name: shard.split for shard in index.shards}),
    )
    expected = [
        unique("key"),
        among("split", SPLITS),
        every("split", SPLITS),
        equal("split", "split_of_shard"),
        between("num_modalities", 1, None),
    ]
    if evidence.label_column == "label":
        expected.append(between("label", 0, len(index.classes) - 1))
    return Table("samples", rows.drop(columns="labels", errors="ignore"), expected)


def _labels(evidence: Evidence) -> Sequence[Table]:
    """Return, for data with several labels, one row for each sample and one for each label."""
    if evidence.label_column == "label":
        return []
    counts = evidence.manifest[["key"]].assign(num_labels=evidence.manifest["labels"].map(len))
    return [
        Table("labels", statistics.labels(evidence), [between("label", 0, len(evidence.index.classes) - 1)]),
        Table("labelled", counts, [between("num_labels", 1, None, "labels_per_sample")]),
    ]


def _groups(evidence: Evidence) -> Table:
    """Return one row for each group and split, with its first sample: a group must have one row."""
    rows = evidence.manifest.drop_duplicates(["group", "split"])[["key", "group", "split"]]
    return Table("groups", rows, [unique("group", "group_leakage")])


def _classes(evidence: Evidence, bounds: Validation) -> Sequence[Table]:
    counts = statistics.class_counts(evidence)
    rows = pd.DataFrame(
        [
            {
                "key": f"{split}/{name}",
                "split": split,
                "num_samples": count,
                "share": statistics.share(count, sum(of_split.values())),
            }
            for split, of_split in counts.items()
            for name, count in of_split.items()
        ]
    )
    return [
        Table(
            "support",
            rows[rows["split"] == "train"],
            [between("num_samples", bounds.min_class_samples, None, "label_support")],
        ),
        Table(
            "classes",
            rows,
            [
                between("num_samples", 1, None, "classes_in_every_split"),
                between("share", bounds.min_class_share, bounds.max_class_share, "class_balance"),
            ],
        ),
    ]


def _presence(evidence: Evidence, bounds: Validation) -> Table:
    rows = pd.DataFrame(
        [
            {"key": f"{split}/{name}", "share": share}
            for name, of_split in statistics.presence_shares(evidence).items()
            for split, share in of_split.items()
        ]
    )
    return Table("presence", rows, [between("share", bounds.min_presence, bounds.max_presence, "presence")])


def _shards(evidence: Evidence) -> Table:
    """Return one row for each shard that the index or a sample names."""
    promised = {shard.name: shard.num_samples for shard in evidence.index.shards}
    counted = Counter(evidence.manifest["shard"])
    names = sorted(promised.keys() | counted.keys())
    rows = pd.DataFrame(
        {
            "key": names,
            "num_samples": [counted.get(name, 0) for name in names],
            "in_index": [promised.get(name, 0) for name in names],
        }
    )
    return Table("shards", rows, [equal("num_samples", "in_index")])
