"""What the data must be before anything is trained on it, as Great Expectations suites written in code.

The only module that knows Great Expectations; its context lives in memory, nothing is written but Data Docs on
demand. Decisions:

- Three steps: the columns are there, the mandatory ones are filled and typed, then all the rest. What is expected in
  a step is undefined where the step before failed, so a failure ends the judgement there.
- An expectation looks at rows. What is about splits, classes or shards is an expectation of a derived table, whose
  rows are named in `keys` as samples are: `train/7` is class 7 in split train.
- `judge` returns our own result. Great Expectations' holds ids and times, so it would differ from run to run.
- Images of one modality share one shape, sounds one rate and channel count, vectors one length: what most samples of
  it have. Training stacks them; the sample that differs should be named here and not by a tensor error later.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import great_expectations as gx
import pandas as pd
from great_expectations import expectations as gxe
from great_expectations.data_context.types.base import (
    DataContextConfig,
    InMemoryStoreBackendDefaults,
    ProgressBarsConfig,
)

from umemma.parameters import Validation
from umemma.sample import SPLITS
from umemma.shards import Index

NAMED = 10  # keys listed for one expectation
MANDATORY = {"key": "str", "split": "str", "label": "int64", "group": "str", "shard": "str"}
FACTS = ("kind", "num_bytes", "sha256", "blank")  # of every file that is present
KIND_FACTS = {"image": ("channels", "height_px", "width_px"), "audio": ("channels", "sample_rate_hz", "seconds"),
              "vector": ("num_values",)}
UNIFORM = {"image": ("height_px", "width_px", "channels"), "audio": ("sample_rate_hz", "channels"),
           "vector": ("num_values",)}
_INTERNAL = ("batch_id", "column", "column_A", "column_B", "exact_match", "ignore_row_if")


@dataclass(frozen=True)
class Table:
    """A table with what is expected of it; its column `key` names the rows."""

    name: str
    rows: pd.DataFrame
    expected: Sequence[gxe.Expectation]


Step = Callable[[pd.DataFrame, Index, Validation], list[Table]]


def judge(manifest: pd.DataFrame, index: Index, bounds: Validation) -> dict[str, Any]:
    """Return the verdict: `passed`, `statistics` per split, and every expectation with up to ten keys that broke it.

    Equal data and bounds give an equal result: no ids, times or paths; floats are rounded to six places.
    """
    judged = _judged(_context(), manifest, index, bounds)
    complete = any(one["table"] == "classes" for one in judged)
    return {
        "passed": all(one["passed"] for one in judged),
        "statistics": {"num_samples": len(manifest)} | (_statistics(manifest, index) if complete else {}),
        "expectations": judged,
    }


def failures(result: Mapping[str, Any]) -> list[str]:
    """Return a sentence for every failed expectation of `judge`'s result."""
    sentences = []
    for one in result["expectations"]:
        if not one["passed"]:
            where = f"{one['table']}, column {one['column']}" if one["column"] else one["table"]
            bound = "".join(f", {name} {value}" for name, value in one["bound"].items())
            rows = f"; {one['unexpected_count']} rows, as {', '.join(one['keys'])}" if one["keys"] else ""
            sentences.append(f"{where}: {one['expectation']}{bound}; found {one['observed']}{rows}")
    return sentences


def data_docs(manifest: pd.DataFrame, index: Index, bounds: Validation, folder: Path) -> Path:
    """Build Great Expectations' pages in `folder` and return the first one; they load style sheets from the network."""
    context = _context()
    context.add_data_docs_site("docs", {
        "class_name": "SiteBuilder",
        "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
        "store_backend": {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(folder.resolve())},
    })
    _judged(context, manifest, index, bounds)
    context.build_data_docs(["docs"])
    return folder / "index.html"


def _judged(context: Any, manifest: pd.DataFrame, index: Index, bounds: Validation) -> list[dict[str, Any]]:
    """Take step after step until one fails; return all that was judged."""
    judged: list[dict[str, Any]] = []
    for name, step in STEPS.items():
        for table in step(manifest, index, bounds):
            judged += _validated(context, table, f"{name} {table.name.replace('/', ' ')}")  # part of a file name
        if not all(one["passed"] for one in judged):
            break
    return judged


def _columns(manifest: pd.DataFrame, index: Index, _: Validation) -> list[Table]:
    """Step 1: every column that can be expected is there."""
    required = [*MANDATORY, *(f"{name}_present" for name in index.modalities)]
    for name in index.modalities:
        if f"{name}_present" in manifest and (manifest[f"{name}_present"] == True).any():  # noqa: E712  null is not true
            kind = _kind(manifest, name)
            required += [f"{name}_{fact}" for fact in (*FACTS, *KIND_FACTS.get(kind, ()))]
    return [Table("samples", manifest, [gxe.ExpectTableColumnsToMatchSet(column_set=required, exact_match=False)])]


