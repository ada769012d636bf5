"""Batch edits: what they find, what they change, when they give way, and that every place is accounted for."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.engine import fingerprint
from pipeline.engine.records import File
from pipeline.models.quoting import requote
from pipeline.review import desk
from pipeline.review.merge import Machine, merge
from pipeline.schemas.captions import Asked, Captions, Line, RawAnswer, ReviewDecision, TranscriptAnswer
from pipeline.schemas.edits import BatchEdit, EditPlace
from pipeline.schemas.story import Bible, Character, SettledTranscript
from pipeline.schemas.timeline import Clip, MediaInfo, Scenes, Segment, Shot, Span, Word

FILE = File(digest=fingerprint.of_bytes(b""), name="clip.mp4", size_bytes=0)
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
BIBLE = Bible(
    title="Spies",
    characters=tuple(Character(id=name, name=name.title(), short=name.title()) for name in ("reyes", "pryce", "cohen")),
)
TEXTS = ("Bring cone now.", "Is that cone? No, cone.", "I saw a cone.")


def segment(start: float, text: str, speaker: str | None = "reyes") -> Segment:
    words = tuple(
        Word(text=word, span=Span(start=start + i / 4, end=start + i / 4 + 0.2), probability=0.9)
        for i, word in enumerate(text.split())
    )
    return Segment(id=f"e@{round(start * 1000):07d}", shot=0, words=words, speaker=speaker)


def clip_id(clip: int) -> str:
    return f"e_{clip * 4000:07d}"


def clip_span(clip: int) -> Span:
    return Span(start=clip * 4, end=clip * 4 + 4)


def machine(texts=TEXTS, *, doubts=(), speakers=("reyes", None, "pryce"), starts=(1, 5, 9)) -> Machine:
    clips = tuple(
        Clip(id=clip_id(i), scene=0, shots=(0,), span=clip_span(i), fps=24, video=FILE, audio=FILE) for i in range(3)
    )
    media = MediaInfo(width=64, height=36, fps=24, variable_frame_rate=False, seconds=12, has_audio=True)
    shots = (Shot(index=0, span=Span(start=0, end=12)),)
    segments = tuple(segment(*each) for each in zip(starts, texts, speakers, strict=True))
    return Machine(
        Scenes(episode="e", media=media, detector="t", shots=shots, scenes=(), clips=clips, dropped=()),
        SettledTranscript(episode="e", language="en", segments=segments, decisions=(), doubts=tuple(doubts)),
        Captions(episode="e", backend="t", captions=()),
    )


def log(*entries) -> list[BatchEdit]:
    """Numbered, a minute apart, the first at noon."""
    return [
        entry.model_copy(update={"id": str(n), "at": NOON + timedelta(minutes=n - 1)})
        for n, entry in enumerate(entries, 1)
    ]


def replaced(find="cone", new="Cohen", of=None, **options) -> BatchEdit:
    lines = (of or machine()).transcript.segments
    return BatchEdit(
        id="", what="replace", by="ann", at=NOON, places=tuple(desk.replacing("e", lines, find, new, **options))
    )


def renamed(old, new, of=None) -> BatchEdit:
    places = tuple(desk.renaming("e", (of or machine()).transcript.segments, old, new))
    return BatchEdit(id="", what="speaker", by="ann", at=NOON, places=places)


def answer(
    clip: int, text: str | None = None, *, minutes: float, by="bob", speaker="same", shown=None
) -> ReviewDecision:
    """Bob lets a clip's line stand, or leaves it with this text or speaker."""
    its = machine().transcript.segments[clip]
    seen = Line(id=its.id, span=its.span, speaker=its.speaker, text=its.text)
    left = seen.model_copy(update={"text": text or its.text} | ({} if speaker == "same" else {"speaker": speaker}))
    return ReviewDecision(
        key=f"e/{clip_id(clip)}", episode="e", clip=clip_id(clip), span=clip_span(clip),
        revision="r", by=by, at=NOON + timedelta(minutes=minutes), seconds=1,
        answer=TranscriptAnswer(seen=(seen,), lines=(left,)),
        raw=None if shown is None else RawAnswer(result=(), shown={"edits": list(shown)}),
    )  # fmt: skip


def merged(entries=(), decisions=(), of=None):
    return merge({"e": of or machine()}, BIBLE, list(decisions), requote, log=entries)


