"""`umemma init FILE`: inspects a table and its media, reports the findings, and writes conf/dataset/<name>.yaml."""

import argparse
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from umemma import composition, limits, names
from umemma.errors import DataError, OverLimit, ParameterError, SettingError, some
from umemma.files import written_whole
from umemma.init import settling, starting_values, summary, survey
from umemma.init.conf_file import flow, line
from umemma.init.kinds import KINDS
from umemma.init.proposal import Given, Proposal, propose
from umemma.limits import Limits
from umemma.paths import weights_file
from umemma.settings import section
from umemma.sources.adapters.table import MISSING_FILES
from umemma.sources.tables import file as table_file
from umemma.sources.tables import spelling

CONFIG = "conf/config.yaml"  # the file that marks a project's root
SQUEEZENET = "weights/squeezenet1_0_imagenet_from_deepcompression.pth"  # as in conf/encoder/squeezenet.yaml


def main(arguments: Sequence[str]) -> None:
    """Run the command. Raises ParameterError if the output file exists, and any error that the table causes."""
    given = _parser().parse_args(arguments)
    file = Path(os.path.abspath(given.file))
    root = Path(os.path.abspath(given.root)) if given.root else None
    name = given.name or _plain_name(table_file.stem(file))
    print(
        init(
            file,
            root,
            name,
            Given(
                key=given.key,
                split=given.split,
                label=given.label or (),
                group=given.group,
                drop=given.drop or (),
                keep=given.keep or (),
                missing=given.missing,
                spellings=given.spellings,
                encoding=given.encoding,
                sheet=given.sheet,
                modalities=dict(given.modality or ()),
                kinds=dict(given.kind or ()),
                rare=given.rare,
                missing_files=given.missing_files,
            ),
            home=project(given.project),
            force=given.force,
            raised=dict(given.limit or ()),
        )
    )


def _plain_name(stem: str) -> str:
    """Return a data set's name made of a file's: `2021` becomes data_2021, as YAML and Hydra read a bare 2021 as a number."""
    name = re.sub(r"\W+", "_", stem, flags=re.ASCII).strip("_").lower()
    return name if composition.is_a_name(name) else f"data_{name}"


def project(named: str | None) -> Path:
    """Return the project's root: the one named, else `$UMEMMA_HOME`, else the nearest at or above the current folder.

    Raises ParameterError if that folder is not a project.
    """
    given = named or os.environ.get("UMEMMA_HOME")
    roots = [Path(given).resolve()] if given else [Path.cwd(), *Path.cwd().parents]
    for root in roots:
        if (root / CONFIG).is_file():
            return root
    raise ParameterError(
        f"{roots[0]} {'is not the root of' if given else 'does not lie in'} a project, which holds {CONFIG}; "
        "--project DIR names the root of one"
    )


def init(
    file: Path,
    root: Path | None,
    name: str,
    given: Given,
    *,
    home: Path,
    force: bool = False,
    raised: Mapping[str, float] = MappingProxyType({}),
) -> str:
    """Write `home`/conf/dataset/`name`.yaml and return a summary for the user; `root` None: guessed.

    `raised` limits of files replace those of conf/config.yaml.
    """
    if wrong := names.about_plain(name):
        raise ParameterError(f"--name: {name!r} {wrong}")
    if not composition.is_a_name(name):
        raise ParameterError(
            f"--name: `make run DATASET={name}` would read {name!r} as a number or as true, false or null; "
            f"--name data_{name} would do"
        )
    if root is not None and not file.is_relative_to(root):
        raise ParameterError(f"--root: {root} must hold {file}")
    path = home / f"conf/dataset/{name}.yaml"
    if path.exists() and not force:
        raise ParameterError(f"{path} already exists; --force overwrites it, --name NAME writes another file")
    defaults = composition.default_limits(home / "conf")
    try:
        with limits.within(section(Limits, **{**defaults.model_dump(), **raised})):
            proposal = propose(file, root, given, composition.default_bounds(home / "conf"))
    except OverLimit as error:
        raise OverLimit(f"{error}; init itself takes it as --limit NAME=NUMBER, and writes that line") from error
    except SettingError as error:
        raise ParameterError(f"--limit: {error}") from error
    for written in proposal.label.classes:
        if wrong := names.about_class(written):
            raise DataError(
                f"{file}: {some(proposal.label.names)}: the class {ascii(written)[:60]} {wrong}: correct the table"
            )
    text = conf_text(proposal, name, _root_text(proposal.root, home))
    with written_whole(path) as temporary:
        temporary.write_text(text + (line(0, "limits", raised, "of one file") + "\n" if raised else ""), "utf-8")
    shown = path.relative_to(home)
    return "\n".join(
        [
            *summary.lines(proposal, file),
            "",
            f"Wrote {shown}: look at it, and change what was guessed wrong. Then",
            f"  git add {shown}",
            f"  make run DATASET={name}    (or: dvc exp run -S dataset={name})",
        ]
    )


