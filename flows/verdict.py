"""Whether a model may become champion, and why: for the terminal, and for its page in MLflow's registry."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from flows.results import Row, table
from umemma.parameters import Parameters

if TYPE_CHECKING:
    from umemma.evaluation.comparison import Model
    from umemma.evaluation.promotion import Compared

_MOST_CHARS = 3_000  # of the table: MLflow's database takes a text of 5,000


@dataclass(frozen=True)
class Verdict:
    """What a model was judged to be against `champion`, a version's number, empty if there was none.

    `troubles` are reasons to refuse it, and `remedies` settings that would accept it.
    """

    champion: str
    margin: float
    compared: Sequence["Compared"] = ()
    troubles: Sequence[str] = ()
    remedies: Sequence[str] = field(default=(), repr=False)

    def refused(self, why: str) -> "Verdict":
        """Return the verdict with a further reason to refuse."""
        return replace(self, troubles=[*self.troubles, why])

    def lines(self) -> list[str]:
        """Return every comparison as a sentence."""
        from umemma.evaluation.promotion import sentence

        return [sentence(one, self.margin) for one in self.compared]

    def summary(self, accept: str) -> str:
        """Return the verdict in a line."""
        if self.troubles:
            more = f" (and {len(self.troubles) - 1} more)" if len(self.troubles) > 1 else ""
            return f"{f'accepted, as {accept}; against it' if accept else 'refused'}: {self.troubles[0]}{more}"
        if not self.champion:
            return "the first, so there was nothing to compare it with"
        unclear = sum(one.verdict == "unclear" for one in self.compared)
        shown = f"not worse than version {self.champion} in {len(self.compared) - unclear} of {len(self.compared)} comparisons"
        return shown + (f"; too few test samples to tell in {unclear}" if unclear else "")

    def refusal(self, name: str, command: str) -> str:
        """Return why a model stays what it is, and what would promote it; `command` promotes with a reason."""
        champion = f", and version {self.champion} the champion" if self.champion else ""
        settings = f"{', or '.join(self.remedies)}, in conf/config.yaml, then `make params`; or "
        settings = settings if self.remedies else ""
        return "\n".join(
            [
                f"{name} stays the challenger{champion}:",
                *(f"  {trouble}" for trouble in self.troubles),
                f"what would promote it: {settings}`{command}`, which is written down",
            ]
        )

    def markdown(self, accept: str) -> str:
        """Return the verdict and the table of all comparisons; a list of versions shows how it begins."""
        summary = self.summary(accept)
        head = f"{summary[0].upper()}{summary[1:]}."
        if not self.compared:
            return head
        worst_first = sorted(self.compared, key=lambda one: one.verdict == "not worse")
        rows = [_cells(one, self.champion) for one in worst_first]
        while len(shown := table(rows)) > _MOST_CHARS:
            rows.pop()
        more = len(self.compared) - len(rows)
        note = (
            f"{f'And {more:,} more comparisons. ' if more else ''}Not worse: the whole 95 % interval of the difference, in points, "
            f"lies above -{100 * self.margin:.3g}. p, one-sided, after Holm: of one as low if this model were as good."
        )
        return f"{head}\n\n```\n{shown}\n```\n\n{note}"


def judged(challenger: Path, rival: "Model | str | None", champion: str, settings: Parameters) -> Verdict:
    """Judge predictions on file against those of the champion; `rival` may say why there are none to compare with."""
    from umemma.evaluation import comparison
    from umemma.evaluation.promotion import acceptable, compare, sentence, too_low

    policy = settings.promotion
    ours = comparison.read(challenger, "challenger")[0]
    troubles = too_low(ours, policy)
    remedies = ["another promotion.lowest"] if troubles else []
    compared: list[Compared] = []
    if isinstance(rival, str):
        troubles.append(rival)
    elif rival is not None:
        compared = compare(
            ours,
            rival,
            policy,
            replicates=settings.evaluate.bootstrap_replicates,
            significance=settings.evaluate.significance,
            seed=settings.seed,
        )
        bad = [
            one
            for one in compared
            if one.verdict == "worse" or (one.verdict == "unclear" and policy.unclear == "refuse")
        ]
        troubles += [sentence(one, policy.margin) for one in bad]
        remedies += _remedies(bad, acceptable(bad), policy.margin)
    return Verdict(champion, policy.margin, compared, troubles, remedies)


def _remedies(bad: Sequence["Compared"], margin: float | None, present: float) -> list[str]:
    if not bad:
        return []
    patterns = list(dict.fromkeys(one.pattern for one in bad))
    found = [] if margin is None else [f"promotion.margin: {margin:.3f} (now {present:g})"]
    if all(one.verdict == "unclear" for one in bad):
        found.append("promotion.unclear: accept")
    return [*found, f"promotion.patterns without {', '.join(patterns)}"]


def _cells(one: "Compared", champion: str) -> Row:
    from umemma.evaluation.promotion import shown

    value, low, high = (
        "" if one.difference[end] is None else f"{100 * (one.difference[end] or 0.0):+.1f}"
        for end in ("value", "low", "high")
    )
    return {
        "present": one.pattern,
        "score": one.score,
        "this": shown(one.challenger),
        f"version {champion}": shown(one.champion),
        "difference": value,
        "95 %": f"{low} to {high}" if low else "",
        "p": "" if one.p is None else f"{one.p:.1g}",
        "n": f"{one.num_samples:,}",
        "verdict": one.verdict,
    }
