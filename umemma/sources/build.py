"""Builds the adapter that a data set's parameters name from its options.

An adapter whose constructor takes `classes` or `task` is passed those of the data set; they are not options.
"""

import inspect
from importlib import import_module
from pathlib import Path
from typing import Any

from umemma.data.settings import Dataset
from umemma.errors import SettingError, unknown
from umemma.settings import call

_DATASET_FIELDS = ("classes", "task")


def built(dataset: Dataset, root: Path) -> Any:
    """Return the adapter for the raw data below `root`. Raises SettingError for unknown options."""
    adapter_class = import_module(f"umemma.sources.adapters.{dataset.adapter}").Adapter
    if misplaced := [name for name in _DATASET_FIELDS if name in dataset.options]:
        raise SettingError(f"dataset.options.{misplaced[0]} is no option; set dataset.{misplaced[0]}")
    accepted = inspect.signature(adapter_class).parameters
    given = {name: getattr(dataset, name) for name in _DATASET_FIELDS if name in accepted}
    adapter = call(adapter_class, {**dataset.options, **given}, "dataset.options", root)
    for name in dataset.modalities:
        if name not in adapter.modalities:
            raise SettingError(
                unknown("dataset.modalities", f"modality of adapter {dataset.adapter}", name, adapter.modalities)
            )
    return adapter
