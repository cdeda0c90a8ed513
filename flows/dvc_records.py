"""DVC's two records that it writes in place, mended where a kill has cut one off: dvc.lock and `.dvc/tmp/rwlock`.

DVC empties dvc.lock, then writes it over some 100 ms, as often as stages run; the next `dvc` of any kind refuses a
file that ends in between ("unable to read: 'dvc.lock'"), and so it does the other one. What dvc.lock has lost, DVC finds
in its run-cache: nothing is run again.
"""

import json
import time
from collections.abc import Callable
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from umemma.files import written_whole

LOCK_FILE = "dvc.lock"
_LOOKS, _SECONDS = 5, 0.1  # another `dvc` may be writing just now


def mend(root: Path, tell: Callable[[str], None]) -> None:
    """Mend both; `tell` is told what was done. No `dvc` may run a stage here."""
    running, lock = root / ".dvc" / "tmp" / "rwlock", root / LOCK_FILE
    if _stays(lambda: _is_cut_json(running)):
        running.unlink()
        tell(f"{running.relative_to(root)} was cut off by a kill: removed")
    if _stays(lambda: _is_cut_yaml(lock)):
        whole = _whole_stages(lock.read_text("utf-8", errors="replace"))
        if whole:
            with written_whole(lock) as temporary:
                temporary.write_text(whole, "utf-8")
        else:
            lock.unlink()
        tell(f"{LOCK_FILE} was cut off by a kill: what is missing comes from DVC's cache")


def _stays(is_cut: Callable[[], bool]) -> bool:
    for _ in range(_LOOKS):
        if not is_cut():
            return False
        time.sleep(_SECONDS)
    return True


def _is_cut_json(path: Path) -> bool:
    try:
        json.loads(path.read_bytes())
    except FileNotFoundError:
        return False
    except ValueError:
        return True
    return False


def _is_cut_yaml(path: Path) -> bool:
    try:
        text = path.read_text("utf-8", errors="replace")
        stages = YAML(typ="safe").load(text)["stages"].values()
    except FileNotFoundError:
        return False
    except (YAMLError, TypeError, KeyError, AttributeError):
        return True
    return not text.endswith("\n") or any(not stage or None in stage.values() for stage in stages)


def _whole_stages(text: str) -> str:
    """Return a dvc.lock without its last stage, which is not whole; nothing where none is."""
    lines = text.splitlines(keepends=True)
    names = [number for number, line in enumerate(lines) if line.startswith("  ") and line[2:3] not in (" ", "-", "")]
    return "".join(lines[: names[-1]]) if len(names) > 1 else ""