def _mandatory(manifest: pd.DataFrame, index: Index, _: Validation) -> list[Table]:
    """Step 2: the columns that all else builds on are filled and typed."""
    types = MANDATORY | {f"{name}_present": "bool" for name in index.modalities}
    # As objects: Great Expectations does not know pandas' own text type, and so names the rows that hold another.
    rows = manifest.astype({name: object for name in types if isinstance(manifest[name].dtype, pd.StringDtype)})
    expected: list[gxe.Expectation] = []
    for name, type_ in types.items():
        expected += [gxe.ExpectColumnValuesToNotBeNull(column=name),
                     gxe.ExpectColumnValuesToBeInTypeList(column=name, type_list=[type_])]
    return [Table("samples", rows, expected)]


def _contents(manifest: pd.DataFrame, index: Index, bounds: Validation) -> list[Table]:
    """Step 3: keys, splits, labels, groups, shares, shards and media."""
    return [
        _samples(manifest, index), _groups(manifest), _classes(manifest, index, bounds),
        _presence(manifest, index, bounds), _shards(manifest, index),
        *(table for name in index.modalities for table in _media(manifest, name, bounds)),
    ]


STEPS: dict[str, Step] = {"columns": _columns, "mandatory": _mandatory, "contents": _contents}


def _samples(manifest: pd.DataFrame, index: Index) -> Table:
    rows = manifest[list(MANDATORY)].assign(
        num_modalities=manifest[[f"{name}_present" for name in index.modalities]].sum(axis=1),
        split_of_shard=manifest["shard"].map({shard.name: shard.split for shard in index.shards}),
    )
    return Table("samples", rows, [
        gxe.ExpectColumnValuesToBeUnique(column="key"),
        gxe.ExpectColumnValuesToBeInSet(column="split", value_set=list(SPLITS)),
        gxe.ExpectColumnDistinctValuesToContainSet(column="split", value_set=list(SPLITS)),
        gxe.ExpectColumnPairValuesToBeEqual(column_A="split", column_B="split_of_shard"),
        gxe.ExpectColumnValuesToBeBetween(column="label", min_value=0, max_value=len(index.classes) - 1),
        gxe.ExpectColumnValuesToBeBetween(column="num_modalities", min_value=1),
    ])


def _groups(manifest: pd.DataFrame) -> Table:
    """Return one row for each group and split, with the first sample of it: a group must have one row."""
    rows = manifest.drop_duplicates(["group", "split"])[["key", "group", "split"]]
    return Table("groups", rows, [gxe.ExpectColumnValuesToBeUnique(column="group")])


def _classes(manifest: pd.DataFrame, index: Index, bounds: Validation) -> Table:
    counts = _class_counts(manifest, index)
    rows = pd.DataFrame(
        [{"key": f"{split}/{name}", "num_samples": count, "share": _share(count, sum(of_split.values()))}
         for split, of_split in counts.items() for name, count in of_split.items()])
    return Table("classes", rows, [
        gxe.ExpectColumnValuesToBeBetween(column="num_samples", min_value=1),
        gxe.ExpectColumnValuesToBeBetween(
            column="share", min_value=bounds.min_class_share, max_value=bounds.max_class_share),
    ])


def _presence(manifest: pd.DataFrame, index: Index, bounds: Validation) -> Table:
    rows = pd.DataFrame([{"key": f"{split}/{name}", "share": share}
                         for name, of_split in _presence_shares(manifest, index).items()
                         for split, share in of_split.items()])
    return Table("presence", rows, [gxe.ExpectColumnValuesToBeBetween(
        column="share", min_value=bounds.min_presence, max_value=bounds.max_presence)])


def _shards(manifest: pd.DataFrame, index: Index) -> Table:
    """Return one row for each shard that the index or a sample names."""
    promised = {shard.name: shard.num_samples for shard in index.shards}
    found = Counter(manifest["shard"])
    names = sorted(promised.keys() | found.keys())
    rows = pd.DataFrame({"key": names, "num_samples": [found.get(name, 0) for name in names],
                         "in_index": [promised.get(name, 0) for name in names]})
    return Table("shards", rows, [gxe.ExpectColumnPairValuesToBeEqual(column_A="num_samples", column_B="in_index")])


