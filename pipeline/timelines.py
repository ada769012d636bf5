"""What the panel's episode page reads: a small index of each episode, made once for each output and kept on disk.

A page that shows one episode, or searches all of them, must not read every record of the store. An index is named by
the outputs it was made of, so it is never wrong, and may be deleted at any moment.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Literal, TypeVar

from pipeline import indexes
from pipeline.engine import fingerprint
from pipeline.engine.fingerprint import Digest
from pipeline.engine.plan import SHOW
from pipeline.engine.records import File, Record
from pipeline.engine.store import Store
from pipeline.schemas.captions import Caption, Captions, Reviewed
from pipeline.schemas.story import Bible, Doubt, SceneContexts, SettledTranscript, ShotReferences
from pipeline.schemas.timeline import Clip, Dropped, Scenes, Segment, Shot, Span
from pipeline.show import Show

__all__ = [
    "File", "Outcome", "Place", "Said", "Settled", "Shown", "Timeline", "bible", "doubts", "kept", "outcome", "outputs",
    "timelines",
]  # fmt: skip

FORMAT = 1
"""Raise it when an index would say something else of the same outputs."""

SCENES, SETTLED, CAPTION = "step1-scenes", "step2-transcript-disambiguate", "step2-caption"
_REFERENCE, _CONTEXT = "step2-shot-reference", "step2-scene-context"
_READ = (SCENES, SETTLED, CAPTION, _REFERENCE, _CONTEXT)

R = TypeVar("R", bound=Record)
Doubtful = Literal["text", "speaker"]


class Said(Record):
    """A line: who says what when, and what of it the machine doubts. `speaker` is a character's id or None."""

    id: str
    span: Span
    speaker: str | None
    text: str
    doubts: tuple[Doubtful, ...] = ()


class Shown(Record):
    """A clip as the machine left it, with the lines whose middle it holds; `still` is one picture of its first shot.

    `caption` is None where it has none yet.
    """

    id: str
    scene: int
    span: Span
    video: File
    still: File | None
    caption: str | None
    characters: tuple[str, ...]
    notes: tuple[str, ...]
    lines: tuple[Said, ...]


class Place(Record):
    """A scene, and the bible's id of where it plays; None where nobody knows."""

    span: Span
    place: str | None


class Timeline(Record):
    """One episode. `doubts` are moments (seconds) and kinds of what people are to settle."""

    episode: str
    seconds: float
    shots: tuple[Span, ...]
    scenes: tuple[Place, ...]
    clips: tuple[Shown, ...]
    dropped: tuple[Dropped, ...]
    doubts: tuple[tuple[float, Doubtful], ...]

    def clip_at(self, moment: float) -> Shown | None:
        """The clip that holds `moment`, else the nearest one; None where there are no clips."""
        far = min(self.clips, key=lambda clip: max(clip.span.start - moment, moment - clip.span.end), default=None)
        return next((clip for clip in self.clips if clip.span.holds(moment)), far)


class Settled(Record):
    """A clip as people left it."""

    caption: str
    characters: tuple[str, ...]
    lines: tuple[Said, ...]
    by: tuple[str, ...]


class Outcome(Record):
    """What step2-reviewed made of each clip, by its id: `settled` as people left it, or why it is not used."""

    settled: dict[str, Settled] = {}
    left_out: dict[str, str] = {}


_NOTHING = Outcome()


def outputs(show: Show, steps: Iterable[str], units: Iterable[str]) -> dict[tuple[str, str], Digest]:
    """What stands of these steps, fresh or not; a small file is read for each, and another the first time."""
    found = {}
    wanted = list(units)
    for step in steps:
        folder = show.store.root / "heads" / step
        for unit in wanted:
            try:
                name = (folder / unit).read_text()
            except FileNotFoundError:
                continue
            if digest := _output(show.store.root, name):
                found[step, unit] = digest
    return found


@lru_cache(maxsize=50_000)
def _output(root: Path, run: str) -> Digest | None:
    made = Store(root).find_run(run)
    return made.output if made else None


def timelines(show: Show, episodes: Sequence[str] | None = None) -> list[Timeline]:
    """The episodes that were cut into clips, in the show's order; what is not made yet is empty in them."""
    names = list(show.episodes()) if episodes is None else list(episodes)
    stand = outputs(show, _READ, names)
    return [
        _timeline(show.store.root, name, tuple(stand.get((step, name)) for step in _READ))
        for name in names
        if (SCENES, name) in stand
    ]


def outcome(show: Show) -> Outcome:
    """What stands of people's answers, as the last run of step2-reviewed made it."""
    digest = outputs(show, ["step2-reviewed"], [SHOW]).get(("step2-reviewed", SHOW))
    return _outcome(show.store.root, digest) if digest else _NOTHING


def outcome_of(show: Show, timeline: Timeline) -> Outcome:
    """The same of one episode: a page that shows one must not hold the answers of a whole season."""
    digest = outputs(show, ["step2-reviewed"], [SHOW]).get(("step2-reviewed", SHOW))
    if digest is None:
        return _NOTHING
    return _outcome_of(show.store.root, digest, timeline.episode, tuple(clip.id for clip in timeline.clips))


