"""An episode's time: shots, scenes, clips, words. All times are seconds from the episode's first frame."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from pipeline.engine.records import File, Record

Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Probability = Annotated[float, Field(ge=0, le=1)]


class Span(Record):
    """Half-open: `start` is in it, `end` is not."""

    start: Seconds
    end: Seconds

    @model_validator(mode="after")
    def _runs_forward(self) -> "Span":
        if self.end <= self.start:
            raise ValueError(f"a span must end after it starts, got {self.start} to {self.end} s")
        return self

    @property
    def seconds(self) -> float:
        return self.end - self.start

    @property
    def middle(self) -> float:
        return (self.start + self.end) / 2

    def overlap(self, other: "Span") -> float:
        """Seconds that both have, 0 if they do not meet."""
        return max(0.0, min(self.end, other.end) - max(self.start, other.start))

    def holds(self, moment: float) -> bool:
        return self.start <= moment < self.end


class Episode(Record):
    """A source: one video file, and the subtitle files that lie beside it (same stem)."""

    id: str
    video: File
    subtitles: tuple[File, ...] = ()


class Shot(Record):
    """What the camera takes between two cuts."""

    index: int
    span: Span


class Scene(Record):
    """A run of neighbouring shots that belong together; `first_shot` to `last_shot`, both in it."""

    index: int
    span: Span
    first_shot: int
    last_shot: int


class Clip(Record):
    """What a model trains on and a reviewer sees: a shot, or part of one, or a few short ones together.

    `id` is made of the episode and the start in milliseconds (`s01e01_0012340`), so that a clip keeps its
    name when another one changes. `video` is the review proxy (H.264/AAC, constant frame rate `fps`, faststart),
    `audio` its sound alone for the waveform; None where the episode has no sound.
    """

    id: str
    scene: int
    shots: tuple[int, ...]
    span: Span
    fps: float
    video: File
    audio: File | None


class Dropped(Record):
    """A stretch of the episode that is in no clip, and why."""

    span: Span
    reason: str


class MediaInfo(Record):
    """What was found in the video file; sizes in pixels as shown (rotation and pixel aspect applied)."""

    width: int
    height: int
    fps: float
    variable_frame_rate: bool
    seconds: Seconds
    has_audio: bool
    notes: tuple[str, ...] = ()


class Scenes(Record):
    """step1-scenes: every second of the episode is in a clip or in `dropped`."""

    episode: str
    media: MediaInfo
    detector: str
    shots: tuple[Shot, ...]
    scenes: tuple[Scene, ...]
    clips: tuple[Clip, ...]
    dropped: tuple[Dropped, ...]


class Cuts(Record):
    """What most steps read of step1-scenes: the shots, so that other clip lengths measure nothing anew."""

    seconds: Seconds
    has_audio: bool
    shots: tuple[Shot, ...]

    @classmethod
    def project(cls, scenes: Scenes) -> "Cuts":
        return cls(seconds=scenes.media.seconds, has_audio=scenes.media.has_audio, shots=scenes.shots)


class SceneSpans(Record):
    """The scenes of step1-scenes alone, so that other clips change nothing for who reads only scenes."""

    scenes: tuple[Scene, ...]

    @classmethod
    def project(cls, scenes: Scenes) -> "SceneSpans":
        return cls(scenes=scenes.scenes)


class Word(Record):
    """`text` carries its punctuation and no surrounding space."""

    text: str
    span: Span
    probability: Probability


Mark = Literal["hallucination", "loop", "no-speech", "overlap"]


class Segment(Record):
    """A stretch of speech by one speaker, within one shot.

    `id` is made of the episode and the start in milliseconds (`s01e01@0012340`). `speaker` is a character's id,
    or None while nobody knows. `marks` say what is odd about it; a marked segment is kept.
    """

    id: str
    shot: int
    words: tuple[Word, ...] = Field(min_length=1)
    speaker: str | None = None
    marks: tuple[Mark, ...] = ()

    @property
    def span(self) -> Span:
        return Span(start=self.words[0].span.start, end=max(word.span.end for word in self.words))

    @property
    def text(self) -> str:
        return " ".join(word.text for word in self.words)


class Transcript(Record):
    """step2-transcript-base: what is said, and a second hearing as evidence.

    `segments` are the text. `biased` are the words of a second decoding that was told the show's names: it spells
    names better and invents some, so it is evidence beside the text, never the text.
    """

    episode: str
    language: str
    source: Literal["asr", "subtitles"]
    segments: tuple[Segment, ...]
    biased: tuple[Word, ...] = ()
    notes: tuple[str, ...] = ()