def _media(manifest: pd.DataFrame, name: str, bounds: Validation) -> Iterator[Table]:
    """Yield the files of one modality that are present: all of them, then those of each split."""
    rows = manifest[manifest[f"{name}_present"]]
    if rows.empty:
        return
    kind = _kind(manifest, name)
    expected: list[gxe.Expectation] = [
        gxe.ExpectColumnValuesToBeInSet(column=f"{name}_kind", value_set=[kind] if kind in KIND_FACTS else [])]
    expected += [gxe.ExpectColumnValuesToNotBeNull(column=f"{name}_{fact}")
                 for fact in (*FACTS, *KIND_FACTS.get(kind, ()))]
    for column in (f"{name}_{fact}" for fact in UNIFORM.get(kind, ())):
        expected.append(gxe.ExpectColumnValuesToBeInSet(column=column, value_set=_most_common(rows, column)))
    if kind == "audio":
        expected.append(gxe.ExpectColumnValuesToBeBetween(
            column=f"{name}_seconds", min_value=bounds.min_seconds, max_value=bounds.max_seconds))
    yield Table(name, rows, expected)
    for split in SPLITS:
        yield Table(f"{split}/{name}", rows[rows["split"] == split], [gxe.ExpectColumnValuesToBeInSet(
            column=f"{name}_blank", value_set=[False], mostly=1 - bounds.max_blank)])


def _kind(manifest: pd.DataFrame, name: str) -> str:
    """Return the kind that most files of a modality have; empty where none is known."""
    column = f"{name}_kind"
    return str(next(iter(_most_common(manifest, column)), "")) if column in manifest else ""


def _most_common(rows: pd.DataFrame, column: str) -> list[Any]:
    """Return the most common value, alone; of equally common ones the smallest. Nothing if all are null."""
    return [_plain(value) for value in rows[column].mode()[:1]]


def _class_counts(manifest: pd.DataFrame, index: Index) -> dict[str, dict[str, int]]:
    counts = manifest.groupby(["split", "label"]).size().to_dict()
    return {split: {name: int(counts.get((split, label), 0)) for label, name in enumerate(index.classes)}
            for split in SPLITS}


def _presence_shares(manifest: pd.DataFrame, index: Index) -> dict[str, dict[str, float]]:
    parts = {split: manifest[manifest["split"] == split] for split in SPLITS}
    return {name: {split: _share(int(part[f"{name}_present"].sum()), len(part)) for split, part in parts.items()}
            for name in index.modalities}


def _share(count: int, total: int) -> float:
    return count / total if total else 0.0


def _statistics(manifest: pd.DataFrame, index: Index) -> dict[str, Any]:
    return _plain({
        "splits": {split: int((manifest["split"] == split).sum()) for split in SPLITS},
        "groups": {split: manifest.loc[manifest["split"] == split, "group"].nunique() for split in SPLITS},
        "classes": _class_counts(manifest, index),
        "presence": _presence_shares(manifest, index),
    })


def _context() -> Any:
    # Set up by hand: the default context makes a folder in /tmp that it leaves behind, and draws progress bars.
    config = DataContextConfig(
        store_backend_defaults=InMemoryStoreBackendDefaults(), progress_bars=ProgressBarsConfig(globally=False))
    context: Any = gx.get_context(mode="ephemeral", project_config=config)
    context.data_sources.add_pandas("manifest")
    return context


def _validated(context: Any, table: Table, name: str) -> list[dict[str, Any]]:
    """Judge one table under a name that the context has not seen yet."""
    asset = context.data_sources.get("manifest").add_dataframe_asset(name)
    suite = context.suites.add(gx.ExpectationSuite(name, expectations=list(table.expected)))
    whole = asset.add_batch_definition_whole_dataframe("all")
    definition = context.validation_definitions.add(gx.ValidationDefinition(name=name, data=whole, suite=suite))
    found = definition.run(
        batch_parameters={"dataframe": table.rows},
        result_format={"result_format": "SUMMARY", "partial_unexpected_count": NAMED,
                       "unexpected_index_column_names": ["key"]})
    entries = [_entry(table, one) for one in found.results]
    return sorted(entries, key=lambda one: (one["column"] or "", one["expectation"]))


def _entry(table: Table, one: Any) -> dict[str, Any]:
    kwargs, result = one.expectation_config.kwargs, one.result
    assert result, f"{one.expectation_config.type} of {table.name} could not be computed: {one.exception_info}"
    columns = [kwargs[name] for name in ("column", "column_A", "column_B") if name in kwargs]
    rows = result.get("partial_unexpected_index_list") or []
    observed = result.get("observed_value", result.get("partial_unexpected_list"))
    lacking = result.get("details", {}).get("mismatched", {}).get("missing")
    return _plain({
        "expectation": one.expectation_config.type,
        "table": table.name,
        "column": ", ".join(columns) or None,
        "passed": bool(one.success),
        "observed": f"no {', '.join(lacking)}" if lacking else observed,
        "bound": {name: value for name, value in kwargs.items() if name not in _INTERNAL and value is not None},
        "unexpected_count": result.get("unexpected_count", 0),
        "keys": list(dict.fromkeys(str(row["key"]) for row in rows))[:NAMED],
    })


def _plain(value: Any) -> Any:
    """Return a value as JSON has it: no NumPy types, no NaN, floats rounded, whole ones as integers."""
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, float):
        return None if not math.isfinite(value) else int(value) if value.is_integer() else round(value, 6)
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)
