"""Whether a model may become champion, and why: for the terminal, and for its page in MLflow's registry."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from umemma.parameters import Parameters

if TYPE_CHECKING:
    from umemma.evaluation.comparison import Model
    from umemma.evaluation.promotion import Compared


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
            return (
                f"accepted, as {accept}; against it: {self.troubles[0]}{more}"
                if accept
                else (f"refused: {self.troubles[0]}{more}")
            )
        if not self.champion:
            return "the first, so there was nothing to compare it with"
        unclear = sum(one.verdict == "unclear" for one in self.compared)
        shown = f"not worse than version {self.champion} in {len(self.compared) - unclear} of {len(self.compared)} comparisons"
        return shown + (f"; too few test samples to tell in {unclear}" if unclear else "")

    def refusal(self, name: str, command: str) -> str:
        """Return why a model stays what it is, and what would promote it; `command` promotes with a reason."""
        stays = (
            f"stays the challenger, and version {self.champion} the champion"
            if self.champion
            else "stays the challenger"
        )
        settings = (
            f"{', or '.join(self.remedies)}, in conf/config.yaml, then `make params`; or " if self.remedies else ""
        )
        return "\n".join(
            [
                f"{name} {stays}:",
                *(f"  {trouble}" for trouble in self.troubles),
                f"what would promote it: {settings}`{command}`, which is written down",
            ]
        )

    def markdown(self, accept: str) -> str:
        """Return the verdict and the table of all comparisons."""
        head = f"**{self.summary(accept).capitalize()}.**"
        if not self.compared:
            return head
        titles = [
            "present",
            "score",
            "this",
            f"version {self.champion}",
            "difference, points",
            "95 %",
            "p",
            "n",
            "verdict",
        ]
        rows = [_cells(one) for one in self.compared]
        lines = ["| " + " | ".join(cells) + " |" for cells in (titles, ["---"] * len(titles), *rows)]
        note = (
            f"Not worse: the whole interval lies above -{100 * self.margin:.3g} points. p, one-sided, after Holm: of a "
            "difference as low if this were as good."
        )
        return "\n".join([head, "", *lines, "", note])


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


def _cells(one: "Compared") -> list[str]:
    from umemma.evaluation.promotion import shown

    value, low, high = (one.difference[name] for name in ("value", "low", "high"))
    points = ["" if end is None else f"{100 * end:+.1f}" for end in (value, low, high)]
    return [
        one.pattern,
        one.score,
        shown(one.challenger),
        shown(one.champion),
        points[0],
        f"{points[1]} to {points[2]}" if points[1] else "",
        "" if one.p is None else f"{one.p:.1g}",
        f"{one.num_samples:,}",
        f"**{one.verdict}**" if one.verdict != "not worse" else one.verdict,
    ]