def conf_text(proposal: Proposal, name: str, root: str) -> str:
    """Return the file's text: Hydra's header, the data set, and the validation bounds that it needs."""
    options, label = proposal.options, proposal.label
    num_train = proposal.num_samples["train"]
    values = {
        modality: starting_values.decode(proposal.kind(modality), proposal.surveys[modality].facts)
        for modality in options["modalities"]
    }
    lines = [
        "# @package _global_",
        f"# Made by `umemma init` from {flow(options['file'])}, {proposal.num_rows} rows; edit as needed. What options mean is",
        "# in docs/table-options.md, what decoders and encoders take in docs/plug-ins.md; `make docs` builds these pages.",
        "dataset:",
        line(2, "name", name),
        line(2, "adapter", "table"),
        line(2, "root", root, "absolute, or relative to the project's root"),
        line(2, "sources", {}),
        line(
            2, "watch", {"each_run": [name], "record": "data/watched.json"}, "so that `dvc repro` sees when data change"
        ),
        "  options:",
        *_option_lines(proposal),
        line(2, "task", label.task),
        line(2, "classes", list(label.classes)),
        "  modalities:",
    ]
    for modality, decoder in values.items():
        kind = proposal.kind(modality)
        seen = survey.sentence(kind, proposal.surveys[modality])
        lines += [
            f"    {modality}:" + (f"  # {seen}" if seen else ""),
            line(6, "decode", decoder),
            *_training_lines(kind, decoder, num_train),
        ]
    kinds = [proposal.kind(modality) for modality in values]
    lines.append(line(2, "early", starting_values.early(kinds), "of the arm `early` only"))
    shares = [count / proposal.num_rows for count in label.counts.values()]
    for part, training in starting_values.training(num_train, shares, kinds).items():
        lines += [f"{part}:", *(line(2, key, value, _TRAINING[key]) for key, value in training.items())]
    return "\n".join([*lines, *_gate_lines(proposal, kinds, list(values.values()))]) + "\n"


_TRAINING = {
    "search": "encoders tried for each modality, the best on validation data is kept; 1: `encoder` alone",
    "epochs": "until validation cross-entropy no longer improves",
    "batch_size": "by the number of training samples",
    "class_balance": "weights up rare classes; probabilities stay calibrated",
}


def _training_lines(kind: str, decoder: starting_values.Values, num_train: int) -> list[str]:
    encoder, *candidates = starting_values.encoders(kind, decoder, num_train)
    pretrained = kind == "image" and weights_file(SQUEEZENET).is_file()
    lines = [
        line(
            6,
            "encoder",
            encoder,
            "or, pre-trained: ${encoder:squeezenet}, for pictures in colour" if pretrained else "",
        )
    ]
    if candidates:
        lines.append(line(6, "candidates", candidates, "tried as well, see pretrain.search"))
    if changes := starting_values.augment(kind, decoder):
        lines.append(line(6, "augment", changes, "random changes in training"))
    return [*lines, line(6, "epochs", "auto", _TRAINING["epochs"])]


def _gate_lines(proposal: Proposal, kinds: Sequence[str], decoders: Sequence[starting_values.Values]) -> list[str]:
    seconds = [value for result in proposal.surveys.values() for value in result.facts.get("seconds", ())]
    counts = settling.class_counts(proposal.adapter)
    bounds = starting_values.validation(
        [count / max(1, of_split.total()) for of_split in counts.values() for count in of_split.values()],
        seconds,
        kinds,
        smallest_split=min(proposal.num_samples.values()),
        decoders=decoders,
        defaults=proposal.bounds,
    )
    bounds |= starting_values.small(
        least_of_class=min(counts["train"][name] for name in proposal.label.classes),
        lacks_classes=bool(settling.lacking_classes(proposal.adapter)),
        presence=settling.presence_shares(proposal.adapter),
        damaged=proposal.damaged_share,
        severity=bounds.get("severity", {}) | {name: "warn" for name in proposal.repeated},
        max_quarantined=bounds.get("max_quarantined", proposal.bounds.max_quarantined),
        defaults=proposal.bounds,
    )
    comments = {
        "max_quarantined": "a few files of the smallest split, and what init could not read",
        "min_class_share": "about half the share of the rarest class",
        "min_presence": "about half the share of the rarest modality",
    }
    lines = [line(2, key, value, comments.get(key, "")) for key, value in bounds.items()]
    return ["validation:  # bounds of the gate between data and training that these data need", *lines] if lines else []


