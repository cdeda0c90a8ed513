"""Compares params.yaml with conf/: `dvc repro` reads only the former, so the user is told where they differ.

`python -m umemma.composition` lists the differences; `... write [OVERRIDE ...]` recomposes params.yaml, with overrides
in the form of `dvc exp run -S`.
"""

import argparse
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from configparser import ConfigParser
from configparser import Error as ConfigParserError
from contextlib import contextmanager
from functools import partial, wraps
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from umemma import parameters, resolvers
from umemma.errors import ParameterError, SettingError, run, unknown
from umemma.files import written_whole
from umemma.limits import Limits
from umemma.models.settings import tower_inputs
from umemma.parameters import FILE
from umemma.settings import SectionType, section
from umemma.validation.settings import Validation

CONF, DVC_CONFIG = Path("conf"), Path(".dvc/config")  # relative to the current folder
REFUSED_KEY = re.compile(  # as Hydra and OmegaConf say it
    r"Could not override '([^']+)'|Could not delete from config. '([^']+)' does not|Key '([^']+)' is not in struct"
)


def register(conf: Path) -> None:
    """Register the resolvers that the files of `conf` may use in `${...}`.

    `${checked:VALUE}` is VALUE; it is registered only where compositions are checked, so that nothing else can compose
    conf/. `${encoder:NAME}` is the encoder in conf/encoder/NAME.yaml, taken as a whole; one written out in `-S` would be
    merged into the existing encoder. `${current:NAME}` is the data set in the present params.yaml, else NAME:
    `-S fuse.lr=0.1` must change one number, not the data.
    """
    from omegaconf import DictConfig, ListConfig, OmegaConf

    def inputs(*, _root_: Any) -> DictConfig:  # DVC's `OmegaConf.resolve` rejects a plain dict or list
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
    """Make every composition of `conf` in this process (by DVC) raise an error if the parameters are invalid.

    Wraps the one method through which Hydra composes, because an override can replace anything in conf/: a resolver in
    a value (with `-S format=1`) as well as a Hydra callback.
    """
    from hydra._internal.hydra import Hydra

    register(conf)
    plain = Hydra.compose_config
    if hasattr(plain, "__wrapped__"):
        return

    @wraps(plain)
    def compose_config(*arguments: Any, **named: Any) -> Any:
        resolvers.forget_foreign()
        with _in_a_sentence(conf):
            config = plain(*arguments, **named)
        _checked(config)
        return config

    Hydra.compose_config = compose_config  # type: ignore[method-assign]


@contextmanager
def _in_a_sentence(conf: Path) -> Iterator[None]:
    """Raise ParameterError, with what there is, for what Hydra does not find, and for a file below conf/ that is no YAML."""
    from hydra.errors import HydraException
    from yaml import YAMLError as ReadByHydra

    try:
        yield
    except HydraException as error:
        if found := unknown_key(error, _content(conf.parent / FILE)):
            raise ParameterError(f"{FILE}{found[1]}") from None
        if match := re.search(r"Could not find 'dataset/([^']+)'", str(error)):
            raise ParameterError(unknown(f"{conf}/dataset", "data set", match[1], _datasets(conf))) from None
        raise
    except ReadByHydra as error:
        text = " ".join(str(error).split())
        twice = "; what stands under a key that is given twice goes into one" if "duplicate key" in text else ""
        raise ParameterError(f"{conf}: {text}{twice}") from None


def unknown_key(error: BaseException, content: Any) -> tuple[str, str] | None:
    """Return (key, sentence with the valid ones) if Hydra refused a key that parameters of this content do not have."""
    match = REFUSED_KEY.search(f"{error} {error.__cause__}")
    if match is None:
        return None
    key = next(filter(None, match.groups()))
    *parents, last = key.lstrip("+~").split(".")
    for depth, parent in enumerate(parents):
        if not isinstance(content, Mapping) or parent not in content:
            parents, last = parents[:depth], parent
            break
        content = content[parent]
    if not isinstance(content, Mapping) or last in content:
        return None
    return key, unknown("".join(f".{parent}" for parent in parents), "parameter", last, map(str, content))


def composed(conf: Path, overrides: Sequence[str]) -> dict[str, Any]:
    """Return what Hydra composes from `conf/config.yaml`. Raises ParameterError for an unknown override."""
    from hydra import compose, initialize_config_dir
    from hydra.errors import HydraException

    if not (conf / "config.yaml").is_file():
        raise ParameterError(f"{conf} holds no config.yaml: --conf names the folder that does")
    names = _datasets(conf)
    for override in overrides:
        key, _, name = override.partition("=")
        if key == "dataset" and name not in names:
            raise ParameterError(unknown(f"{conf}/dataset", "data set", name, names))
    register(conf)
    try:
        with _in_a_sentence(conf), initialize_config_dir(str(conf.resolve()), version_base=None):
            resolvers.forget_foreign()
            return _checked(compose("config", overrides=list(overrides)))
    except HydraException as error:
        raise ParameterError(f"{conf}/config.yaml: {error}") from error


