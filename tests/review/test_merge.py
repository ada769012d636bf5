"""Machine output and reviewers' decisions made into clips; what is not used says why."""

import itertools
from datetime import UTC, datetime, timedelta

import pytest

from pipeline.engine import fingerprint
from pipeline.engine.records import File
from pipeline.models import captioner
from pipeline.models.captioner import Facts
from pipeline.models.quoting import requote
from pipeline.review import verdicts as merging
from pipeline.review.interface import config
from pipeline.review.lines import INAUDIBLE, NOT_SPEECH, OVERLAP
from pipeline.review.merge import Machine, merge
from pipeline.schemas.captions import (
    Caption,
    CaptionAnswer,
    Captions,
    Line,
    Quote,
    ReviewDecision,
    TranscriptAnswer,
)
from pipeline.schemas.story import Bible, Candidate, Character, Doubt, SettledTranscript
from pipeline.schemas.timeline import Clip, MediaInfo, Scenes, Segment, Shot, Span, Word

FILE = File(digest=fingerprint.of_bytes(b""), name="clip.mp4", size_bytes=0)
BIBLE = Bible(
    title="Spies",
    characters=tuple(Character(id=name, name=name.title(), short=name.title()) for name in ("reyes", "pryce", "cohen")),
)
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def segment(start: float, text: str, speaker: str | None) -> Segment:
    """Half a second a word."""
    words = tuple(
        Word(text=word, span=Span(start=start + i / 2, end=start + i / 2 + 0.4), probability=0.9)
        for i, word in enumerate(text.split())
    )
    return Segment(id=f"e@{round(start * 1000):07d}", shot=0, words=words, speaker=speaker)


SEGMENTS = (
    segment(1, "Are you doctor cone?", "reyes"),
    segment(4, "I brought price.", None),
    segment(11, "Wait.", "pryce"),
)
CLIPS = tuple(
    Clip(
        id=f"e_{start * 1000:07d}",
        scene=0,
        shots=(0,),
        span=Span(start=start, end=start + 10),
        fps=24,
        video=FILE,
        audio=FILE,
    )
    for start in (0, 10, 20)
)
CAPTIONS = (
    Caption(
        clip="e_0000000",
        text='A street at night. Reyes asks, "Are you doctor cone?" '
        'An unseen voice says, "I brought price." It is dark.',
        quotes=(
            Quote(segment="e@0001000", speaker="Reyes", text="Are you doctor cone?"),
            Quote(segment="e@0004000", speaker="an unseen voice", text="I brought price."),
        ),
        characters=("reyes",),
        score=0.6,
    ),
    Caption(
        clip="e_0010000",
        text='A door opens. Pryce says, "Wait."',
        quotes=(Quote(segment="e@0011000", speaker="Pryce", text="Wait."),),
        characters=("pryce",),
        score=0.8,
    ),
    Caption(clip="e_0020000", text="An empty street.", quotes=(), characters=(), score=0.4),
)
DOUBTS = (
    Doubt(
        id="d-text", kind="text", segment="e@0001000", span=Span(start=1.5, end=2.9), first_word=3, last_word=3,
        heard="cone?", context="", candidates=(Candidate(value="Cohen", score=0.7),), evidence=(),
    ),
    Doubt(
        id="d-who", kind="speaker", segment="e@0004000", span=Span(start=4, end=5.4), first_word=0, last_word=2,
        heard="", context="", candidates=(Candidate(value="pryce", score=0.5),), evidence=(),
    ),
)  # fmt: skip
MACHINE = Machine(
    scenes=Scenes(
        episode="e",
        media=MediaInfo(width=640, height=360, fps=24, variable_frame_rate=False, seconds=30, has_audio=True),
        detector="test",
        shots=(Shot(index=0, span=Span(start=0, end=30)),),
        scenes=(),
        clips=CLIPS,
        dropped=(),
    ),
    transcript=SettledTranscript(episode="e", language="en", segments=SEGMENTS, decisions=(), doubts=DOUBTS),
    captions=Captions(episode="e", backend="test", captions=CAPTIONS),
)


def lines(clip: int) -> tuple[Line, ...]:
    return tuple(
        Line(id=s.id, span=s.span, speaker=s.speaker, text=s.text)
        for s in SEGMENTS
        if CLIPS[clip].span.holds(s.span.middle)
    )


