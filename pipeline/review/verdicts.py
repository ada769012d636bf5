"""What reviewers said of whole clips, kept or dropped or flagged, taken to the clips that lie there now. Pure.

A verdict on the picture or the sound holds for every clip that lies almost wholly in the one that was seen. A caption
tells of just one window, so it holds only where nearly the same one is cut again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pipeline.review.accounts import Part, age
from pipeline.review.carry import SAME_PLACE, agreement, alike, covered
from pipeline.review.lines import Dialogue, plain
from pipeline.review.quotes import SAME_LINE, quoted
from pipeline.schemas.captions import Caption, CaptionAnswer, ReviewDecision, TranscriptAnswer
from pipeline.schemas.timeline import Clip
from pipeline.schemas.wording import bare

SECOND_LOOK, UNUSABLE_AUDIO, MISSING_LINE = "second look", "unusable audio", "missing line"
"""The flags of a clip in labeling_configs/transcript.xml."""

GRAZE = 0.1
"""What shares less than this with a clip says nothing about it: cuts move by a few frames."""


@dataclass(frozen=True, slots=True)
class Ruling:
    """What a person said of a clip: "keep" with a caption that counts, "out" with the reason, nothing but "skipped", or
    what does not fit any more, so that it is time to "ask" again.
    """

    kind: Literal["keep", "out", "ask", "skipped"]
    decision: ReviewDecision
    why: str = ""


def flagged(clip: Clip, decisions: Sequence[ReviewDecision]) -> tuple[Ruling | None, list[Part]]:
    """What the newest transcript answers that saw the clip say is wrong with it as a whole."""
    parts: list[Part] = []
    ruling = None
    winner = None
    for decision in _newest_first(clip, decisions):
        why = flags_of(decision)
        share, said = covered(clip.span, decision.span), f"the clip was flagged: {why}"
        if winner is not None:
            if why:
                parts.append(lost(decision, winner, clip))
        elif share >= SAME_PLACE:
            winner = decision
            if why:
                ruling = ruling or Ruling("out", decision, why)
                parts.append(Part(decision, _carried(clip, decision), clip.span, share))
        elif why:
            again = f"only a part of {clip.id} was seen with it: {why}"
            ruling = ruling or Ruling("out", decision, again)
            parts.append(Part(decision, "queued again", clip.span, share, again, said))
    return ruling, parts


def judged(
    clip: Clip, caption: Caption | None, decisions: Sequence[ReviewDecision], dialogue: Dialogue, sure_enough: float
) -> tuple[Ruling | None, list[Part]]:
    """What the caption answers say of a clip: the newest that saw almost all of it decides.

    Newer ones that dropped a part of it have it looked at again. What was skipped counts where nothing else does.
    """
    parts: list[Part] = []
    found = _newest_first(clip, decisions)
    answered = [decision for decision in found if not skipped(decision)]
    winner = next((d for d in answered if covered(clip.span, d.span) >= SAME_PLACE), None)
    since = answered[: answered.index(winner)] if winner else answered
    ruling, part = _judge(clip, caption, winner, dialogue, sure_enough) if winner else (None, None)
    outs = []
    for decision in since:
        said, its = _judge(clip, caption, decision, dialogue, sure_enough)
        if winner and ruling and (ruling.kind == "out" or (ruling.kind, said.kind) == ("keep", "ask")):
            # It saw another cut and speaks neither for nor against the answer to just this one, or agrees with it.
            its = lost(decision, winner, clip)
        elif said.kind == "out":
            outs.append(said)
        ruling = ruling or said
        parts.append(its)
    if outs:
        # A part that somebody dropped is not made good by an older answer to the whole.
        part = lost(winner, outs[0].decision, clip) if winner else None
        ruling = outs[0]
    parts += [part] if part else []
    if winner:
        parts += [lost(decision, winner, clip) for decision in answered[len(since) + 1 :]]
    for decision in found:
        if skipped(decision) and alike(clip.span, decision.span) >= SAME_PLACE:
            if ruling is not None:
                parts.append(lost(decision, ruling.decision, clip))
            else:
                ruling = Ruling("skipped", decision, f"skipped by {decision.by}")
                parts.append(Part(decision, "queued again", clip.span, None, "it was skipped"))
    return ruling, parts


def lost(decision: ReviewDecision, winner: ReviewDecision, clip: Clip) -> Part:
    """The part of a decision that another one took."""
    why = "it was skipped" if skipped(decision) else "it is older"
    why = f"{why}; the answer by {winner.by} at {winner.at:%Y-%m-%d %H:%M:%S} counts"
    return Part(decision, "superseded", clip.span, None, why, winner=winner)


def skipped(decision: ReviewDecision) -> bool:
    return decision.skipped or decision.answer is None


def _newest_first(clip: Clip, decisions: Sequence[ReviewDecision]) -> list[ReviewDecision]:
    """The decisions that have something to say about a clip: those that saw a fair part of it, or lie in it."""
    start, end = clip.span.start, clip.span.end
    concerned = [
        decision
        for decision in decisions
        # Most decisions are about clips far away, and an episode has hundreds of both.
        if decision.span.start < end
        and start < decision.span.end
        and max(covered(clip.span, decision.span), covered(decision.span, clip.span)) > GRAZE
    ]
    return sorted(concerned, key=age, reverse=True)


def _judge(
    clip: Clip, caption: Caption | None, decision: ReviewDecision, dialogue: Dialogue, sure_enough: float
) -> tuple[Ruling, Part]:
    answer = decision.answer
    assert isinstance(answer, CaptionAnswer)
    share, window = covered(clip.span, decision.span), alike(clip.span, decision.span)
    if answer.verdict != "keep":
        reasons = ", ".join(answer.reasons)
        what = "dropped" if answer.verdict == "drop" else "second look asked for"
        why = f"{what} by {decision.by}" + (f": {reasons}" if reasons else "")
        if share >= SAME_PLACE:
            return Ruling("out", decision, why), Part(decision, _carried(clip, decision), clip.span, share)
        why = f"a part of it was {why}" if answer.verdict == "drop" else f"for a part of it, {why}"
        said = f"a part of this clip was {answer.verdict}ped" if answer.verdict == "drop" else "second look"
        said += f" ({reasons})" if reasons else ""
        return Ruling("out", decision, why), Part(decision, "queued again", clip.span, share, why, said)
    said = f"kept with the caption “{answer.text}”"
    if caption is None:
        why = "its clip has no caption any more"
        return Ruling("ask", decision, why), Part(decision, "waiting", clip.span, None, why, said)
    sureness, why = window, "its clip is cut otherwise now"
    if window >= SAME_PLACE:
        sureness, why = _caption_holds(answer, caption, clip, dialogue, window)
    if not why and sureness < sure_enough:
        why = f"its caption is carried with {sureness:.2f}, less than {sure_enough:.2f}"
    if why:
        return Ruling("ask", decision, why), Part(decision, "queued again", clip.span, sureness, why, said)
    state = _carried(clip, decision) if _unchanged(answer, caption) else "carried"
    return Ruling("keep", decision), Part(decision, state, clip.span, sureness)


def _caption_holds(
    answer: CaptionAnswer, caption: Caption, clip: Clip, dialogue: Dialogue, window: float
) -> tuple[float, str]:
    """How sure it is that a caption still tells what the clip shows, and what speaks against it ("" if nothing)."""
    if _unchanged(answer, caption):
        return window, ""
    if plain(answer.text) == plain(answer.seen):
        sureness = window * agreement(answer.seen, caption.text)
        return sureness, "the machine's caption is not the one that the reviewer saw any more"
    agreed = 1.0
    lines = dialogue.heard_in(clip.span)
    for words in quoted(answer.text):
        line = max(lines, key=lambda line: agreement(line.text, words), default=None)
        close = agreement(line.text, words) if line else 0.0
        if line is None or close < SAME_LINE:
            continue
        # Where a person has seen the line, it says what is spoken; a caption may leave out, not reword.
        if line.id in dialogue.seen and f" {bare(words)} " not in f" {bare(line.text)} ":
            return window * close, f"it quotes {words!r}, and the line is {line.text!r} now"
        agreed = min(agreed, close)
    return round(window * agreed, 4), ""


def _unchanged(answer: CaptionAnswer, caption: Caption) -> bool:
    """Whether the machine's caption is still what the reviewer saw, or already what they wrote."""
    return plain(caption.text) in (plain(answer.seen), plain(answer.text))


def _carried(clip: Clip, decision: ReviewDecision) -> Literal["applied", "carried"]:
    return "applied" if clip.span == decision.span else "carried"


def flags_of(decision: ReviewDecision) -> str:
    """Why a clip is no use, by the flags that the reviewer of its lines set; "" if none says so."""
    answer = decision.answer
    assert isinstance(answer, TranscriptAnswer)
    if UNUSABLE_AUDIO in answer.flags:
        return f"unusable audio, says {decision.by}"
    if SECOND_LOOK in answer.flags:
        return f"second look asked for by {decision.by}"
    adds = not {line.id for line in answer.lines} <= {line.id for line in answer.seen}
    if MISSING_LINE in answer.flags and not adds:
        return f"a line is missing from its transcript, says {decision.by}"
    return ""


def kind_of(decision: ReviewDecision) -> Literal["transcript", "caption"]:
    if decision.answer is not None:
        return decision.answer.kind
    return "caption" if decision.key.endswith("#caption") else "transcript"
