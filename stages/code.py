"""Source files -> digests of the code that each stage can run (data/code/<stage>.json), its one dependency on code.

DVC runs this stage when any source file changes and stops if the digests stay the same: an edited comment or docstring
reruns nothing else, a changed constant makes the stages that can run it stale. A plug-in chosen by a parameter has its
own file (data/code/<folder>/<plug-in>.json), so that the code of another decoder makes no arrays stale. Sources are
parsed, never run, so the standard library is enough.
"""

import ast
import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

PACKAGES = ("umemma", "stages")
CHOSEN = ("umemma/sources/adapters", "umemma/media/decoders")  # dvc.yaml names the plug-in that a parameter chooses
# Every stage checks all parameters with it; what a stage uses of them, it imports.
SCHEMA = Path("umemma/parameters.py")
OUT = Path("data/code")


def canonical(node: object) -> object:
    """Return a syntax tree as nested lists, without positions, docstrings, empty fields: equal in all Pythons."""
    if isinstance(node, ast.AST):
        fields = {
            name: canonical(value) for name, value in ast.iter_fields(node) if name not in ("kind", "type_comment")
        }
        return [type(node).__name__, {name: value for name, value in fields.items() if value not in (None, [])}]
    if isinstance(node, list):
        return [canonical(item) for item in node if not _is_docstring(item)]
    return node if isinstance(node, str | int | float | bool | None) else ["repr", repr(node)]


def _is_docstring(node: object) -> bool:
    """Return whether a statement is a lone string, like the docstring of a module, class, function or attribute."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


@cache
def tree(path: Path) -> ast.Module:
    """Return a file's syntax tree."""
    return ast.parse(path.read_text("utf-8"), str(path))


@cache
def digest(path: Path) -> str:
    """Return a file's sha256: of its canonical syntax tree, or of its bytes if it is not Python."""
    if path.suffix != ".py":
        return hashlib.sha256(path.read_bytes()).hexdigest()
    return hashlib.sha256(json.dumps(canonical(tree(path))).encode()).hexdigest()


def _is_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def _is_lazy(node: ast.AST) -> bool:
    """Return whether this is a package's `__getattr__` for lazy imports, which the project never uses."""
    return isinstance(node, ast.FunctionDef) and node.name == "__getattr__"


@cache
def running(path: Path) -> Sequence[ast.AST]:
    """Return the nodes of a file's syntax tree, without type-checking imports and lazy imports for others."""
    top = tree(path)
    nodes: list[ast.AST] = [top]
    for node in nodes:
        nodes += [
            child
            for child in ast.iter_child_nodes(node)
            if not _is_for_types(child) and not (node is top and path.stem == "__init__" and _is_lazy(child))
        ]
    return nodes


@cache
def _late(path: Path) -> frozenset[str]:
    """Return the names in a package's `__all__` that it imports lazily."""
    body = tree(path).body if path.is_file() else []
    offers = [node.value for node in body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"]
    return frozenset(ast.literal_eval(offers[0]) if offers and any(map(_is_lazy, body)) else ())


@cache
def imported(path: Path) -> frozenset[str]:
    """Return the dotted names that a file imports anywhere, `from a import b` as both `a` and `a.b`."""
    names: set[str] = set()
    for node in running(path):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            late = _late(Path(*node.module.split("."), "__init__.py"))
            for alias in node.names:
                assert alias.name not in late, (
                    f"{path}: import {alias.name} from its own module: {node.module} loads it late"
                )
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(names)


def _files_of(name: str) -> Iterator[Path]:
    """Yield the project's files that importing a dotted name runs: the module, and the packages it lies in."""
    parts = name.split(".")
    if parts[0] in PACKAGES:
        yield from (Path(*parts[:depth], "__init__.py") for depth in range(1, len(parts) + 1))
        yield Path(*parts).with_suffix(".py")


@cache
def loaded_folders(path: Path) -> frozenset[str]:
    """Return the folders of plug-ins that a file loads by name: `import_module(f"umemma.models.encoders.{name}")`."""
    folders = set()
    for node in running(path):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            start = node.args[0].values[0] if isinstance(node.args[0], ast.JoinedStr) else None
            assert isinstance(start, ast.Constant), f"{path}: import_module takes an f-string that begins with a folder"
            folders.add(str(start.value).rstrip(".").replace(".", "/"))
    return frozenset(folders)


@cache
def needed(path: Path) -> frozenset[Path]:
    """Return the direct dependencies of a file: modules, plug-ins loaded by name, and data files named in it."""
    if path.suffix != ".py" or path == SCHEMA:
        return frozenset()
    names = {*imported(path), ".".join(path.with_suffix("").parts)}  # importing it runs its parent packages, too
    modules = {file for name in names for file in _files_of(name)}
    plugins = {file for folder in loaded_folders(path) - set(CHOSEN) for file in Path(folder).glob("*.py")}
    texts = {node.value for node in running(path) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    beside = {file for file in path.parent.iterdir() if file.name in texts}
    return frozenset(file for file in modules | plugins | beside if file.is_file())


def closure(path: Path) -> set[Path]:
    """Return all files that running a file can run or read, itself included."""
    result: set[Path] = set()
    pending = [path]
    while pending:
        if (file := pending.pop()) not in result:
            result.add(file)
            pending += needed(file)
    return result


def write(path: Path, files: set[Path]) -> None:
    """Write {file: digest}, in order of names."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({str(file): digest(file) for file in sorted(files)}, indent=1) + "\n", "utf-8")


def main() -> None:
    """Write a file for every stage, and for every plug-in that a parameter chooses."""
    shutil.rmtree(OUT, ignore_errors=True)
    stages = [path for path in Path("stages").glob("*.py") if not path.stem.startswith("_")]
    for stage in stages:
        write(OUT / f"{stage.stem}.json", closure(stage))
    for folder in CHOSEN:
        for plugin in Path(folder).glob("*.py"):
            write(OUT / Path(folder).name / f"{plugin.stem}.json", closure(plugin))


if __name__ == "__main__":
    main()
