"""Running planned experiments one after another, or a few at a time, with a line for each; existing ones are skipped.

Each runs in its own worktree (flows/workspace.py), from the current commit. A failed one is recorded and the others go
on; only changed code stops all, since the rest would be made from other code.
"""

import re
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from contextvars import copy_context
from functools import partial
from pathlib import Path
from threading import Lock

from flows.comparison import PAGE, collect, compare
from flows.experiments import CodeChanged, Experiments, maker
from flows.git import git
from flows.plan import Planned
from flows.processes import Children
from flows.stage_seconds import Meter, StageSeconds
from flows.workspace import experiment
from umemma.errors import UmemmaError

Run = Callable[[str, Callable[[], Sequence[str]]], None]
METHOD = "arm=ume-mma"  # the comparison is based on an experiment with this override, if there is one
SHOWN_LINES = 10


class AblationFailed(UmemmaError):
    """Experiments are missing at the end; all others have been compared."""

    exit_code = 1


def run_here(_name: str, run: Callable[[], Sequence[str]]) -> None:
    """Run one experiment."""
    run()


class Sweep:
    """The experiments of one ablation or study: `run` those that are missing; `missing` is {name: reason}.

    `output`: what every experiment is run up to; `seconds`: what their stages took.
    """

    def __init__(
        self,
        home: Path,
        planned: Sequence[Planned],
        children: Children,
        *,
        output: Path = PAGE,
        force: bool,
        say: Callable[[str], None],
    ) -> None:
        self.planned, self.children, self.force, self.say = planned, children, force, say
        self.experiments = Experiments(home, git(home, "rev-parse", "HEAD"))
        self.experiments.refuse_changes(home)
        self.target = maker(home, output)
        self.seconds = StageSeconds(home)
        self.missing: dict[str, str] = {}
        self._left: list[Planned] = []
        self._turn = Lock()  # DVC and Hydra are not thread-safe
        self._noted: set[str] = set()

    def run(self, jobs: int, run_each: Run = run_here) -> None:
        """Run the experiments that do not exist yet, `jobs` at a time, each by `run_each`."""
        # All before anything runs: an override that is wrong is refused at once.
        composed = {planned: self.experiments.parameters(planned.overrides) for planned in self.planned}
        self._left = [
            planned
            for planned in self.planned
            if self.force or not self.experiments.holds(planned.name, composed[planned])
        ]
        num_kept = len(self.planned) - len(self._left)
        self.say(f"{len(self.planned)} experiments, {num_kept} of them there already")
        is_live = jobs == 1 and sys.stdout.isatty()
        with ThreadPoolExecutor(jobs) as pool:
            futures = [  # each in the context of the caller, which Prefect's tasks look for
                pool.submit(copy_context().run, run_each, planned.name, partial(self._run_one, planned, live=is_live))
                for planned in self._left
            ]
            try:
                for future in as_completed(futures):
                    future.result()
            except BaseException:  # a signal too
                self.children.end()
                for future in futures:
                    future.cancel()
                raise

    def compare(self, name: str) -> Path:
        """Compare existing experiments; return the report's folder. Raises if none exist or the comparison fails."""
        with tempfile.TemporaryDirectory() as folder:
            chosen = self.collect(Path(folder))
            basis = next((planned for planned in chosen if METHOD in planned.overrides), chosen[0])
            return compare(
                self.experiments, name, basis.overrides, Path(folder), target=self.target, children=self.children
            )

    def collect(self, folder: Path) -> list[Planned]:
        """Copy predictions to `folder/NAME.safetensors`; return the experiments that have them. Raises if none has."""
        present = [planned.name for planned in self.planned if planned.name not in self.missing]
        self.missing |= collect(self.experiments, present, folder)
        chosen = [planned for planned in self.planned if planned.name not in self.missing]
        if not chosen:
            raise AblationFailed(f"there is nothing to compare\n{self.report_missing()}")
        self.say(f"comparing {len(chosen)}")
        return chosen

    def report_missing(self) -> str:
        """Return a line for each experiment that is missing, with the reason."""
        return "\n".join(f"missing: {name}: {reason}" for name, reason in self.missing.items())

    def _run_one(self, planned: Planned, *, live: bool) -> Sequence[str]:
        start = time.monotonic()
        title = f"[{self.planned.index(planned) + 1}/{len(self.planned)}] {planned.name} ..."
        try:
            lines = self._in_worktree(planned, title if live else "")
        except CodeChanged:
            raise
        except UmemmaError as error:
            lines = [str(error)]
        with self._turn:
            self._left.remove(planned)
            how = "failed after " if lines else ""
            line = f"{title} {how}{time.monotonic() - start:.0f} s, {len(self._left)} left"
            self.say("\n    ".join([_over(line) if live else line, *lines[-SHOWN_LINES:]]))
            if lines:
                self.missing[planned.name] = next((line for line in lines if "ERROR" in line), lines[-1])
        return lines

    def _in_worktree(self, planned: Planned, title: str) -> Sequence[str]:
        """Run one experiment and save it; if it fails, return its last lines."""
        with ExitStack() as stack:
            with self._turn:
                if self.force:
                    self.experiments.remove(planned.name)
                home = self.experiments.home
                here = stack.enter_context(experiment(home, planned.overrides, planned.name, self._tell_once))
                self.experiments.refuse_changes(here.root)

            def on_line(line: str) -> None:
                meter.line(line)
                if title and (stage := re.match(r"Running stage '(.+)'", line)):
                    print(_over(f"{title} {stage[1]}"), end="", flush=True)

            meter = Meter(self.children)
            arguments = ["--wait-for-lock", "repro", *(["--force"] if self.force else []), self.target]
            done = self.children.dvc(arguments, cwd=here.root, environment=here.environment(), on_line=on_line)
            if done.returncode:
                return done.tail or ("DVC failed without output",)
            with self._turn:
                self.experiments.keep(here, planned.name)
                self.seconds.keep(here.root, meter)
            return ()

    def _tell_once(self, line: str) -> None:
        if line not in self._noted:
            self._noted.add(line)
            self.say(f"note: {line}")


def _over(line: str) -> str:
    """Return text that overwrites the current line of a terminal."""
    return f"\r\x1b[K{line}"