def texts(made) -> list[str]:
    return [line.text for line in made.dialogue["e"].spoken()]


def states(account) -> dict[str, int]:
    names = ("applied", "carried", "superseded", "waiting", "undone")
    return {name: count for name in names if (count := getattr(account, name))}


# Finding


def test_whole_words_are_found_in_their_case_and_keep_the_marks_around_them():
    places = replaced().places
    assert [(p.segment, p.before, p.after) for p in places] == [
        ("e@0001000", "cone", "Cohen"),
        ("e@0005000", "cone?", "Cohen?"),
        ("e@0005000", "cone.", "Cohen."),
        ("e@0009000", "cone.", "Cohen."),
    ]
    assert desk.line_after(places[2]) == "Is that cone? No, Cohen."
    assert replaced("CONE").places == ()
    assert len(replaced("CONE", match_case=False).places) == 4
    assert replaced("con").places == ()


def test_parts_of_words_several_words_and_two_in_one_word_are_found():
    lines = (segment(1, "Cones and ice-ice cream, please."),)
    found = list(desk.replacing("e", lines, "ice", "nice", whole_words=False))
    assert [(p.before, p.after) for p in found] == [("ice-ice", "nice-nice")]
    (place,) = desk.replacing("e", lines, "ice  cream", "gelato")
    assert (place.before, place.after, desk.line_after(place)) == (
        "ice-ice cream,",
        "ice-gelato,",
        "Cones and ice-gelato, please.",
    )
    (gone,) = desk.replacing("e", lines, "please", "")
    assert (gone.after, desk.line_after(gone)) == ("", "Cones and ice-ice cream,")


def test_nothing_to_look_for_is_refused_and_what_would_not_change_is_no_place():
    with pytest.raises(ValueError, match="which words to look for"):
        replaced("  ")
    assert replaced("cone", "cone").places == ()


def test_a_speaker_without_a_name_is_unknown():
    assert [place.segment for place in renamed("UNKNOWN", "cohen").places] == ["e@0005000"]
    assert renamed("pryce", "pryce").places == ()


# What counts


def test_every_place_is_changed_and_timed_and_the_rest_is_as_it_was():
    made = merged(log(replaced()))
    assert texts(made) == ["Bring Cohen now.", "Is that Cohen? No, Cohen.", "I saw a Cohen."]
    assert [states(account) for account in made.edits] == [{"applied": 4}]
    before, after = machine().transcript.segments[0], made.dialogue["e"].segments["e@0001000"]
    assert [word.span for word in after.words] == [word.span for word in before.words]


def test_a_newer_edit_goes_on_from_what_an_older_one_left():
    first = log(replaced())[0]
    middle = machine(tuple(text.replace("cone", "Cohen") for text in TEXTS))
    made = merged(log(first, replaced("Cohen", "Kohen", of=middle)))
    assert texts(made)[0] == "Bring Kohen now."
    assert [states(account) for account in made.edits] == [{"applied": 4}, {"applied": 4}]


def test_a_newer_answer_has_the_last_word_on_its_clip_and_an_older_one_has_not():
    before = merged(log(replaced()), [answer(0, "Bring my cone now.", minutes=-5)])
    assert texts(before)[0] == "Bring my Cohen now."
    after = merged(log(replaced()), [answer(0, "Bring my cone now.", minutes=5)])
    assert texts(after)[:2] == ["Bring my cone now.", "Is that Cohen? No, Cohen."]
    assert states(after.edits[0]) == {"applied": 3, "superseded": 1}
    assert "the answer by bob" in after.edits[0].why[0]


def test_who_let_a_line_stand_without_having_seen_the_edit_does_not_undo_it():
    entries = log(replaced())
    assert texts(merged(entries, [answer(0, minutes=5, shown=())]))[0] == "Bring Cohen now."
    assert texts(merged(entries, [answer(0, minutes=5, shown=("1",))]))[0] == "Bring cone now."
    assert texts(merged(entries, [answer(0, "Bring Coen now.", minutes=5, shown=())]))[0] == "Bring Coen now."


def test_undone_edits_do_not_count_and_count_again_when_the_undo_is_undone():
    undo = BatchEdit(id="", what="undo", by="eve", at=NOON, undoes="1")
    assert texts(merged(log(replaced(), undo))) == list(TEXTS)
    assert states(merged(log(replaced(), undo)).edits[0]) == {"undone": 4}
    again = BatchEdit(id="", what="undo", by="eve", at=NOON, undoes="2")
    assert texts(merged(log(replaced(), undo, again)))[0] == "Bring Cohen now."


