"""Stages that train: by this process alone, or by as many as `compute.devices` says, wherever `compute.launcher` does.

A rank runs the same script with the same parameters and finds its number in torchrun's variables. All of them compute the
same; the first prints and writes.
"""

import os
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stdout

import stages
from umemma import errors, parameters
from umemma.errors import UmemmaError
from umemma.models.ranks import is_rank
from umemma.parent_death import end_with_parent

_SECONDS = 3  # that a rank leaves the first one to say what is wrong, as it mostly is the same; then all are ended


def run(main: Callable[[], None]) -> None:
    """Call a training stage's `main` as `stages.run` does, in this process or in its ranks."""
    if is_rank():
        errors.run(lambda: _run_rank(main), stages.advised)
    else:
        stages.run(lambda: _launch(main))


def _launch(main: Callable[[], None]) -> None:
    settings = parameters.read()
    devices = settings.compute.num_devices
    if devices == 1 and settings.compute.launcher == "local":
        main()
        return
    specification = sys.modules["__main__"].__spec__
    assert specification is not None, "a stage is run as `python -m stages.NAME`"
    command = [sys.executable, "-m", specification.name, *sys.argv[1:]]
    if code := settings.launcher().train(command, devices):
        sys.exit(code)


def _run_rank(main: Callable[[], None]) -> None:
    from torch import distributed

    end_with_parent()  # which may be killed, as the tasks of a lost node are
    is_first = os.environ["RANK"] == "0"
    with open(os.devnull, "w") as nowhere, redirect_stdout(sys.stdout if is_first else nowhere):
        try:
            main()
        except UmemmaError:
            if not is_first:
                time.sleep(_SECONDS)
            raise
    if distributed.is_initialized():
        distributed.destroy_process_group()
