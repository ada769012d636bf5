import re
import subprocess

import pytest

from pipeline.engine.records import File
from pipeline.models.quoting import unmatched
from pipeline.models.vlm import SOUND_HZ, Sound, Video
from pipeline.models.vlm_fake import FakeVlm
from pipeline.schemas.story import (
    Bible,
    Candidate,
    Character,
    Doubt,
    Frame,
    Place,
    SceneContext,
    SceneContexts,
    SettledTranscript,
    ShotReference,
    ShotReferences,
)
from pipeline.schemas.timeline import Clip, MediaInfo, Scene, Scenes, Segment, Shot, Span, Word
from pipeline.steps import step2_caption
from pipeline.steps.step2_caption import Config

FILE = File(digest="0" * 64, name="x", size_bytes=1)
BIBLE = Bible(
    title="Spies",
    characters=(
        Character(id="reyes", name="Agent Ines Reyes", short="Reyes", looks="yellow coat"),
        Character(id="pryce", name="Inspector Tom Pryce", short="Pryce", looks="grey hat"),
    ),
    places=(Place(id="street", name="Lantern Street"),),
)


def line(start, text, speaker=None, marks=()):
    words = tuple(
        Word(text=word, span=Span(start=start + index * 0.2, end=start + index * 0.2 + 0.2), probability=0.8)
        for index, word in enumerate(text.split())
    )
    return Segment(id=f"e@{round(start * 1000):07d}", shot=0, words=words, speaker=speaker, marks=marks)


LINES = (
    line(0.5, "Any sign, Pryce?", "reyes"),
    line(2, "No.", "pryce"),
    line(5, "Over here, both of you!"),
    line(7.4, "Thank you all for watching.", None, ("hallucination",)),
)


@pytest.fixture
def inputs(work):
    """Clips 0-3, 3-6, 6-9 and 9-10 s of one scene, a shot each; the last one has no sound."""
    spans = [Span(start=a, end=b) for a, b in ((0, 3), (3, 6), (6, 9), (9, 10))]

    def make(segments=LINES, bible=BIBLE, doubts=()):
        scenes = Scenes(
            episode="e",
            media=MediaInfo(width=64, height=36, fps=24, variable_frame_rate=False, seconds=10, has_audio=True),
            detector="x",
            shots=tuple(Shot(index=i, span=span) for i, span in enumerate(spans)),
            scenes=(Scene(index=0, span=Span(start=0, end=10), first_shot=0, last_shot=3),),
            clips=tuple(
                Clip(id=f"e_{i}", scene=0, shots=(i,), span=span, fps=24, video=FILE, audio=FILE if i < 3 else None)
                for i, span in enumerate(spans)
            ),
            dropped=(),
        )
        shots = tuple(
            ShotReference(
                shot=i, span=span, frames=(Frame(at=span.start, picture=FILE, sharpness=1, brightness=0.5),),
                brightness=0.5, contrast=0.1, warmth=0, motion=0, camera="static", scale="close-up", faces=i % 2,
                hash="0", look=0,
            )
            for i, span in enumerate(spans)
        )  # fmt: skip
        context = SceneContext(
            scene=0, span=Span(start=0, end=10), place="street", cast=(), dialogue=(), previously="", why=()
        )
        return {
            "step1_scenes": scenes,
            "step2_transcript_disambiguate": SettledTranscript(
                episode="e", language="en", segments=tuple(segments), decisions=(), doubts=tuple(doubts)
            ),
            "step2_shot_reference": ShotReferences(episode="e", shots=shots),
            "step2_scene_context": SceneContexts(episode="e", scenes=(context,)),
            "step2_bible": bible,
        }

    return make


def captions(work, inputs, **settings):
    return step2_caption.run(Config(**settings), work, **inputs).captions


def memo_entries(work):
    return set((work.store.root / "memo").rglob("*.json"))


def test_each_clip_quotes_what_is_said_in_it_by_those_who_say_it(work, inputs):
    first, second, third, last = captions(work, inputs())
    assert first.text.endswith('Reyes asks Pryce, "Any sign, Pryce?" Pryce answers, "No."')
    assert first.characters == ("reyes", "pryce")
    assert re.search(r'One face is in view\. Someone (calls out|exclaims), "Over here, both of you!"$', second.text)
    assert second.notes == ("lines whose speaker is not known: 1 of 1",)
    assert third.quotes == ()
    assert third.notes == ('not quoted (hallucination): "Thank you all for watching."',)
    assert last.text.endswith("There is no sound.")
    assert all("Lantern Street" in caption.text for caption in (first, second, third, last))
    assert all(unmatched(caption) == () for caption in (first, second, third, last))


def test_a_line_across_two_clips_is_quoted_in_each_by_the_words_heard_there(work, inputs):
    first, second, *_ = captions(work, inputs([line(2.5, "one two three four five", "reyes")]))
    assert first.quotes[0].text == "one two"
    assert second.quotes[0].text == "three four five"


