"""CPU seconds of the stages of experiments: the price of a training, on a machine that does other work, too.

Kept in `.dvc/tmp` by the digest of a stage's entry in dvc.lock, which names its code, data, parameters and results: a
stage that comes from DVC's cache cost what it took when it ran. The imports of a stage that a copy of the fork server runs
are not in it; those of others are, about 5 s where torch is used. Who has waited for a stage's process, DVC or that server,
then knows the time of that process and of all below it.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dvc.dvcfile import LOCK_FILE
from ruamel.yaml import YAML

from flows.processes import Children
from umemma.files import write_json

_STARTS = re.compile(r"Running stage '(.+)'")
_DIGITS = 2


class Meter:
    """Time of each stage of one `dvc repro`, from the lines that it prints; nothing where several DVC run at once."""

    def __init__(self, children: Children) -> None:
        self.seconds: dict[str, float] = {}
        self._children, self._stage, self._before = children, "", 0.0

    def line(self, text: str) -> None:
        """Take notice of a line."""
        if (total := self._children.cpu_seconds()) is None:
            self._stage = ""
        elif starts := _STARTS.match(text):
            self._stage, self._before = starts[1], total
        elif self._stage and total > self._before:
            self.seconds[self._stage] = round(total - self._before, _DIGITS)


class StageSeconds:
    """What stages took, of all experiments of a project."""

    def __init__(self, home: Path) -> None:
        self._file = home / ".dvc" / "tmp" / "stage_seconds.json"

    def keep(self, root: Path, meter: Meter) -> None:
        """Note what the stages took of which `root` has the entries in dvc.lock."""
        entries = dict(_entries((root / LOCK_FILE).read_text("utf-8")))
        fresh = {_digest(entries[name]): took for name, took in meter.seconds.items() if name in entries}
        if fresh:
            write_json(self._file, {**self._known(), **fresh})

    def took(self, lock: str, folders: tuple[str, ...] = ("",)) -> dict[str, float | None]:
        """Return {digest: seconds} of the stages that write below these folders; None where it was not measured.

        `lock`: the text of an experiment's dvc.lock.
        """
        known = self._known()
        chosen = [_digest(entry) for _, entry in _entries(lock) if _writes(entry, folders)]
        return {digest: known.get(digest) for digest in chosen}

    def _known(self) -> dict[str, float]:
        try:
            content: dict[str, float] = json.loads(self._file.read_text("utf-8"))
        except FileNotFoundError:
            return {}
        return content


def num_bytes(lock: str, path: str) -> int:
    """Return the size of an output by the text of a dvc.lock; 0 if it has none."""
    outs = [out for _, entry in _entries(lock) for out in entry.get("outs", ())]
    return sum(int(out.get("size", 0)) for out in outs if out["path"] == path)


def _entries(lock: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield from YAML(typ="safe").load(lock).get("stages", {}).items()


def _writes(entry: Mapping[str, Any], folders: tuple[str, ...]) -> bool:
    return any(out["path"].startswith(folders) for out in entry.get("outs", ()))


def _digest(entry: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(entry, sort_keys=True, default=str).encode()).hexdigest()[:16]
