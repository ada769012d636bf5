"""A small episode in records, and one real Label Studio for all tests that ask for it."""

import socket

import pytest

from pipeline.engine.records import File
from pipeline.review import server
from pipeline.review.client import Client
from pipeline.review.served import Served
from pipeline.review.tasks import Material
from pipeline.schemas.captions import Caption, Captions
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
from pipeline.settings import Settings

CLIP_SECONDS = 4.0


@pytest.fixture
def keep(work):
    """Puts bytes into the store under a name."""

    def put(name: str, content: bytes) -> File:
        path = work.scratch / name
        path.write_bytes(content)
        return work.keep(path)

    return put


@pytest.fixture
def bible(keep):
    return Bible(
        title="Spies",
        style="flat animation",
        characters=(
            Character(
                id="reyes", name="Ines Reyes", short="Reyes", looks="yellow coat", references=(keep("r.png", b"r"),)
            ),
            Character(id="cohen", name="Aaron Cohen", short="Cohen", aliases=("Dr. Cohen",)),
            Character(id="pryce", name="Tom Pryce", short="Pryce"),
        ),
        places=(Place(id="diner", name="Blue Moon Diner"),),
    )


@pytest.fixture
def segment():
    """A segment of words that follow each other in equal steps."""

    def make(start: float, text: str, *, end: float | None = None, speaker="reyes", sure=0.9, marks=()) -> Segment:
        words = text.split()
        step = ((end or start + 1.0) - start) / len(words)
        spans = [
            Span(start=round(start + i * step, 3), end=round(start + (i + 1) * step, 3)) for i in range(len(words))
        ]
        return Segment(
            id=f"s01e01@{round(start * 1000):07d}",
            shot=0,
            words=tuple(Word(text=w, span=s, probability=sure) for w, s in zip(words, spans, strict=True)),
            speaker=speaker,
            marks=marks,
        )

    return make


@pytest.fixture
def doubt():
    """A doubt about one word (or, without `at`, about the speaker) of a segment."""

    def make(of: Segment, *candidates: tuple[str, float], at: int | None = None, context: str = "c") -> Doubt:
        word = of.words[at or 0]
        return Doubt(
            id=f"{of.id}/{'who' if at is None else at}",
            kind="speaker" if at is None else "text",
            segment=of.id,
            span=of.span if at is None else word.span,
            first_word=at or 0,
            last_word=len(of.words) - 1 if at is None else at,
            heard="" if at is None else word.text,
            context=context,
            candidates=tuple(Candidate(value=value, score=score) for value, score in candidates),
            evidence=("test",),
        )

    return make


@pytest.fixture
def material(keep):
    """Clips of four seconds, or of these cuts, each a shot of the one scene, with these lines and doubts."""

    def make(
        segments=(), doubts=(), *, clips=2, cuts=(), episode="s01e01", captions=None, content=b"picture", decisions=()
    ) -> Material:
        even = [(i * CLIP_SECONDS, (i + 1) * CLIP_SECONDS) for i in range(clips)]
        spans = [Span(start=start, end=end) for start, end in cuts or even]
        whole = Span(start=0, end=spans[-1].end)
        names = [f"{episode}_{round(span.start * 1000):07d}" for span in spans]
        still = keep("still.jpg", b"still")
        return Material(
            decisions=tuple(decisions),
            scenes=Scenes(
                episode=episode,
                media=MediaInfo(
                    width=64, height=36, fps=24, variable_frame_rate=False, seconds=whole.end, has_audio=True
                ),
                detector="test",
                shots=tuple(Shot(index=i, span=span) for i, span in enumerate(spans)),
                scenes=(Scene(index=0, span=whole, first_shot=0, last_shot=len(spans) - 1),),
                clips=tuple(
                    Clip(
                        id=name,
                        scene=0,
                        shots=(i,),
                        span=span,
                        fps=23.976,
                        video=keep(f"{name}.mp4", content + name.encode()),
                        audio=keep(f"{name}.m4a", b"sound" + name.encode()),
                    )
                    for i, (name, span) in enumerate(zip(names, spans, strict=True))
                ),
                dropped=(),
            ),
            transcript=SettledTranscript(
                episode=episode, language="en", segments=tuple(segments), decisions=(), doubts=tuple(doubts)
            ),
            references=ShotReferences(
                episode=episode,
                shots=tuple(
                    ShotReference(
                        shot=i,
                        span=span,
                        frames=(Frame(at=span.middle, picture=still, sharpness=1, brightness=0.5),),
                        brightness=0.5,
                        contrast=0.2,
                        warmth=0,
                        motion=0,
                        camera="static",
                        scale="close-up",
                        faces=1,
                        hash="0" * 16,
                        look=0,
                    )
                    for i, span in enumerate(spans)
                ),
            ),
            contexts=SceneContexts(
                episode=episode,
                scenes=(
                    SceneContext(
                        scene=0,
                        span=whole,
                        place="diner",
                        cast=("reyes", "cohen"),
                        dialogue=tuple(segments),
                        previously="Nothing yet.",
                        why=(),
                    ),
                ),
            ),
            captions=Captions(
                episode=episode,
                backend="test",
                captions=tuple(
                    Caption(
                        clip=name,
                        text=(captions or {}).get(name, f"A close-up of Reyes in {name}."),
                        quotes=(),
                        characters=("reyes",),
                        score=0.7,
                    )
                    for name in names
                ),
            ),
        )

    return make


@pytest.fixture(scope="session")
def label_studio(tmp_path_factory):
    """A real Label Studio of the tests' own, empty at first, stopped at the end."""
    settings = Settings()
    if not settings.label_studio_executable.exists():
        pytest.skip(f"no Label Studio at {settings.label_studio_executable}: run `make setup`")
    folder = tmp_path_factory.mktemp("label-studio")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with server.running(
        settings.label_studio_executable,
        folder / "data",
        folder / "media",
        port=port,
        templates=settings.cache / "label-studio",
    ) as running:
        yield running


@pytest.fixture
def client(label_studio):
    with Client(label_studio.url, label_studio.login.token) as client:
        yield client


@pytest.fixture
def served(label_studio, work):
    return Served(work.store, label_studio.log.parents[1] / "media")
