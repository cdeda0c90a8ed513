"""Reference that is made from the code while the site is built: a line `% generated: NAME` becomes Markdown.

- `parameters`: every key of params.yaml, walked from the typed sections of `umemma.parameters`.
- `decoders`, `encoders`, `heads`: settings from the signatures, read as syntax; nothing heavy is imported.
- `adapters`: likewise. `augmentations`: from the functions of `umemma/training/augmentations`.
- `stages`, `stage_parameters`: from dvc.yaml. `studies`: from conf/study/. `leaderboards`: from docs/leaderboards/.
  `targets`: from the Makefile. `limits`: options of `umemma serve`,
  `thresholds`: of `umemma monitor`.
"""

import ast
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
_MARK = re.compile(r"^% generated: (\w+)$", re.MULTILINE)
Rows = Sequence[Sequence[str]]


def setup(app: Any) -> dict[str, bool]:
    """Replace the marks of every page as it is read."""
    app.connect("source-read", _replace)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _replace(app: Any, page: str, source: list[str]) -> None:
    if _MARK.search(source[0]):
        app.env.note_reread()  # what it is made from is not among the site's own files
        source[0] = _MARK.sub(lambda found: GENERATORS[found[1]](), source[0])


def parameters() -> str:
    """Return a section for every part of params.yaml."""
    from umemma.parameters import Parameters

    defaults = YAML(typ="safe").load((ROOT / "conf/config.yaml").read_text("utf-8"))
    return "\n\n".join(_section(Parameters, "", defaults))


def fields(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo, type[BaseModel] | None]]:
    """Yield key, field and, where it is a section, its model: of this section and all below it."""
    for name, field in model.model_fields.items():
        key = f"{prefix}{name}"
        below, plural = _model_in(field.annotation)
        yield key, field, below
        if below:
            yield from fields(below, f"{key}.<modality>." if plural else f"{key}.")


def _section(model: type[BaseModel], prefix: str, defaults: Any) -> Iterator[str]:
    rows, below = [], []
    for name, field in model.model_fields.items():
        key = f"{prefix}{name}"
        inner, plural = _model_in(field.annotation)
        if inner:
            below.append((inner, f"{key}.<modality>." if plural else f"{key}.", _at(defaults, name)))
        else:
            rows.append(
                (
                    f"`{key}`",
                    _takes(field.annotation, field.metadata),
                    _default(field, defaults, name),
                    field.description or _COMMENTS.get(key, ""),
                )
            )
    heading = f"`{prefix.rstrip('.')}`" if prefix else "Top level"
    yield f"## {heading}\n\n{_first_paragraphs(model.__doc__)}\n\n" + _table(
        ("key", "takes", "default", "meaning"), rows
    )
    for inner, inner_prefix, inner_defaults in below:
        yield from _section(inner, inner_prefix, inner_defaults)


def _model_in(annotation: Any) -> tuple[type[BaseModel] | None, bool]:
    """Return the section that a field holds, and whether it holds one for each modality."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, False
    for part in get_args(annotation):
        if isinstance(part, type) and issubclass(part, BaseModel):
            return part, True
    return None, False


def _at(defaults: Any, name: str) -> Any:
    return defaults.get(name) if isinstance(defaults, Mapping) else None


def _default(field: FieldInfo, defaults: Any, name: str) -> str:
    if isinstance(defaults, Mapping) and name in defaults:
        value = defaults[name]
        if checked := re.fullmatch(r"\$\{checked:(.*)\}", str(value)):
            return f"`{checked[1]}`"
        return "follows from the encoders" if "${" in str(value) else f"`{_yaml(value)}`"
    if not field.is_required():
        return f"`{_yaml(field.get_default(call_default_factory=True))}`"
    return "the data set's"


def _yaml(value: Any) -> str:
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _takes(annotation: Any, metadata: Sequence[Any] = ()) -> str:  # noqa: PLR0911  one line for each kind of type
    """Say in words what a type accepts."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _takes(parts[0], parts[1:])
    if origin is Literal:
        return ", ".join(f"`{part}`" for part in parts)
    if origin in (Union, UnionType):
        return " or ".join("null" if part is NoneType else _takes(part, metadata) for part in parts)
    if annotation in (int, float):
        return ("whole number" if annotation is int else "number") + _bounds(metadata)
    if annotation is bool:
        return "true or false"
    if annotation is str:
        return "text"
    if annotation is Any:
        return "anything"
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return f"{{name: {_takes(parts[1])}}}" if parts[1] is not Any else "settings"
    if isinstance(origin, type) and issubclass(origin, Sequence):
        return f"list of {_takes(parts[0])}"
    return f"`{annotation}`"


