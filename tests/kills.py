"""kill -9 at random moments, then the same command: `python -m tests.kills --kills 50 -- make run DATASET=digits`.

A clone of this checkout's last commit runs the command undisturbed, others are killed again and again: one process of
those that are alive, each kind as likely as another, or all at once. After each kill nothing may be left of it, and the
same command goes on; in the end it is let through, and all that DVC has made must be the same, byte for byte.
`--fresh` clones anew for each kill.

A line of JSON for each kill goes to --log, and a summary to the terminal. The exit code is 1 if anything was left, failed or
differed. On `digits` the undisturbed run takes two CPU minutes, and a kill some 20 s.
"""

import argparse
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
import yaml

ROOT = Path(__file__).resolve().parents[1]
MARK = "UMEMMA_KILLS"  # in the environment of all that a command starts, however it is detached
ALL = "all"
SERVER = "stages._fork_server"
SHARE_OF_ALL = 0.15  # of the kills
SECONDS_TO_END = 15.0  # for what is left of a killed command
SECONDS_TO_COMPLETE = 3600.0


@dataclass(frozen=True)
class Kill:
    """One kill: of what, when, and what followed.

    `lost_s` is how long the stage had been running that was ended with it; `ended_s` how long the rest took to end, None
    where the command went on to its end without the victim, with `went_on` its exit code. `left` are processes.
    """

    victim: str
    at_s: float
    lost_s: float
    ended_s: float | None
    went_on: int | None
    left: tuple[str, ...]


class Command:
    """A command under way, with all that it has started."""

    def __init__(self, words: Sequence[str], project: Path) -> None:
        self._mark = uuid4().hex
        self.log = project.with_name(f"{project.name}.log")
        with self.log.open("w") as log:
            self._top = subprocess.Popen(
                words, cwd=project, env=_environment(self._mark), stdout=log, stderr=subprocess.STDOUT
            )
        self._start = time.monotonic()

    def processes(self) -> list[psutil.Process]:
        """Return those that are alive."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get(MARK) == self._mark and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def kill(self, draw: random.Random, within: float) -> Kill | None:
        """Kill at a random moment, and wait for the end of the rest; None if the command was faster."""
        with suppress(subprocess.TimeoutExpired):
            self._top.wait(draw.uniform(0, within))
            return None
        alive = {process: kind(process) for process in self.processes()}
        victim = ALL if draw.random() < SHARE_OF_ALL else draw.choice(sorted(set(alive.values())))
        at, stages = time.monotonic(), [process for process, name in alive.items() if name.startswith("stage")]
        lost = max((time.time() - process.create_time() for process in stages), default=0.0)
        for process in [process for process, name in alive.items() if victim in (name, ALL)]:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        ended, went_on = None, None
        try:
            self._top.wait(SECONDS_TO_END)
            psutil.wait_procs(self.processes(), timeout=SECONDS_TO_END)
            ended = time.monotonic() - at
        except subprocess.TimeoutExpired:
            went_on = self._top.wait(SECONDS_TO_COMPLETE)
        left = [(process, kind(process)) for process in self.processes()]
        for process, _ in left:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        return Kill(
            victim,
            round(at - self._start, 2),
            round(lost if went_on is None else 0.0, 1),
            None if ended is None else round(ended, 2),
            went_on,
            tuple(name for _, name in left),
        )

    def complete(self) -> int:
        """Wait for the end; return the exit code."""
        return self._top.wait(SECONDS_TO_COMPLETE)


def kind(process: psutil.Process) -> str:
    """Return what a process is, as a person would call it."""
    try:
        words, variables = process.cmdline(), process.environ()
    except psutil.Error:
        return "gone"
    text = " ".join(words)
    if SERVER in words:
        return f"stage {process.name()}" if SERVER in _command_of(process.parent()) else "server of copies"
    if "forkserver" in text or "resource_tracker" in text:
        return "worker of a stage"
    if "-m stages." in text:
        name = text.partition("-m stages.")[2].split()[0]
        is_worker = variables.get("DVC_STAGE") and process.ppid() and "-m stages." in _command_of(process.parent())
        return "worker of a stage" if is_worker else f"stage {variables.get('DVC_STAGE') or name}"
    for sign, name in (("parent_death_guard.py", words[4:5]), ("-m", words[2:3])):
        if sign in text and name:
            return str(name[0])
    if "step.py" in text:
        return f"stage {variables.get('DVC_STAGE', '')}"
    return Path(words[0]).name if words else "gone"


def _command_of(process: psutil.Process | None) -> str:
    with suppress(psutil.Error):
        return " ".join(process.cmdline()) if process else ""
    return ""


def made(project: Path) -> dict[str, str]:
    """Return what DVC records of all that it has made, and the digest of each file of it as it lies there."""
    lock = yaml.safe_load((project / "dvc.lock").read_text())["stages"]
    recorded = {f"{name} {out['path']}": out["md5"] for name, stage in lock.items() for out in stage.get("outs", [])}
    paths = [project / out["path"] for stage in lock.values() for out in stage.get("outs", [])]
    files = [
        file for path in paths for file in ([path] if path.is_file() else sorted(path.rglob("*"))) if file.is_file()
    ]
    digests = {file.relative_to(project).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
    return recorded | digests


def differing(expected: dict[str, str], found: dict[str, str]) -> list[str]:
    """Return the names of what was `made` that is only in one of two, or not the same."""
    return sorted(name for name in {*expected, *found} if expected.get(name) != found.get(name))


def cloned(place: Path, source: Path = ROOT) -> Path:
    """Clone a checkout's last commit; the environment is linked."""
    subprocess.run(["git", "clone", "-q", "--no-hardlinks", source, place], check=True)
    for name in (".venv", ".tools"):
        (place / name).symlink_to(ROOT / name)
    synced = (ROOT / ".venv/.synced").stat().st_mtime
    for name in ("requirements.txt", "pyproject.toml"):  # or make would install anew
        os.utime(place / name, (synced - 1, synced - 1))
    return place


