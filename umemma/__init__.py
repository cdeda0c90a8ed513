"""Train and evaluate multi-modal models that keep working when a modality is missing (arXiv 2310.06383).

The names below are the public API. They are loaded on first access: `import umemma` alone loads neither torch nor any
other heavy library. Inside the project every module is imported by its own name.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from umemma.data.batch import Batch
    from umemma.errors import UmemmaError
    from umemma.evaluation.patterns import evaluate
    from umemma.models.late_fusion import LateFusion
    from umemma.models.unimodal import Encoder, Tower
    from umemma.serving.load import load
    from umemma.training.arms import ARMS
    from umemma.training.in_memory import train_fusion, train_tower

__all__ = [
    "ARMS",
    "Batch",
    "Encoder",
    "LateFusion",
    "Tower",
    "UmemmaError",
    "evaluate",
    "load",
    "train_fusion",
    "train_tower",
]


def __getattr__(name: str) -> Any:
    from importlib import import_module

    modules = {
        "ARMS": "training.arms",
        "Batch": "data.batch",
        "Encoder": "models.unimodal",
        "LateFusion": "models.late_fusion",
        "Tower": "models.unimodal",
        "UmemmaError": "errors",
        "evaluate": "evaluation.patterns",
        "load": "serving.load",
        "train_fusion": "training.in_memory",
        "train_tower": "training.in_memory",
    }
    if name == "__version__":
        from importlib.metadata import version

        return version("umemma")
    if name not in modules:
        raise AttributeError(f"module 'umemma' has no attribute {name!r}")
    return getattr(import_module(f"umemma.{modules[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
