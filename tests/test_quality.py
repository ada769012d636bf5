"""What review tells of a show on disk: which version made what, and that figures cost as much as there are answers."""

import json
import sys
from datetime import UTC, datetime, timedelta

import pytest

from pipeline import quality
from pipeline.engine import fingerprint
from pipeline.engine.records import File
from pipeline.engine.store import Run
from pipeline.report import review
from pipeline.review.judged import Judged
from pipeline.schemas.captions import (
    Caption,
    CaptionAnswer,
    Captions,
    Line,
    ReviewDecision,
    ReviewSnapshot,
    TranscriptAnswer,
)
from pipeline.schemas.story import Bible, Candidate, Doubt, SettledTranscript
from pipeline.schemas.timeline import Clip, MediaInfo, Scenes, Segment, Shot, Span, Transcript
from pipeline.schemas.wording import retimed
from pipeline.show import open_show

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
FILE = File(digest=fingerprint.of_bytes(b""), name="clip.mp4", size_bytes=0)


def spoken(number: int, text: str) -> Segment:
    span = Span(start=number * 4 + 1, end=number * 4 + 3)
    return Segment(id=f"e@{number}", shot=0, words=retimed(text, (), span), speaker="cohen")


def line(segment: Segment, text: str | None = None) -> Line:
    return Line(id=segment.id, span=segment.span, speaker="cohen", text=text or segment.text)


def decided(number: int, answer, minutes=0) -> ReviewDecision:
    kind = "#caption" if isinstance(answer, CaptionAnswer) else ""
    return ReviewDecision(
        key=f"e/e_{number}{kind}", episode="e", clip=f"e_{number}", span=Span(start=number * 4, end=number * 4 + 4),
        revision="r", by="ann", at=NOON + timedelta(minutes=minutes), seconds=5, answer=answer,
    )  # fmt: skip


@pytest.fixture
def show(tmp_path):
    (tmp_path / "show.toml").write_text('name = "spies"\n')
    (tmp_path / "episodes").mkdir()
    (tmp_path / "episodes" / "e.mp4").write_bytes(b"")
    return open_show(tmp_path)


@pytest.fixture
def made(show):
    """Puts a finished run into the show's store, `minutes` after noon, as the one that stands."""

    def put(step, record, minutes, *, config=None, inputs=None) -> Run:
        output = show.store.put(record)
        recipe = {"step": step, "version": 1, "config": config or {}, "inputs": inputs or {}}
        key = fingerprint.of_value("run", recipe)
        finished = (NOON + timedelta(minutes=minutes)).timestamp()
        run = Run(
            name=f"{key[:12]}-spies-e-{step}-1", step=step, unit="e", key=key, recipe=recipe, output=output, seconds=1,
            finished=finished,
        )  # fmt: skip
        return show.store.save_run(run, record)

    return put


@pytest.fixture
def transcribed(made):
    """A transcript of these lines by a model, and what step2-transcript-disambiguate made of it."""

    def put(model, texts, minutes, doubts=()):
        plain = Transcript(episode="e", language=model, source="asr", segments=())
        base = made("step2-transcript-base", plain, minutes, config={"model": model, "revision": None})
        segments = tuple(spoken(i, text) for i, text in enumerate(texts))
        settled = SettledTranscript(episode="e", language="en", segments=segments, decisions=(), doubts=doubts)
        made("step2-transcript-disambiguate", settled, minutes, config={"backend": "lexical"},
             inputs={"step2-transcript-base": base.output})  # fmt: skip
        return segments

    return put


def scenes(clips: int) -> Scenes:
    return Scenes(
        episode="e",
        media=MediaInfo(width=640, height=360, fps=24, variable_frame_rate=False, seconds=clips * 4, has_audio=True),
        detector="test", shots=(Shot(index=0, span=Span(start=0, end=clips * 4)),), scenes=(), dropped=(),
        clips=tuple(
            Clip(id=f"e_{i}", scene=0, shots=(0,), span=span, fps=24, video=FILE, audio=None)
            for i, span in enumerate(Span(start=i * 4, end=i * 4 + 4) for i in range(clips))
        ),
    )  # fmt: skip


def test_a_show_that_nobody_reviewed_has_no_figures_and_says_so(show):
    told = quality.measure(show)
    assert (told.decisions, told.heard, told.captioned, told.people) == (0, (), (), ())
    assert [table.title for table in review(told)] == []
    json.dumps(quality.stamp(show))