def _option_lines(proposal: Proposal) -> list[str]:
    nested = {"columns": "how cells are read", "modalities": ""}  # with a line for each entry, in this order
    options, comments = (
        proposal.options,
        {
            "label": "several in one cell" if "separator" in proposal.options else "",
            "shares": "drawn from train by `seed`, since the table lacks the split",
            "group": "what must not be in two splits",
            "key": "identifies a sample",
            "media_root": "the folder that paths are relative to",
            "seed": "the first whose splits all have every class and modality",
            "unlabelled": "a row that names no class: reject, or none, a sample to which none applies",
            "missing_files": "a file that does not exist: hole, or error",
            "relabel": "class as written: another class, or null to leave it out",
            "spellings": "exact, form or case: which spellings are one class",
        },
    )
    lines = [line(4, key, value, comments.get(key, "")) for key, value in options.items() if key not in nested]
    if "key" not in options:
        lines.append(line(4, "key", None, "a column; null: a hash of the row's content"))
    if "group" not in options:
        lines.append(line(4, "group", None, "a column of what must not be in two splits: person, recording, film"))
    if "split" not in options:
        lines += [
            line(4, "split", None, "a column of train, val and test"),
            line(4, "shares", {"train": 0.7, "val": 0.15, "test": 0.15}),
            *([] if "seed" in options else [line(4, "seed", 0)]),
        ]
    for key, comment in nested.items():
        if key not in options:
            continue
        lines += [
            f"    {key}:" + (f"  # {comment}" if comment else ""),
            *(line(6, name, entry) for name, entry in options[key].items()),
        ]
    return lines


def _modality(written: str) -> tuple[str, list[str]]:
    name, equals, columns = written.partition("=")
    if not equals or names.about_modality(name) or not columns:
        raise argparse.ArgumentTypeError(f"{written!r} is not NAME=COLUMN,COLUMN with a name of letters, digits and _")
    return name, columns.split(",")


def _kind(written: str) -> tuple[str, str]:
    column, equals, kind = written.rpartition("=")
    if not equals or not column:
        raise argparse.ArgumentTypeError(f"{written!r} is not COLUMN=KIND with a kind of {some(KINDS)}")
    return column, kind


def _limit(written: str) -> tuple[str, float]:
    name, _, number = written.partition("=")
    try:
        return name, int(number) if number.isdecimal() else float(number)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{written!r} is not NAME=NUMBER") from error


def _root_text(root: Path, home: Path) -> str:
    return str(root.relative_to(home)) if root.is_relative_to(home) else str(root)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="umemma init", description=__doc__)
    parser.add_argument(
        "file", help=f"a table with a row for every sample: {', '.join(f'.{suffix}' for suffix in table_file.SUFFIXES)}"
    )
    parser.add_argument("--project", metavar="DIR", help="the project's root; by default that of the current folder")
    parser.add_argument("--name", help="of the data set; by default the file's")
    parser.add_argument(
        "--root", help="the folder that contains all files; by default the file's own, or the one above"
    )
    parser.add_argument("--key", metavar="COLUMN", help="the column that identifies a sample; none: a hash")
    parser.add_argument(
        "--label", metavar="COLUMN", nargs="+", help="the label, or one column of 0 and 1 for each class"
    )
    parser.add_argument("--group", metavar="COLUMN", help="what must not be in two splits; none: nothing")
    parser.add_argument("--split", metavar="COLUMN", help="train, val and test; none: splits are drawn")
    parser.add_argument("--drop", metavar="COLUMN", nargs="+", help="columns that are not to be used")
    parser.add_argument("--keep", metavar="COLUMN", nargs="+", help="columns to use although they tell label or group")
    parser.add_argument(
        "--missing",
        metavar="WORD",
        nargs="+",
        help="words that mean an empty cell, in place of nan, null, none, na and n/a: NA ?",
    )
    parser.add_argument("--spellings", choices=spelling.LEVELS, help="which spellings of a label are one class")
    parser.add_argument(
        "--rare", choices=settling.RARE, default="drop", help="what becomes of classes too small for three splits"
    )
    parser.add_argument("--missing-files", choices=MISSING_FILES, help="what a file is that does not exist")
    parser.add_argument("--encoding", help="of a text table; guessed, and said, where it is not UTF-8")
    parser.add_argument("--sheet", help="of a spreadsheet (default: the longest)")
    parser.add_argument(
        "--modality",
        metavar="NAME=COLUMN,...",
        action="append",
        type=_modality,
        help="columns that are one modality, by name or pattern: --modality 'eeg=eeg_*' --modality blood=hb,wbc",
    )
    parser.add_argument(
        "--kind",
        metavar="COLUMN=KIND",
        action="append",
        type=_kind,
        help=f"what a column holds, of {', '.join(KINDS)}: --kind clip=video for moving GIFs, --kind pixels=image",
    )
    parser.add_argument(
        "--limit",
        metavar="NAME=NUMBER",
        action="append",
        type=_limit,
        help="more of a file than is read by default, as an error names it: --limit pixels=120000000",
    )
    parser.add_argument("--force", action="store_true", help="overwrite an existing file")
    return parser