def decision(clip: int, answer, by="ann", minutes=0, span=None, kind="caption") -> ReviewDecision:
    kind = answer.kind if answer else kind
    return ReviewDecision(
        key=f"e/{CLIPS[clip].id}" + ("#caption" if kind == "caption" else ""),
        episode="e",
        clip=CLIPS[clip].id,
        span=span or CLIPS[clip].span,
        revision="r",
        by=by,
        at=NOON + timedelta(minutes=minutes),
        seconds=3,
        skipped=answer is None,
        answer=answer,
    )


def caption(clip: int, text: str | None = None, verdict="keep", **rest) -> CaptionAnswer:
    seen = CAPTIONS[clip].text
    return CaptionAnswer(
        seen=seen, text=seen if text is None else text, verdict=verdict,
        characters=rest.pop("characters", CAPTIONS[clip].characters), **rest,
    )  # fmt: skip


def transcript(clip: int, *changes, remove=(), add=(), **rest) -> TranscriptAnswer:
    """`changes` are (number of the line, what changes in it)."""
    seen = lines(clip)
    left = list(seen)
    for index, update in changes:
        left[index] = left[index].model_copy(update=update)
    kept = [line for index, line in enumerate(left) if index not in remove]
    return TranscriptAnswer(seen=seen, lines=(*kept, *add), **rest)


def merged(*decisions, machine=MACHINE, **policy):
    return merge({"e": machine}, BIBLE, decisions, requote, **policy)


def only_clip(*decisions, machine=MACHINE):
    (clip,) = merged(*decisions, machine=machine).clips
    return clip


KEEP = decision(0, caption(0))


def test_nothing_reviewed_leaves_every_clip_out_as_not_reviewed():
    result = merged()
    assert result.clips == []
    assert [left.reason for left in result.left_out] == ["not reviewed"] * 3


def test_machine_above_takes_unreviewed_clips_whose_caption_scores_higher_than_the_threshold():
    result = merged(policy="machine-above", threshold=0.6)
    assert [(clip.clip, clip.reviewed, clip.by) for clip in result.clips] == [("e_0010000", False, ())]
    assert result.left_out[0].reason == "not reviewed, and its caption scores 0.60, not above 0.60"


def test_an_accepted_clip_is_reviewed_and_says_by_whom():
    clip = only_clip(KEEP)
    assert (clip.clip, clip.reviewed, clip.by) == ("e_0000000", True, ("ann",))
    assert clip.caption == CAPTIONS[0]
    assert [line.id for line in clip.lines] == ["e@0001000", "e@0004000"]


def test_a_name_corrected_in_the_transcript_is_corrected_in_the_accepted_caption():
    clip = only_clip(KEEP, decision(0, transcript(0, (0, {"text": "Are you Doctor Cohen?"})), by="bob"))
    assert 'Reyes asks, "Are you Doctor Cohen?"' in clip.caption.text
    assert clip.caption.quotes[0].text == "Are you Doctor Cohen?"
    assert clip.by == ("ann", "bob")
    assert [word.span for word in clip.lines[0].words] == [word.span for word in SEGMENTS[0].words]


def test_the_chosen_candidate_replaces_the_doubted_words_and_keeps_their_punctuation():
    clip = only_clip(KEEP, decision(0, transcript(0, answers={"d-text": "Cohen"})))
    assert clip.lines[0].text == "Are you doctor Cohen?"
    assert '"Are you doctor Cohen?"' in clip.caption.text


def test_an_edited_text_wins_over_a_chosen_candidate():
    answer = transcript(0, (0, {"text": "Are you Doc Kohn?"}), answers={"d-text": "Cohen"})
    assert only_clip(KEEP, decision(0, answer)).lines[0].text == "Are you Doc Kohn?"


def test_a_speaker_named_by_an_answer_is_named_in_the_caption():
    clip = only_clip(KEEP, decision(0, transcript(0, answers={"d-who": "pryce"})))
    assert clip.lines[1].speaker == "pryce"
    assert 'Pryce says, "I brought price."' in clip.caption.text


