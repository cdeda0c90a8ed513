"""Which patterns are shown: all of a few, and of many those that a reader asks for."""

from umemma.reporting.results import Accounting

ALL_OF = 15  # patterns, as four modalities have
NUM_WORST = 5


def shown_patterns(accounting: Accounting) -> list[str]:
    """Return the patterns in their order: all, or everything, each modality missing, each alone, and the worst."""
    names = list(accounting.metrics)
    if len(names) <= ALL_OF:
        return names
    key, num = accounting.score, len(accounting.modalities)
    size = {name: name.count("+") + 1 for name in names}
    asked = {name for name in names if size[name] in (num, num - 1, 1)}
    rest = [name for name in names if name not in asked]
    worst = sorted(rest, key=lambda name: getattr(accounting.metrics[name], key).value or 0.0)[:NUM_WORST]
    return [name for name in names if name in asked or name in worst]
