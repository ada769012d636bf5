import pytest

from pipeline.engine.events import Events, Reader
from pipeline.engine.memo import LimitedError
from pipeline.models import captioning
from pipeline.models.caption_lint import Rules
from pipeline.models.vlm_fake import FakeVlm
from pipeline.schemas.story import (
    Bible,
    Candidate,
    Character,
    Doubt,
    Place,
    SceneContext,
    SceneContexts,
    SettledTranscript,
    ShotReferences,
)
from pipeline.schemas.timeline import Clip, MediaInfo, Scene, Scenes, Segment, Span, Word
from tests.steps.test_step2_caption import FILE

CAST = ("reyes", "pryce", "cohen", "margaux")
BIBLE = Bible(
    title="Spies",
    characters=tuple(Character(id=id_, name=id_.title(), short=id_.title(), looks=f"{id_} coat") for id_ in CAST),
    places=(Place(id="street", name="Lantern Street", looks="narrow"),),
)
MANNER = captioning.Manner(instructions="Do.", shown={"frames": 4})
CLIPS_A_SCENE = 5


def show(bible=BIBLE, scenes=2):
    """Scenes of five clips of 2 s; two of the four play each, and one of them says a line in each clip."""
    clips, segments, contexts, grouped = [], [], [], []
    for scene in range(scenes):
        start = scene * CLIPS_A_SCENE * 2.0
        span = Span(start=start, end=start + CLIPS_A_SCENE * 2)
        cast = (CAST[scene % 4], CAST[(scene + 1) % 4])
        grouped.append(Scene(index=scene, span=span, first_shot=scene, last_shot=scene))
        contexts.append(
            SceneContext(scene=scene, span=span, place="street", cast=cast, dialogue=(), previously="", why=())
        )
        for number in range(CLIPS_A_SCENE):
            begin = start + number * 2
            clip = Span(start=begin, end=begin + 2)
            name = f"e_{round(begin * 1000):07d}"
            clips.append(Clip(id=name, scene=scene, shots=(scene,), span=clip, fps=24, video=FILE, audio=FILE))
            word = Word(text=f"Line{len(clips)}.", span=Span(start=begin + 0.5, end=begin + 1), probability=0.9)
            segments.append(Segment(id=f"e@{len(clips)}", shot=scene, words=(word,), speaker=cast[number % 2]))
    media = MediaInfo(
        width=64, height=36, fps=24, variable_frame_rate=False, seconds=scenes * CLIPS_A_SCENE * 2, has_audio=True
    )
    made = Scenes(
        episode="e", media=media, detector="x", shots=(), scenes=tuple(grouped), clips=tuple(clips), dropped=()
    )
    settled = SettledTranscript(episode="e", language="en", segments=tuple(segments), decisions=(), doubts=())
    context = SceneContexts(episode="e", scenes=tuple(contexts))
    return made, settled, context, bible


def answer(caption="Somebody crosses the wet street and says, [1], then looks up."):
    return {"characters": [], "shot": "close-up", "camera": "static", "light": "dim", "sounds": "", "caption": caption}


def run(work, vlm, shown, manner=MANNER, examples=()):
    scenes, settled, contexts, bible = shown
    telling = captioning.Telling(examples=tuple(examples), most=1)
    known = captioning.known(telling, scenes, settled, ShotReferences(episode="e", shots=()), contexts, bible)
    looked: list[int] = []

    def perceive(indexes):
        for index in indexes:
            looked.append(index)
            yield []

    captions, usage = captioning.write_all(
        work,
        vlm,
        known.briefs,
        [clip.video.digest for clip in scenes.clips],
        perceive,
        manner,
        lambda captions: known.faults(captions, Rules(3, 100)),
    )
    return captions, usage, looked


def test_new_looks_of_one_character_caption_only_the_scenes_that_they_play(work):
    first, _, looked = run(work, FakeVlm(lambda _: answer()), show(scenes=40))
    assert len(looked) == len(first) == 200
    dressed = BIBLE.characters[1].model_copy(update={"looks": "red coat"})
    changed = BIBLE.model_copy(update={"characters": (BIBLE.characters[0], dressed, *BIBLE.characters[2:])})
    vlm = FakeVlm(lambda _: answer())
    again, usage, looked = run(work, vlm, show(changed, 40))
    scenes, _, contexts, _ = show(scenes=40)
    with_pryce = [i for i, clip in enumerate(scenes.clips) if "pryce" in contexts.scenes[clip.scene].cast]
    assert looked == with_pryce
    assert len(looked) == 100
    assert usage.requests == 100
    assert again == first