def _datasets(conf: Path) -> list[str]:
    return [path.stem for path in (conf / "dataset").glob("*.yaml")]


def default_bounds(conf: Path) -> Validation:
    """Return the gate's bounds as `conf/config.yaml` has them, before a data set overrides any. Raises ParameterError."""
    return _defaults(conf, "validation", Validation)


def default_limits(conf: Path) -> Limits:
    """Return the limits of files as `conf/config.yaml` has them. Raises ParameterError."""
    return _defaults(conf, "limits", Limits)


def _defaults(conf: Path, name: str, kind: type[SectionType]) -> SectionType:
    file = conf / "config.yaml"
    try:
        return section(kind, **YAML(typ="safe").load(file.read_text("utf-8"))[name])
    except (OSError, ValueError, YAMLError, KeyError, TypeError, SettingError) as error:
        raise ParameterError(f"{file}: {name}: {' '.join(str(error).split())}") from error


def is_a_name(name: str) -> bool:
    """Whether `dataset=NAME` chooses a file of that name: Hydra reads 2021 and 1e5 as numbers, true and null as such."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        return isinstance(OverridesParser.create().parse_override(f"dataset={name}").value(), str)
    except HydraException:
        return False


def _checked(config: Any) -> dict[str, Any]:
    """Return the composition as plain values, without Hydra's section. Raises ParameterError if it is invalid."""
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    ours = OmegaConf.masked_copy(config, [key for key in config if key != "hydra"])
    try:
        content = OmegaConf.to_container(ours, resolve=True)
    except OmegaConfBaseException as error:
        raise _innermost(error) from None
    parameters.check(content, str(FILE))
    return content  # type: ignore[return-value]


def _content(path: Path) -> Any:
    """Return what a parameter file holds, None if it cannot be read: it is only asked for valid names."""
    try:
        return YAML(typ="safe").load(path.read_text("utf-8"))
    except (OSError, ValueError, YAMLError):
        return None


def _current_dataset(path: Path, default: str) -> str:
    """Return the name of the data set in params.yaml; print a note if it is not the default."""
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
    """Return the ParameterError that OmegaConf has wrapped, or else a new one with its message."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ParameterError):
        cause = cause.__cause__ or cause.__context__
    return cause or ParameterError(f"{FILE} cannot be composed: {' '.join(str(error).split())}")


def differences(current: object, expected: object, key: str = "") -> Iterator[tuple[str, object, object]]:
    """Yield (key, value in the first, value in the second) wherever two nested mappings differ; None if absent."""
    if isinstance(current, Mapping) and isinstance(expected, Mapping):
        for name in dict.fromkeys([*current, *expected]):
            yield from differences(current.get(name), expected.get(name), f"{key}.{name}" if key else str(name))
    elif current != expected:
        yield key, current, expected


def notice(path: Path = FILE, conf: Path = CONF) -> str:
    """Return a few lines on where params.yaml differs from what conf/ composes for its data set, or ''."""
    content = YAML(typ="safe").load(path.read_text("utf-8"))
    dataset = content["dataset"]["name"] if isinstance(content.get("dataset"), Mapping) else None
    changes = list(differences(content, composed(conf, [f"dataset={dataset}"] if dataset else [])))
    lines = [f"  {key} is {current}, conf/ says {expected}" for key, current, expected in changes[:10]]
    if len(changes) > 10:
        lines.append(f"  and {len(changes) - 10} more")
    if changes:
        lines.insert(0, f"note: {path} differs from conf/; `make params DATASET={dataset}` recomposes it:")
    if not _is_composed_by_dvc(conf.parent / ".dvc"):
        lines.append(f"note: {DVC_CONFIG} does not enable hydra, so `-S` checks nothing: `git checkout {DVC_CONFIG}`")
    return "\n".join(lines)


def _is_composed_by_dvc(folder: Path) -> bool:
    """Whether DVC's settings are unreadable here, or say that it composes params.yaml."""
    settings = ConfigParser(interpolation=None)
    try:
        read = settings.read([folder / "config", folder / "config.local"])
        return not read or settings.getboolean("hydra", "enabled", fallback=False)
    except (ConfigParserError, UnicodeDecodeError, ValueError):  # DVC itself says so
        return True


def write(path: Path, conf: Path, overrides: Sequence[str]) -> None:
    """Compose and check parameters, then write them byte for byte as `dvc exp run` would."""
    from omegaconf import OmegaConf

    text = OmegaConf.to_yaml(OmegaConf.create(composed(conf, overrides)))
    with written_whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def main() -> None:
    """Check params.yaml, or write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("action", nargs="?", choices=["check", "write"], default="check")
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("--conf", type=Path, default=CONF, help="the folder that holds config.yaml; else ./conf")
    arguments = parser.parse_args()
    if arguments.action == "write":
        write(FILE, arguments.conf, arguments.overrides)
        return
    parameters.read()
    if text := notice(conf=arguments.conf):
        print(text)


if __name__ == "__main__":
    run(main)
