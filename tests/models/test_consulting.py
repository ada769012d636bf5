"""A scene's doubts through requests, a model without weights and the memo; the step's own code but for its files."""

import numpy as np
import pytest

from pipeline.engine.records import File
from pipeline.models.disambiguation import draft
from pipeline.models.scene_material import Material, letters, played, shown
from pipeline.models.vlm_fake import FakeVlm
from pipeline.schemas.story import UNKNOWN, Bible, Character, Frame, KnownNames, ShotReference, ShotReferences
from pipeline.schemas.timeline import Episode, Scene, SceneSpans, Segment, Span, Transcript, Word
from pipeline.schemas.voices import EpisodeVoices, VoiceLine
from pipeline.steps import step2_transcript_disambiguate
from pipeline.steps.step2_transcript_disambiguate import Config, consult

from . import tiny_families


def picture(name):
    return File(digest="0" * 64, name=name, size_bytes=1)


BIBLE = Bible(
    title="Toy",
    characters=(
        Character(id="ann", name="Ann", short="Ann", references=(picture("ann.png"), picture("ann_2.png"))),
        Character(id="bo", name="Bo", short="Bo"),
    ),
)


def line(index):
    at = 10.0 * index
    words = tuple(
        Word(text=word, span=Span(start=at + i, end=at + i + 0.5), probability=0.9)
        for i, word in enumerate(("It", "is", f"late{'.' * index}"))
    )
    return Segment(id=f"e@{index}", shot=index // 2, words=words)


LINES = tuple(line(index) for index in range(4))


def reference(shot):
    frames = tuple(
        Frame(at=20.0 * shot + i, picture=picture(f"s{shot}_{i}.jpg"), sharpness=float(i), brightness=0.5)
        for i in range(3)
    )
    return ShotReference(
        shot=shot, span=Span(start=20.0 * shot, end=20.0 * shot + 20), frames=frames, brightness=0.5, contrast=0.5,
        warmth=0, motion=0, camera="static", scale=None, faces=0, hash="0", look=0,
    )  # fmt: skip


VOICES = EpisodeVoices(
    lines=tuple(VoiceLine(segment=s.id, voice=None if s.id == "e@3" else "voice-e@0", likeness=1) for s in LINES),
    voices=(),
)


@pytest.fixture
def made():
    transcript = Transcript(episode="e", language="en", source="asr", segments=LINES)
    return draft(transcript, KnownNames.project(BIBLE), Config().rules)


@pytest.fixture
def ask(made, work):
    """Ask a model about the draft; `sounds` and `pictures` are remembered in the order in which they were fetched."""

    def go(vlm, **settings):
        go.fetched = []

        def fetch(what, value):
            go.fetched.append(what)
            return value

        material = Material(
            scenes=(Scene(index=0, span=Span(start=0, end=20), first_shot=0, last_shot=0),
                    Scene(index=1, span=Span(start=20, end=40), first_shot=1, last_shot=1)),
            shots=(reference(0), reference(1)),
            voices=VOICES,
            bible=BIBLE,
            picture=lambda file: fetch(file.name, np.zeros((4, 4, 3), np.uint8)),
            sound=lambda span: fetch(span, np.zeros(160, np.float32)),
            seconds=40.0,
        )  # fmt: skip
        return consult(Config(backend="multimodal", **settings), work, made, vlm, material)

    return go


def bo(request):
    """Says "bo" to every question."""
    return {
        name: "bo" if name.startswith("answer") else [] if name.startswith("also") else "because"
        for name in request.schema["properties"]
    }


def test_each_scene_is_asked_once_and_the_record_says_who_answered_on_what(ask):
    vlm = FakeVlm(bo, name="toy", revision="abc")
    found = ask(vlm)
    assert len(vlm.asked) == 2
    assert sorted(found) == [f"e@{index}:speaker" for index in range(4)]
    one = found["e@1:speaker"]
    assert (one.backend, one.model, one.revision, one.chosen, one.confidence) == ("fake", "toy", "abc", "bo", 0.9)
    assert one.lines == ("e@0", "e@1")
    assert one.frames == ("s0_2.jpg",)
    assert one.sounds == (Span(start=0, end=2.75), Span(start=9.75, end=12.75))
    assert (one.reason, one.withheld, len(one.prompt)) == ("because", (), 64)


def test_what_a_model_cannot_perceive_is_neither_fetched_nor_sent_and_that_is_on_record(ask):
    found = ask(FakeVlm(bo, sees=False, hears=False))
    assert ask.fetched == []
    assert found["e@0:speaker"].withheld == ("pictures", "sound")
    assert (found["e@0:speaker"].frames, found["e@0:speaker"].sounds) == ((), ())


def test_what_was_answered_is_not_asked_again_unless_the_request_or_the_weights_change(ask):
    again = FakeVlm(bo)
    assert ask(FakeVlm(bo)) == ask(again)
    assert again.asked == []
    moved, told = FakeVlm(bo, revision="2"), FakeVlm(bo)
    ask(moved)
    ask(told, instructions="Settle.")
    assert (len(moved.asked), len(told.asked)) == (2, 2)


def test_an_answer_that_cannot_be_read_is_a_problem_of_its_scene_alone(ask):
    replies = iter(["no idea", None])
    found = ask(FakeVlm(lambda request: next(replies) or bo(request)))
    assert [found[f"e@{index}:speaker"].chosen for index in range(4)] == [None, None, "bo", "bo"]
    assert found["e@0:speaker"].problem


def test_only_so_many_reference_pictures_go_with_every_request(ask):
    ask(FakeVlm(bo))
    assert ask.fetched.count("ann.png") == 1
    assert "ann_2.png" not in ask.fetched


def test_voices_get_letters_in_the_order_in_which_they_are_heard():
    lines = tuple(VoiceLine(segment=str(i), voice=v, likeness=1) for i, v in enumerate(["x", None, "y", "x"]))
    assert letters(EpisodeVoices(lines=lines, voices=())) == {"0": "A", "2": "B", "3": "A"}


def test_stills_are_the_sharpest_of_their_shots_evenly_taken():
    shots = [reference(shot) for shot in range(6)]
    lines = [line(index) for index in range(12)]
    assert [frame.picture.name for frame in shown(lines, shots, 3)] == ["s0_2.jpg", "s2_2.jpg", "s4_2.jpg"]
    assert shown(lines, shots, 0) == []


def test_sound_is_played_while_there_is_room_and_never_behind_its_end():
    assert list(played(LINES, 6, 40)) == ["e@0", "e@1"]
    assert played(LINES[:1], 6, 1.5)["e@0"].end == 1.5
    assert played(LINES[3:], 6, 20) == {}


# Newer transformers say on import what they cannot find, and numpy says so of transformers.
@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning")
def test_a_real_model_without_training_is_asked_by_the_step_and_what_it_says_is_on_record(work, spies, tmp_path):
    """An Omni checkpoint of random weights through the product's own loading, with real sound and pictures."""
    folder = tiny_families.save("qwen2_5_omni", tmp_path / "omni")
    still = work.store.put_file(spies / "refs" / "reyes.png")
    lines = LINES[:2]
    base = Transcript(episode="e", language="en", source="asr", segments=lines)
    shot = reference(0).model_copy(update={"frames": (Frame(at=4, picture=still, sharpness=1, brightness=0.5),)})
    config = Config(
        backend="multimodal",
        models=({"model": str(folder), "revision": "sha256:toy"},),
        picture_pixels=4096,
        instructions="Answer.",
    )
    inputs = {
        "episode": Episode(id="e", video=work.store.put_file(spies / "episodes" / "s01e02.mp4")),
        "step1_scenes": SceneSpans(scenes=(Scene(index=0, span=Span(start=0, end=20), first_shot=0, last_shot=0),)),
        "step2_transcript_base": base,
        "step2_shot_reference": ShotReferences(episode="e", shots=(shot,)),
        "step2_voices": EpisodeVoices(lines=VOICES.lines[:2], voices=()),
        "step2_bible": Bible(
            title="Toy", characters=(Character(id="ann", name="Ann", short="Ann", references=(still,)),)
        ),
    }
    settled = step2_transcript_disambiguate.run(config, work, **inputs)
    assert settled.segments == lines
    for doubt in settled.doubts:
        said = doubt.consulted
        assert (said.backend, said.model, said.revision) == ("transformers", "omni", "sha256:toy")
        assert (said.withheld, said.frames, len(said.sounds)) == ((), ("reyes.png",), 2)
        assert (said.chosen in ("ann", UNKNOWN)) == (said.confidence is not None) == (not said.problem)
    assert len(settled.doubts) == 2
    assert step2_transcript_disambiguate.run(config, work, **inputs) == settled
