"""MM-IMDb: 25,959 films, their posters and plots, with several genres each (Arevalo, Solorio, Montes, Gonzalez 2017).

Decisions:

- `layout: files` reads split.json and, for each film, dataset/<id>.json and .jpeg; or labels/<id>.json and
  images/<id>.jpeg, as missing_aware_prompts has them. `hdf5` reads multimodal_imdb.hdf5, posters of 256x160 px and
  plots as words; `features` takes VGG features and the mean word vector from it, as MultiBench does.
- Labels are a film's genres that are in `dataset.classes`, the usual 23 or others; with the usual ones, Adult, News,
  Reality-TV and Talk-Show are ignored. A film with none of the classes is a bad sample, since a film of unknown genre
  need not be a negative of every class.
- A film has several plots: `plot: longest` (its authors, MultiBench), `first`, or `all` (missing_aware_prompts), one
  per line. A trailing `::author` is removed first. Without any plot, `plot outline` is used.
- `incomplete: keep` keeps a film without a poster or without any plot, which then lacks that modality; `reject` makes
  it a bad sample. A film with neither is always a bad sample, as is one that split.json names but that has no .json.
- Split `dev` is val. A film in two splits is kept in the evaluation split; a group is a film.
"""

import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from umemma import json_text
from umemma.data.sample import BadSample, Rejected, Sample
from umemma.errors import DataError, OverLimit, ParameterError, unknown
from umemma.sources.layouts import listing, lists, mmimdb_hdf5
from umemma.sources.layouts.listing import File
from umemma.sources.layouts.lists import Row

GENRES = (
    "Drama",
    "Comedy",
    "Romance",
    "Thriller",
    "Crime",
    "Action",
    "Adventure",
    "Horror",
    "Documentary",
    "Mystery",
    "Sci-Fi",
    "Fantasy",
    "Family",
    "Biography",
    "War",
    "History",
    "Music",
    "Animation",
    "Musical",
    "Western",
    "Sport",
    "Short",
    "Film-Noir",
)
LAYOUTS, PLOTS, INCOMPLETE = ("files", "hdf5", "features"), ("longest", "first", "all"), ("keep", "reject")
_SPLITS = {"train": "train", "dev": "val", "test": "test"}
_AUTHOR = re.compile(r"::[^:\n]*$")
_Film = tuple[str, list[str], dict[str, File]]  # a film's location, its genres, its files by modality


class Adapter:
    """Random access to MM-IMDb. Raises DataError for an invalid split.json or HDF5 file."""

    modalities = ("image", "text")

    def __init__(
        self,
        root: Path,
        *,
        folder: str = "mmimdb",
        layout: str = "files",
        classes: Sequence[str] = GENRES,
        plot: str = "longest",
        incomplete: str = "keep",
    ) -> None:
        for key, value, choices in (
            ("layout", layout, LAYOUTS),
            ("plot", plot, PLOTS),
            ("incomplete", incomplete, INCOMPLETE),
        ):
            if value not in choices:
                raise ParameterError(unknown(f"dataset.options.{key}", "choice", value, choices))
        self.classes, self._is_whole_only = tuple(classes), incomplete == "reject"
        if layout == "files":
            base = lists.folder_with(root, folder, ["split.json"])
            rows, self.rejected = read(base / "split.json")
            self._film = partial(_from_files, *_folders(base), plot)
        else:
            path = lists.folder_with(root, folder, [mmimdb_hdf5.FILE]) / mmimdb_hdf5.FILE
            rows, self.rejected = lists.once(mmimdb_hdf5.rows(path))
            words = mmimdb_hdf5.words(path.with_name(mmimdb_hdf5.METADATA)) if layout == "hdf5" else None
            self._film = partial(_from_hdf5, path, mmimdb_hdf5.genres(path), words)
        self._rows = lists.by_split(rows, self.rejected)
        self.num_samples: Mapping[str, int] = {split: len(split_rows) for split, split_rows in self._rows.items()}

    def sample(self, split: str, index: int) -> Sample:
        """Read sample `index` of `split`. Raises BadSample as the module docstring describes."""
        return listing.sample(self._rows[split][index], self._judged)

    def _judged(self, row: Row) -> tuple[tuple[int, ...], dict[str, File]]:
        place, genres, files = self._film(row)
        label = tuple(sorted({self.classes.index(genre) for genre in genres if genre in self.classes}))
        if not label:
            names = ", ".join(genres) or "none"
            raise BadSample(place, f"has no genre that is in dataset.classes; its own are {names}")
        lacking = " and no ".join(
            noun for modality, noun in (("image", "poster"), ("text", "plot")) if modality not in files
        )
        if lacking and (self._is_whole_only or not files):
            raise BadSample(place, f"has no {lacking}")
        return label, files