def test_a_speaker_changed_on_the_line_wins_over_the_answer_and_over_the_machine():
    answer = transcript(0, (0, {"speaker": "cohen"}), (1, {"speaker": "cohen"}), answers={"d-who": "pryce"})
    clip = only_clip(KEEP, decision(0, answer))
    assert [line.speaker for line in clip.lines] == ["cohen", "cohen"]
    assert 'Cohen asks, "Are you doctor cone?" Cohen says, "I brought price."' in clip.caption.text


def test_a_speaker_taken_away_leaves_someone():
    clip = only_clip(KEEP, decision(0, transcript(0, (0, {"speaker": None}))))
    assert clip.lines[0].speaker is None
    assert 'Someone asks, "Are you' in clip.caption.text


@pytest.mark.parametrize(
    "answer",
    [
        transcript(0, remove=[1]),
        transcript(0, (1, {"text": " "})),
        transcript(0, (1, {"flags": (NOT_SPEECH,)})),
        transcript(0, (1, {"flags": (INAUDIBLE,)})),
    ],
    ids=["deleted", "emptied", "not speech", "inaudible"],
)
def test_a_line_that_is_not_there_or_not_understood_leaves_the_caption_and_the_clip(answer):
    clip = only_clip(KEEP, decision(0, answer))
    assert clip.caption.text == 'A street at night. Reyes asks, "Are you doctor cone?" It is dark.'
    assert [line.id for line in clip.lines] == ["e@0001000"]


def test_an_inaudible_line_stays_in_the_subtitles_as_such():
    dialogue = merged(decision(0, transcript(0, (1, {"flags": (INAUDIBLE,)})))).dialogue["e"]
    assert [line.text for line in dialogue.spoken()] == ["Are you doctor cone?", "[inaudible]", "Wait."]


def test_overlapping_speech_is_marked():
    assert only_clip(KEEP, decision(0, transcript(0, (0, {"flags": (OVERLAP,)})))).lines[0].marks == ("overlap",)


def test_a_new_line_joins_the_dialogue_and_the_caption():
    new = Line(id="aX3", span=Span(start=7, end=8), speaker="reyes", text="Tom, the cone.")
    clip = only_clip(KEEP, decision(0, transcript(0, add=[new])))
    assert [line.id for line in clip.lines] == ["e@0001000", "e@0004000", "e@0007000"]
    assert clip.caption.text.endswith('It is dark. Reyes says, "Tom, the cone."')
    assert clip.caption.quotes[-1] == Quote(segment="e@0007000", speaker="Reyes", text="Tom, the cone.")


def test_a_new_line_ends_the_silence_of_a_machine_caption():
    new = Line(id="aX3", span=Span(start=21, end=22), speaker=None, text="Tom, wait,")
    for has_sound, name in itertools.product((True, False), "abcdefgh"):  # The wording varies by the clip's name.
        facts = Facts(clip=name, looks=(), place="Lantern Street", said=(), has_sound=has_sound)
        silent = captioner.write(facts).model_copy(update={"clip": CLIPS[2].id})
        machine = changed(captions=(*CAPTIONS[:2], silent))
        keep = CaptionAnswer(seen=silent.text, text=silent.text, verdict="keep")
        clip = only_clip(decision(2, keep), decision(2, transcript(2, add=[new])), machine=machine)
        expected = 'The scene plays at Lantern Street. Someone says, "Tom, wait".'
        assert clip.caption.text == expected


def test_a_moved_line_moves_its_words():
    moved = {"span": Span(start=SEGMENTS[0].span.start + 0.5, end=SEGMENTS[0].span.end + 0.5)}
    clip = only_clip(KEEP, decision(0, transcript(0, (0, moved))))
    assert clip.lines[0].words[0].span.start == pytest.approx(1.5)
    assert clip.lines[0].text == SEGMENTS[0].text


def test_an_edited_caption_is_taken_word_for_word_and_its_quotes_are_found_again():
    text = 'By the lanterns, Reyes asks, "Are you Dr. Cone?" The sign says "DINER".'
    clip = only_clip(
        decision(0, caption(0, text, characters=("cohen", "reyes"))),
        decision(0, transcript(0, (0, {"text": "Are you Doctor Cohen?"}))),
    )
    assert clip.caption.text == text
    assert clip.caption.characters == ("cohen", "reyes")
    assert clip.caption.quotes == (Quote(segment="e@0001000", speaker="Reyes", text="Are you Dr. Cone?"),)


