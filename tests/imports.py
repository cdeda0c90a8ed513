"""Which files of the project a file imports, read from the source without running it."""

import ast
from pathlib import Path

ROOT = Path(__file__).parent.parent


def imported_modules(path: Path) -> set[str]:
    """Return the dotted names that a file imports anywhere, `from a import b` as both `a` and `a.b`."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def own_files(path: Path) -> set[Path]:
    """Return the project's files that a file imports directly."""
    found = set()
    for name in imported_modules(path):
        for candidate in (ROOT / f"{name.replace('.', '/')}.py", ROOT / name.replace(".", "/") / "__init__.py"):
            if candidate.is_file():
                found.add(candidate)
    return found


def closure(path: Path) -> set[Path]:
    """Return all of the project's files that a file imports, directly or through others, itself included."""
    found, pending = set(), [path]
    while pending:
        if (one := pending.pop()) not in found:
            found.add(one)
            pending += own_files(one)
    return found