def bible(show: Show) -> Bible:
    """The bible as it was last read; an empty one where it never was."""
    digest = outputs(show, ["step2-bible"], [SHOW]).get(("step2-bible", SHOW))
    return _bible(show.store.root, digest) if digest else Bible(title=show.file.name)


def doubts(show: Show, episode: str, span: Span) -> list[Doubt]:
    """What people are to settle within `span`, whole, with candidates and evidence."""
    digest = outputs(show, [SETTLED], [episode]).get((SETTLED, episode))
    made = show.store.get(digest, SettledTranscript).doubts if digest else ()
    return [doubt for doubt in made if span.holds(doubt.span.middle)]


@lru_cache(maxsize=1000)
def _timeline(root: Path, episode: str, made: tuple[Digest | None, ...]) -> Timeline:
    def read(step: str, kind: type[R]) -> R | None:
        digest = made[_READ.index(step)]
        return Store(root).get(digest, kind) if digest else None

    def build() -> Timeline:
        scenes, captions = read(SCENES, Scenes), read(CAPTION, Captions)
        assert scenes is not None
        return _laid(
            scenes,
            read(SETTLED, SettledTranscript),
            captions.captions if captions else (),
            read(_REFERENCE, ShotReferences),
            read(_CONTEXT, SceneContexts),
        )

    return kept(root, episode, list(made), Timeline, build)


@lru_cache(maxsize=2)
def _outcome(root: Path, made: Digest) -> Outcome:
    return kept(root, "reviewed", [made], Outcome, lambda: _told(Store(root).get(made, Reviewed)))


@lru_cache(maxsize=50)
def _outcome_of(root: Path, made: Digest, episode: str, clips: tuple[str, ...]) -> Outcome:
    def build() -> Outcome:
        whole = _outcome(root, made)
        return Outcome(
            settled={clip: whole.settled[clip] for clip in clips if clip in whole.settled},
            left_out={clip: whole.left_out[clip] for clip in clips if clip in whole.left_out},
        )

    return kept(root, f"reviewed-{episode}", [made, fingerprint.of_value("clips", list(clips))], Outcome, build)


@lru_cache(maxsize=2)
def _bible(root: Path, made: Digest) -> Bible:
    return Store(root).get(made, Bible)


def kept(root: Path, name: str, made: Sequence[Digest | None], kind: type[R], build: Callable[[], R]) -> R:
    """The index of these outputs; built and written down where it is not there, or is not whole."""
    return indexes.kept(Store(root), name, [FORMAT, *(digest or "" for digest in made)], kind, build)


def _laid(
    scenes: Scenes,
    settled: SettledTranscript | None,
    captions: Sequence[Caption],
    references: ShotReferences | None,
    contexts: SceneContexts | None,
) -> Timeline:
    """The records of one episode in one. Pure."""
    asked: dict[str, set[Doubtful]] = defaultdict(set)
    for doubt in settled.doubts if settled else ():
        asked[doubt.segment].add(doubt.kind)
    lines = list(_lines(settled.segments if settled else (), asked))
    stills = {one.shot: one.frames[len(one.frames) // 2].picture for one in (references.shots if references else ())}
    places = {context.scene: context.place for context in (contexts.scenes if contexts else ())}
    texts = {caption.clip: caption for caption in captions}
    return Timeline(
        episode=scenes.episode,
        seconds=scenes.media.seconds,
        shots=_spans(scenes.shots),
        scenes=tuple(Place(span=scene.span, place=places.get(scene.index)) for scene in scenes.scenes),
        clips=tuple(_clip(clip, texts.get(clip.id), stills, lines) for clip in scenes.clips),
        dropped=scenes.dropped,
        doubts=tuple((doubt.span.start, doubt.kind) for doubt in (settled.doubts if settled else ())),
    )


def _spans(shots: Iterable[Shot]) -> tuple[Span, ...]:
    return tuple(shot.span for shot in shots)


def _clip(clip: Clip, caption: Caption | None, stills: Mapping[int, File], lines: Sequence[Said]) -> Shown:
    return Shown(
        id=clip.id,
        scene=clip.scene,
        span=clip.span,
        video=clip.video,
        still=next((stills[shot] for shot in clip.shots if shot in stills), None),
        caption=caption.text if caption else None,
        characters=caption.characters if caption else (),
        notes=caption.notes if caption else (),
        lines=tuple(line for line in lines if clip.span.holds(line.span.middle)),
    )


def _lines(segments: Iterable[Segment], asked: Mapping[str, set[Doubtful]]) -> Iterator[Said]:
    for segment in segments:
        kinds = tuple(sorted(asked.get(segment.id, ())))
        yield Said(id=segment.id, span=segment.span, speaker=segment.speaker, text=segment.text, doubts=kinds)


def _told(reviewed: Reviewed) -> Outcome:
    return Outcome(
        settled={
            clip.clip: Settled(
                caption=clip.caption.text,
                characters=clip.caption.characters,
                lines=tuple(_lines(clip.lines, {})),
                by=clip.by,
            )
            for clip in reviewed.clips
            if clip.reviewed
        },
        left_out={each.clip: each.reason for each in reviewed.left_out},
    )
