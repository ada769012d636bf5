"""A show whose machine output stands in the store without a pipeline run: small for tests, huge for measurements."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pipeline.engine import fingerprint
from pipeline.engine.plan import SHOW
from pipeline.engine.records import File, Record
from pipeline.engine.store import Run
from pipeline.schemas.captions import (
    Asked,
    Caption,
    CaptionAnswer,
    Captions,
    CheckResult,
    Line,
    ReviewDecision,
    ReviewSnapshot,
    TranscriptAnswer,
)
from pipeline.schemas.story import Bible, Candidate, Character, Doubt, SettledTranscript
from pipeline.schemas.timeline import Clip, MediaInfo, Scene, Scenes, Segment, Shot, Span, Word
from pipeline.show import open_show

CLIP_SECONDS = 4
NAMES = {"reyes": "Reyes", "cohen": "Cohen", "pryce": "Pryce"}
BIBLE = '[show]\ntitle = "Spies"\nlanguage = "en"\n' + "".join(
    f'\n[[character]]\nid = "{id_}"\nname = "Agent {name}"\nshort = "{name}"\n' for id_, name in NAMES.items()
)
SAYINGS = ("Bring cone to the diner now.", "He left before the rain.", "Is that cone over there?", "Nobody moves.")
BEGAN = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)


class Season:
    """A show whose machine output stands in the store, without a pipeline run: clips of four seconds, a line in each.

    Every second line has a name that was misheard, and a doubt about it; a line in four has a doubt about its speaker.
    """

    def __init__(self, folder: Path, *, episodes: int = 2, clips: int = 8, film: bytes = b"no film") -> None:
        (folder / "episodes").mkdir(parents=True)
        (folder / "show.toml").write_text('name = "spies"\nepisodes = "episodes/*.mp4"\nbible = "bible.toml"\n')
        (folder / "bible.toml").write_text(BIBLE)
        self.folder, self.clips, self.film, self._moment = folder, clips, film, BEGAN
        self.episodes = [f"s01e{number + 1:02}" for number in range(episodes)]
        for episode in self.episodes:
            (folder / "episodes" / f"{episode}.mp4").write_bytes(episode.encode())
        self.show = open_show(folder)
        self.decisions: list[ReviewDecision] = []
        cast = tuple(Character(id=id_, name=f"Agent {name}", short=name) for id_, name in NAMES.items())
        self.save("step2-bible", SHOW, Bible(title="Spies", characters=cast))
        for episode in self.episodes:
            self._make(episode)

    def save(self, step: str, unit: str, record: Record, *, files: bool = True) -> None:
        """As if the step had been run. Without `files` its folder has no links to those that its output names."""
        output = self.show.store.put(record)
        key = fingerprint.of_value("season", [step, unit, output])
        unit_name = [] if unit == SHOW else [unit]
        recipe = {"version": 1, "inputs": {}, "config": {"backend": "lexical" if "dis" in step else "facts"}}
        name = "-".join([key[:32], "spies", *unit_name, step, "1"])
        finished = (BEGAN - timedelta(days=1)).timestamp()
        run = Run(
            name=name, step=step, unit=unit, key=key, recipe=recipe, output=output, seconds=2.5, finished=finished
        )
        if files:
            self.show.store.save_run(run, record)
        else:
            self.show.store.take_run(run, (), head=True)

    def _make(self, episode: str) -> None:
        spans = [Span(start=i * CLIP_SECONDS, end=(i + 1) * CLIP_SECONDS) for i in range(self.clips)]
        with self.show.store.scratch() as scratch:
            (scratch / "clip.mp4").write_bytes(self.film)
            film: File = self.show.store.put_file(scratch / "clip.mp4")
        names = [self.clip(episode, i) for i in range(self.clips)]
        whole = Span(start=0, end=spans[-1].end)
        media = MediaInfo(width=64, height=36, fps=24, variable_frame_rate=False, seconds=whole.end, has_audio=True)
        self.save(
            "step1-scenes",
            episode,
            Scenes(
                episode=episode,
                media=media,
                detector="adaptive",
                shots=tuple(Shot(index=i, span=span) for i, span in enumerate(spans)),
                scenes=(Scene(index=0, span=whole, first_shot=0, last_shot=self.clips - 1),),
                clips=tuple(
                    Clip(id=name, scene=0, shots=(i,), span=span, fps=24, video=film, audio=None)
                    for i, (name, span) in enumerate(zip(names, spans, strict=True))
                ),
                dropped=(),
            ),
        )
        segments = [self.segment(episode, i) for i in range(self.clips)]
        doubts = tuple(doubt for i in range(self.clips) for doubt in self.doubts(episode, i))
        self.save(
            "step2-transcript-disambiguate",
            episode,
            SettledTranscript(episode=episode, language="en", segments=tuple(segments), decisions=(), doubts=doubts),
        )
        captions = tuple(
            Caption(clip=name, text=self.caption(i), quotes=(), characters=("reyes",), score=0.3 + 0.05 * (i % 14))
            for i, name in enumerate(names)
        )
        self.save("step2-caption", episode, Captions(episode=episode, backend="facts", captions=captions))

    @staticmethod
    def clip(episode: str, i: int) -> str:
        return f"{episode}_{i * CLIP_SECONDS * 1000:07d}"

    @staticmethod
    def caption(i: int) -> str:
        return f"A close-up of Reyes at the diner, take {i}."

    @staticmethod
    @lru_cache(maxsize=40_000)
    def segment(episode: str, i: int) -> Segment:
        words = SAYINGS[i % len(SAYINGS)].split()
        at = i * CLIP_SECONDS + 0.5
        return Segment(
            id=f"{episode}@{round(at * 1000):07d}",
            shot=i,
            words=tuple(
                Word(text=word, span=Span(start=at + 0.3 * n, end=at + 0.3 * (n + 1)), probability=0.9)
                for n, word in enumerate(words)
            ),
            speaker=None if i % 4 == 3 else "reyes",
        )

    def doubts(self, episode: str, i: int) -> Iterator[Doubt]:
        segment = self.segment(episode, i)
        for n, word in enumerate(segment.words):
            if word.text == "cone":
                yield Doubt(
                    id=f"{segment.id}/{n}",
                    kind="text",
                    segment=segment.id,
                    span=word.span,
                    first_word=n,
                    last_word=n,
                    heard="cone",
                    context="name",
                    candidates=(
                        Candidate(value="Cohen", score=0.35 + 0.1 * (i % 3)),
                        Candidate(value="cone", score=0.3),
                    ),
                    evidence=("sounds like Cohen",),
                )
        if i % 4 == 3:
            yield Doubt(
                id=f"{segment.id}/who",
                kind="speaker",
                segment=segment.id,
                span=segment.span,
                first_word=0,
                last_word=len(segment.words) - 1,
                heard="",
                context="voice",
                candidates=(Candidate(value="pryce", score=0.6), Candidate(value="reyes", score=0.3)),
                evidence=("the scene",),
            )

    def answered(
        self,
        episode: str,
        i: int,
        by: str = "anna@example.com",
        *,
        text: str | None = None,
        flags: tuple[str, ...] = (),
        seconds: float = 12.0,
        check: Literal["found", "missed", "changed"] | None = None,
        who: str | None = None,
    ) -> None:
        """A reviewer answered the transcript of clip `i`: its line reads `text` now, and `who` speaks it."""
        segment = self.segment(episode, i)
        seen = Line(id=segment.id, span=segment.span, speaker=segment.speaker, text=segment.text)
        said = text or segment.text.replace("cone", "Cohen")
        asked = [
            Asked(doubt=d.id, kind=d.kind, segment=d.segment, span=d.span, heard=d.heard, context=d.context)
            for d in self.doubts(episode, i)
        ]
        answers = {d.doubt: ("Cohen" if "Cohen" in said else "cone") if d.kind == "text" else "pryce" for d in asked}
        found = CheckResult(segment=segment.id, shown="rain", known="train", outcome=check) if check else None
        line = seen.model_copy(update={"text": said, "speaker": who or segment.speaker})
        answer = TranscriptAnswer(
            seen=(seen,), lines=(line,), answers=answers, asked=tuple(asked), flags=flags, check=found
        )
        self._decide(episode, i, "", by, seconds, answer)

    def captioned(
        self,
        episode: str,
        i: int,
        by: str = "anna@example.com",
        *,
        text: str | None = None,
        verdict: Literal["keep", "drop", "second look"] = "keep",
        reasons: tuple[str, ...] = (),
        seconds: float = 6.0,
    ) -> None:
        seen = self.caption(i)
        answer = CaptionAnswer(seen=seen, text=text or seen, verdict=verdict, reasons=reasons, characters=("reyes",))
        self._decide(episode, i, "#caption", by, seconds, answer)

    def _decide(
        self, episode: str, i: int, suffix: str, by: str, seconds: float, answer: TranscriptAnswer | CaptionAnswer
    ) -> None:
        self._moment += timedelta(seconds=seconds + 1)
        clip = self.clip(episode, i)
        self.decisions.append(
            ReviewDecision(
                key=f"{episode}/{clip}{suffix}",
                episode=episode,
                clip=clip,
                span=Span(start=i * CLIP_SECONDS, end=(i + 1) * CLIP_SECONDS),
                revision="0" * 16,
                by=by,
                at=self._moment,
                seconds=seconds,
                answer=answer,
            )
        )

    def pull(self) -> "Season":
        """Keep what was decided by now, as a pull does."""
        ordered = sorted(self.decisions, key=lambda d: (d.key, d.at, d.by))
        self.show.keep_snapshot(ReviewSnapshot(decisions=tuple(ordered)))
        return self