def test_no_caption_opens_with_boilerplate_and_no_two_clips_share_a_caption(work, inputs):
    made = captions(work, inputs())
    assert not [caption for caption in made if re.match(r"(The|This) (video|clip|scene) ", caption.text)]
    assert len({caption.text for caption in made}) == 4


def test_looks_and_places_are_told_only_where_configured(work, inputs):
    assert not any("coat" in caption.text for caption in captions(work, inputs()))
    assert "Reyes: yellow coat." in captions(work, inputs(), describe_looks=True)[0].text
    assert not any("Lantern" in caption.text for caption in captions(work, inputs(), name_places=False))


def test_open_questions_are_noted(work, inputs):
    asked = Doubt(
        id="d", kind="text", segment=LINES[0].id, span=LINES[0].span, first_word=0, last_word=0, heard="Any",
        context="any", candidates=(Candidate(value="Any", score=1),), evidence=(),
    )  # fmt: skip
    assert captions(work, inputs(doubts=[asked]))[0].notes == ("open questions about words: 1",)


def test_a_new_name_captions_only_the_clips_of_that_character_again(work, inputs):
    captions(work, inputs())
    before = memo_entries(work)
    assert len(before) == 4
    captions(work, inputs())
    assert memo_entries(work) == before
    renamed = BIBLE.characters[1].model_copy(update={"short": "Tom"})
    made = captions(work, inputs(bible=BIBLE.model_copy(update={"characters": (BIBLE.characters[0], renamed)})))
    assert "Tom answers" in made[0].text
    assert len(memo_entries(work) - before) == 1


def test_new_looks_caption_nothing_again_unless_captions_tell_them(work, inputs):
    dressed = BIBLE.characters[0].model_copy(update={"looks": "red coat"})
    changed = inputs(bible=BIBLE.model_copy(update={"characters": (dressed, BIBLE.characters[1])}))
    captions(work, inputs())
    before = memo_entries(work)
    captions(work, changed)
    assert memo_entries(work) == before
    captions(work, inputs(), describe_looks=True)
    before = memo_entries(work)
    captions(work, changed, describe_looks=True)
    assert len(memo_entries(work) - before) == 1


def test_a_model_sees_and_hears_just_the_clip_and_its_caption_is_linted(work, inputs, tmp_path, monkeypatch):
    made = tmp_path / "clip.mp4"
    colours = "color=red:s=64x36:r=24:d=1[a];color=blue:s=64x36:r=24:d=2[b];[a][b]concat"
    sound = ["-f", "lavfi", "-i", "sine=frequency=440:duration=3"]
    subprocess.run(["ffmpeg", "-v", "error", "-f", "lavfi", "-i", colours, *sound, "-shortest", str(made)], check=True)
    video = work.store.put_file(made)
    given = inputs()
    clips = tuple(clip.model_copy(update={"video": video}) for clip in given["step1_scenes"].clips)
    given["step1_scenes"] = given["step1_scenes"].model_copy(update={"clips": clips})
    seen = {"characters": [], "shot": "close-up", "camera": "static", "light": "dim", "sounds": "a tone"}
    vlm = FakeVlm(lambda _: seen | {"caption": "Reyes meets Miller and asks, [1]. Nobody moves."}, name="big")
    monkeypatch.setattr(step2_caption, "open_model", lambda config, work: vlm)
    made = step2_caption.run(Config(backend="vlm", frames_per_second=2, repair=False), work, **given)
    assert made.backend == "vlm big 0"
    first, last = made.captions[0], made.captions[3]
    assert first.text.startswith('Reyes meets Miller and asks, "Any sign, Pryce?" Nobody moves.')
    assert first.notes[-1].startswith("unknown name: “Miller”")
    assert last.text == "Reyes meets Miller and asks. Nobody moves."
    shown = next(part for part in vlm.asked[0].parts if isinstance(part, Video))
    assert (len(shown.frames), shown.fps) == (6, 2)
    red, blue = shown.frames[0].mean(axis=(0, 1)), shown.frames[2].mean(axis=(0, 1))
    assert [round(value / 255) for value in (*red, *blue)] == [1, 0, 0, 0, 0, 1]
    heard = [[part for part in request.parts if isinstance(part, Sound)] for request in vlm.asked]
    assert [len(parts) for parts in heard] == [1, 1, 1, 0]
    assert len(heard[0][0].samples) == 3 * SOUND_HZ


def test_the_bundled_way_of_facts_is_linted_too(work, inputs):
    short = captions(work, inputs(), longest=7)
    assert all(caption.notes[-1].startswith("length: ") for caption in short)
    assert {caption.text for caption in short} == {caption.text for caption in captions(work, inputs())}


@pytest.mark.parametrize(
    ("settings", "device"),
    [
        ({}, "cpu"),
        ({"backend": "facts", "models": ("some/model",)}, "cpu"),
        ({"backend": "vlm", "models": ("server:big", "none")}, "cpu"),
        ({"backend": "vlm", "models": ("server:big", "some/model")}, "cuda"),
    ],
)
def test_a_model_in_the_steps_own_process_takes_the_gpus_slot(settings, device):
    assert Config(**settings).runs_on(step2_caption.run.device) == device
