"""Guesses for `umemma init`: which columns of a table are modalities, and which single values form a vector.

- A column of files - paths, names to which a folder or suffix is added, pictures inside a Parquet file - of sentences,
  or of lists of numbers is a modality of its own.
- Numbers, times and words of a few kinds become vectors. Columns whose names begin alike form one (acc_x, acc_y, acc_z;
  eeg_1_mean, eeg_2_mean); the names say what belongs together, whatever holes the columns have. The others form one
  vector, or one for each set of rows in which they are empty together, as in a questionnaire that was not filled in.
- A constant column, or a row counter, carries no information.

Every guess is said with its reason and with what names another: `--modality NAME=COLUMN,COLUMN` or `NAME=eeg_*`.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import combinations

import yaml

from umemma.errors import ParameterError, some, unknown
from umemma.init import kinds, readings
from umemma.init.columns import Column
from umemma.init.names import Naming, suffixes_not_read
from umemma.media import formats
from umemma.sources.tables.members import embedded

_MOST_PATTERNS = 4
_LEAST_HOLES = 0.1  # share of rows that columns lack together, from which on they may be a modality of their own
MANY = 8  # modalities
_SAME = 0.2  # of the files looked at
_TOKENS = re.compile(r"[^\W\d_]+|\d+")
_ENDINGS = re.compile(r"_?(file_?name|file_?path|path|file)$")


@dataclass
class Guesses:
    """`entries` as in `dataset.options.modalities`, `columns` as in `dataset.options.columns`.

    `unused`: {column: reason}; `unsure`: sentences for the user; `files`: what columns name, of the cells looked at;
    `said`: {column: kind} by the user.
    """

    entries: dict[str, dict[str, object]] = field(default_factory=dict)
    columns: dict[str, dict[str, object]] = field(default_factory=dict)
    unused: dict[str, str] = field(default_factory=dict)
    unsure: list[str] = field(default_factory=list)
    files: dict[str, frozenset[str]] = field(default_factory=dict)
    paths: dict[str, Sequence[Naming]] = field(default_factory=dict)
    said: Mapping[str, str] = field(default_factory=dict)

    def names_already(self, naming: Naming, column: Column) -> str | None:
        """Return the column entered before that names the same files; not all of them, as it may have holes.

        A column of paths comes before one whose cells only become names of files by a template: a row counter does.
        """
        others = {name: found for name, namings in self.paths.items() for found in [_files(namings)]}
        named = self.files if column.name in self.paths else others | self.files
        return next(
            (name for name, files in named.items() if len(files & naming.files) > _SAME * len(naming.files)), None
        )


@dataclass(frozen=True)
class Probe:
    """What only the files can tell: how many axes a column's arrays have, and which files its cells name."""

    axes: Callable[[Column], int | None]
    namings: Callable[[Column], Sequence[Naming]]


def modalities(
    columns: Mapping[str, Column],
    probe: Probe,
    *,
    key: Column | None,
    given: Mapping[str, Sequence[str]],
    said: Mapping[str, str],
) -> Guesses:
    """Return the modalities in columns without a role; a `key` may name files as well.

    `given` is what the user says of modalities, {modality: columns or patterns}, `said` of kinds, {column: kind}. Raises
    ParameterError for one that fits no column.
    """
    candidates = {**columns, **({key.name: key} if key else {})}
    kinds.check(said, candidates)
    guesses = Guesses(
        said=said, paths={column.name: probe.namings(column) for column in columns.values() if column.path_kind}
    )
    chosen = {name: _named(name, patterns, columns) for name, patterns in given.items()}
    taken = {column.name for members in chosen.values() for column in members}
    has_commas = any(map(readings.writes_decimal_commas, columns.values()))
    singles: dict[str, Column] = {}
    for column in columns.values():
        if _alone(column, probe, guesses, is_given=column.name in {*taken, *said}):
            continue
        if said.get(column.name) == "text":
            guesses.entries[_new_name(column.name, guesses)] = {"column": column.name, "kind": "text"}
            continue
        guessed = readings.guess(column, has_decimal_commas=has_commas)
        if isinstance(guessed, str):
            if column.is_long_text:
                guesses.entries[_new_name(column.name, guesses)] = {"column": column.name, "kind": "text"}
            else:
                guesses.unused[column.name] = guessed
            continue
        singles[column.name] = column
        if guessed.entry:
            guesses.columns[column.name] = guessed.entry
        guesses.unsure += [f"{column.name}: {sentence}" for sentence in guessed.said]
    if key is not None:
        _of_files(key, probe, guesses)
    for name, kind in said.items():
        if not (kind == "vector" and name in singles):
            kinds.as_said(candidates[name], kind, guesses.entries, guesses.unused.get(name, ""))
    _as_given(chosen, singles, guesses)
    _together([column for name, column in singles.items() if name not in taken], guesses)
    if len(guesses.entries) > MANY:
        guesses.unsure.append(_about_many(len(guesses.entries)))
    return guesses