def test_a_quote_that_an_editor_left_as_it_was_follows_its_corrected_line():
    text = CAPTIONS[0].text.replace("A street at night.", "By the lanterns.")
    clip = only_clip(
        decision(0, caption(0, text)),
        decision(0, transcript(0, (0, {"text": "Are you Doctor Cohen?", "speaker": "cohen"}), remove=[1])),
    )
    assert clip.caption.text == 'By the lanterns. Cohen asks, "Are you Doctor Cohen?" It is dark.'


def test_the_newest_answer_that_is_not_skipped_counts_and_the_others_are_listed():
    result = merged(
        decision(0, caption(0, "Old."), by="ann"),
        decision(0, caption(0, "New."), by="bob", minutes=1),
        decision(0, None, by="eve", minutes=2),
    )
    assert result.clips[0].caption.text == "New."
    bob = "the answer by bob at 2026-11-23 12:01:00 counts"
    assert result.outdated == [
        f"e/e_0000000#caption by ann at 2026-11-23 12:00:00: it is older; {bob}",
        f"e/e_0000000#caption by eve at 2026-11-23 12:02:00: it was skipped; {bob}",
    ]


@pytest.mark.parametrize(
    ("decisions", "reason"),
    [
        ([decision(0, caption(0, verdict="drop", reasons=("blurry", "too dark")))], "dropped by ann: blurry, too dark"),
        ([decision(0, caption(0, verdict="second look"))], "second look asked for by ann"),
        ([decision(0, None)], "skipped by ann"),
        ([KEEP, decision(0, transcript(0, flags=("unusable audio",)), by="bob")], "unusable audio, says bob"),
        ([KEEP, decision(0, transcript(0, flags=("second look",)), by="bob")], "second look asked for by bob"),
        (
            [KEEP, decision(0, transcript(0, flags=("missing line",)), by="bob")],
            "a line is missing from its transcript, says bob",
        ),
    ],
)
@pytest.mark.parametrize("policy", [{}, {"policy": "machine-above", "threshold": 0.0}])
def test_people_keep_a_clip_out_whatever_the_policy(decisions, reason, policy):
    result = merged(*decisions, **policy)
    assert result.left_out[0].reason == reason
    assert "e_0000000" not in [clip.clip for clip in result.clips]


def test_a_missing_line_that_the_reviewer_added_is_not_missing():
    new = Line(id="aX3", span=Span(start=7, end=8), speaker="reyes", text="Tom!")
    assert only_clip(KEEP, decision(0, transcript(0, add=[new], flags=("missing line",)))).reviewed


def test_a_keep_that_the_transcript_overrules_is_listed():
    result = merged(KEEP, decision(0, transcript(0, flags=("unusable audio",)), by="bob"))
    assert [line.partition(": ")[2] for line in result.outdated] == ["its clip is left out: unusable audio, says bob"]


def changed(segments=SEGMENTS, captions=CAPTIONS, clips=CLIPS) -> Machine:
    return Machine(
        MACHINE.scenes.model_copy(update={"clips": clips}),
        MACHINE.transcript.model_copy(update={"segments": segments}),
        MACHINE.captions.model_copy(update={"captions": captions}),
    )


def test_an_answer_still_counts_where_a_new_cut_moves_the_clip_a_little():
    span = Span(start=0.3, end=10)
    clips = (CLIPS[0].model_copy(update={"id": "e_0000300", "span": span}), *CLIPS[1:])
    captions = (CAPTIONS[0].model_copy(update={"clip": "e_0000300"}), *CAPTIONS[1:])
    clip = only_clip(
        KEEP, decision(0, transcript(0, answers={"d-text": "Cohen"})), machine=changed(SEGMENTS, captions, clips)
    )
    assert clip.clip == "e_0000300"
    assert clip.lines[0].text == "Are you doctor Cohen?"


def test_an_answer_to_a_clip_that_is_cut_otherwise_now_is_outdated():
    clips = (CLIPS[0].model_copy(update={"id": "e_0005000", "span": Span(start=5, end=10)}), *CLIPS[1:])
    captions = (CAPTIONS[0].model_copy(update={"clip": "e_0005000"}), *CAPTIONS[1:])
    result = merged(KEEP, machine=changed(clips=clips, captions=captions))
    assert result.clips == []
    assert result.left_out[0].reason == "the review by ann is outdated"
    assert result.outdated[0].endswith("its clip is cut otherwise now")


