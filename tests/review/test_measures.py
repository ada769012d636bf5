"""What reviewers' answers tell of the machine and of each other, on a few answers written out."""

from datetime import UTC, datetime, timedelta

import pytest

from pipeline.review import judged, measures, pace, trust
from pipeline.review.judged import Judged
from pipeline.review.pace import Share
from pipeline.schemas.captions import (
    Asked,
    CaptionAnswer,
    CheckResult,
    DecisionAccount,
    Line,
    ReviewDecision,
    TranscriptAnswer,
)
from pipeline.schemas.story import Bible, Candidate, Character, Doubt, Term
from pipeline.schemas.timeline import Span

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
BIBLE = Bible(
    title="Spies",
    characters=(
        Character(id="cohen", name="Dr. Aaron Cohen", short="Cohen"),
        Character(id="may", name="May", short="May"),
    ),
    terms=(Term(term="Cone", kind="thing"),),
)  # fmt: skip


def line(number: int, text: str, speaker: str | None = "cohen", **options) -> Line:
    return Line(id=f"l{number}", span=Span(start=number, end=number + 0.9), speaker=speaker, text=text, **options)


def decided(answer, *, key="e/c1", by="ann", minutes=0, seconds=10.0, skipped=False) -> ReviewDecision:
    kind = "" if not isinstance(answer, CaptionAnswer) else "#caption"
    return ReviewDecision(
        key=f"{key}{kind}", episode="e", clip=key.partition("/")[2], span=Span(start=0, end=4), revision="r", by=by,
        at=NOON + timedelta(minutes=minutes), seconds=seconds, skipped=skipped, answer=answer,
    )  # fmt: skip


def transcript(seen, left, answers=None, asked=(), **options) -> TranscriptAnswer:
    return TranscriptAnswer(seen=tuple(seen), lines=tuple(left), answers=answers or {}, asked=tuple(asked), **options)


def asked(number: int, heard: str, kind="text") -> Asked:
    span = Span(start=number, end=number + 1)
    return Asked(doubt=f"d{number}", kind=kind, segment=f"l{number}", span=span, heard=heard)


def read(*answers, doubts=None, version="v"):
    found = [Judged(decided(each, key=f"e/c{i}"), version, doubts or {}) for i, each in enumerate(answers)]
    return judged.readings(found)


def heard(*answers):
    (made,) = measures.heard(read(*answers), measures.name_words(BIBLE))
    return made


# How right the transcript was


def test_lines_are_unchanged_edited_or_taken_out_and_words_wrong_are_counted():
    seen = [line(1, "Bring cone now."), line(2, "Yes, sir."), line(3, "Thanks for watching.")]
    left = [line(1, "Bring Cohen right now."), line(2, "yes sir"), line(4, "Over here.")]
    made = heard(transcript(seen, left))
    assert (made.unchanged, made.edited, made.taken_out) == (Share(1, 3), Share(1, 3), Share(1, 3))
    # cone/Cohen, right; three words of a line nobody spoke, of which two stand for the line that was added.
    assert (made.added, made.word_errors) == (1, Share(5, 8))
    assert made.word_error_rate == pytest.approx(5 / 8)


def test_a_line_that_was_split_is_no_line_of_wrong_words():
    left = [line(1, "Bring Cohen"), Line(id="x", span=Span(start=1.5, end=1.9), speaker="may", text="right now.")]
    assert heard(transcript([line(1, "Bring Cohen right now.")], left)).word_errors == Share(0, 4)


def test_what_nobody_can_understand_says_nothing_of_the_machine():
    made = heard(transcript([line(1, "Mumble mumble.")], [line(1, "Mumble.", flags=("inaudible",))]))
    assert (made.unchanged, made.word_errors) == (Share(0, 0), Share(0, 0))


