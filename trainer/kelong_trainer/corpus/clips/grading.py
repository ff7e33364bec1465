"""What a clip's measures say of it: a grade, or why it is not trained on, and how far its label can be trusted.

Called by the judge stage, and wherever clips are put in order for a person to look at; pure. A threshold of the order
rejects; between it and what is good lie grades B and C. What nothing measured counts neither for a clip nor against it.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from kelong_contract import corpora, orders

VERSION = 5  # raise when the same measures would be graded otherwise than before
GRADES: Final[tuple[corpora.Grade, ...]] = ("A", "B", "C")
# From this many findings on a clip is C whatever they are.
MANY_FINDINGS = 3
# The part of a label in another script from which on it is told, and not trained on.
FOREIGN_SHARE, MOST_FOREIGN_SHARE = 0.3, 0.7
# From this part of the noise on it is the hum that is to be heard.
HUM_SHARE = 0.5
# What a rate that nobody speaks at takes from the trust in a label.
RATE_DOUBT = 0.2


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A grade, or None with the `reason` for rejection; what is not perfect, the worst first."""

    grade: corpora.Grade | None
    findings: tuple[corpora.Finding, ...]
    reason: corpora.Reason | None = None


@dataclass(frozen=True, kw_only=True)
class _Rule:
    """What a measure must be. `good` is what grade A needs; the order's field `limit` is where clips are rejected.

    `part` is how much of that limit counts for a measure that the field is not quite about. `digits` and `unit` are for
    people, `scale` turns the measure into that unit. `of_supplied` counts for labels that came along only.
    """

    measure: str
    limit: str
    good: float
    reason: corpora.Reason
    what: str
    kind: Literal["least", "most"] = "least"
    part: float = 1.0
    digits: int = 2
    scale: float = 1.0
    unit: str = ""
    of_supplied: bool = False

    def shortfall(self, value: float, limit: float) -> float:
        """0 for what is good, 1 at the limit, more beyond it."""
        sign = 1 if self.kind == "least" else -1
        if sign * (value - limit) < 0:
            return 1.0 + sign * (limit - value)
        room = sign * (self.good - limit)  # none where the limit is stricter than what is good
        return max(0.0, sign * (self.good - value) / room) if room > 0 else 0.0

    def sentence(self, value: float, limit: float, *, beyond: bool) -> str:
        """What is the matter, with the value and what it was held against."""
        side = "at least" if self.kind == "least" else "at most"
        wanted = self._number(limit) if beyond else f"{self._number(self.good)} to be good"
        return f"{self.what} is {self._number(value)}, expected {side} {wanted}"

    def _number(self, value: float) -> str:
        return f"{value * self.scale:.{self.digits}f}{self.unit}"


# In the order of what causes what: noise makes a voice unlike itself and a label uncertain, not the other way round.
# docs/corpus.md argues for each figure that is called good here.
_RULES: Final = (
    _Rule(
        measure="music_share",
        limit="max_music_share",
        good=0.05,
        reason="Music",
        what="the part with music",
        kind="most",
        digits=0,
        scale=100,
        unit=" %",
    ),
    _Rule(
        measure="clipped_share",
        limit="max_clipped_share",
        good=0.0005,
        reason="Clipped",
        what="the part at full scale",
        kind="most",
        digits=2,
        scale=100,
        unit=" %",
    ),
    _Rule(
        measure="snr_db",
        limit="min_snr_db",
        good=25.0,
        reason="Noisy",
        what="the speech's level above the noise",
        digits=1,
        unit=" dB",
    ),
    _Rule(measure="dnsmos", limit="min_dnsmos", good=2.5, reason="LowQuality", what="the sound's quality (DNSMOS)"),
    _Rule(
        measure="similarity",
        limit="min_similarity",
        good=0.8,
        reason="OtherSpeaker",
        what="the likeness of its voice to the speaker's own",
    ),
    _Rule(
        measure="syllables_per_s",
        limit="min_syllables_per_s",
        good=2.0,
        reason="ImplausibleText",
        what="the rate of the label's syllables",
        digits=1,
        unit=" a second",
    ),
    _Rule(
        measure="syllables_per_s",
        limit="max_syllables_per_s",
        good=8.0,
        reason="ImplausibleText",
        what="the rate of the label's syllables",
        kind="most",
        digits=1,
        unit=" a second",
    ),
    _Rule(
        measure="agreement",
        limit="min_agreement",
        good=0.95,
        reason="UncertainText",
        what="the label's agreement with a second look",
    ),
    _Rule(
        measure="least_agreement",
        limit="min_agreement",
        good=0.6,
        reason="UncertainText",
        what="the label's agreement with a second look, in the four syllables where it is least,",
        part=0.5,
        # Two recognisers mishear differently: where a few syllables differ, it may be the second that is wrong.
        of_supplied=True,
    ),
    _Rule(
        measure="confidence",
        limit="min_confidence",
        good=0.8,
        reason="UncertainText",
        what="the recogniser's trust in the label",
    ),
)