def _bounds(metadata: Sequence[Any]) -> str:
    found: dict[str, Any] = {}
    for part in metadata:
        for one in (part, *getattr(part, "metadata", ())):
            for kind, name in (
                (annotated_types.Ge, "ge"),
                (annotated_types.Gt, "gt"),
                (annotated_types.Le, "le"),
                (annotated_types.Lt, "lt"),
            ):
                if isinstance(one, kind):
                    found[name] = getattr(one, name)
    if "ge" in found and "le" in found:
        return f" from {found['ge']} to {found['le']}"
    words = {"ge": "of at least", "gt": "above", "le": "of at most", "lt": "below"}
    return " and".join(f" {words[name]} {found[name]}" for name in words if name in found)


def decoders() -> str:
    """Return every decoder with its settings."""
    return _plug_ins(_folder("media/decoders"), "Decoder")


def encoders() -> str:
    """Return every encoder with its settings."""
    return _plug_ins(_folder("models/encoders"), "build")


def heads() -> str:
    """Return every fusion head; none has settings."""
    return _plug_ins(_folder("models/heads"), None)


def adapters() -> str:
    """Return every adapter of a published data set: what it reads, its decisions and its options."""
    return _plug_ins(_folder("sources/adapters"), "Adapter", without=("table",))


def augmentations() -> str:
    """Return the changes of a training batch, each with what it takes."""
    rows = []
    for path in sorted(_folder("training/augmentations").glob("*.py")):
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_") and _is_change(node):
                rows.append((f"`{node.name}`", _type(node.args.args[0].annotation), ast.get_docstring(node) or ""))
    return _table(("name", "value", "what it does"), rows)


def _is_change(node: ast.FunctionDef) -> bool:
    return node.returns is not None and ast.unparse(node.returns) == "Change" and len(node.args.args) == 2


def _folder(room: str) -> Path:
    """Return the folder of plug-ins."""
    return ROOT / "umemma" / room


def _plug_ins(folder: Path, builder: str | None, without: Sequence[str] = ()) -> str:
    parts = []
    for path in sorted(folder.glob("*.py")):
        if path.stem in ("__init__", *without):
            continue
        tree = ast.parse(path.read_text("utf-8"))
        text = [f"### `{path.stem}`", _plain(ast.get_docstring(tree))]
        if builder:
            text += _settings(tree, builder)
        parts.append("\n\n".join(filter(None, text)))
    return "\n\n".join(parts)


def _settings(tree: ast.Module, builder: str) -> list[str]:
    node = next(one for one in tree.body if getattr(one, "name", None) == builder)
    told = _plain(ast.get_docstring(node))
    node = _builder(tree, builder)
    if not isinstance(node, ast.FunctionDef) or not node.args.kwonlyargs:
        return [told, "No settings."]
    rows = [
        (f"`{own.arg}`", _type(own.annotation), "needed" if default is None else f"`{_value(default)}`")
        for own, default in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
        if own.arg != "variant"
    ]
    return [told, _table(("setting", "type", "default"), rows)]


def settings_of(adapter: str) -> list[str]:
    """Return the names of an adapter's options."""
    tree = ast.parse((_folder("sources/adapters") / f"{adapter}.py").read_text("utf-8"))
    node = _builder(tree, "Adapter")
    return [own.arg for own in node.args.kwonlyargs] if isinstance(node, ast.FunctionDef) else []


