"""Reads rows as training read them: the same cells, the same kinds and checks, the same decoders.

What cannot be used of a row is left out with the reason, and the row is answered from the rest: a damaged picture is a
picture that is not there, a number that is none was not measured. A column that a table lacks is a modality it lacks.
"""

import re
from collections.abc import Mapping
from copy import copy
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch

from umemma import limits
from umemma.data.sample import BadSample
from umemma.errors import DataError, UmemmaError
from umemma.media.facts import facts
from umemma.serving.folder import INPUTS, Inputs, ModelFolderError
from umemma.serving.row import Row
from umemma.settings import call, plugin_trouble
from umemma.sources.tables.cells import is_missing, text
from umemma.sources.tables.file import Table
from umemma.sources.tables.members import Folders, Members
from umemma.sources.tables.readings import readings, with_objects
from umemma.sources.tables.rows import escaped
from umemma.sources.tables.sources import Source, source
from umemma.sources.tables.templates import OWN, Template
from umemma.sources.tables.windows import Members as Parts
from umemma.sources.tables.windows import cut


class Reader:
    """Reads pieces of tables; `folder` is the model's, where tokenizers are."""

    def __init__(self, inputs: Inputs, folder: Path) -> None:
        self.inputs = inputs
        self.sources: dict[str, Source] = {name: source(name, entry) for name, entry in inputs.modalities.items()}
        self.columns = {name: _columns(one) for name, one in self.sources.items()}
        self._missing = frozenset(spelling.casefold() for spelling in inputs.missing)
        self._readings = readings(inputs.columns)
        self._cut = None if inputs.windows is None else cut(inputs.windows, self.sources)
        self._events_of: tuple[Folders, dict[str, dict[str, np.ndarray]], dict[str, str]] | None = None
        self._decoders = {name: _decoder(one.decode, name, folder) for name, one in inputs.decoded.items()}

    def of_files(self) -> "Reader":
        """Return the reader of a folder, where cells are paths as they are, whatever training built them from."""
        reader = copy(self)
        own = (Template(OWN, "path"),)
        reader.sources = {name: replace(one, paths=own) for name, one in self.sources.items()}
        reader.columns = {name: _columns(one) for name, one in reader.sources.items()}
        return reader

    def read(self, table: Table, folders: Folders, broken: Mapping[int, str] | None = None) -> list[Row]:
        """Return the rows of a table, of `windows` each of them; `broken` {row: reason} have no cells."""
        with limits.within(self.inputs.limits):
            return self._read(table, folders, broken or {})

    def _read(self, table: Table, folders: Folders, broken: Mapping[int, str]) -> list[Row]:
        whole = self.flat(table)
        known = [column for columns in self.columns.values() for column in columns]
        lacking = {column: [None] * len(table.places) for column in known if column not in whole.columns}
        table = replace(whole, columns={**whole.columns, **lacking})
        events, trouble = self._events_below(folders)
        sources = {name: one for name, one in self.sources.items() if name not in trouble}
        members = Members(table, sources, folders, self._missing, self._readings, events=events)
        rows = []
        for number in range(len(table.places)):
            if number in broken:
                rows.append(Row(table.place(number), "", {}, notes=[broken[number]]))
            else:
                unread = {
                    name: why
                    for name, why in trouble.items()
                    if not is_missing(table.columns[self.columns[name][0]][number], self._missing)
                }
                rows += self._rows(table, members, number, unread)
        return rows

    def flat(self, table: Table) -> Table:
        """Return a table with the objects in its cells as columns, where training reads them so."""
        return with_objects(table, {name: one for name, one in self._readings.items() if name in table.columns})

    def read_one(self, cells: Mapping[str, object], folders: Folders) -> list[Row]:
        """Return what `read` does of one row."""
        columns = {name: [cell] for name, cell in cells.items()}
        return self.read(Table(Path("row"), columns, [1]), folders)

    def _events_below(self, folders: Folders) -> tuple[dict[str, dict[str, np.ndarray]], dict[str, str]]:
        """Return the events of each modality in a table of its own, and of which that table cannot be read, and why."""
        if self._events_of is None or self._events_of[0] != folders:
            events, trouble = {}, {}
            for name, one in self.sources.items():
                try:
                    if one.events is not None:
                        events[name] = one.events.read(folders.base, folders.roots)
                except UmemmaError as error:
                    trouble[name] = _reason(error)
            self._events_of = folders, events, trouble
        return self._events_of[1:]

    def _rows(self, table: Table, members: Members, number: int, unread: Mapping[str, str]) -> list[Row]:
        parts: Parts = {}
        rejected = dict(unread)
        for name in members.names:
            try:
                if members.has(name, number):
                    parts[name] = members.member(name, number)
            except DataError as error:
                rejected[name] = _reason(error)
        notes = [f"{name}: {why}, taken as not measured" for name, why in members.bad.get(number, {}).items()]
        notes += [*members.dropped.get(number, {})]
        row = Row(table.place(number), self._key(table, members, number), {}, rejected, notes)
        if self._cut is None:
            return [self._decoded(row, parts)]
        return [
            self._decoded(replace(row, key=f"{row.key}-{window:05d}"), self._cut(parts, window))
            for window in range(self._cut.num_windows(parts))
        ]

    def _decoded(self, row: Row, parts: Parts) -> Row:
        values, rejected = {}, dict(row.rejected)
        for name, (member, content) in parts.items():
            try:
                facts(member, content)
                values[name] = self.array(name, content)
            except DataError as error:
                rejected[name] = _reason(error).removeprefix(f"{member}: ")
        return replace(row, values=values, rejected=rejected)

    def array(self, name: str, content: bytes) -> torch.Tensor:
        """Decode the file of a modality, as shards hold it. Raises DataError for what the model cannot take."""
        with limits.within(self.inputs.limits):
            value, wanted = self._decoders[name](content), self.inputs.decoded[name]
        dtype = str(value.dtype).removeprefix("torch.")
        if tuple(value.shape) != tuple(wanted.shape) or dtype != wanted.dtype:
            raise DataError(
                f"has shape {tuple(value.shape)} and type {dtype}, the model takes {tuple(wanted.shape)} and {wanted.dtype}"
            )
        return value

    def _key(self, table: Table, members: Members, number: int) -> str:
        """Return a row's name: what stands in the column of the key, else a digest of what the row holds."""
        key, group = (
            "" if column is None or column not in table.columns else self._text(table.columns[column][number])
            for column in (self.inputs.key, self.inputs.group)
        )
        return escaped(key or members.digest(number, group))

    def _text(self, cell: object) -> str:
        return "" if is_missing(cell, self._missing) else text(cell)


