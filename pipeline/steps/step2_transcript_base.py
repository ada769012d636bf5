"""step2-transcript-base: what is said in the episode, word by word, in lines that read like subtitles.

The sound is decoded twice. The plain decoding is the text. The other one listens for the bible's names: it spells them
better and invents some ("I can handle him" becomes "handle Ben"), so it is kept beside the text as evidence.
A subtitle file that people made can be the text instead; the recogniser then gives its words their times. It is not
the default: many such files are shortened, translated, or made for another cut of the episode.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field, model_validator

from pipeline.engine.step import StepConfig, step
from pipeline.engine.work import Workspace
from pipeline.media import alignment, audio, hallucinations, lines, subtitles, word_times
from pipeline.models import asr, listening, weights
from pipeline.schemas.hearing import Passage
from pipeline.schemas.story import SpokenNames
from pipeline.schemas.timeline import Cuts, Episode, Shot, Transcript, Word
from pipeline.schemas.weights import Weights

SILENT = "{} has no audio track: give it one, or set steps.step2-transcript-base.allow_silent = true"
UNWRITTEN = (
    "{} has no complete text subtitles in {!r}, neither beside it nor inside it (those of DVDs and Blu-rays are "
    'pictures): add {}.{}.srt, or set steps.step2-transcript-base.text_source = "asr"'
)


class Config(StepConfig, Weights):
    model: str = Field(default="large-v3", description="whisper-base (from packages), a name on the hub, or a folder")
    revision: str | None = Field(default=None, description="a commit on the hub; models.lock pins it without one")
    compute_type: asr.ComputeType = Field(default="auto", description="auto is float16 on a GPU and int8 on a CPU")
    language: str | None = Field(default=None, description='e.g. "en"; none is the bible\'s, "auto" listens for it')
    method: Literal["sequential", "batched"] = "sequential"
    batch_size: int = Field(default=8, ge=1, description="windows of 30 s decoded together, if batched")
    beam_size: int = Field(default=5, ge=1)
    vad: bool = Field(default=True, description="decode only where somebody is heard to speak")
    names: bool = Field(default=True, description="decode a second time, listening for the bible's names")
    text_source: Literal["asr", "subtitles", "auto"] = "asr"
    min_agreement: float = Field(default=0.7, ge=0, le=1, description="of a subtitle file's words heard too, for auto")
    line_gap: float = Field(default=0.8, gt=0, description="seconds of pause that end a line", title="line gap, s")
    sentence_gap: float = Field(
        default=0.1, ge=0, description="seconds of pause that end a line after a sentence", title="sentence gap, s"
    )
    allow_silent: bool = Field(default=False, description="accept an episode without sound")

    def repository(self) -> str | None:
        return None if self.folder() else weights.repository(self.model)

    def shipped(self) -> str | None:
        return weights.PINNED.get(self.repository() or "")

    @model_validator(mode="after")
    def _batches_need_windows(self) -> Config:
        if self.method == "batched" and not self.vad:
            raise ValueError('method = "batched" finds its windows by vad: set vad = true, or method = "sequential"')
        return self


@step(version=1, per="episode", device="cuda")
def run(
    config: Config, work: Workspace, *, episode: Episode, step1_scenes: Cuts, step2_bible: SpokenNames
) -> Transcript:
    video, language = episode.video.name, config.language or step2_bible.language
    spoken = step2_bible.language if language == "auto" else language
    if not step1_scenes.has_audio and not config.allow_silent:
        raise ValueError(SILENT.format(video))
    written = None
    if config.text_source != "asr":
        beside = {file.name: work.open(file) for file in episode.subtitles}
        written = subtitles.find(beside, work.open(episode.video), video, spoken, work.scratch, step2_bible.speakers)
        if written is None and config.text_source == "subtitles":
            raise ValueError(UNWRITTEN.format(video, spoken, episode.id, spoken))
    recogniser = listening.Recogniser(config.model, config.revision, config.compute_type)
    decoding = asr.Decoding(
        language=None if language == "auto" else language,
        beam_size=config.beam_size,
        method=config.method,
        vad=config.vad,
        batch_size=config.batch_size,
    )
    samples = audio.decode_mono(work.open(episode.video))
    heard = listening.listen(work, samples, recogniser, decoding, step2_bible.names if config.names else ())
    made = transcript(config, episode.id, step1_scenes.shots, heard, written, step2_bible.speakers)
    for note in made.notes:
        work.log(note)
    marks = [mark for segment in made.segments for mark in segment.marks]
    work.report(segments=len(made.segments), **{f"marked_{mark}": marks.count(mark) for mark in sorted(set(marks))})
    return made


def transcript(
    config: Config,
    episode: str,
    shots: Sequence[Shot],
    heard: listening.Heard,
    written: subtitles.Subtitles | None,
    speakers: dict[str, str],
) -> Transcript:
    """What was heard, or what was written at the times at which it was heard, in lines."""
    words, notes = word_times.mended(_words(heard.plain), heard.voiced, shots), []
    breaks = lines.Breaks(gap=config.line_gap, sentence_gap=config.sentence_gap)
    cut, passages, source = list(lines.cut(words, shots, breaks)), heard.plain, "asr"
    if not heard.voices:
        notes.append("nobody is heard to speak")
    if written is not None:
        timed = alignment.timed(written.cues, words)
        notes += written.notes(timed.agreement, timed.shift, speakers)
        if config.text_source == "subtitles" or timed.agreement >= config.min_agreement:
            whole = lines.Breaks(gap=float("inf"), sentence_gap=float("inf"))
            cut = [
                line
                for cue, said in zip(written.cues, timed.lines, strict=True)
                for line in lines.cut(said, shots, whole, speakers.get((cue.voice or "").lower()))
            ]
            passages, source = (), "subtitles"
    segments = hallucinations.marked(lines.numbered(episode, cut), passages, heard.voices)
    return Transcript(
        episode=episode,
        language=heard.language,
        source=source,
        segments=segments,
        biased=word_times.mended(_words(heard.biased), heard.voiced, shots),
        notes=tuple(notes),
    )


def _words(passages: Sequence[Passage]) -> tuple[Word, ...]:
    return tuple(word for passage in passages for word in passage.words)
