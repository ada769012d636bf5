"""The bundled show's lines as its truth has them, listened to and named by the real steps."""

import json

import pytest

from pipeline.models import voiceprints, weights
from pipeline.schemas.captions import Line as ReviewedLine
from pipeline.schemas.captions import ReviewDecision, ReviewSnapshot, TranscriptAnswer
from pipeline.schemas.story import UNKNOWN, Candidate, KnownNames
from pipeline.schemas.timeline import Episode, Segment, Span, Transcript, Word
from pipeline.schemas.voices import EpisodeVoices, ReviewedSpeakers, Voice, VoiceLine, Voiceprint, Voiceprints, Voices
from pipeline.steps import step2_voiceprints, step2_voices
from pipeline.steps.step2_bible import read

NOBODY_REVIEWED = ReviewedSpeakers(said=())


def transcript(truth):
    segments = tuple(
        Segment(
            id=f"{truth['episode']}@{round(line['start'] * 1000):07d}",
            shot=0,
            words=tuple(
                Word(text=w["word"], span=Span(start=w["start"], end=w["end"]), probability=0.9) for w in line["words"]
            ),
        )
        for line in truth["lines"]
    )
    return Transcript(episode=truth["episode"], language="en", source="asr", segments=segments)


@pytest.fixture(scope="module")
def truths(spies):
    return {name: json.loads((spies / "truth" / f"{name}.truth.json").read_text()) for name in ("s01e01", "s01e02")}


@pytest.fixture(scope="module")
def known(spies):
    text = (spies / "bible.toml").read_text()
    pictures = {f"refs/{path.name}": None for path in (spies / "refs").glob("*.png")}
    bible = read(text, "bible.toml", {name: _picture(name) for name in pictures})
    return KnownNames.project(bible)


def _picture(name):
    from pipeline.engine.records import File

    return File(digest="0" * 64, name=name.rpartition("/")[2], size_bytes=1)


def listened(work, spies, truths):
    if missing := weights.missing(voiceprints.PACKAGED[voiceprints.GE2E]):
        pytest.skip(f"needs {' '.join(missing)}")
    return {
        name: step2_voiceprints.run(
            step2_voiceprints.Config(),
            work,
            episode=Episode(id=name, video=work.store.put_file(spies / "episodes" / f"{name}.mp4")),
            step2_transcript_base=transcript(truth),
        )
        for name, truth in truths.items()
    }


def voices(work, known, truths, prints, review=NOBODY_REVIEWED):
    return step2_voices.run(
        step2_voices.Config(),
        work,
        step2_transcript_base={name: transcript(truths[name]) for name in prints},
        step2_voiceprints=prints,
        step2_bible=known,
        review=review,
    )


@pytest.mark.weights
def test_the_show_has_four_voices_each_with_its_name_and_a_changed_line_is_listened_to_alone(
    work, spies, truths, known
):
    prints = listened(work, spies, truths)
    found = voices(work, known, truths, prints)
    speakers = {}
    for name, truth in truths.items():
        for line, own in zip(truth["lines"], found.lines[name], strict=True):
            speakers.setdefault(own.voice, set()).add(line["speaker"])
    named = {voice.id: voice.candidates[0].value for voice in found.voices}
    assert {voice: {named[voice]} for voice in named} == {voice: speakers[voice] for voice in named}
    assert sorted(named.values()) == ["cohen", "margaux", "pryce", "reyes"]
    assert found.voices[0].why

    alone = voices(work, known, truths, {"s01e01": prints["s01e01"]})
    assert {voice.id for voice in alone.voices} == set(named)  # A new episode renames no voice.

    heard = []
    work.models.loaded[voiceprints.listening, voiceprints.GE2E, None, work.cache] = lambda samples: (
        heard.append(len(samples)) or pytest.fail("nothing is left to listen to")
    )
    assert listened(work, spies, truths) == prints


def test_a_reviewers_word_names_the_voice_wherever_it_is_heard(work, truths, known):
    """Two episodes with one voice each, the same; a reviewer names it in one of them."""
    prints = {
        name: Voiceprints(
            episode=name,
            model="ge2e",
            prints=tuple(Voiceprint(segment=s.id, seconds=2.0, vector=(1.0, 0.0)) for s in transcript(truth).segments),
        )
        for name, truth in truths.items()
    }
    line = transcript(truths["s01e02"]).segments[0]
    answer = ReviewedLine(id=line.id, span=line.span, speaker="margaux", text=line.text)
    decision = ReviewDecision(
        key="s01e02/x#transcript",
        episode="s01e02",
        clip="x",
        span=line.span,
        revision="r",
        by="ann",
        at="2026-11-23T12:00:00Z",
        seconds=1,
        answer=TranscriptAnswer(seen=(), lines=(answer,)),
    )
    review = ReviewedSpeakers.project(ReviewSnapshot(decisions=(decision,)))
    before, after = (voices(work, known, truths, prints, each) for each in (NOBODY_REVIEWED, review))
    assert [voice.candidates[0].value for voice in before.voices] != ["margaux"]
    [voice] = after.voices
    assert voice.candidates[0].value == "margaux"
    assert EpisodeVoices.project(after, "s01e01").voices == (voice,)


def test_only_the_newest_answer_to_a_clip_says_who_speaks():
    def answer(at, speaker, *, skipped=False):
        line = ReviewedLine(id="l", span=Span(start=1, end=2), speaker=speaker, text="Yes.")
        return ReviewDecision(
            key="e/x#transcript",
            episode="e",
            clip="x",
            span=Span(start=0, end=3),
            revision="r",
            by="ann",
            at=f"2026-11-23T12:00:0{at}Z",
            seconds=1,
            skipped=skipped,
            answer=None if skipped else TranscriptAnswer(seen=(), lines=(line,)),
        )

    given = ReviewSnapshot(decisions=(answer(2, "ben"), answer(1, "helen"), answer(3, None, skipped=True)))
    assert [one.speaker for one in ReviewedSpeakers.project(given).said] == ["ben"]


def test_an_episode_reads_its_own_lines_and_the_voices_heard_in_them():
    def voice(name, score):
        return Voice(id=name, candidates=(Candidate(value=UNKNOWN, score=score),))

    def line(segment, name):
        return VoiceLine(segment=segment, voice=name, likeness=0.9)

    one = Voices(
        model="ge2e",
        lines={"a": (line("a@0", "voice-a@0"),), "b": (line("b@0", "voice-b@0"), line("b@1", None))},
        voices=(voice("voice-a@0", 0.5), voice("voice-b@0", 0.5)),
    )
    other = one.model_copy(update={"voices": (voice("voice-a@0", 0.5), voice("voice-b@0", 0.9))})
    assert EpisodeVoices.project(one, "a") == EpisodeVoices.project(other, "a")
    assert EpisodeVoices.project(one, "b") != EpisodeVoices.project(other, "b")
    own = EpisodeVoices.project(one, "b")
    assert own.of("b@0") == (one.lines["b"][0], one.voices[1])
    assert own.of("b@1") == (one.lines["b"][1], None)
    assert own.of("a@0") == (None, None)