def test_an_answer_judges_the_version_that_made_what_its_reviewer_saw(show, made, transcribed, monkeypatch):
    monkeypatch.setattr(show.store, "path_of", lambda file: show.folder / "show.toml")
    made("step1-scenes", scenes(3), 0)
    first = transcribed("small", ["Bring cone.", "Yes."], 0)
    second = transcribed("large", ["Bring Cohen.", "Yes.", "No."], 10)
    decisions = (
        decided(0, TranscriptAnswer(seen=(line(first[0]),), lines=(line(first[0], "Bring Cohen."),)), minutes=20),
        decided(1, TranscriptAnswer(seen=(line(second[1]),), lines=(line(second[1]),)), minutes=5),
        decided(2, TranscriptAnswer(seen=(line(second[2]),), lines=(line(second[2]),)), minutes=20),
        decided(2, TranscriptAnswer(seen=(line(spoken(2, "Nay.")),), lines=(line(second[2]),)), minutes=2),
    )
    show.keep_snapshot(ReviewSnapshot(decisions=decisions))
    told = {each.version: each for each in quality.measure(show).heard}
    # The second one was given when only the first model had been run.
    assert {name: each.clips for name, each in told.items()} == {
        "small · lexical": 2, "large · lexical": 1, quality.GONE: 1
    }  # fmt: skip
    assert told["small · lexical"].word_errors.count == 1


def test_runs_of_one_model_with_other_settings_are_told_apart(show, made, monkeypatch):
    caption = Caption(clip="e_0", text="A street.", quotes=(), characters=(), score=0.5)
    for looks in (True, False):
        text = f"A street, {looks}."
        record = Captions(episode="e", backend="facts", captions=(caption.model_copy(update={"text": text}),))
        made("step2-caption", record, looks, config={"backend": "facts", "describe_looks": looks})
    answers = [CaptionAnswer(seen=f"A street, {looks}.", text="A street.", verdict="keep") for looks in (True, False)]
    show.keep_snapshot(ReviewSnapshot(decisions=tuple(decided(0, each, i) for i, each in enumerate(answers))))
    versions = [each.version for each in quality.measure(show).captioned]
    assert len(set(versions)) == 2
    assert all(name.startswith("facts (settings ") for name in versions)


def test_a_version_is_called_by_all_models_that_may_have_answered():
    models = [{"model": "org/big", "revision": "0123456789", "backend": "transformers"}, {"model": "none"}]
    assert quality.model({"backend": "vlm", "models": models}) == "vlm org/big@0123456 or none"
    assert quality.model({"model": "large-v3", "revision": None}) == "large-v3"
    assert quality.model({"beam_size": 5}) == "no model"


def test_the_stamp_changes_with_what_is_measured_and_with_nothing_else(show, made, monkeypatch):
    before = quality.stamp(show)
    made("step2-transcript-base", Transcript(episode="e", language="en", source="asr", segments=()), 0)
    assert quality.stamp(show) == before
    made("step2-caption", Captions(episode="e", backend="facts", captions=()), 0)
    after = quality.stamp(show)
    show.keep_snapshot(ReviewSnapshot(decisions=(decided(0, None),)))
    assert len({before, after, quality.stamp(show)}) == 3


def test_every_output_is_read_once_however_many_answers_there_are(show, made, transcribed, monkeypatch):
    monkeypatch.setattr(show.store, "path_of", lambda file: show.folder / "show.toml")
    made("step1-scenes", scenes(50), 0)
    segments = transcribed("large", [f"Line {i}." for i in range(50)], 0)
    answers = [TranscriptAnswer(seen=(line(each),), lines=(line(each),)) for each in segments]
    show.keep_snapshot(ReviewSnapshot(decisions=tuple(decided(i, each) for i, each in enumerate(answers))))
    read = []
    get = type(show.store).get
    monkeypatch.setattr(
        type(show.store), "get", lambda store, digest, kind: (read.append(kind), get(store, digest, kind))[1]
    )
    told = quality.measure(show)
    assert (told.progress[0].done, told.heard[0].clips) == (50, 50)
    # The transcript once for the tasks there are now, once for what people saw.
    assert sorted(kind.__name__ for kind in read) == [
        "ReviewSnapshot", "Scenes", "SettledTranscript", "SettledTranscript"
    ]  # fmt: skip


def calls(answers: int) -> int:
    """How many Python functions the figures of so many answers call; every tenth has an error and a question."""
    judged, keys = [], quality.Now()
    for number in range(answers):
        segment = spoken(number, "Bring cone to the diner.")
        doubt = Doubt(
            id=f"d{number}", kind="text", segment=segment.id, span=segment.words[1].span, first_word=1, last_word=1,
            heard="cone", context="cone", evidence=(), candidates=(Candidate(value="Cohen", score=0.6),),
        )  # fmt: skip
        seen, left = line(segment), line(segment, "Bring Cohen to the diner." if number % 10 == 0 else None)
        answer = TranscriptAnswer(seen=(seen,), lines=(left,))
        judged.append(Judged(decided(number, answer), "v", {doubt.id: doubt}))
        keys.transcripts.append(f"e/e_{number}")
    count = 0

    def counted(frame, event, argument) -> None:
        nonlocal count
        count += event == "call"

    before = sys.getprofile()
    sys.setprofile(counted)
    try:
        told = quality.quality([each.decision for each in judged], [keys], judged, Bible(title="x"), ())
    finally:
        sys.setprofile(before)
    assert told.heard[0].errors == answers // 10
    return count


def test_twice_the_answers_are_twice_the_work():
    calls(10)  # What is done once.
    one, two = calls(300), calls(600)
    assert two < 2.2 * one
    assert one / 300 < 250
