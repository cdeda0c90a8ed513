"""Which files of the project a file imports, as the stage `code` reads it from the source."""

from pathlib import Path

from stages import code

ROOT = Path(__file__).parent.parent


def imported_modules(path: Path) -> frozenset[str]:
    """Return the dotted names that a file imports anywhere, `from a import b` as both `a` and `a.b`."""
    return code.imported(path)


def own_files(path: Path) -> set[Path]:
    """Return the project's files that a file imports directly, without the packages on the way."""
    files = set()
    for name in imported_modules(path):
        for candidate in (ROOT / f"{name.replace('.', '/')}.py", ROOT / name.replace(".", "/") / "__init__.py"):
            if candidate.is_file():
                files.add(candidate)
    return files
