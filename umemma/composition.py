"""params.yaml against conf/: `dvc repro` reads only the first, so where they differ a person should be told.

`python -m umemma.composition` names the differences; `... write [OVERRIDE ...]` composes params.yaml anew, with
overrides in the form of `dvc exp run -S`.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import partial, wraps
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from umemma import parameters, resolvers
from umemma.errors import ParameterError, run, unknown
from umemma.models.settings import tower_inputs
from umemma.parameters import FILE

CONF = Path("conf")  # of the current folder, if nothing else is said


def register(conf: Path) -> None:
    """Make known what the files of `conf` may use in `${...}`.

    `${checked:VALUE}` is VALUE; only what checks its compositions knows it, so that nothing else composes conf/.
    `${encoder:NAME}` is the encoder of conf/encoder/NAME.yaml, in whose place one written out in `-S` would be merged
    into the one that is there. `${current:NAME}` is the data set of params.yaml as it stands, or NAME:
    `-S fuse.lr=0.1` is to change one number, not the data.
    """
    from omegaconf import DictConfig, ListConfig, OmegaConf

    def inputs(*, _root_: Any) -> DictConfig:  # no plain dict or list, which DVC's `OmegaConf.resolve` does not take
        modalities = _root_.dataset.modalities
        return OmegaConf.create(dict(tower_inputs({str(name): modalities[name].encoder for name in modalities})))

    def frozen(*, _root_: Any) -> ListConfig:
        return OmegaConf.create([name for name, kind in inputs(_root_=_root_).items() if kind == "features"])

    def encoder(name: str) -> object:
        folder = conf / "encoder"
        choices = [path.stem for path in sorted(folder.glob("*.yaml"))]
        if name not in choices:
            raise ParameterError(unknown(str(folder), "encoder", name, choices))
        return OmegaConf.load(folder / f"{name}.yaml")

    OmegaConf.register_new_resolver("current", partial(_current_dataset, conf.parent / FILE), replace=True)
    OmegaConf.register_new_resolver("checked", lambda value: value, replace=True)
    OmegaConf.register_new_resolver("tower_inputs", inputs, replace=True)
    OmegaConf.register_new_resolver("frozen_modalities", frozen, replace=True)
    OmegaConf.register_new_resolver("encoder", encoder, replace=True)


def check_every_composition(conf: Path) -> None:
    """Let whatever composes `conf` in this process (DVC) end in an error where the parameters are not valid.

    Wrapped around the one method through which Hydra composes, for nothing that stands in conf/ is out of reach of an
    override: neither a resolver in a value (`-S format=1` takes its place) nor a callback of Hydra's.
    """
    from hydra._internal.hydra import Hydra

    register(conf)
    plain = Hydra.compose_config
    if hasattr(plain, "__wrapped__"):
        return

    @wraps(plain)
    def compose_config(*arguments: Any, **named: Any) -> Any:
        resolvers.forget_foreign()
        config = plain(*arguments, **named)
        _checked(config)
        return config

    Hydra.compose_config = compose_config  # type: ignore[method-assign]


def composed(conf: Path, overrides: Sequence[str]) -> dict[str, Any]:
    """Return what Hydra composes from `conf/config.yaml`. Raises ParameterError for an override it does not know."""
    from hydra import compose, initialize_config_dir
    from hydra.errors import HydraException

    if not (conf / "config.yaml").is_file():
        raise ParameterError(f"{conf} holds no config.yaml: --conf names the folder that does")
    register(conf)
    try:
        with initialize_config_dir(str(conf.resolve()), version_base=None):
            resolvers.forget_foreign()
            return _checked(compose("config", overrides=list(overrides)))
    except HydraException as error:
        raise ParameterError(f"{conf}/config.yaml: {error}") from error


def _checked(config: Any) -> dict[str, Any]:
    """Return as plain values what was composed, less Hydra's own section. Raises ParameterError if it is not valid."""
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    ours = OmegaConf.masked_copy(config, [key for key in config if key != "hydra"])
    try:
        content = OmegaConf.to_container(ours, resolve=True)
    except OmegaConfBaseException as error:
        raise _innermost(error) from None
    parameters.check(content, str(FILE))
    return content  # type: ignore[return-value]


def _current_dataset(path: Path, default: str) -> str:
    """Return the name of the data set in params.yaml; say so where it is another than the default."""
    try:
        content = YAML(typ="safe").load(path.read_text("utf-8"))
        name = str(content["dataset"]["name"])
    except FileNotFoundError:
        return default
    except (OSError, ValueError, YAMLError, KeyError, TypeError):
        print(f"note: {path} names no data set, so it is {default}", file=sys.stderr)
        return default
    if name != default:
        print(f"note: the data set is {name}, as before; `dataset={default}` chooses another", file=sys.stderr)
    return name


def _innermost(error: BaseException) -> ParameterError:
    """Return our own error from within the one that OmegaConf has wrapped around it, or else one that tells of it."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ParameterError):
        cause = cause.__cause__ or cause.__context__
    return cause or ParameterError(f"{FILE} cannot be composed: {' '.join(str(error).split())}")


def differences(current: object, expected: object, key: str = "") -> Iterator[tuple[str, object, object]]:
    """Yield (key, value in the first, value in the second) wherever two nested mappings differ; None: not there."""
    if isinstance(current, Mapping) and isinstance(expected, Mapping):
        for name in dict.fromkeys([*current, *expected]):
            yield from differences(current.get(name), expected.get(name), f"{key}.{name}" if key else str(name))
    elif current != expected:
        yield key, current, expected


def notice(path: Path = FILE, conf: Path = CONF) -> str:
    """Return a few lines that name where params.yaml differs from what conf/ composes for its data set, or ''."""
    content = YAML(typ="safe").load(path.read_text("utf-8"))
    dataset = content["dataset"]["name"] if isinstance(content.get("dataset"), Mapping) else None
    changes = list(differences(content, composed(conf, [f"dataset={dataset}"] if dataset else [])))
    lines = [f"  {key} is {current}, conf/ says {expected}" for key, current, expected in changes[:10]]
    if len(changes) > 10:
        lines.append(f"  and {len(changes) - 10} more")
    return (
        "\n".join([f"note: {path} differs from conf/; `make params DATASET={dataset}` composes it anew:", *lines])
        if changes
        else ""
    )


def write(path: Path, conf: Path, overrides: Sequence[str]) -> None:
    """Compose and check parameters, then write them in the very bytes that `dvc exp run` would."""
    from omegaconf import OmegaConf

    path.write_text(OmegaConf.to_yaml(OmegaConf.create(composed(conf, overrides))), encoding="utf-8")


def main() -> None:
    """Check, or write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="?", choices=["check", "write"], default="check")
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("--conf", type=Path, default=CONF, help="the folder that holds config.yaml; else ./conf")
    arguments = parser.parse_args()
    if arguments.what == "write":
        write(FILE, arguments.conf, arguments.overrides)
        return
    parameters.read()
    if text := notice(conf=arguments.conf):
        print(text)


if __name__ == "__main__":
    run(main)