def _alone(column: Column, probe: Probe, guesses: Guesses, *, is_given: bool) -> bool:
    """Enter a column that is a modality of its own, or that cannot be one; return whether it is settled."""
    if not column.filled:
        guesses.unused[column.name] = "empty"
    elif column.holds_files:
        _of_content(column, guesses)
    elif column.are_number_lists:
        _of_lists(column, guesses)
    elif column.holds_lists:
        guesses.unused[column.name] = "lists of words, neither numbers nor one text"
    elif readings.is_shortened(column):
        guesses.unused[column.name] = (
            "numbers were left out when it was written, '...': np.printoptions(threshold=sys.maxsize) writes all"
        )
    elif _of_files(column, probe, guesses):
        pass
    elif suffixes := suffixes_not_read(column):
        guesses.unused[column.name] = (
            f"names files that end in {some(f'.{one}' for one in suffixes)}, which are not read; convert them"
        )
    elif len(column.counts) == 1 and not is_given:
        guesses.unused[column.name] = "the same in every row"
    elif column.counts_rows and not is_given:
        guesses.unused[column.name] = "looks like a row number"
    elif column.is_long_text and (len(column.counts) > len(column.filled) / 10 or len(column.counts) > 20):
        guesses.entries[_new_name(column.name, guesses)] = {"column": column.name, "kind": "text"}
    else:
        return False
    return True


def _files(namings: Sequence[Naming]) -> frozenset[str]:
    return frozenset().union(*(naming.files for naming in namings))


def _repeats(column: Column, found: Sequence[Naming], guesses: Guesses) -> bool:
    """Whether numbers only happen to be the names of files that another column names: they are judged as numbers."""
    return column.are_mostly_numbers and all(guesses.names_already(naming, column) for naming in found)


def _of_files(column: Column, probe: Probe, guesses: Guesses) -> bool:
    """Enter the modalities whose files a column names, if it names any; return whether it does."""
    is_path = column.name in guesses.paths
    found = guesses.paths[column.name] if is_path else probe.namings(column)
    if not is_path and (not found or _repeats(column, found, guesses)):
        return False
    if not found and sum("://" in str(cell) for cell in column.filled) > len(column.filled) / 2:
        guesses.unused[column.name] = (
            "addresses; files must be on disk: download them below the root, called as in the address, and init finds them"
        )
        return True
    for naming in found or [Naming(str(column.path_kind), {}, frozenset(), "")]:
        kind = naming.kind
        if other := guesses.names_already(naming, column):
            guesses.unused[column.name] = f"names the same files as {other}"
            continue
        guesses.files[column.name] = guesses.files.get(column.name, frozenset()) | naming.files
        if kind in ("vector", "series"):
            kind = _array_kind(column, probe, guesses)
        name = f"{column.name}_{kind}" if len(found) > 1 else column.name
        entry = {"column": column.name, "kind": kind} | ({"inline": False} if kind == "text" else {})
        guesses.entries[_new_name(name, guesses)] = entry | dict(naming.entry)
        if naming.said:
            guesses.unsure.append(f"{column.name}: {naming.said}")
    return True