def _builder(tree: ast.Module, name: str) -> ast.stmt:
    """Return the function that takes the settings."""
    node = next(one for one in tree.body if getattr(one, "name", None) == name)
    if isinstance(node, ast.ClassDef):
        return next((one for one in node.body if getattr(one, "name", None) == "__init__"), node)
    return node


def _value(node: ast.expr) -> str:
    text = ast.unparse(node).strip("'").replace("_000", "000")
    return {"None": "null", "True": "true", "False": "false", "HUB": "hub"}.get(text, text)


def _type(node: ast.expr | None) -> str:
    words = {
        "int": "whole number",
        "float": "number",
        "str": "name",
        "bool": "true or false",
        "None": "null",
        "Sequence[int]": "list of whole numbers",
        "Mapping[str, Any]": "mapping",
    }
    parts = ast.unparse(node).split(" | ") if node else []
    return " or ".join(words.get(part, f"`{part}`") for part in parts)


def stages() -> str:
    """Return the stages of dvc.yaml in order: what each makes, reads of the data and writes."""
    rows = []
    for name, stage in _stages():
        read = [path for path in _paths(stage.get("deps")) if path.startswith("data/") and "/code" not in path]
        written = [path for kind in ("outs", "metrics", "plots") for path in _paths(stage.get(kind))]
        rows.append((name, stage["desc"], _listed(read), _listed(written)))
    return _table(("stage", "what it makes", "reads", "writes"), rows)


def stage_parameters() -> str:
    """Return the parameters that each stage of dvc.yaml depends on."""
    return _table(("stage", "parameters"), [(name, _listed(stage.get("params", ()))) for name, stage in _stages()])


def _stages() -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, stage in YAML(typ="safe").load((ROOT / "dvc.yaml").read_text("utf-8"))["stages"].items():
        yield f"`{name}@`" if "foreach" in stage else f"`{name}`", stage.get("do", stage)


def _paths(entries: Sequence[Any] | None) -> list[str]:
    names = [next(iter(entry)) if isinstance(entry, Mapping) else entry for entry in entries or ()]
    named = [re.sub(r"\$\{(?:item\.)?(?:\w+\.)*(\w+)\}", r"<\1>", name) for name in names]
    return list(dict.fromkeys(re.sub(r"(reports/(?:plots|curves)/).*", r"\1", name) for name in named))


def _listed(names: Sequence[str]) -> str:
    short = [re.sub(r"[$][{](key|item)[}]|<(key|item)>", "<modality>", name) for name in names]
    return ", ".join(f"`{name}`" for name in short)


