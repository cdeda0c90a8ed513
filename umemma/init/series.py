"""How the files of vectors and series are to be read, found by opening some of each modality."""

from typing import Any

from umemma.data.sample import BadSample
from umemma.init import arrays, recordings
from umemma.init.opened import some_files
from umemma.sources.adapters.table import Adapter
from umemma.sources.tables import series
from umemma.sources.tables.recordings import SUFFIXES as TEXTS

Entry = dict[str, Any]


def complete(entries: dict[str, Entry], adapter: Adapter) -> list[str]:
    """Add to the entries of `dataset.options.modalities` how their files are written; return sentences for the user.

    `adapter` reads the table with the entries as they are.
    """
    said = []
    for name, entry in entries.items():
        if entry["kind"] == "text" and not entry.get("inline", True):
            contents = [content for _, _, content in some_files(name, adapter)]
            if contents and all(map(recordings.are_numbers, contents)):
                del entry["inline"]
                entry["kind"] = "series"
                said.append(f"{name}: the text files hold columns of numbers: taken as series")
        if entry["kind"] in series.AXES:
            files = some_files(name, adapter)
            for look in (_texts, _arrays):
                settings, sentences = look(files)
                entry.update(settings)
                said += [f"{name}: {sentence}" for sentence in sentences]
    return said


def _texts(files: list[tuple[str, str, bytes]]) -> tuple[Entry, list[str]]:
    contents = [content for _, suffix, content in files if suffix in TEXTS]
    if not contents:
        return {}, []
    look = recordings.look(contents)
    return ({"recording": look.settings} if look.settings else {}), look.said


def _arrays(files: list[tuple[str, str, bytes]]) -> tuple[Entry, list[str]]:
    shapes, names = [], []
    for path, suffix, content in files:
        try:
            if suffix == "npy":
                shapes.append(series.array(path, content).shape)
            elif suffix in ("npz", "mat"):
                names.append(series.named_arrays(path, suffix, content))
        except BadSample:
            continue
    settings: Entry = {}
    said = []
    if names and len(names[0]) > 1:
        chosen = max(names[0], key=lambda name: names[0][name].size)
        settings["array"] = chosen
        said.append(f"of the arrays {', '.join(names[0])} the largest is taken (array: {chosen})")
    shapes += [found[settings.get("array", next(iter(found)))].shape for found in names if found]
    if not shapes:
        return settings, said
    layout, sentences = arrays.look(shapes)
    return settings | layout, said + sentences
