"""`umemma croissant SHARDS`: the shards as a data set of Croissant 1.0 (MLCommons), which hubs list and loaders read.

All of it follows from the index and the manifest. A record set `samples` has the manifest's columns, `splits` and
`classes` are enumerations, and each modality has a record set of its files, with the sample's key.

What Croissant cannot say: a type for arrays in `.npy` (vectors, series, events), so that their record sets have the name
of the file and not its content; that two record sets have a row for the same sample where one may be missing, so that
whoever joins them by key must expect holes; and which samples were judged unusable, and why.
"""

import argparse
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from umemma.data import shards
from umemma.data.shards import MANIFEST, Index
from umemma.files import write_json

NAME = "croissant.json"
_CONTEXT: Mapping[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
_ABOUT = {  # options that no shard knows the value of
    "license": "under which the data may be used: the address of its text, such as https://spdx.org/licenses/CC-BY-4.0",
    "description": "what the data are, in a sentence",
    "url": "a page about them",
    "creator": "who made them",
    "cite": "how to cite them, as BibTeX or text",
    "published": "the day, as 2026-11-27",
    "version": "such as 1.0.0",
}
_WORDS = {"cite": "citeAs", "published": "datePublished"}
_TAR, _PARQUET = "application/x-tar", "application/x-parquet"
_MEDIA = {  # what Croissant calls the content of a file of a kind
    "image": "sc:ImageObject",
    "audio": "sc:AudioObject",
    "video": "sc:VideoObject",
    "text": "sc:Text",
}
_ENCODINGS = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "tif": "image/tiff",
    "webp": "image/webp",
    "mp3": "audio/mpeg",
    "wav": "audio/wav",
    "flac": "audio/flac",
    "ogg": "audio/ogg",
    "mp4": "video/mp4",
    "txt": "text/plain",
}
_SPLITS = {"train": "cr:TrainingSplit", "val": "cr:ValidationSplit", "test": "cr:TestSplit"}