def test_speakers_are_merged_and_those_who_are_nobody_get_a_name():
    made = merged(log(renamed("pryce", "cohen"), renamed("UNKNOWN", "cohen")))
    assert [line.speaker for line in made.dialogue["e"].spoken()] == ["reyes", "cohen", "cohen"]
    assert merged(log(renamed("reyes", "nobody"))).edits[0].waiting == 1


def test_a_speaker_follows_the_line_unless_the_machine_gives_it_to_somebody_else():
    moved = machine(starts=(1, 5, 9.2))
    made = merged(log(renamed("pryce", "cohen")), of=moved)
    assert (made.dialogue["e"].segments["e@0009200"].speaker, states(made.edits[0])) == ("cohen", {"carried": 1})
    other = machine(speakers=("reyes", None, "reyes"))
    assert states(merged(log(renamed("pryce", "cohen")), of=other).edits[0]) == {"waiting": 1}


def test_words_are_found_again_by_letters_and_time_else_they_wait():
    moved = machine(("So, bring cone, now!", TEXTS[1], "Nothing."), starts=(0.8, 5, 9))
    made = merged(log(replaced()), of=moved)
    assert texts(made)[0] == "So, bring Cohen, now!"
    assert states(made.edits[0]) == {"applied": 2, "carried": 1, "waiting": 1}
    assert "“cone.” is not heard there now" in made.edits[0].why[0]
    says_so = merged(log(replaced()), of=machine(("Bring Cohen now.", *TEXTS[1:])))
    assert states(says_so.edits[0]) == {"applied": 3, "carried": 1}


def test_a_line_whose_words_are_all_taken_out_is_gone():
    made = merged(log(replaced("Bring cone now.", "", whole_words=False)))
    assert texts(made) == list(TEXTS[1:])


def test_a_place_in_an_episode_that_is_gone_waits():
    place = replaced().places[0].model_copy(update={"episode": "f"})
    made = merged(log(BatchEdit(id="", what="replace", by="ann", at=NOON, places=(place,))))
    assert states(made.edits[0]) == {"waiting": 1}


# Suggestions that were taken


def taken(*segments: str) -> BatchEdit:
    places = tuple(place for place in replaced().places if place.segment in segments)
    return BatchEdit(id="", what="answer", by="ann", at=NOON, places=places)


@pytest.mark.parametrize("minutes", [-5, 5])
def test_a_suggestion_that_was_taken_gives_way_to_any_answer(minutes):
    made = merged(log(taken("e@0001000", "e@0009000")), [answer(0, minutes=minutes, shown=())])
    assert texts(made) == ["Bring cone now.", TEXTS[1], "I saw a Cohen."]
    assert states(made.edits[0]) == {"applied": 1, "superseded": 1}


WORDS = st.sampled_from(["cone", "Cohen", "saw", "now", "please", "no"])
LINES = st.lists(WORDS, min_size=1, max_size=5).map(" ".join)
ANSWERS = st.lists(
    st.tuples(st.integers(0, 2), st.none() | LINES, st.integers(-9, 9).map(lambda n: n + 0.5), st.sampled_from("pq")),
    max_size=5,
)
ENTRIES = st.lists(
    st.tuples(st.sampled_from(["answer", "replace", "speaker", "undo"]), WORDS, WORDS, st.integers(1, 6)), max_size=6
)


def entry(what, find, new, number, of):
    if what == "undo":
        return BatchEdit(id="", what="undo", by="ann", at=NOON, undoes=str(number))
    if what == "speaker":
        return renamed(["reyes", "pryce", "UNKNOWN"][number % 3], "cohen", of)
    return replaced(find, new, of).model_copy(update={"what": what})