def test_names_are_right_missed_or_from_nowhere():
    right = transcript([line(1, "Hello Cohen, it may rain.")], [line(1, "Hello Cohen, it may rain.")])
    missed = transcript([line(1, "Bring cone and May.")], [line(1, "Bring Cohen and May.")])
    invented = transcript([line(1, "An ice Cohen.")], [line(1, "An ice cone.")])
    made = heard(right, missed, invented)
    assert (made.names, made.invented) == (Share(2, 3), 1)


def test_titles_and_plain_things_are_no_names():
    assert measures.name_words(BIBLE) == {"aaron", "cohen", "may"}


def test_speakers_are_right_of_those_the_machine_named():
    seen = [line(1, "a"), line(2, "b"), line(3, "c", None), line(4, "d", None)]
    left = [line(1, "a"), line(2, "b", "may"), line(3, "c", None), line(4, "d", None)]
    made = heard(transcript(seen, left, {"d3": "may"}, [asked(3, "", "speaker")]))
    assert (made.speakers, made.unnamed, made.named_by_people) == (Share(1, 2), 2, 1)


def test_each_version_is_judged_by_its_own_answers_and_each_task_once():
    old, new = transcript([line(1, "cone")], [line(1, "Cohen")]), transcript([line(1, "Cohen")], [line(1, "Cohen")])
    answers = [
        Judged(decided(old), "small"),
        Judged(decided(old, by="ben", minutes=1), "small"),
        Judged(decided(new, minutes=2), "large"),
        Judged(decided(None, minutes=3, skipped=True), "large"),
    ]
    made = measures.heard(judged.readings(judged.latest(answers)), ())
    assert [(each.version, each.clips, each.word_errors) for each in made] == [
        ("large", 1, Share(0, 1)),
        ("small", 1, Share(1, 1)),
    ]


def test_captions_are_kept_unchanged_edited_or_dropped():
    answers = [
        CaptionAnswer(seen="A b.", text="A  b.", verdict="keep"),
        CaptionAnswer(seen="A b.", text="A c.", verdict="keep"),
        CaptionAnswer(seen="A b.", text="A b.", verdict="drop", reasons=("blurry",)),
        CaptionAnswer(seen="A b.", text="A b.", verdict="second look"),
    ]
    (made,) = measures.captioned([Judged(decided(each, key=f"e/{i}"), "facts") for i, each in enumerate(answers)])
    assert made.unchanged == made.edited == made.dropped == made.second_look == Share(1, 4)


# Doubts and scores


def test_a_doubt_is_real_where_something_else_stands_now_and_errors_elsewhere_are_missed():
    seen = [line(1, "Bring cone now."), line(2, "The cone, plese.")]
    picked = transcript(seen, seen, {"d1": "Cohen", "d2": "cone"}, [asked(1, "cone"), asked(2, "cone")])
    left = [line(1, "Bring Cohen now."), line(2, "The cone, please.")]
    typed = transcript(seen, left, {"d2": "cone"}, [asked(1, "cone"), asked(2, "cone")])
    words, _ = trust.doubted(read(picked, typed))
    assert (words.answered, words.real) == (Share(4, 4), Share(2, 4))
    assert (words.caught, words.missed) == (Share(2, 3), 1)


def test_a_question_that_nobody_answered_is_neither_real_nor_not():
    seen = [line(1, "Bring cone now.")]
    words, _ = trust.doubted(read(transcript(seen, seen, {}, [asked(1, "cone")])))
    assert (words.answered, words.real) == (Share(0, 1), Share(0, 0))


def test_scores_are_compared_with_the_answers_even_where_only_a_part_of_the_words_changed():
    doubt = Doubt(
        id="d1", kind="text", segment="l1", span=Span(start=1, end=2), first_word=0, last_word=1, heard="that price",
        context="c", evidence=(),
        candidates=(Candidate(value="that, Pryce,", score=0.85), Candidate(value="that price", score=0.15)),
    )  # fmt: skip
    seen = [line(1, "And that price is high.")]
    found = read(transcript(seen, seen, {"d1": "that, Pryce,"}, [asked(1, "that price")]), doubts={"d1": doubt})
    words, speakers, captions = trust.calibration(found, ())
    assert [(each.mean, each.right) for each in words.bins] == [(0.15, Share(0, 1)), (0.85, Share(1, 1))]
    assert (words.error, speakers.error, captions.error) == (pytest.approx(0.15), None, None)