def killed(words: Sequence[str], project: Path, draw: random.Random, within: float, most: int) -> Iterator[Kill]:
    """Kill the command, `most` times or until it is faster, then let it through. Raises if it then fails."""
    kill = None
    for _ in range(most):
        if (after := Command(words, project).kill(draw, within)) is None:
            break
        kill = after
        yield kill
    last = Command(words, project)
    if code := last.complete():
        raise RuntimeError(f"{' '.join(words)} ended with {code} after {kill}:\n{last.log.read_text()[-3000:]}")


def summary(kills: Sequence[Kill]) -> dict[str, Any]:
    """Return the figures of a log."""
    ends = sorted(kill.ended_s for kill in kills if kill.ended_s is not None)
    lost = [kill.lost_s for kill in kills]
    return {
        "kills": len(kills),
        "of": dict(Counter(kill.victim for kill in kills).most_common()),
        "left_something": sum(bool(kill.left) for kill in kills),
        "went_on_without": sum(kill.went_on is not None for kill in kills),
        "slowest_end_s": ends[-1] if ends else None,
        "lost_s": {"mean": round(sum(lost) / max(1, len(lost)), 1), "most": max(lost, default=0.0)},
    }


def _environment(mark: str) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("DVC_", "PREFECT_", "MLFLOW_"))}
    path = os.pathsep.join([str(Path(sys.executable).parent), kept.get("PATH", os.defpath)])
    return {**kept, "PATH": path, "DO_NOT_TRACK": "true", "DVC_NO_ANALYTICS": "1", MARK: mark}


def main() -> None:
    """Run undisturbed, kill, compare, print the summary."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="+", metavar="COMMAND")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--within", type=float, default=20.0, help="seconds after the start; default: %(default)s")
    parser.add_argument("--fresh", action="store_true", help="a clone for each kill")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--log", type=Path, default=Path("kills.jsonl"))
    given = parser.parse_args()
    draw, kills, wrong = random.Random(given.seed), list[Kill](), list[str]()
    with tempfile.TemporaryDirectory() as folder, given.log.open("a") as log:
        undisturbed = cloned(Path(folder) / "undisturbed")
        start = time.monotonic()
        if Command(given.words, undisturbed).complete():
            sys.exit((undisturbed.with_name("undisturbed.log")).read_text()[-3000:])
        print(f"undisturbed: {time.monotonic() - start:.0f} s", flush=True)
        expected = made(undisturbed)
        while len(kills) < given.kills:
            project = cloned(Path(folder) / f"clone-{len(kills)}", undisturbed)  # whatever is committed here since
            for kill in killed(
                given.words, project, draw, given.within, 1 if given.fresh else given.kills - len(kills)
            ):
                kills.append(kill)
                print(json.dumps(asdict(kill)), file=log, flush=True)
            wrong += differing(expected, made(project))
            shutil.rmtree(project)
    print(json.dumps(summary(kills) | {"differ": wrong[:20]}, indent=2))
    sys.exit(bool(wrong or any(kill.left for kill in kills)))


if __name__ == "__main__":
    main()
