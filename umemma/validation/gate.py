"""The gate between data and training: Great Expectations suites defined in code, and their verdict.

Great Expectations' context lives in memory; only Data Docs are written, on demand. Decisions:

- Three steps: the columns exist, the mandatory ones are filled and typed, then all the rest. The expectations of a step
  are undefined if the step before failed, so a failure ends the validation there.
- An expectation looks at rows. One about splits, classes or shards looks at a derived table, whose rows are named in
  `keys` like samples: `train/7` is class 7 in split train.
- `validation.severity` decides what a violation does: with `warn` it is reported and the data pass.
- `judge` returns our own result: that of Great Expectations has ids and times, so it would differ from run to run.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import great_expectations as gx
import pandas as pd
from great_expectations.data_context.types.base import (
    DataContextConfig,
    InMemoryStoreBackendDefaults,
    ProgressBarsConfig,
)
from great_expectations.expectations.metadata_types import FailureSeverity

from umemma.data import quarantine
from umemma.validation import acceptance, drift, files, informative, samples, statistics
from umemma.validation.expectation import Evidence, Table
from umemma.validation.settings import Validation

NAMED = 10  # keys listed for one expectation
_COLUMNS = ("column", "column_A", "column_B")
_INTERNAL = ("batch_id", *_COLUMNS, "exact_match", "ignore_row_if")
_SOURCE = "manifest"


def _contents(evidence: Evidence, bounds: Validation) -> Iterator[Table]:
    """Yield the tables of the last step, each made when the one before has been judged: they are as long as the data."""
    yield informative.table(evidence, bounds.max_presence_effect)
    yield from samples.contents(evidence, bounds)
    yield from drift.tables(evidence, bounds.max_drift)
    yield from files.files(evidence, bounds)


Step = Callable[[Evidence, Validation], Iterable[Table]]
STEPS: dict[str, Step] = {
    "columns": lambda evidence, bounds: [samples.left_out(evidence, bounds), *files.present(evidence)],
    "mandatory": lambda evidence, _: samples.mandatory(evidence),
    "contents": _contents,
}


def judge(evidence: Evidence, bounds: Validation) -> dict[str, Any]:
    """Return the verdict: `passed`, `statistics` per split, and every expectation with up to ten keys that violate it.

    `failures` and `warnings` are sentences; `ignored` are the names that were not judged. Equal data and bounds
    give an equal result: no ids, times or paths; floats are rounded to six places.
    """
    judged = _judged(_context(), evidence, bounds)
    complete = any(entry["table"] == "classes" for entry in judged)
    index = evidence.index
    return {
        "passed": all(entry["passed"] for entry in judged if entry["severity"] == "error"),
        "statistics": {"num_samples": len(evidence.manifest)}
        | (
            _plain(statistics.statistics(evidence))
            | {"presence_tells_label": _plain(informative.content(informative.of(evidence)))}
            if complete
            else {}
        ),
        "quarantine": {
            "judged": dict(index.judged),
            "kept": {split: count - index.quarantined[split] for split, count in index.judged.items()},
            "left_out": quarantine.counts(row.split for row in evidence.quarantine if not row.is_damage),
            "by_reason": quarantine.by_reason(evidence.quarantine),
            "dropped": dict(index.dropped),
        },
        "failures": [
            entry["sentence"] + _accepted(entry)
            for entry in judged
            if not entry["passed"] and entry["severity"] == "error"
        ],
        "warnings": [entry["sentence"] for entry in judged if not entry["passed"] and entry["severity"] == "warn"],
        "ignored": [name for name, severity in bounds.severity.model_dump().items() if severity == "ignore"],
        "expectations": [{key: value for key, value in entry.items() if key != "sentence"} for entry in judged],
    }


def data_docs(evidence: Evidence, bounds: Validation, folder: Path) -> Path:
    """Build Great Expectations' pages in `folder` and return the first one; they load style sheets from the network."""
    context = _context()
    context.add_data_docs_site(
        "docs",
        {
            "class_name": "SiteBuilder",
            "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
            "store_backend": {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(folder.resolve())},
        },
    )
    _judged(context, evidence, bounds)
    context.build_data_docs(["docs"])
    return folder / "index.html"


def _judged(context: Any, evidence: Evidence, bounds: Validation) -> list[dict[str, Any]]:
    """Run step after step until an expectation without a name fails; return all results."""
    judged: list[dict[str, Any]] = []
    severities: dict[str, str] = {"": "error"} | bounds.severity.model_dump()
    for name, step in STEPS.items():
        for table in step(evidence, bounds):
            asset = f"{name} {table.name.replace('/', ' ')}"  # part of a file name
            judged += _validated(context, table, asset, severities)
        if not all(entry["passed"] for entry in judged if not entry["name"]):
            break
    return judged


