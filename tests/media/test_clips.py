"""plan: every second is in exactly one clip or in the dropped list, and clips are neither too short nor too long."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.media.clips import plan
from pipeline.schemas.timeline import Scene, Shot, Span

SHORTEST, LONGEST, FPS = 1.5, 8.0, 24


def timeline(*scenes_of_frames):
    """Shots, scenes and frame times from the number of frames of each shot of each scene, at 24 frames a second."""
    shots, scenes, at = [], [], 0
    for index, lengths in enumerate(scenes_of_frames):
        first = len(shots)
        for length in lengths:
            shots.append(Shot(index=len(shots), span=Span(start=at / FPS, end=(at + length) / FPS)))
            at += length
        span = Span(start=shots[first].span.start, end=shots[-1].span.end)
        scenes.append(Scene(index=index, span=span, first_shot=first, last_shot=len(shots) - 1))
    return shots, scenes, [i / FPS for i in range(at)]


@given(st.lists(st.lists(st.integers(1, 700), min_size=1, max_size=8), min_size=1, max_size=5))
def test_clips_and_dropped_stretches_tile_the_episode(lengths):
    shots, scenes, times = timeline(*lengths)
    clips, dropped = plan(shots, scenes, times, SHORTEST, LONGEST)
    spans = sorted([c.span for c in clips] + [d.span for d in dropped], key=lambda span: span.start)
    assert spans[0].start == 0
    assert spans[-1].end == shots[-1].span.end
    assert all(a.end == b.start for a, b in pairwise(spans))
    for clip in clips:
        assert SHORTEST - 1 / FPS - 1e-9 <= clip.span.seconds <= LONGEST + 1 / FPS + 1e-9
        assert clip.span.start in times
        # A clip stays in its scene and names just the shots of which it shows something.
        scene = scenes[clip.scene]
        assert scene.span.start <= clip.span.start < clip.span.end <= scene.span.end
        assert set(clip.shots) >= {s.index for s in shots if s.span.overlap(clip.span) > 1e-9}
    for gone in dropped:
        assert gone.span.seconds < SHORTEST
        assert gone.reason


@given(st.lists(st.floats(0.001, 0.5), min_size=1, max_size=400), st.data())
def test_a_variable_frame_rate_is_tiled_too(intervals, data):
    times = [0.0]
    for interval in intervals:
        times.append(round(times[-1] + interval, 6))
    seconds = times[-1] + 0.05
    cuts = sorted(data.draw(st.sets(st.integers(1, len(times) - 1), max_size=5)))
    bounds = [0.0, *(times[c] for c in cuts), seconds]
    shots = [Shot(index=i, span=Span(start=a, end=b)) for i, (a, b) in enumerate(pairwise(bounds))]
    scenes = [Scene(index=0, span=Span(start=0, end=seconds), first_shot=0, last_shot=len(shots) - 1)]
    clips, dropped = plan(shots, scenes, times, SHORTEST, LONGEST)
    spans = sorted([c.span for c in clips] + [d.span for d in dropped], key=lambda span: span.start)
    assert [s.start for s in spans] == [0.0, *(s.end for s in spans[:-1])]
    assert spans[-1].end == seconds


def test_a_long_shot_is_split_into_equal_parts_at_frames():
    clips, dropped = plan(*timeline([17 * FPS]), SHORTEST, LONGEST)
    assert [round(c.span.seconds, 2) for c in clips] == [5.67, 5.67, 5.67]
    assert {c.shots for c in clips} == {(0,)}
    assert dropped == ()


def test_a_shot_of_just_the_longest_length_stays_whole():
    clips, _ = plan(*timeline([8 * FPS]), SHORTEST, LONGEST)
    assert len(clips) == 1


def test_short_neighbours_are_joined_within_their_scene_only():
    clips, dropped = plan(*timeline([24, 24, 100], [24]), SHORTEST, LONGEST)
    assert [c.shots for c in clips] == [(0, 1), (2,)]
    assert [(d.span.seconds, d.reason) for d in dropped] == [
        (1.0, "a shot of 1.00 s, under 1.5 s, which no neighbour of its scene can take")
    ]


def test_a_short_shot_joins_the_shorter_neighbour_that_can_take_it():
    clips, dropped = plan(*timeline([150, 20, 100], [190, 20]), SHORTEST, LONGEST)
    assert [c.shots for c in clips] == [(0,), (1, 2), (3,)]
    assert [d.span.start for d in dropped] == [pytest.approx(460 / FPS)]


def test_lengths_that_no_split_can_meet_are_refused():
    with pytest.raises(ValueError, match="at least twice"):
        plan(*timeline([100]), 5, 8)