def test_an_answer_to_another_caption_is_outdated_and_the_clip_says_so():
    captions = (CAPTIONS[0].model_copy(update={"text": "Rain."}), *CAPTIONS[1:])
    result = merged(KEEP, machine=changed(captions=captions))
    assert result.left_out[0].reason == "the review by ann is outdated"
    assert result.outdated[0].endswith("the machine's caption is not the one that the reviewer saw any more")


def test_an_answer_counts_where_the_machine_now_says_what_the_reviewer_wrote():
    captions = (CAPTIONS[0].model_copy(update={"text": "Rain.", "quotes": ()}), *CAPTIONS[1:])
    assert only_clip(decision(0, caption(0, "Rain.")), machine=changed(captions=captions)).caption.text == "Rain."


def test_a_drop_holds_when_the_caption_changes():
    captions = (CAPTIONS[0].model_copy(update={"text": "Rain."}), *CAPTIONS[1:])
    drop = decision(0, caption(0, verdict="drop", reasons=("blurry",)))
    result = merged(drop, machine=changed(captions=captions), policy="machine-above", threshold=0.0)
    assert result.left_out[0].reason == "dropped by ann: blurry"
    assert result.outdated == []


def test_of_a_transcript_answer_only_the_line_with_other_words_is_outdated_and_says_which():
    segments = (segment(1, "Are you Donnie?", "reyes"), *SEGMENTS[1:])
    result = merged(decision(0, transcript(0, (1, {"text": "I brought Pryce."}))), machine=changed(segments=segments))
    (why,) = result.outdated
    assert why.endswith("the machine now hears 'Are you Donnie?' where the reviewer saw 'Are you doctor cone?'")
    assert result.dialogue["e"].segments["e@0001000"].text == "Are you Donnie?"
    assert result.dialogue["e"].segments["e@0004000"].text == "I brought Pryce."


def test_an_answer_to_a_question_that_is_not_asked_any_more_is_listed():
    result = merged(KEEP, decision(0, transcript(0, answers={"gone": "Cohen"})))
    assert "its answer 'Cohen' is to a question that is not asked any more (gone)" in result.outdated[0]


def test_a_speaker_who_left_the_bible_is_listed_and_the_machines_stands():
    result = merged(KEEP, decision(0, transcript(0, (0, {"speaker": "margaux"}))))
    assert result.clips[0].lines[0].speaker == "reyes"
    assert "'margaux', who is not in the bible" in result.outdated[0]


def test_an_answer_to_an_unknown_episode_is_listed():
    stray = KEEP.model_copy(update={"episode": "s09e09"})
    assert merged(stray).outdated == [
        "e/e_0000000#caption by ann at 2026-11-23 12:00:00: the show has no episode s09e09"
    ]


def test_a_line_that_the_machine_doubts_counts_only_once_a_person_has_let_it_stand():
    doubted = (SEGMENTS[0], SEGMENTS[1].model_copy(update={"marks": ("hallucination",)}), SEGMENTS[2])
    machine = changed(segments=doubted)
    assert len(merged(machine=machine).dialogue["e"].spoken()) == 2
    assert len(merged(decision(0, transcript(0)), machine=machine).dialogue["e"].spoken()) == 3


def test_the_flags_known_here_are_those_of_the_labeling_config():
    xml = config("transcripts")
    for flag in (merging.SECOND_LOOK, merging.UNUSABLE_AUDIO, merging.MISSING_LINE, NOT_SPEECH, INAUDIBLE, OVERLAP):
        assert f'<Choice value="{flag}"' in xml


def test_the_merge_is_the_one_that_earlier_datasets_had():
    result = merged(
        KEEP, decision(0, transcript(0, (0, {"text": "Are you Doctor Cohen?"}), answers={"d-who": "pryce"}))
    )
    digest = fingerprint.of_value("test", [clip.model_dump(mode="json") for clip in result.clips])
    assert digest[:16] == "05b05b127aa17141", "restore the merge, or raise step2-reviewed's `version`"
