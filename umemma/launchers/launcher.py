"""What a launcher does, and the choice of one by name."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar, cast

from umemma.errors import SettingError, UmemmaError

LauncherName = Literal["local", "slurm", "ray"]
Job = TypeVar("Job")
Result = TypeVar("Result")


class Launcher(Protocol):
    """Runs parts of a stage somewhere."""

    def map(self, function: Callable[[Job], Result], jobs: Sequence[Job]) -> Iterator[Result]:
        """Yield `function` of each job, in their order; an error of one is raised here.

        A job may run twice, even at once, where a node was lost or seemed so: it must write the same bytes again.
        """
        ...

    def train(self, command: Sequence[str], devices: int) -> int:
        """Start `command` as `devices` ranks, with torchrun's variables; return the exit code of the first that failed."""
        ...


def chosen(name: LauncherName, *, workers: int | None, options: Mapping[str, Any], logs: Path) -> Launcher:
    """Return the launcher `name` with its `options`. What its package lacks is only found when it is used."""
    kind = import_module(f"umemma.launchers.{name}_launcher").Launcher
    given = {"local": (), "slurm": (options, logs), "ray": (options,)}[name]
    return cast(Launcher, kind(workers, *given))


@contextmanager
def extra(name: LauncherName) -> Iterator[None]:
    """Import optional packages in this context. Raises SettingError that says how to get them."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise SettingError(
            f"compute.launcher is {name}, which needs the package {error.name}: "
            f"`.tools/bin/uv pip install --python .venv/bin/python -e '.[{name}]'`, or set it to local"
        ) from error


def outcome(function: Callable[[Job], Result], job: Job) -> Result | UmemmaError:
    """Return the result, or the error that the user can fix: remote engines would bury it in a traceback of text."""
    try:
        return function(job)
    except UmemmaError as error:
        return error


def opened(result: Result | UmemmaError) -> Result:
    """Return a result, or raise the error that is in its place."""
    if isinstance(result, UmemmaError):
        raise result
    return result