def croissant(folder: Path, place: str, about: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON-LD of verified shards; `place` is their address, or their folder relative to the file's.

    `about` has what no shard knows: description, license, url, version and more of schema.org's words for a data set.
    """
    from pyarrow import parquet

    index, table = shards.verify(folder), parquet.read_table(folder / MANIFEST)
    return {
        "@context": dict(_CONTEXT),
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": index.dataset,
        "description": _described(index),
        **about,
        "distribution": [*_files(index, folder, place), *(_media(index, table, name) for name in index.modalities)],
        "recordSet": [
            _splits(),
            _classes(index),
            _samples(table),
            *(_record_set(table, name) for name in index.modalities),
        ],
    }


def main(arguments: Sequence[str]) -> None:
    """Write the file."""
    parser = argparse.ArgumentParser("umemma croissant", description="Describe shards as a data set of Croissant 1.0.")
    parser.add_argument("shards", type=Path, help="the folder of shards, data/shards")
    parser.add_argument("--output", type=Path, help="the file (croissant.json beside the folder)")
    parser.add_argument(
        "--at", metavar="URL", help="where the shards are published; else the file names them beside it"
    )
    for name, what in _ABOUT.items():
        parser.add_argument(f"--{name}", help=what)
    given = parser.parse_args(arguments)
    output = given.output or given.shards.absolute().parent / NAME
    place = given.at or os.path.relpath(given.shards, output.parent)
    about = {_WORDS.get(name, name): value for name in _ABOUT if (value := getattr(given, name)) is not None}
    write_json(output, croissant(given.shards, place, about))
    print(f"written: {output}")


def _files(index: Index, folder: Path, place: str) -> Iterator[dict[str, Any]]:
    named = [(MANIFEST, _PARQUET, index.manifest_sha256), *((one.name, _TAR, one.sha256) for one in index.shards)]
    for name, encoding, sha256 in named:
        yield {
            "@type": "cr:FileObject",
            "@id": name,
            "name": name,
            "contentUrl": f"{place.rstrip('/')}/{name}" if place else name,
            "contentSize": f"{(folder / name).stat().st_size} B",
            "encodingFormat": encoding,
            "sha256": sha256,
        }


def _media(index: Index, table: Any, modality: str) -> dict[str, Any]:
    formats = [one for one in table[f"{modality}_format"].unique().to_pylist() if one]
    encodings = [_ENCODINGS.get(one, "application/octet-stream") for one in formats]
    return {
        "@type": "cr:FileSet",
        "@id": f"{modality}-files",
        "name": f"{modality}-files",
        "description": f"One file of {modality} for each sample that has it: {', '.join(formats)}",
        "containedIn": [{"@id": shard.name} for shard in index.shards],
        "encodingFormat": list(dict.fromkeys(encodings)),
        "includes": f"*.{modality}.*",
    }


def _described(index: Index) -> str:
    counts = ", ".join(
        f"{sum(one.num_samples for one in index.shards if one.split == split):,} {split}" for split in _SPLITS
    )
    return (
        f"{', '.join(index.modalities)} of {counts} samples, {len(index.classes)} classes; any may lack some of these"
    )


def _splits() -> dict[str, Any]:
    fields = [_field("splits/name", "sc:Text"), _field("splits/url", "sc:URL")]
    data = [{"splits/name": name, "splits/url": url} for name, url in _SPLITS.items()]
    return {**_set("splits", fields, "splits/name"), "dataType": "cr:Split", "data": data}


def _classes(index: Index) -> dict[str, Any]:
    fields = [_field("classes/number", "sc:Integer"), _field("classes/name", "sc:Text")]
    data = [{"classes/number": number, "classes/name": name} for number, name in enumerate(index.classes)]
    return {**_set("classes", fields, "classes/number"), "dataType": "sc:Enumeration", "data": data}


def _samples(table: Any) -> dict[str, Any]:
    fields = []
    for column in table.schema:
        field = _field(f"samples/{column.name}", *_type(column.type), source=_column(column.name))
        if column.name in ("label", "labels"):
            field |= {"references": {"field": {"@id": "classes/number"}}}
        if column.name == "split":
            field |= {"references": {"field": {"@id": "splits/name"}}}
        fields.append(field)
    return _set("samples", fields, "samples/key")


def _record_set(table: Any, modality: str) -> dict[str, Any]:
    """Return the files of a modality: the sample's key out of the file's name, and the content where Croissant has a type."""
    (kind, *others) = sorted({one for one in table[f"{modality}_kind"].unique().to_pylist() if one})
    # No key has a dot, and the transform may apply twice.
    key = _file(modality, "filename") | {"transform": {"regex": r"^([^.]+)"}}
    fields = [_field(f"{modality}/key", "sc:Text", source=key)]
    fields[0] |= {"references": _column("key")}  # mlcroissant joins files with a table's column, not with `samples/key`
    if kind in _MEDIA and not others:
        fields.append(_field(f"{modality}/content", _MEDIA[kind], source=_file(modality, "content")))
    else:
        fields.append(_field(f"{modality}/file", "sc:Text", source=_file(modality, "fullpath")))
    for column in table.schema:
        if column.name in ("split", "label", "labels"):
            fields.append(_field(f"{modality}/{column.name}", *_type(column.type), source=_column(column.name)))
    return _set(modality, fields, f"{modality}/key")


def _set(name: str, fields: Sequence[Mapping[str, Any]], key: str) -> dict[str, Any]:
    return {"@type": "cr:RecordSet", "@id": name, "name": name, "key": {"@id": key}, "field": list(fields)}


def _field(
    name: str, data_type: str, repeated: bool = False, *, source: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    field: dict[str, Any] = {"@type": "cr:Field", "@id": name, "name": name, "dataType": data_type}
    return field | ({"repeated": True} if repeated else {}) | ({"source": dict(source)} if source else {})


def _column(name: str) -> dict[str, Any]:
    return {"fileObject": {"@id": MANIFEST}, "extract": {"column": name}}


def _file(modality: str, what: str) -> dict[str, Any]:
    return {"fileSet": {"@id": f"{modality}-files"}, "extract": {"fileProperty": what}}


def _type(arrow: Any) -> tuple[str, bool]:
    """Return the word for a column's type, and whether a cell has several."""
    from pyarrow import types

    if types.is_list(arrow):
        return _type(arrow.value_type)[0], True
    for holds, word in (
        (types.is_boolean, "sc:Boolean"),
        (types.is_integer, "sc:Integer"),
        (types.is_floating, "sc:Float"),
    ):
        if holds(arrow):
            return word, False
    return "sc:Text", False