def targets() -> str:
    """Return what `make help` lists."""
    found = re.findall(r"^([a-z-]+):.*?## (.+)$", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    return _table(("command", "what it does"), [(f"`make {name}`", text) for name, text in found])


def studies() -> str:
    """Return the studies: name, which is a link where there is a page, question and data sets; and their pages' toctree."""
    rows, pages = [], []
    for path in sorted((ROOT / "conf/study").glob("*.yaml")):
        study = YAML(typ="safe").load(path.read_text("utf-8"))
        title = f"`{path.stem}` (not run yet)"
        if (ROOT / f"docs/studies/{path.stem}.md").exists():
            pages.append(f"studies/{path.stem}")
            title = f"[{path.stem}]({pages[-1]}.md)"
        data = dict.fromkeys(f"`{case['dataset']}`" for case in study["cases"].values())
        rows.append((title, study["question"], ", ".join(data)))
    toctree = "\n".join(["", "", "```{toctree}", ":hidden:", "", *pages, "```"]) if pages else ""
    return _table(("study", "question", "data sets"), rows) + toctree


def leaderboards() -> str:
    """Return a section for every file of docs/leaderboards: what is measured, and our and published figures, the best first."""
    parts = []
    for path in sorted((ROOT / "docs/leaderboards").glob("*.yaml")):
        board = YAML(typ="safe").load(path.read_text("utf-8"))
        columns = list(dict.fromkeys(key for row in [*board["ours"], *board["published"]] for key in row["values"]))
        rows = [
            (
                row["model"],
                *_in(row, columns),
                f"ours, {row['commit']}, {row['date']}, seeds {row['seeds']}",
                "yes",
                "-",
            )
            for row in board["ours"]
        ] + [
            (
                row["model"],
                *_in(row, columns),
                _source(row["source"], row["where"]),
                {True: "yes", False: "**no**"}.get(row["same_split"], "unknown"),
                row["read_in"],
            )
            for row in board["published"]
        ]
        head = ("model", *columns, "source", "same split", "read in")
        about = f"Score: {board['score']}. Split: {board['split']}. Ours: `{board['command']}`."
        parts += [f"### `{path.stem}`", about, *([_table(head, rows)] if rows else []), board["remark"]]
    return "\n\n".join(parts)


def _source(source: str, where: str) -> str:
    """Return a link to the paper."""
    if source.startswith("arXiv "):
        return f"[{source}](https://arxiv.org/abs/{source.removeprefix('arXiv ')}), {where}"
    return f"[{where}]({source})"


def _in(row: Mapping[str, Any], columns: Sequence[str]) -> list[str]:
    return [str(row["values"].get(column, "")) for column in columns]


def limits() -> str:
    """Return a table of the server's limits."""
    from umemma.serving.http.limits import Limits, option

    rows = [
        (f"`{option(name)}`", f"{one.default:,}", f"at most so many {one.description}")
        for name, one in Limits.model_fields.items()
    ]
    return _table(("option", "default", "meaning"), rows)


def thresholds() -> str:
    """Return a table of the settings of `umemma monitor`."""
    from umemma.monitoring.settings import Settings

    rows = [
        (f"`--{name.replace('_', '-')}`", f"{one.default}", one.description)
        for name, one in Settings.model_fields.items()
    ]
    return _table(("option", "default", "meaning"), rows)


def _table(head: Sequence[str], rows: Rows) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in line) + " |" for line in lines
    )


def _first_paragraphs(docstring: str | None) -> str:
    return _plain(ast.get_docstring(ast.parse(f"'''{docstring or ''}'''")))


_LINKS = {  # what docstrings call by the name of a module is a section of the site
    r"`(?:umemma\.)?(?:\w+\.)*Tuning`": "[](encoders.md#pre-trained-encoders)",
    r"`umemma\.(?:\w+\.)*resizing`": "[](#sizes-of-images-and-frames)",
    r"`umemma\.(?:\w+\.)*(?:lengths|crop_or_pad)`": "[](#lengths-of-sound-and-series)",
}


def _plain(docstring: str | None) -> str:
    """Return a docstring as Markdown: what looks like HTML is none, a signature in words becomes code."""
    parts = re.split(r"(`[^`]*`)", docstring or "")
    text = "".join(
        part if number % 2 else part.replace("<", "\\<").replace("*", "\\*") for number, part in enumerate(parts)
    )
    for name, link in _LINKS.items():
        text = re.sub(name, link, text)
    return re.sub(r"^Return a module (\([^)]*\))([^;.]*?) -> (\([^)]*\))", r"Shape: `\1`\2 to `\3`", text, flags=re.M)


def _comments() -> dict[str, str]:
    """Return the comments of conf/config.yaml by key."""
    found, parents = {}, []
    for line in (ROOT / "conf/config.yaml").read_text("utf-8").splitlines():
        key = re.match(r"( *)(\w+):(?:[^#]*)(?:#\s*(.*))?$", line)
        if key:
            depth = len(key[1]) // 2
            parents = [*parents[:depth], key[2]]
            if key[3]:
                found[".".join(parents)] = key[3]
    return found


_COMMENTS = _comments()
GENERATORS: dict[str, Callable[[], str]] = {
    one.__name__: one
    for one in (
        parameters,
        decoders,
        encoders,
        heads,
        adapters,
        augmentations,
        stages,
        stage_parameters,
        studies,
        leaderboards,
        targets,
        limits,
        thresholds,
    )
}
