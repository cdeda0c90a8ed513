"""Checks whatever DVC composes from conf/, so that an invalid `-S` fails before anything is written or run.

Hydra imports every module of a folder with this name; `hydra.plugins_path` points DVC to it.
"""

import sys
from pathlib import Path

_CONF = Path(__file__).parents[1]
_ROOT = str(_CONF.parent)  # DVC's own process does not have the project on its path, or has another checkout's

sys.path.insert(0, _ROOT)
try:
    from umemma import composition
finally:
    sys.path.remove(_ROOT)

composition.check_every_composition(_CONF)