def test_another_model_frame_budget_or_style_asks_anew_and_the_same_asks_nothing(work):
    shown = show()
    run(work, FakeVlm(lambda _: answer()), shown)
    assert run(work, FakeVlm(lambda _: answer()), shown)[2] == []
    assert len(run(work, FakeVlm(lambda _: answer(), revision="1"), shown)[2]) == 10
    more = captioning.Manner(instructions="Do.", shown={"frames": 8})
    assert len(run(work, FakeVlm(lambda _: answer()), shown, more)[2]) == 10


def test_a_fault_is_told_once_and_the_better_caption_stands(work):
    def reply(request):
        asked_again = "had these faults" in request.parts[-1].text
        better = "Somebody crosses the wet street and says, [1]."
        return answer(better if asked_again else "The video shows somebody who meets Miller and says, [1].")

    vlm = FakeVlm(reply)
    captions, usage, _ = run(work, vlm, show())
    assert usage.requests == 20
    assert not any("Miller" in caption.text for caption in captions)
    asked = [request.parts[-1].text for request in vlm.asked if "had these faults" in request.parts[-1].text]
    assert len(asked) == 10
    assert all("“Miller”" in each and "boilerplate opening" in each for each in asked)


def test_a_second_answer_that_is_no_better_or_cannot_be_read_changes_nothing(work):
    def reply(request):
        if "had these faults" in request.parts[-1].text:
            return "I would rather not."
        return answer("Here somebody meets Miller and says, [1].")

    captions, usage, _ = run(work, FakeVlm(reply), show())
    assert usage.unanswered == 10
    assert all("Miller" in caption.text and caption.observed for caption in captions)


def test_without_repair_nothing_is_asked_twice(work):
    manner = captioning.Manner(instructions="Do.", shown={}, repair=False)
    _, usage, _ = run(work, FakeVlm(lambda _: answer("Here somebody meets Miller, [1].")), show(), manner)
    assert usage.requests == 10


def test_a_model_that_writes_nonsense_leaves_a_measured_caption_for_the_reviewer_with_the_reason(work):
    captions, usage, _ = run(work, FakeVlm(lambda _: "no JSON here"), show())
    assert usage.unanswered >= 10
    assert all("no caption by a model" in caption.notes[-1] for caption in captions)
    assert all(caption.score < 0.2 for caption in captions)
    assert len({caption.text for caption in captions}) > 1


@pytest.mark.parametrize("examples", [(), ("On Lantern Street, Pryce waits.",)])
def test_examples_enter_the_request_and_the_item(work, examples):
    vlm = FakeVlm(lambda _: answer())
    run(work, FakeVlm(lambda _: answer()), show())
    run(work, vlm, show(), examples=examples)
    assert len(vlm.asked) == (10 if examples else 0)
    assert all(examples[0] in request.parts[1].text for request in vlm.asked)


def test_who_probably_speaks_an_open_line_is_told_to_the_model_and_is_no_absent_character():
    scenes, settled, contexts, bible = show()
    line = settled.segments[0].model_copy(update={"speaker": None})
    scores = {"margaux": 0.7, "UNKNOWN": 0.26, "cohen": 0.04}
    doubt = Doubt(
        id="d", kind="speaker", segment=line.id, span=line.span, first_word=0, last_word=0, heard="", context="",
        candidates=tuple(Candidate(value=value, score=score) for value, score in scores.items()), evidence=(),
    )  # fmt: skip
    open_ = settled.model_copy(update={"segments": (line, *settled.segments[1:]), "doubts": (doubt,)})
    known = captioning.known(
        captioning.Telling(), scenes, open_, ShotReferences(episode="e", shots=()), contexts, bible
    )
    assert [role.id for role in known.briefs[0].cast] == ["reyes", "pryce", "margaux"]
    assert known.about[scenes.clips[0].id].present == {"reyes", "pryce", "margaux"}
    assert [role.id for role in known.briefs[4].cast] == ["reyes", "pryce", "margaux"]
    assert [role.id for role in known.briefs[5].cast] == ["pryce", "cohen"]


def test_what_the_model_cost_is_told_though_only_a_few_clips_were_asked_for(work, tmp_path):
    work.events, work.limit = Events(tmp_path / "events.jsonl"), 3
    with pytest.raises(LimitedError):
        run(work, FakeVlm(lambda _: answer()), show())
    (told,) = [event for event in Reader(tmp_path / "events.jsonl").poll() if event["event"] == "report"]
    assert told["requests"] == 3