def read(path: Path) -> tuple[list[Row], list[Rejected]]:
    """Read split.json; return the kept rows, without labels (these are in the films' files), and the rejected ones."""
    splits = lists.mapping(path)
    if set(splits) != set(_SPLITS):
        raise DataError(f"{path} holds {', '.join(splits) or 'nothing'}, not train, dev and test")
    for name, ids in splits.items():
        for key in ids:
            if not isinstance(key, str) or not re.fullmatch(r"\d{7,8}", key):
                raise DataError(f"{path}: {name} holds {key!r}, no IMDb id of 7 digits such as '0106714'")
    return lists.once(Row(key, split, 0, key, f"{path}") for name, split in _SPLITS.items() for key in splits[name])


def _folders(folder: Path) -> tuple[Path, Path]:
    """Return the folders of the .json and of the .jpeg files."""
    if (folder / "dataset").is_dir():
        return folder / "dataset", folder / "dataset"
    if (folder / "labels").is_dir() and (folder / "images").is_dir():
        return folder / "labels", folder / "images"
    raise DataError(f"{folder} has neither a folder dataset nor the folders labels and images")


def _from_files(labels: Path, images: Path, which_plot: str, row: Row) -> _Film:
    path, poster = labels / f"{row.key}.json", images / f"{row.key}.jpeg"
    content = lists.named(path)
    try:
        film = json_text.parsed(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise BadSample(
            str(path),
            f"is no UTF-8: byte {error.start} is {content[error.start]:#04x}; its encoding may be GB18030 or Latin-1",
        ) from error
    except ValueError as error:
        raise BadSample(str(path), f"is no valid JSON: {error}") from error
    except OverLimit as error:
        raise BadSample(str(path), str(error)) from error
    if not isinstance(film, dict):
        raise BadSample(str(path), f"holds no mapping but a {type(film).__name__}")
    if not isinstance(genres := film.get("genres"), list):
        raise BadSample(str(path), f"its genres are no list but {genres!r}")
    files = {"image": File("jpeg", lists.named(poster), poster)} if poster.exists() else {}
    if text := plot_of(film, which_plot):  # lone surrogates are judged by the text expectations, not here
        files["text"] = File("txt", text.encode("utf-8", "surrogatepass"), path)
    return str(path), [str(genre) for genre in genres], files


def plot_of(film: Mapping[str, Any], which: str) -> str:
    """Return the plot of an IMDbPY dump, '' if it has none; `which` is one of `PLOTS`."""
    given = film.get("plot") or []
    plots = [_AUTHOR.sub("", str(plot)).strip() for plot in (given if isinstance(given, list) else [given])]
    plots = [plot for plot in plots if plot] or [str(film.get("plot outline") or "").strip()]
    return {"longest": max(plots, key=len), "first": plots[0], "all": "\n".join(plots)}[which]


def _from_hdf5(path: Path, columns: Sequence[str], words: dict[int, str] | None, row: Row) -> _Film:
    """Read a film's row; its features if `words` is None."""
    index = int(row.fields[0])
    with lists.blamed(row.file), mmimdb_hdf5.opened(path) as file:
        genres = mmimdb_hdf5.labels(file, index, columns)
        if words is None:
            return (
                row.file,
                genres,
                {
                    "image": File("npy", mmimdb_hdf5.vector(file, "vgg_features", index), row.file),
                    "text": File("npy", mmimdb_hdf5.vector(file, "features", index), row.file),
                },
            )
        files = {"image": File("png", mmimdb_hdf5.poster(file, index), row.file)}
        if text := mmimdb_hdf5.plot(file, index, words):
            files["text"] = File("txt", text.encode(), row.file)
    return row.file, genres, files
