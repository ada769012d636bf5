"""Decisions of the machine that a person takes back: what stands then, what is asked, and that it lasts."""

from datetime import UTC, datetime

import pytest

from pipeline.engine import fingerprint
from pipeline.engine.records import File
from pipeline.review.merge import Machine, stand
from pipeline.review.reverts import reopened, revert, reverted
from pipeline.schemas.captions import Captions
from pipeline.schemas.edits import BatchEdit
from pipeline.schemas.story import UNKNOWN, Bible, Candidate, Character, Decision, Doubt, SettledTranscript
from pipeline.schemas.timeline import Clip, MediaInfo, Scenes, Segment, Shot, Span, Word

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
FILE = File(digest=fingerprint.of_bytes(b""), name="clip.mp4", size_bytes=0)
BIBLE = Bible(title="t", characters=tuple(Character(id=id_, name=id_.title(), short=id_.title()) for id_ in ("a", "b")))
LINE = "e@0001000"


def words(text, start=1.0):
    return tuple(
        Word(text=word, span=Span(start=start + i / 4, end=start + i / 4 + 0.2), probability=0.9)
        for i, word in enumerate(text.split())
    )


def decided(first, last, original, chosen, kind="text", at=1.0):
    doubt = Doubt(
        id=f"{LINE}:speaker" if kind == "speaker" else f"{LINE}:{first}-{last}", kind=kind, segment=LINE,
        span=Span(start=at, end=at + 0.4), first_word=first, last_word=last, heard=original, context="",
        candidates=(Candidate(value=chosen, score=0.9), Candidate(value=original, score=0.05)), evidence=("it rhymes",),
    )  # fmt: skip
    return Decision(doubt=doubt, original=original, chosen=chosen, by="step", reason="lexical: it rhymes", score=0.9)


SEON = decided(1, 2, "Hal Seon", "Halcyon", at=1.25)
CONE = decided(4, 4, "Cone", "Cohen", at=1.75)
SPEAKER = decided(0, 4, UNKNOWN, "a", "speaker")


def settled(*decisions, text="So Halcyon was Cohen indeed", speaker="a"):
    """Heard as "So Hal Seon was Cone indeed"."""
    segment = Segment(id=LINE, shot=0, words=words(text), speaker=speaker)
    return SettledTranscript(episode="e", language="en", segments=(segment,), decisions=decisions, doubts=())


def standing(transcript, log):
    media = MediaInfo(width=64, height=36, fps=24, variable_frame_rate=False, seconds=4, has_audio=True)
    span = Span(start=0, end=4)
    clip = Clip(id="e_0000000", scene=0, shots=(0,), span=span, fps=24, video=FILE, audio=FILE)
    scenes = Scenes(
        episode="e", media=media, detector="t", shots=(Shot(index=0, span=span),), scenes=(), clips=(clip,), dropped=()
    )
    made = stand(Machine(scenes, transcript, Captions(episode="e", backend="t", captions=())), BIBLE, (), log=log)
    (line,) = made.dialogue.spoken()
    return line.text, line.speaker


def log(*entries):
    return [entry.model_copy(update={"id": str(number)}) for number, entry in enumerate(entries, 1)]


def test_what_a_decision_replaced_is_put_back_and_nothing_else():
    transcript = settled(SEON, CONE, SPEAKER)
    for decision, text, who in (
        (SEON, "So Hal Seon was Cohen indeed", "a"),
        (CONE, "So Halcyon was Cone indeed", "a"),
        (SPEAKER, "So Halcyon was Cohen indeed", None),
    ):
        assert standing(transcript, log(revert(transcript, decision, "ann", NOON))) == (text, who)


def test_it_lasts_when_the_machine_says_it_again_with_other_words_around():
    entry = revert(settled(SEON, CONE), CONE, "ann", NOON)
    later = settled(CONE, text="So Hal Seon was Cohen indeed")
    assert standing(later, log(entry)) == ("So Hal Seon was Cone indeed", "a")


def test_a_decision_that_is_taken_back_is_asked_about_where_its_words_now_stand():
    transcript = settled(SEON, CONE)
    made = reopened(transcript, log(revert(transcript, CONE, "ann", NOON)))
    (doubt,) = made.doubts
    assert (doubt.id, doubt.heard, doubt.first_word, doubt.last_word) == (CONE.doubt.id, "Cohen", 3, 3)
    assert [c.value for c in doubt.candidates] == ["Cone", "Cohen"]
    assert doubt.evidence[0] == "ann took “Cohen” back"
    assert made.segments == transcript.segments


def test_a_speaker_who_is_taken_back_is_asked_about():
    transcript = settled(SPEAKER)
    (doubt,) = reopened(transcript, log(revert(transcript, SPEAKER, "ann", NOON))).doubts
    assert {c.value for c in doubt.candidates} == {UNKNOWN, "a"}
    assert sum(c.score for c in doubt.candidates) <= 1


def test_an_undone_entry_takes_nothing_back():
    transcript = settled(CONE, text="So Hal Seon was Cohen indeed")
    undo = BatchEdit(id="", what="undo", by="bob", at=NOON, undoes="1")
    entries = log(revert(transcript, CONE, "ann", NOON), undo)
    assert reverted(entries, "e") == {}
    assert reopened(transcript, entries) == transcript


def test_what_the_machine_asks_by_itself_by_now_is_not_asked_twice():
    entries = log(revert(settled(CONE), CONE, "ann", NOON))
    asking = settled().model_copy(update={"doubts": (CONE.doubt,)})
    assert reopened(asking, entries) == asking


def test_what_confirmed_the_words_cannot_be_taken_back():
    same = decided(4, 4, "Cohen", "Cohen")
    with pytest.raises(ValueError, match="changed nothing"):
        revert(settled(same), same, "ann", NOON)