def _columns(one: Source) -> tuple[str, ...]:
    templated = {column for template in one.paths for column in template.columns - {""}}
    return (*one.columns, *sorted(templated - set(one.columns)))


def _decoder(settings: Mapping[str, Any], modality: str, folder: Path) -> Any:
    """Return a decoder by its settings; the tokenizer of a text lies in the model's folder."""
    settings, where = dict(settings), f"{folder / INPUTS}: decoded.{modality}.decode"
    if wrong := plugin_trouble(f"{where}.name", "decoders", settings.get("name")):
        raise ModelFolderError(wrong)
    if settings["name"] == "tokens":
        tokenizer = (folder / str(settings.get("model"))).resolve()
        if not tokenizer.is_relative_to(folder.resolve()):
            raise ModelFolderError(f"{where}.model: {settings.get('model')!r} leads out of the folder")
        settings["model"] = str(tokenizer)
    decoder = import_module(f"umemma.media.decoders.{settings['name']}").Decoder
    return call(decoder, settings, f"{modality}.decode")


def _reason(error: UmemmaError) -> str:
    """Return why something cannot be used, without advice on settings of training."""
    reason = f"{error.file}: {error.reason}" if isinstance(error, BadSample) else str(error)
    return re.split(r"[:;] `?(?:dataset\.options|limits:)", reason, maxsplit=1)[0]