def test_the_calibration_error_weighs_bins_by_their_scores():
    made = trust.calibrated("words", [(0.95, True)] * 9 + [(1.0, False)] + [(0.25, False)] * 10)
    assert [(each.low, each.right.of) for each in made.bins] == [(0.2, 10), (0.9, 10)]
    assert made.error == pytest.approx((0.25 * 10 + 0.055 * 10) / 20)


def test_what_was_corrected_most_comes_first_with_where_it_was():
    seen, left = [line(1, "Bring cone, now.")], [line(1, "Bring Cohen, now.", "may")]
    most, other = measures.corrections(read(transcript(seen, left), transcript(seen, left)), {"cohen": "Cohen"})
    assert (other.kind, other.was, other.now, other.count) == ("words", "cone", "Cohen", 2)
    assert (most.kind, most.was, most.now, most.places) == ("speaker", "Cohen", "may", ("e/c0", "e/c1"))


# People and pace


def test_done_left_second_look_skipped_and_asked_again_are_told_apart():
    kept = CaptionAnswer(seen="A.", text="A.", verdict="keep")
    look = kept.model_copy(update={"verdict": "second look"})
    decisions = [
        decided(kept, key="e/a"),
        decided(look, key="e/b"),
        decided(kept, key="e/c"),
        decided(None, key="e/d#caption", skipped=True),
        decided(None, key="e/a#caption", minutes=1, skipped=True),
    ]
    again = DecisionAccount(key="e/c#caption", episode="e", by="ann", at=NOON, state="queued again", sureness=0.1)
    (made,) = pace.progress({"captions": [f"e/{name}#caption" for name in "abcdef"]}, decisions, [again])
    assert (made.tasks, made.done, made.left) == (6, 2, 4)
    assert (made.second_look, made.skipped, made.asked_again) == (1, 1, 1)
    assert made.minutes_left is None


def test_a_lunch_break_does_not_slow_the_forecast():
    answer = CaptionAnswer(seen="A.", text="A.", verdict="keep")
    timed = [decided(answer, key=f"e/{i}", seconds=10) for i in range(9)]
    keys = {"captions": [f"e/{i}#caption" for i in range(40)]}
    (made,) = pace.progress(keys, [*timed, decided(answer, key="e/9", seconds=3600)], ())
    # Nine times 10 s and once five medians.
    assert (made.median_seconds, made.minutes_left) == (10, pytest.approx(30 * 14 / 60))


def test_people_agree_where_they_made_the_same_of_the_same():
    seen = [line(1, "Bring cone.")]
    same = [transcript(seen, [line(1, text)]) for text in ("Bring Cohen.", "bring Cohen")]
    other = transcript([line(1, "Bring corn.")], [line(1, "Bring Cohen.")])
    decisions = [
        decided(same[0], by="ann"),
        decided(same[1], by="ben", minutes=1),
        decided(transcript(seen, seen), by="cy", minutes=2),
        decided(other, by="dee", minutes=3),
    ]
    assert pace.agreement(decisions) == {"ann": Share(1, 2), "ben": Share(1, 2), "cy": Share(0, 2)}


def test_a_person_has_their_answers_skips_medians_and_hidden_answers_found():
    def checked(outcome):
        return transcript([], [], check=CheckResult(segment="l1", shown="cone", known="Cohen", outcome=outcome))

    answers = [checked("found"), checked("missed"), checked("changed")]
    mine = [decided(each, key=f"e/{i}", seconds=i + 1) for i, each in enumerate(answers)]
    (made,) = pace.people([*mine, decided(None, key="e/9", skipped=True)])
    assert (made.transcripts, made.captions, made.skipped) == (3, 0, 1)
    assert (made.transcript_seconds, made.caption_seconds, made.checks) == (2, None, Share(1, 2))