def _context() -> Any:
    # Set up by hand: the default context leaves a folder in /tmp behind and draws progress bars.
    config = DataContextConfig(
        store_backend_defaults=InMemoryStoreBackendDefaults(), progress_bars=ProgressBarsConfig(globally=False)
    )
    return gx.get_context(mode="ephemeral", project_config=config)


def _validated(context: Any, table: Table, name: str, severities: Mapping[str, str]) -> list[dict[str, Any]]:
    """Validate one table under a name that is new to the context; nothing if all its expectations are ignored."""
    expected = [expectation for expectation in table.expected if severities[_name(expectation)] != "ignore"]
    if not expected:
        return []
    for expectation in expected:  # as Data Docs show it
        expectation.severity = (
            FailureSeverity.CRITICAL if severities[_name(expectation)] == "error" else FailureSeverity.WARNING
        )
    asset = context.data_sources.add_pandas(_SOURCE).add_dataframe_asset(name)
    suite = context.suites.add(gx.ExpectationSuite(name, expectations=expected))
    whole = asset.add_batch_definition_whole_dataframe("all")
    definition = context.validation_definitions.add(gx.ValidationDefinition(name=name, data=whole, suite=suite))
    validated = definition.run(
        batch_parameters={"dataframe": _narrow(table)},
        result_format={
            "result_format": "SUMMARY",
            "partial_unexpected_count": NAMED,
            "unexpected_index_column_names": ["key"],
        },
    )
    context.data_sources.delete(_SOURCE)  # it would keep the rows for as long as the context lives
    entries = [_entry(table, result, severities) for result in validated.results]
    return sorted(entries, key=lambda entry: (entry["column"] or "", entry["expectation"]))


def _narrow(table: Table) -> pd.DataFrame:
    """Return the columns that are judged, and the key: Great Expectations copies the rows for every expectation."""
    judged = [
        [getattr(expectation, name) for name in _COLUMNS if hasattr(expectation, name)]
        for expectation in table.expected
    ]
    if not all(judged):  # one of the table as a whole
        return table.rows
    return table.rows[[name for name in table.rows if name == "key" or any(name in names for names in judged)]]


def _name(expectation: Any) -> str:
    return str((expectation.meta or {}).get("name", ""))


def _entry(table: Table, result: Any, severities: Mapping[str, str]) -> dict[str, Any]:
    kwargs, figures = result.expectation_config.kwargs, result.result
    assert figures, f"{result.expectation_config.type} of {table.name} could not be computed: {result.exception_info}"
    columns = [kwargs[name] for name in _COLUMNS if name in kwargs]
    rows = figures.get("partial_unexpected_index_list") or []
    observed = figures.get("observed_value", figures.get("partial_unexpected_list"))
    lacking = figures.get("details", {}).get("mismatched", {}).get("missing")
    name = _name(result.expectation_config)
    entry = _plain(
        {
            "expectation": result.expectation_config.type,
            "name": name,
            "severity": severities[name],
            "table": table.name,
            "column": ", ".join(columns) or None,
            "passed": bool(result.success),
            "observed": f"no {', '.join(lacking)}" if lacking else observed,
            "bound": {name: value for name, value in kwargs.items() if name not in _INTERNAL and value is not None},
            "unexpected_count": figures.get("unexpected_count", 0),
            "keys": list(dict.fromkeys(str(row["key"]) for row in rows))[:NAMED],
            "accepted_by": "" if result.success else acceptance.line(name, table, kwargs, figures),
        }
    )
    return entry | {"sentence": f"{name}: {table.sentence}" if table.sentence else _sentence(entry)}


def _sentence(entry: Mapping[str, Any]) -> str:
    where = f"{entry['table']}, column {entry['column']}" if entry["column"] else entry["table"]
    bound = "".join(f", {name} {value}" for name, value in entry["bound"].items())
    rows = f"; {entry['unexpected_count']} rows, as {', '.join(entry['keys'])}" if entry["keys"] else ""
    name = f"{entry['name']}: " if entry["name"] else ""
    return f"{name}{where}: {entry['expectation']}{bound}; found {entry['observed']}{rows}"


def _accepted(entry: Mapping[str, Any]) -> str:
    if not entry["accepted_by"]:
        return ""
    return f". If that is as it should be, this line in the data set's file accepts it: {entry['accepted_by']}"


def _plain(value: Any) -> Any:
    """Return a value for JSON: no NumPy types, NaN as None, floats rounded, whole ones as integers."""
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, float):
        return None if not math.isfinite(value) else int(value) if value.is_integer() else round(value, 6)
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)
