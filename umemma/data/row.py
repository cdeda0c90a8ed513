"""One sample's row in the manifest, or in the quarantine if it cannot be used.

Bad data become a row of the quarantine. Samples that violate the adapter's contract - a key that shards cannot hold, an
undeclared modality, a class that does not exist - are an error: such a fault affects more than one sample.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from operator import index

import pandas as pd

from umemma.data.quarantine import Quarantined
from umemma.data.sample import Sample
from umemma.errors import DataError
from umemma.media.facts import facts

Row = dict[str, object]
LABELS = ("label", "labels")  # the manifest has one of these columns


def judged(
    sample: Sample, *, modalities: Sequence[str], task: str, num_classes: int, shard: str, position: str
) -> Row | Quarantined:
    """Return a sample's row in the manifest, or in the quarantine; `position` replaces an empty key.

    Raises DataError naming key and value if the sample violates the adapter's contract.
    """
    _check_members(sample, modalities)
    if not sample.key.strip():
        return Quarantined(position, sample.split, None, "", "its key is empty")
    _check_key(sample.key)
    labels = _labels(sample, task, num_classes)
    if not sample.members:
        return Quarantined(sample.key, sample.split, None, "", "no modality is there")
    media, troubles = _media(sample, modalities)
    if troubles:
        (modality, file, _), *_ = troubles
        reason = "; ".join([troubles[0][2], *(f"{name}: {reason}" for _, name, reason in troubles[1:])])
        return Quarantined(sample.key, sample.split, modality, file, reason)
    return {"key": sample.key, "split": sample.split, **labels, "group": sample.group, "shard": shard} | media


def as_table(rows: Sequence[Row]) -> pd.DataFrame:
    """Return rows as a part of the manifest, a tenth of their size; `joined` gives what one table of all rows would be."""
    table = pd.DataFrame(rows)
    return table.astype({name: object for name in table if table[name].isna().all()})  # of a type that others decide


def joined(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return the manifest of parts, without the empty ones."""
    filled = [part for part in parts if len(part)]
    return pd.concat(filled, ignore_index=True).infer_objects() if filled else pd.DataFrame()


def _labels(sample: Sample, task: str, num_classes: int) -> Row:
    """Return `{"label": 3}`, or `{"labels": [0, 4]}` for multi-label data."""
    several = task == "multi_label"
    if isinstance(sample.label, tuple) != several:
        raise DataError(
            f"sample {sample.key}: label {sample.label!r} is {'one class' if several else 'a tuple'}, but "
            f"dataset.task is {task}"
        )
    try:
        labels = [index(label) for label in (sample.label if isinstance(sample.label, tuple) else (sample.label,))]
    except TypeError as error:
        raise DataError(f"sample {sample.key}: label {sample.label!r} is no number of a class") from error
    for label in labels:
        if not 0 <= label < num_classes:
            raise DataError(
                f"sample {sample.key}: label {label}, but dataset.classes has {num_classes} classes, "
                f"0 to {num_classes - 1}"
            )
    if several and labels != sorted(set(labels)):
        raise DataError(f"sample {sample.key}: labels {labels} must ascend, each of them once")
    return {"labels": labels} if several else {"label": labels[0]}


def _check_key(key: str) -> None:
    if "." in key or "/" in key or not key.isprintable():
        raise DataError(f"sample key {key!r} holds '.', '/' or what cannot be printed, which shards cannot")


def _check_members(sample: Sample, modalities: Sequence[str]) -> None:
    if extra := set(sample.modalities) - set(modalities):
        raise DataError(f"sample {sample.key}: its adapter declares no modality {', '.join(sorted(extra))}")
    if twice := [name for name, count in Counter(sample.modalities).items() if count > 1]:
        raise DataError(f"sample {sample.key}: two files for {twice[0]}: {', '.join(sorted(sample.members))}")


def _media(sample: Sample, modalities: Sequence[str]) -> tuple[Row, list[tuple[str, str, str]]]:
    """Return the columns of all modalities, and (modality, file, reason) for each file that cannot be read."""
    files = {name.split(".", 1)[0]: (name, content) for name, content in sample.members.items()}
    row: Row = {}
    troubles = []
    for modality in modalities:
        row[f"{modality}_present"] = modality in files
        if modality in files:
            name, content = files[modality]
            try:
                row |= _columns(modality, name, content)
            except DataError as error:
                file = sample.files.get(name, name)
                troubles.append((modality, file, str(error).removeprefix(f"{name}: ")))
    return row, troubles


def _columns(modality: str, name: str, content: bytes) -> Mapping[str, object]:
    columns = facts(name, content) | {"sha256": hashlib.sha256(content).hexdigest()}
    return {f"{modality}_{fact}": value for fact, value in columns.items()}
