"""What a launcher does."""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar

from umemma.errors import UmemmaError

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
