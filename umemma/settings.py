"""Typed sections of settings, and plug-ins that a setting chooses by name.

A plug-in - adapter, encoder, decoder, head - is a module in the folder of its kind, or, as `module:variant`, one of the
many variants that a module offers; the folder is listed, not imported.
"""

import ast
import inspect
import pkgutil
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)
from pydantic_core import PydanticCustomError

from umemma.errors import SettingError, unknown

PLUGINS = {
    "datasets": "sources/adapters",
    "decoders": "media/decoders",
    "encoders": "models/encoders",
    "heads": "models/heads",
}
Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
BaselineName = Literal["linear", "trees"]  # the arms that need no encoder
Count = Annotated[int, Field(gt=0)]
Settings = Mapping[str, Any]
Auto = Literal["auto"]
Result = TypeVar("Result")


def _number_or_auto(value: object, check: ValidatorFunctionWrapHandler) -> Any:
    """Raise one error, where pydantic would raise one for each of the two types."""
    try:
        return check(value)
    except ValidationError as error:
        whole = "whole " if any(detail["type"].startswith("int") for detail in error.errors()) else ""
        raise PydanticCustomError(
            "number_or_auto", f"Input should be auto, or a {whole}number greater than 0"
        ) from error


OR_NULL = BeforeValidator(lambda value: {} if value is None else value)
"""Of a mapping whose keys are the user's: `-S 'compute.slurm={nodes: 2}'` replaces null, but adds no key to a mapping."""
PositiveOrAuto = Annotated[Positive | Auto, WrapValidator(_number_or_auto)]
CountOrAuto = Annotated[Count | Auto, WrapValidator(_number_or_auto)]


class Section(BaseModel):
    """A part of the parameters: nothing unknown, nothing converted silently, nothing changed later."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


SectionType = TypeVar("SectionType", bound=Section)


def section(kind: type[SectionType], **values: object) -> SectionType:
    """Return a section with these values. Raises SettingError, naming key and value, for an invalid one."""
    try:
        return kind(**values)
    except ValidationError as error:
        invalid = (f"{'.'.join(map(str, e['loc']))} is {e['input']!r}: {e['msg']}" for e in error.errors())
        raise SettingError("; ".join(invalid)) from error


def call(builder: Callable[..., Result], settings: Settings, where: str, *args: object) -> Result:
    """Call `builder(*args, **settings)`; a setting it does not take is an error that lists the accepted ones.

    `name` in the settings chose the builder; only the part after a colon is passed on, as `variant`.
    """
    taken = {p.name: p for p in inspect.signature(builder).parameters.values() if p.kind is p.KEYWORD_ONLY}
    keywords = {key: value for key, value in settings.items() if key != "name"}
    name, _, variant = str(settings.get("name", "")).partition(":")
    if ("variant" in taken) != bool(variant):
        raise SettingError(f"{where}.name: {_about_variant(name, 'variant' in taken)}")
    choices = taken.keys() - {"variant"}
    for key, value in keywords.items():
        if key not in choices:
            raise SettingError(unknown(where, "setting", key, choices))
        if isinstance(taken[key].default, int | float) and not isinstance(value, int | float):
            raise SettingError(f"{where}.{key} must be a number, not {value!r}")
    try:
        return builder(*args, **keywords | ({"variant": variant} if variant else {}))
    except (ValueError, TypeError, IndexError) as error:
        raise SettingError(f"{where}: {error}") from error


def plugins(folder: str) -> list[str]:
    """Return the names that a folder of plug-ins offers: `plugins("encoders")`."""
    return [module.name for module in pkgutil.iter_modules([str(Path(__file__).parent / PLUGINS[folder])])]


def module_name(name: str) -> str:
    """Return the plug-in that a name chooses: `torchvision` for `torchvision:resnet18`, `lenet` for `lenet`."""
    return name.partition(":")[0]


def plugin_trouble(key: str, folder: str, value: object) -> str | None:
    """Return what is wrong with a plug-in's name (unknown, or a variant missing or not supported), or None."""
    module, _, variant = str(value).partition(":")
    if module not in plugins(folder):
        return unknown(key, folder[:-1], value, _choices(folder))
    if _takes_variant(folder, module) != bool(variant) or (":" in str(value) and not variant):
        return f"{key}: {_about_variant(module, _takes_variant(folder, module))}"
    return None


def _choices(folder: str) -> list[str]:
    return [f"{name}:VARIANT" if _takes_variant(folder, name) else name for name in plugins(folder)]


def _about_variant(name: str, takes_variant: bool) -> str:
    return (
        f"{name!r} needs a variant after a colon, as in '{name}:VARIANT'"
        if takes_variant
        else f"{name!r} has no variants, so no colon follows"
    )


@cache
def _takes_variant(folder: str, module: str) -> bool:
    """Read this from the source: importing a plug-in would import the library behind it."""
    source = (Path(__file__).parent / PLUGINS[folder] / f"{module}.py").read_text("utf-8")
    return any(
        argument.arg == "variant"
        for node in ast.parse(source).body
        if isinstance(node, ast.FunctionDef) and node.name == "build"
        for argument in node.args.kwonlyargs
    )
