"""Which frames of a clip are used, and what is said in them."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.engine import fingerprint
from pipeline.media.windows import Frames, held_out, quoted, windows
from pipeline.schemas.captions import Quote
from pipeline.schemas.timeline import Segment, Span, Word

LTX2 = Frames(fps=24, step=8, smallest=25, largest=121)
WAN21 = Frames(fps=16, step=4, smallest=17, largest=81)
EPISODE = fingerprint.of_bytes(b"an episode")


def line(*said: str, start: float = 0.0) -> Segment:
    """A word a second, each for 0.8 s."""
    times = [Span(start=start + i, end=start + i + 0.8) for i in range(len(said))]
    words = tuple(Word(text=text, span=span, probability=1) for text, span in zip(said, times, strict=True))
    return Segment(id="e@0", shot=0, words=words)


def quote(text: str) -> Quote:
    return Quote(segment="e@0", speaker="Reyes", text=text)


@given(st.sampled_from([LTX2, WAN21]), st.floats(0, 3000), st.floats(0.01, 60), st.integers(1, 9))
def test_windows_hold_frame_counts_that_the_model_takes_and_lie_in_the_clip(frames, start, seconds, most):
    clip = Span(start=start, end=start + seconds)
    found = windows(clip, frames, most)
    for window in found:
        assert window.num_frames % frames.step == 1
        assert frames.smallest <= window.num_frames <= frames.largest
        assert window.span.seconds == pytest.approx(window.num_frames / frames.fps)
        assert window.span.start >= clip.start
        assert window.span.end <= clip.end + 0.0011
    assert len(found) <= most
    assert all(a.span.end == b.span.start for a, b in pairwise(found))
    if found and len(found) < most:  # What is left is too short for another one.
        assert frames.fitting(clip.end - found[-1].span.end) is None
    assert bool(found) == (seconds + 0.001 >= frames.smallest / frames.fps)


@given(st.floats(0.01, 20))
def test_a_window_is_the_longest_that_fits(seconds):
    count = LTX2.fitting(seconds)
    if count is not None and count < LTX2.largest:
        assert (count + LTX2.step) / LTX2.fps > seconds


def test_a_clip_of_exactly_the_wanted_length_is_used_whole_in_spite_of_rounding():
    assert LTX2.fitting(round(121 / 24, 3)) == 121
    assert windows(Span(start=7.958, end=13.0), LTX2, 1)[0].num_frames == 121


def test_a_line_inside_the_window_is_quoted_as_it_is():
    assert quoted(quote("Where  is he?"), line("Where", "is", "he?"), Span(start=0, end=5)) == quote("Where  is he?")


def test_a_line_that_begins_after_the_window_is_not_quoted():
    assert quoted(quote("Where is he?"), line("Where", "is", "he?", start=5), Span(start=0, end=5)) is None


def test_a_line_that_the_window_cuts_is_quoted_up_to_the_last_word_whose_middle_lies_inside():
    said = line("The", "file", "is", "in,", "the", "cone.")
    cut = quoted(quote("The file is in, the cone."), said, Span(start=0, end=3.5))
    assert cut == quote("The file is in…")


def test_what_is_left_of_a_line_must_be_worth_quoting():
    said = line("The", "file", "is", "in", "the", "cone", "that", "Pryce", "eats.")
    assert quoted(quote(said.text), said, Span(start=0, end=1.0)) is None
    assert quoted(quote(said.text), said, Span(start=0, end=2.0)) is None
    assert quoted(quote(said.text), said, Span(start=0, end=3.0)) == quote("The file is…")


def test_a_later_window_quotes_the_rest_of_a_line():
    said = line("The", "file", "is", "in", "the", "cone.")
    assert quoted(quote(said.text), said, Span(start=3, end=9)) == quote("…in the cone.")


def test_a_quote_that_a_person_worded_anew_is_cut_by_the_times_of_the_words_heard():
    said = line("Are", "you", "doctor", "cone", "the", "scientist?")
    cut = quoted(quote("Are you Dr. Cohen, the scientist?"), said, Span(start=0, end=4))
    assert cut == quote("Are you Dr. Cohen…")


@given(st.lists(st.sampled_from(["a", "bb", "ccc."]), min_size=1, max_size=12), st.floats(0, 12), st.floats(0.1, 12))
def test_every_quoted_word_is_heard_in_the_window(texts, start, seconds):
    said = line(*texts)
    window = Span(start=start, end=start + seconds)
    found = quoted(quote(said.text), said, window)
    inside = [word.text for word in said.words if window.holds(word.span.middle)]
    if found is not None:
        assert [word.strip("….") for word in found.text.split()] == [word.strip(".") for word in inside]


def test_the_hold_out_of_a_clip_depends_on_its_content_alone():
    clips = [Span(start=i, end=i + 1) for i in range(1000)]
    held = [held_out(EPISODE, clip, 0.1) for clip in clips]
    assert 70 < sum(held) < 130
    assert held == [held_out(EPISODE, Span(start=c.start + 1e-9, end=c.end), 0.1) for c in clips]
    more = [held_out(EPISODE, clip, 0.2) for clip in clips]
    assert all(now or not before for before, now in zip(held, more, strict=True))
    assert not any(held_out(EPISODE, clip, 0.0) for clip in clips)


def test_the_hold_out_is_the_one_that_earlier_datasets_had():
    held = "".join(str(int(held_out(EPISODE, Span(start=i, end=i + 1), 0.25))) for i in range(64))
    digest = fingerprint.of_value("test", held)
    assert digest[:16] == "ccd0a5e93b1d2b65", "restore held_out, or raise `version` in both step3 files"
