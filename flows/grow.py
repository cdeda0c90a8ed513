"""`python -m flows.grow MODEL`: params.yaml for a model that keeps what MODEL knows, as `make grow` does before its run.

The data set has modalities that MODEL lacks, which are added, or lacks some that MODEL has, which are retired. MODEL is
copied below data/base and given to DVC: `git add data/base/*.dvc dvc.lock params.yaml` keeps the run, `dvc push` the model.
"""

import argparse
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from flows.graph import project_root
from flows.processes import Children
from umemma.composition import CONF, composed, write
from umemma.errors import ParameterError, UmemmaError, run
from umemma.models import base_model
from umemma.parameters import BASE, FILE
from umemma.serving import folder as model_folder
from umemma.tracking import address


def grow(home: Path, model: str, overrides: Sequence[str], say: Callable[[str], None] = print) -> Path:
    """Keep the model below data/base, and compose params.yaml for arm `grown`; return the model's folder there.

    Raises ParameterError if there is nothing to add or to retire, or MODEL cannot be grown.
    """
    source = _found(model, home)
    digest = model_folder.verify(source)
    facts = model_folder.read(source / model_folder.FACTS, model_folder.Facts)
    inputs = model_folder.read(source / model_folder.INPUTS, model_folder.Inputs)
    base = home / BASE / digest[: base_model.DIGITS]
    chosen = [*overrides, "arm=grown", f"base={base.relative_to(home)}"]
    names = list(composed(home / CONF, chosen)["dataset"]["modalities"])
    added = [name for name in names if name not in facts.modalities]
    retired = [name for name in facts.modalities if name not in names]
    if not added and not retired:
        raise ParameterError(
            f"dataset.modalities are those of {model}, {', '.join(names)}: there is nothing to add or to retire. Put what "
            "is new behind them in conf/dataset/, or choose another data set: DATASET=name"
        )
    if not base.exists():
        decode = {name: one.decode for name, one in inputs.decoded.items()}
        base_model.write(base, source / model_folder.WEIGHTS, digest=digest, classes=facts.classes, decode=decode)
    arguments = ["--wait-for-lock", "add", "-q", str(base.relative_to(home))]
    if Children().dvc(arguments, cwd=home, environment=os.environ, on_line=say).returncode:
        raise UmemmaError(f"DVC does not take {base.relative_to(home)} into its cache")
    write(home / FILE, home / CONF, chosen)
    say(f"base: model {digest[:12]} of {model}: {', '.join(facts.modalities)}")
    for what, of_it in (("added", added), ("retired", retired)):
        if of_it:
            say(f"{what}: {', '.join(of_it)}")
    return base


def _found(model: str, home: Path) -> Path:
    if (home / model).is_dir() or not address.is_reference(model):
        return home / model
    from umemma.tracking import registry

    return registry.resolved(model, home)


def main() -> None:
    """Parse and prepare the run."""
    parser = argparse.ArgumentParser(prog="python -m flows.grow", description=__doc__)
    parser.add_argument("model", help="a model folder, or models:/NAME@ALIAS of MLflow's registry")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="as in dvc exp run -S, such as dataset=NAME")
    given = parser.parse_args()
    grow(project_root(Path.cwd()), given.model, given.overrides)


if __name__ == "__main__":
    run(main)
