"""What it would be worth to get a modality back, for the very rows that lack it.

The sum over patterns r without m of q(r) (A(r + m | R = r) - A(r | R = r)), with samples that hold r and m, answered with
and without m. Comparing the accuracy of rows that have m with that of rows that lack it would compare two populations.
It assumes that what is missing is as in those samples, given what is always seen: if a value decides that it is hidden,
nobody can know what it was worth.
"""

import numpy as np

from umemma.evaluation.two_samples import alike, odds
from umemma.monitoring.samples import Reference, Today
from umemma.monitoring.settings import Settings
from umemma.monitoring.transport import Estimate, Figure, Holders, carried_over


def gain(today: Today, reference: Reference, modality: int, settings: Settings) -> Estimate | None:
    """Return what today's accuracy would gain if no row lacked the modality (its number).

    None if that is not known for more than `Settings.unseen` of the rows; where less is unknown, no gain is counted.
    """
    figures, rest = [], [np.zeros(0, dtype=int)]
    num_unknown = 0
    for pattern, rows in today.patterns().items():
        larger = tuple(is_there or number == modality for number, is_there in enumerate(pattern))
        samples = np.flatnonzero(reference.holds(larger))
        if pattern == larger:
            rest.append(rows)
            continue
        if larger in reference.right and pattern in reference.right and len(samples):
            weight = odds(*alike(today.given[rows], reference.given[samples]))
            holders = Holders(rows, samples, weight)
            if holders.n_effective >= settings.least_reference:
                more = reference.right[larger][samples] - reference.right[pattern][samples]
                figures.append(Figure(holders, np.zeros(len(rows)), more))
                continue
        rest.append(rows)
        num_unknown += len(rows)
    if num_unknown > settings.unseen * len(today.present):
        return None
    return carried_over(figures, np.concatenate(rest), today.cluster, reference.cluster)
