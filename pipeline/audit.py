"""`dailies audit`: every decision the machine took in an episode, what it rests on, and how to take one back."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from pipeline.review import reverts
from pipeline.schemas.edits import BatchEdit
from pipeline.schemas.story import Consulted, Decision, SettledTranscript, Weighed
from pipeline.show import Show

STEP = "step2-transcript-disambiguate"


@dataclass(frozen=True, slots=True)
class Audited:
    """One decision. `backend` is who found it ("lexical", "voices", "multimodal"), `consulted` what a model answered.

    `evidence` are whole sentences. `reverted_by` is who took it back, and `edit` the entry of the log that did; "" if
    nobody did. A decision whose `original` and `chosen` are equal confirmed what was heard.
    """

    id: str
    episode: str
    kind: Literal["text", "speaker"]
    at_seconds: float
    line: str
    original: str
    chosen: str
    score: float
    by: str
    backend: str
    evidence: tuple[str, ...]
    weighed: tuple[Weighed, ...]
    consulted: Consulted | None
    reverted_by: str
    edit: str


def audit(show: Show, episode: str) -> list[Audited]:
    """The decisions of an episode in order of time. Raises ValueError where it has no result."""
    transcript = _transcript(show, episode)
    gone = reverts.reverted(show.edits(), episode)
    lines = {segment.id: segment.text for segment in transcript.segments}
    found = [
        _audited(episode, each, lines[each.doubt.segment], gone.get(each.doubt.id)) for each in transcript.decisions
    ]
    return sorted(found, key=lambda each: (each.at_seconds, each.id))


def revert(show: Show, decision_id: str, by: str) -> BatchEdit:
    """Take a decision back for good: what it replaced is put back in every later build, and asked about again.

    It is an entry of the desk's log, which can be undone there. Raises ValueError where there is no such decision, it
    changed nothing or is taken back already.
    """
    if not by.strip():
        raise ValueError("say who does it with --by: the log keeps it")
    episode = decision_id.partition("@")[0]
    transcript = _transcript(show, episode)
    decision = next((each for each in transcript.decisions if each.doubt.id == decision_id), None)
    if decision is None:
        raise ValueError(f"there is no decision {decision_id}: `dailies audit {episode}` lists them")
    if entry := reverts.reverted(show.edits(), episode).get(decision_id):
        raise ValueError(f"{entry.by} took {decision_id} back already: undo edit {entry.id} to have it again")
    return show.add_edit(reverts.revert(transcript, decision, by.strip(), datetime.now(UTC)))


def _transcript(show: Show, episode: str) -> SettledTranscript:
    if episode not in show.episodes():
        raise ValueError(f"there is no episode {episode!r}; there are {', '.join(show.episodes())}")
    run = show.store.head(STEP, episode)
    if run is None:
        raise ValueError(f"{episode} has no decisions yet: `dailies run {STEP} -e {episode}` first")
    return show.store.get(run.output, SettledTranscript)


def _audited(episode: str, decision: Decision, line: str, entry: BatchEdit | None) -> Audited:
    doubt = decision.doubt
    return Audited(
        id=doubt.id,
        episode=episode,
        kind=doubt.kind,
        at_seconds=doubt.span.start,
        line=line,
        original=decision.original,
        chosen=decision.chosen,
        score=decision.score,
        by=decision.by,
        backend=decision.reason.partition(":")[0],
        evidence=doubt.evidence,
        weighed=doubt.weighed,
        consulted=doubt.consulted,
        reverted_by=entry.by if entry else "",
        edit=entry.id if entry else "",
    )