def _array_kind(column: Column, probe: Probe, guesses: Guesses) -> str:
    """Return whether .npy files hold vectors or series; a .csv is a series."""
    if column.path_kind == "series":
        return "series"
    num_axes = probe.axes(column)
    if num_axes is None:
        guesses.unsure.append(f"{column.name}: none of its .npy files could be opened; taken as series, of two axes")
    return "vector" if num_axes == 1 else "series"


def _of_content(column: Column, guesses: Guesses) -> None:
    contents = [content for cell in column.filled[:20] if (content := embedded(cell)) is not None]
    found = Counter(formats.kind_of(content) for content in contents)
    kind = found.most_common(1)[0][0] if len(found) == 1 or found.keys() == {"audio", "video"} else None
    if kind is not None:
        guesses.entries[_new_name(column.name, guesses)] = {"column": column.name, "kind": kind}
    else:
        guesses.unused[column.name] = "bytes of no known kind of file, or of several"


def _of_lists(column: Column, guesses: Guesses) -> None:
    shapes = column.list_shapes
    axes = {len(shape) for shape in shapes}
    if axes - {1, 2} or len(axes) > 1:
        guesses.unused[column.name] = f"lists of numbers of shape {some(map(str, shapes), 3)}, not of one or two axes"
        return
    kind = "vector" if axes == {1} and len(shapes) == 1 else "series"
    guesses.entries[_new_name(column.name, guesses)] = {"column": column.name, "kind": kind}
    if all(isinstance(cell, str) for cell in column.filled):
        guesses.columns[column.name] = {"type": "list"}
    (length, *_) = next(iter(shapes))
    side = round(length**0.5)
    if kind == "series" and axes == {1}:
        guesses.unsure.append(
            f"{column.name}: lists of different lengths, {some(map(str, sorted(shapes)), 3)}; taken as series of one channel"
        )
    elif kind == "vector" and side >= 8 and side * side == length and column.name not in guesses.said:
        guesses.unsure.append(
            f"{column.name}: {length} numbers in a cell, taken as a vector; as pixels of a picture of {side} x {side}: "
            f"--kind {column.name}=image"
        )


def _named(modality: str, patterns: Sequence[str], columns: Mapping[str, Column]) -> list[Column]:
    """Return the columns that a modality given by the user consists of, in the order of the table."""
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) or name == pattern for name in columns):
            raise ParameterError(unknown(f"--modality {modality}", "free column", pattern, columns))
    return [column for name, column in columns.items() if any(fnmatchcase(name, p) or name == p for p in patterns)]


def _as_given(chosen: Mapping[str, Sequence[Column]], singles: Mapping[str, Column], guesses: Guesses) -> None:
    """Enter the modalities that the user names; one column of files, text or lists is renamed."""
    for modality, members in chosen.items():
        own = {
            name: entry for name, entry in guesses.entries.items() if entry.get("column") in {c.name for c in members}
        }
        if len(members) == 1 and len(own) == 1:
            (name,) = own
            guesses.entries[modality] = guesses.entries.pop(name)
            continue
        if odd := [column.name for column in members if column.name not in singles]:
            why = "; ".join(f"{name}: {guesses.unused[name]}" for name in odd if name in guesses.unused)
            raise ParameterError(
                f"--modality {modality}: {some(odd)} cannot be part of a vector"
                + (f" ({why})" if why else "")
                + "; numbers, times and words of a few kinds can"
            )
        guesses.entries[modality] = {"columns": [column.name for column in members], "kind": "vector"}