@settings(max_examples=150, deadline=None)
@given(ENTRIES, ANSWERS, st.lists(LINES, min_size=3, max_size=3))
def test_no_suggestion_changes_what_a_person_said_and_every_place_has_an_account(entries, answers, new):
    of = machine(tuple(new))
    made_of = [entry(*each, of) for each in entries]
    decisions = [answer(clip, text, minutes=minutes, by=by) for clip, text, minutes, by in answers]
    only_taken = [each for each in made_of if each.what in ("answer", "undo")]
    for now in (machine(), of):
        plainly, filled = merged((), decisions, now), merged(log(*only_taken), decisions, now)
        for decision in decisions:
            name = decision.answer.seen[0].id
            assert filled.dialogue["e"].segments.get(name) == plainly.dialogue["e"].segments.get(name)
        whole = merged(log(*made_of), decisions, now)
        placed = [each for each in log(*made_of) if each.places]
        assert [account.id for account in whole.edits] == [each.id for each in placed]
        assert [sum(states(account).values()) for account in whole.edits] == [len(each.places) for each in placed]
        assert len(whole.accounts) == len(decisions)


# Sent back, and people who disagree


def sent_back(clip: int, reason="the name is wrong") -> BatchEdit:
    place = EditPlace(about="clip", episode="e", span=clip_span(clip), key=f"e/{clip_id(clip)}")
    return BatchEdit(id="", what="send back", by="ann", at=NOON, places=(place,), reason=reason)


def reasons(made) -> dict[str, str]:
    return {left.clip: left.reason for left in made.left_out}


def test_a_clip_that_was_sent_back_is_left_out_and_queued_again_until_somebody_answers():
    old = answer(0, "Bring Coen now.", minutes=-5)
    made = merged(log(sent_back(0)), [old])
    assert reasons(made)["e_0000000"] == "sent back by ann: the name is wrong"
    (account,) = made.accounts
    assert (account.state, account.why) == ("queued again", "sent back by ann: the name is wrong")
    assert states(made.edits[0]) == {"applied": 1}
    after = merged(log(sent_back(0)), [old, answer(0, "Bring Cohen now.", minutes=5)])
    assert reasons(after)["e_0000000"] == "it has no caption"
    assert states(after.edits[0]) == {"superseded": 1}
    undo = BatchEdit(id="", what="undo", by="eve", at=NOON, undoes="1")
    assert reasons(merged(log(sent_back(0), undo), [old]))["e_0000000"] == "it has no caption"


def agreed(*decisions):
    made = merge({"e": machine()}, BIBLE, list(decisions), requote, "agreement")
    return reasons(made)["e_0000000"], [account.state for account in made.accounts]


def test_with_agreement_two_people_who_differ_leave_the_clip_out_and_are_both_asked_again():
    ann, bob = answer(0, "Bring Cohen now.", minutes=0, by="ann"), answer(0, minutes=1)
    why, became = agreed(ann, bob)
    assert why == "second look: ann and bob disagree on the words of “Bring cone now.”"
    assert became == ["queued again", "queued again"]
    why, _ = agreed(answer(0, minutes=0, by="ann", speaker="pryce"), bob)
    assert why == "second look: ann and bob disagree on who says “Bring cone now.”"


def test_with_agreement_marks_and_ways_to_say_the_same_do_not_matter():
    typed = answer(0, "Bring Cohen, now!", minutes=0, by="ann")
    its = machine().transcript.segments[0]
    asked = Asked(doubt="d", kind="text", segment=its.id, span=its.words[1].span, heard="cone")
    plainly = answer(0, minutes=1)
    picked = plainly.model_copy(
        update={"answer": plainly.answer.model_copy(update={"answers": {"d": "Cohen"}, "asked": (asked,)})}
    )
    assert agreed(typed, picked)[0] == "it has no caption"


def test_a_third_answer_by_somebody_who_saw_both_settles_it_and_so_does_giving_in():
    ann, bob = answer(0, "Bring Cohen now.", minutes=0, by="ann"), answer(0, minutes=1, shown=())
    saw = {"again": [f"{each.by} {each.at.isoformat()}" for each in (ann, bob)]}
    third = answer(0, minutes=2, by="eve").model_copy(update={"revision": "r2", "raw": RawAnswer(result=(), shown=saw)})
    assert agreed(ann, bob, third)[0] == "it has no caption"
    blind = third.model_copy(update={"raw": RawAnswer(result=(), shown={})})
    assert agreed(ann, bob, blind)[0].startswith("second look: ann, bob and eve disagree")
    assert agreed(ann, bob, answer(0, minutes=3, by="ann"))[0] == "it has no caption"


def test_without_agreement_the_newest_answer_counts():
    made = merged((), [answer(0, "Bring Cohen now.", minutes=0, by="ann"), answer(0, "Bring Coen now.", minutes=1)])
    assert texts(made)[0] == "Bring Coen now."