def verdict(
    measures: corpora.Measures,
    judging: orders.Judging,
    *,
    duration_s: float,
    lengths: orders.Slicing,
    foreign_share: float = 0.0,
    is_supplied: bool = True,
) -> Verdict:
    """The grade of a clip of some length, or why it is rejected. `foreign_share` is the part of its label in Latin.

    `is_supplied` says whether the label is of a transcript that came along, and not what a recogniser heard.

    A clip that is good but for its grade is rejected where the order wants a better one than it has.
    """
    rejecting: list[tuple[corpora.Reason, corpora.Finding]] = []
    graded: list[tuple[float, corpora.Reason, corpora.Finding]] = []
    for rule in map(functools.partial(_named, measures), _RULES):
        value, limit = getattr(measures, rule.measure), getattr(judging, rule.limit)
        if value is None or limit is None or (rule.of_supplied and not is_supplied):
            continue
        limit *= rule.part
        shortfall = rule.shortfall(value, limit)
        if shortfall > 0:
            finding = corpora.Finding(reason=rule.reason, message=rule.sentence(value, limit, beyond=shortfall > 1))
            if shortfall > 1:
                rejecting.append((rule.reason, finding))
            else:
                graded.append((shortfall, rule.reason, finding))
    graded += _others(duration_s, lengths, foreign_share)
    if foreign_share > MOST_FOREIGN_SHARE:
        graded, rejecting = (
            [item for item in graded if item[1] != "OtherLanguage"],
            [*rejecting, *((reason, finding) for _, reason, finding in graded if reason == "OtherLanguage")],
        )
    graded.sort(key=lambda item: -item[0])
    findings = (*(finding for _, finding in rejecting), *(finding for _, _, finding in graded))
    if rejecting:
        return Verdict(grade=None, findings=findings, reason=rejecting[0][0])
    grade = _grade([shortfall for shortfall, _, _ in graded])
    if GRADES.index(grade) <= GRADES.index(judging.min_grade):
        return Verdict(grade=grade, findings=findings)
    wanted = corpora.Finding(
        reason=graded[0][1], message=f"its grade is {grade}, expected at least {judging.min_grade}"
    )
    return Verdict(grade=None, findings=(wanted, *findings), reason=graded[0][1])


def _named(measures: corpora.Measures, rule: _Rule) -> _Rule:
    """The rule, which says hum for noise where the noise is the mains'."""
    if rule.reason != "Noisy" or (measures.hum_share or 0.0) < HUM_SHARE:
        return rule
    return dataclasses.replace(rule, reason="Hum", what="the speech's level above the hum of the mains")


def trust(measures: corpora.Measures) -> float:
    """How far a clip's label can be trusted, 0 to 1: what a person looks at first is what is trusted least.

    A second look that contradicts the label counts as a whole, and once more where it does so most: a recogniser is
    often sure of its mistakes, and a few wrong words are few of a clip's. A rate that nobody speaks at lowers it too.
    """
    doubts = []
    if measures.confidence is not None:
        doubts.append(1 - measures.confidence)
    for agreement in (measures.agreement, measures.least_agreement):
        if agreement is not None:
            doubts.append(1 - agreement)
    rate = measures.syllables_per_s
    if rate is not None and not 2.0 <= rate <= 8.0:
        doubts.append(RATE_DOUBT)
    return max(0.0, 1 - sum(doubts))


def rejection(clip: corpora.Clip, measures: corpora.Measures, found: Verdict) -> corpora.Rejection:
    """What becomes of a clip that is not trained on: it keeps its sound and its text, so that a person can overrule."""
    assert found.reason is not None
    said = "; ".join(finding.message for finding in found.findings if finding.reason == found.reason)
    where = f"{clip.recording} from {clip.start_s:.2f} s to {clip.end_s:.2f} s"
    return corpora.Rejection(
        recording=clip.recording,
        start_s=clip.start_s,
        end_s=clip.end_s,
        reason=found.reason,
        message=f"{where}: {said} ('{clip.text[:40]}')",
        sha256=clip.sha256,
        text=clip.text,
        measures=measures,
    )


def graded(clip: corpora.Clip, measures: corpora.Measures, found: Verdict) -> corpora.Clip:
    """A clip with what was measured and found of it."""
    return dataclasses.replace(clip, measures=measures, grade=found.grade, findings=found.findings)


def _others(
    duration_s: float, lengths: orders.Slicing, foreign_share: float
) -> list[tuple[float, corpora.Reason, corpora.Finding]]:
    """What no threshold of the order is about: an unusual length, and a label that is not in Chinese."""
    found: list[tuple[float, corpora.Reason, corpora.Finding]] = []
    if duration_s < lengths.aim_min_s / 2:
        message = f"it is {duration_s:.1f} s long, expected at least half of the aimed {lengths.aim_min_s:g} s"
        found.append((0.25, "TooShort", corpora.Finding(reason="TooShort", message=message)))
    if duration_s > 1.5 * lengths.aim_max_s:
        message = f"it is {duration_s:.1f} s long, expected at most half as much again as the {lengths.aim_max_s:g} s"
        found.append((0.25, "TooLong", corpora.Finding(reason="TooLong", message=message)))
    if foreign_share > FOREIGN_SHARE:
        message = f"{100 * foreign_share:.0f} % of its label is in Latin letters"
        found.append((0.6, "OtherLanguage", corpora.Finding(reason="OtherLanguage", message=message)))
    return found


def _grade(shortfalls: Sequence[float]) -> corpora.Grade:
    if not shortfalls:
        return "A"
    return "C" if max(shortfalls) > 0.5 or len(shortfalls) >= MANY_FINDINGS else "B"
