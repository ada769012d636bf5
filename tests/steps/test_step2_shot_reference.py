"""step2-shot-reference on the bundled show: camera moves, faces and stills against the truth that comes with it."""

import json

import pytest
from PIL import Image

from pipeline.schemas.timeline import Cuts, Episode, Shot, Span
from pipeline.steps import step2_shot_reference
from pipeline.steps.step2_shot_reference import Config, run, watched

SCALES = {"close-up": {"close-up", "medium close-up"}, "medium": {"medium shot"}, "wide": {"full shot", "wide shot"}}


@pytest.fixture
def measured(work, spies):
    """Run the step on an episode of the show, cut as its truth says."""

    def make(name):
        truth = json.loads((spies / "truth" / f"{name}.truth.json").read_text())
        spans = [Span(start=s["start_frame"] / 24, end=s["end_frame"] / 24) for s in truth["shots"]]
        shots = tuple(Shot(index=i, span=span) for i, span in enumerate(spans))
        episode = Episode(id=name, video=work.store.put_file(spies / "episodes" / f"{name}.mp4"))
        cuts = Cuts(seconds=truth["duration"], has_audio=True, shots=shots)
        return truth, run(Config(), work, episode=episode, step1_scenes=cuts)

    return make


@pytest.mark.parametrize("name", ["s01e01", "s01e02"])
def test_camera_moves_are_the_truths_and_no_scale_contradicts_it(measured, work, name):
    truth, references = measured(name)
    for told, found in zip(truth["shots"], references.shots, strict=True):
        move = " ".join(part for part in (found.camera, found.heading) if part)
        assert told["camera"].removeprefix("slow ") == move, told["id"]
        # A face that is not found leaves the scale open; one that is must not tell a wrong one.
        scale = told["scale"].removesuffix(" two-shot")
        if found.scale is not None and scale in SCALES:
            assert found.scale in SCALES[scale], told["id"]
        assert len(found.frames) == 3
        for still in found.frames:
            assert found.span.holds(still.at)
            with Image.open(work.open(still.picture)) as picture:
                assert (picture.format, picture.size) == ("JPEG", (640, 360))
        assert (found.shot, found.span.start) == (truth["shots"].index(told), told["start_frame"] / 24)
    assert sum(s.scale is not None for s in references.shots) >= len(references.shots) / 3


def test_a_second_run_measures_nothing_and_a_shifted_number_does_not_matter(measured, work, spies, monkeypatch):
    _, first = measured("s01e02")
    monkeypatch.setattr(step2_shot_reference.video, "frames", None)
    _, second = measured("s01e02")
    assert first == second
    later = tuple(Shot(index=s.shot + 7, span=s.span) for s in first.shots[2:])
    episode = Episode(id="s01e02", video=work.store.put_file(spies / "episodes" / "s01e02.mp4"))
    moved = run(Config(), work, episode=episode, step1_scenes=Cuts(seconds=22.5, has_audio=True, shots=later))
    assert [s.shot for s in moved.shots] == [9, 10, 11, 12]
    assert [s.frames for s in moved.shots] == [s.frames for s in first.shots[2:]]


def test_frames_go_to_the_shots_that_are_asked_for():
    import numpy as np

    picture = np.zeros((36, 64, 3), np.uint8)
    frames = [(i / 10, picture) for i in range(40)]
    shots = [Shot(index=1, span=Span(start=1, end=2)), Shot(index=3, span=Span(start=3.0000004, end=4))]
    seen = list(watched(frames, shots))
    assert [w.span for w in seen] == [s.span for s in shots]
    assert [len(w.light) for w in seen] == [5, 5]
