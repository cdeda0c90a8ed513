"""`umemma predict MODEL ROWS`: answer the rows of a table or folder with an exported model.

Every row gets an answer: from the modalities that it has, or, if that is none, from how often each class was in training.
With --output an interrupted command goes on where it stopped, and with --part several share the work.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from umemma.progress import shown
from umemma.serving import output
from umemma.serving.answer import Answer
from umemma.serving.model import COVERAGE, ROWS_AT_ONCE, Model, load
from umemma.visible import data_output


def main(arguments: Sequence[str]) -> None:
    """Read the arguments, answer, and say what was answered from what."""
    given = _arguments(arguments)
    model = load(given.model, device=given.device)
    summary = Summary()
    if given.output is None:
        answers = model.stream(given.rows, coverage=given.coverage, media=given.media, say=_say)
        output.print_csv(data_output(), summary.counted(answers))
    else:
        _write(model, given, summary)
    for sentence in summary.sentences():
        _say(sentence)


class Summary:
    """What was answered from what, and why not from more."""

    def __init__(self) -> None:
        self.used: Counter[str] = Counter()
        self.rejected: Counter[str] = Counter()
        self.example: dict[str, str] = {}

    def counted(self, parts: Iterator[list[Answer]]) -> Iterator[list[dict[str, Any]]]:
        """Yield the rows of a table for the answers, and count them."""
        for part in parts:
            for answer in part:
                self.used["+".join(answer.used)] += 1
                for name, why in answer.rejected.items():
                    self.rejected[name] += 1
                    self.example.setdefault(name, f"{answer.place}: {why}")
            yield [answer.cells() for answer in part]

    def sentences(self) -> list[str]:
        """Return the lines to show at the end."""
        total = sum(self.used.values())
        parts = [f"{count:,} from {name or 'nothing'}" for name, count in self.used.most_common()]
        lines = [f"{total:,} rows answered: {', '.join(parts)}"] if total else ["no rows were left to answer"]
        return lines + [
            f"{count:,} times {name} could not be used, as in {self.example[name]}"
            for name, count in self.rejected.most_common()
        ]


@dataclass
class Share:
    """Every `of`-th piece of a table, from the number `mine` on, counted from 1, as far as `parts` does not hold it.

    `count`: the pieces that were seen, of all shares; `at`: the number of the one that is being answered.
    """

    mine: int
    of: int
    parts: output.Parts
    count: int = 0
    at: int = -1
    _num_kept: int = 0

    def wants(self, number: int) -> bool:
        """Return whether a piece is to be answered here; they are asked for in order."""
        self.count = number + 1
        if number % self.of != self.mine - 1:
            return False
        if self.parts.holds(number):
            self._num_kept += 1
            return False
        if self._num_kept and self.at < 0:
            _say(f"going on after the {self._num_kept * ROWS_AT_ONCE:,} rows that were answered before")
        self.at = number
        return True


def _write(model: Model, given: argparse.Namespace, summary: Summary) -> None:
    record = {
        "model": model.digest,
        "rows": output.fingerprint(given.rows),
        "coverage": given.coverage,
        "media": str(given.media),
        "rows_at_once": ROWS_AT_ONCE,
    }
    mine, of = given.part
    share = Share(mine, of, output.Parts(given.output, record))
    answers = model.stream(given.rows, coverage=given.coverage, media=given.media, say=_say, wanted=share.wants)
    for part in shown(summary.counted(answers), f"answer, {ROWS_AT_ONCE} rows at a time", None):
        share.parts.write(share.at, part)
    if missing := share.parts.join(share.count):
        _say(
            f"part {share.mine} of {share.of} is through; {given.output} is written once the other parts' {missing:,} "
            "pieces are, too"
        )


def _arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("umemma predict", description=__doc__)
    parser.add_argument("model", type=Path, help="the folder of an exported model: data/export after a run")
    parser.add_argument(
        "rows", type=Path, help="a table (.csv, .tsv, .parquet, .jsonl) or a folder of files by modality"
    )
    parser.add_argument("--output", type=Path, help="a .csv, .tsv or .parquet file; without it, CSV is printed")
    parser.add_argument(
        "--coverage", type=float, default=COVERAGE, help="how often a prediction set holds the truth (%(default)s)"
    )
    parser.add_argument("--media", type=Path, help="the folder that paths in cells are relative to (the table's own)")
    parser.add_argument("--device", choices=("cpu", "cuda", "auto"), default="cpu")
    parser.add_argument(
        "--part",
        type=_part,
        default=(1, 1),
        metavar="K/N",
        help="answer the K-th of N shares; who is last of the N, on any machine, writes the output",
    )
    given = parser.parse_args(arguments)
    if given.part != (1, 1) and given.output is None:
        parser.error("--part shares one file among several: it needs --output")
    return given


def _part(text: str) -> tuple[int, int]:
    """Return (K, N) of K/N. Raises argparse.ArgumentTypeError, which argparse prints."""
    number, _, of = text.partition("/")
    if not (number.isdecimal() and of.isdecimal() and 1 <= int(number) <= int(of)):
        raise argparse.ArgumentTypeError(f"{text!r} is no share such as 2/8: the second of eight")
    return int(number), int(of)


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr)