def _together(columns: Sequence[Column], guesses: Guesses) -> None:
    """Enter the vectors that columns of single values form, and say why."""
    groups, others = by_prefix({column.name: column for column in columns})
    vectors = {prefix: (members, "their names begin alike") for prefix, members in groups.items()}
    for members in _by_holes(others):
        name = members[0].name if len(members) == 1 else "numbers"
        while name in vectors:
            name += "_2"
        vectors[name] = (members, "the others")
    for name, (members, _) in vectors.items():
        guesses.entries[_new_name(name, guesses)] = {"columns": [column.name for column in members], "kind": "vector"}
    if len(columns) > 1:
        guesses.unsure.append(
            "numbers that stand together are one modality: "
            + "; ".join(f"{name} ({some(c.name for c in members)}: {why})" for name, (members, why) in vectors.items())
            + "; --modality NAME=COLUMN,COLUMN or NAME='prefix_*' makes others"
        )


def by_prefix(columns: Mapping[str, Column]) -> tuple[dict[str, list[Column]], list[Column]]:
    """Return groups of at least two columns whose names begin with the same word, and the columns that are in none.

    Where every name begins alike, what follows decides, if it groups all of them: lab_liver_a, lab_liver_b, lab_blood_a.
    """
    tokens = {name: [token.casefold() for token in _TOKENS.findall(name)] or [name] for name in columns}
    depth = 1
    groups = _grouped(tokens, depth)
    while len(groups) == 1 and len(columns) > 1:
        deeper = _grouped(tokens, depth + 1)
        if len(deeper) == 1 and all(len(parts) > depth for parts in tokens.values()):
            depth += 1
        elif len(deeper) > 1 and all(len(names) > 1 for names in deeper.values()) and not _are_counted(deeper):
            depth, groups = depth + 1, deeper
            break
        else:
            break
    return (
        {name: [columns[one] for one in names] for name, names in groups.items() if len(names) > 1},
        [columns[names[0]] for names in groups.values() if len(names) == 1],
    )


def _grouped(tokens: Mapping[str, Sequence[str]], depth: int) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for name, parts in tokens.items():
        groups.setdefault("_".join(parts[:depth]), []).append(name)
    return groups


def _are_counted(groups: Mapping[str, Sequence[str]]) -> bool:
    """Whether groups differ in a number alone, as channels do: ch_1_mean, ch_2_mean."""
    return all(name.rsplit("_", 1)[-1].isdigit() for name in groups)


def _by_holes(columns: Sequence[Column]) -> list[list[Column]]:
    """Group columns by the rows that they lack, where these are a few sets of many rows."""
    patterns: dict[tuple[bool, ...], list[Column]] = {}
    for column in columns:
        patterns.setdefault(column.present, []).append(column)
    shares = [1 - sum(present) / len(present) for present in patterns]
    are_blocks = len(patterns) <= _MOST_PATTERNS and all(share == 0 or share >= _LEAST_HOLES for share in shares)
    return list(patterns.values()) if are_blocks else [list(columns)] if columns else []


def _about_many(count: int) -> str:
    patterns = 2**count - 1
    pairs = len(list(combinations(range(count), 2)))
    return (
        f"{count} modalities can be present or missing in {patterns:,} ways ({count} alone, {pairs:,} in pairs ...), and every "
        "way takes its share of evaluation and of the report; --modality NAME=COLUMN,COLUMN joins columns into one"
    )


def _new_name(name: str, guesses: Guesses) -> str:
    """Derive a modality's name from a column's: lower-case letters, digits and _, numbered if already taken."""
    plain = re.sub(r"\W+", "_", name.casefold().strip(), flags=re.ASCII).strip("_")
    plain = _ENDINGS.sub("", plain) or plain or "modality"
    is_name = plain.isidentifier() and isinstance(yaml.safe_load(plain), str)  # YAML reads yes as true
    plain = plain if is_name else f"m_{plain}"
    taken, number = plain, 2
    while taken in guesses.entries:
        taken, number = f"{plain}_{number}", number + 1
    return taken
