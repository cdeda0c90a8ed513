"""Run the pipeline's stages one after another in this process, for tests of what they compute, not of how they start.

A stage in a process of its own spends 2 to 6 s on imports, more than most of them on a small data set. The stages
and their order are read from dvc.yaml; DVC and Prefect themselves are tested in test_pipeline.py,
test_watch.py and test_flows_server.py.
"""

import os
import sys
import warnings
from importlib import import_module
from pathlib import Path

import pytest

from flows.graph import Graph, read_graph
from umemma import composition


def compose(folder: Path, *overrides: str) -> None:
    """Write params.yaml as `python -m umemma.composition write` does."""
    composition.write(folder / "params.yaml", folder / "conf", overrides)


def run_stage(folder: Path, name: str, *arguments: str) -> None:
    """Run one stage's `main`, `decode@image` for that modality; exceptions pass to the caller."""
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow's libraries warn of one another
        warnings.filterwarnings("error", module=r"(umemma|stages)\b")
        for variable in [key for key in os.environ if key.startswith(("DVC_", "MLFLOW_TRACKING", "UMEMMA_HOME"))]:
            patch.delenv(variable)
        patch.chdir(folder)
        patch.setenv("DVC_STAGE", name)
        patch.setattr(sys, "argv", [name, *arguments])
        import_module(f"stages.{name.partition('@')[0]}").main()


def run_stages(folder: Path, *targets: str) -> list[str]:
    """Run the stages that the targets need, by default all; return their names in the order in which they ran.

    `code` is skipped: only DVC uses its output, and it caches the sources it has read.
    """
    names = [stage.name for stage in graph(folder, *targets).stages if stage.name != "code"]
    for name in names:
        run_stage(folder, name)
    return names


def graph(folder: Path, *targets: str) -> Graph:
    """Return the graph of dvc.yaml with the parameters of the folder."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "_NoneStep.value", DeprecationWarning)  # of a library under DVC
        full_graph = read_graph(folder)
    return full_graph.upto(targets) if targets else full_graph
