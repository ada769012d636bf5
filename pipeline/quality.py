"""What review tells: how far it is, how right each version of the machine was, and how many errors are left.

The door for the command line and the panel. All is read from the store as of the last pull; Label Studio is not asked.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pipeline import dag, indexes
from pipeline.engine import fingerprint
from pipeline.engine.fingerprint import Digest
from pipeline.engine.plan import SHOW
from pipeline.engine.records import Record
from pipeline.engine.store import Run, Store
from pipeline.indexes import kept
from pipeline.review import judged as judging
from pipeline.review import measures, pace, trust
from pipeline.review.estimate import Estimate, Range, estimate
from pipeline.review.judged import Judged
from pipeline.review.measures import Captioned, Correction, Heard
from pipeline.review.pace import Person, Progress, Share
from pipeline.review.shown import Kind, people_of
from pipeline.review.tasks import by_clip
from pipeline.review.trust import Bin, Calibration, Doubted
from pipeline.schemas.captions import (
    Captions,
    DecisionAccount,
    ReviewDecision,
    Reviewed,
    ReviewSnapshot,
    TranscriptAnswer,
)
from pipeline.schemas.story import Bible, Doubt, SettledTranscript
from pipeline.schemas.timeline import Scenes
from pipeline.show import Show

__all__ = [
    "Bin", "Calibration", "Captioned", "Correction", "Doubted", "Estimate", "Heard", "Person", "Progress", "Quality",
    "Range", "Share", "counted", "figures", "measure", "stamp",
]  # fmt: skip

_BASE, _SETTLED, _CAPTION = "step2-transcript-base", "step2-transcript-disambiguate", "step2-caption"
_READ = ("step1-scenes", "step2-bible", _SETTLED, _CAPTION, "step2-reviewed")

FORMAT = 1
"""Raise it when `measure` would say something else of the same show."""

_INDEX = "quality"

GONE = "a version that is gone"
"""What made the lines that an answer is to, where no run that is kept has them."""

R = TypeVar("R", bound=Record)


@dataclass(frozen=True, slots=True)
class Quality:
    """All figures of one pull. A tuple is empty, and a number None, where nothing is known.

    `decisions` is how many the pull had. `progress` has one entry for each project, `heard` and `captioned` one for
    each version of the machine that people judged, `doubted` one for words and one for speakers, `calibration` one each
    for the scores of words, speakers and captions; `corrections` come the commonest first.
    """

    decisions: int
    progress: tuple[Progress, ...]
    people: tuple[Person, ...]
    heard: tuple[Heard, ...]
    captioned: tuple[Captioned, ...]
    doubted: tuple[Doubted, ...]
    calibration: tuple[Calibration, ...]
    corrections: tuple[Correction, ...]
    estimate: Estimate


def stamp(show: Show) -> str:
    """While it is the same, `measure` says the same, so that a page may keep what it said. Reads a few small files."""
    heads = {}
    for step in dag.STEPS:
        for unit in [SHOW] if step.per == SHOW else show.episodes():
            run = show.store.root / "heads" / step.name / unit
            if step.name in _READ and run.exists():
                heads[f"{step.name} {unit}"] = run.read_text()
    return fingerprint.of_value("quality", [show.latest_snapshot() or "", heads])


def figures(show: Show) -> Quality:
    """What `measure` says; counted once for each pull, and kept on disk."""
    return kept(show.store, _INDEX, [FORMAT, stamp(show)], Quality, lambda: measure(show))


def counted(show: Show) -> tuple[Quality | None, bool]:
    """What is on disk of `figures`, and whether it is of now; else it is of before the last change, or None."""
    found = indexes.there(show.store, _INDEX, [FORMAT, stamp(show)], Quality)
    return (found, True) if found else (indexes.last(show.store, _INDEX, Quality), False)


def measure(show: Show) -> Quality:
    """The figures as of the last pull, in time that grows with the tasks, the answers and the changed words."""
    snapshot = show.latest_snapshot()
    decisions = show.store.get(snapshot, ReviewSnapshot).decisions if snapshot else ()
    past = _Past(show)
    bible = past.standing("step2-bible", SHOW, Bible) or Bible(title=show.file.name)
    reviewed = past.standing("step2-reviewed", SHOW, Reviewed)
    now = [each for each in map(past.tasks, show.episodes()) if each is not None]
    return quality(decisions, now, [past.judged(d) for d in decisions], bible, reviewed.accounts if reviewed else ())


@dataclass(slots=True)
class Now:
    """The keys of the tasks that one episode has now; those in `doubtful` have doubts about words."""

    transcripts: list[str] = field(default_factory=list)
    captions: list[str] = field(default_factory=list)
    doubtful: set[str] = field(default_factory=set)


def quality(
    decisions: Sequence[ReviewDecision],
    tasks: Iterable[Now],
    judged: Sequence[Judged],
    bible: Bible,
    accounts: Sequence[DecisionAccount],
) -> Quality:
    """All figures. Pure; `judged` has every decision with what is known of the machine that made what it judges."""
    keys: dict[Kind, list[str]] = {"transcripts": [], "captions": []}
    doubtful: set[str] = set()
    for each in tasks:
        keys["transcripts"] += each.transcripts
        keys["captions"] += each.captions
        doubtful |= each.doubtful
    answers = judging.latest(judged)
    read = judging.readings(answers)
    done = pace.done(pace.newest(decisions), accounts)
    found = measures.errors_found((r for r in read if done.get(r.key) is r.judged.decision), doubtful)
    left = [key for key in keys["transcripts"] if key not in done]
    people = pace.people(decisions)
    checks = Share(sum(person.checks.count for person in people), sum(person.checks.of for person in people))
    return Quality(
        decisions=len(decisions),
        progress=pace.progress(keys, decisions, accounts),
        people=people,
        heard=measures.heard(read, measures.name_words(bible)),
        captioned=measures.captioned(answers),
        doubted=trust.doubted(read),
        calibration=trust.calibration(read, answers),
        corrections=measures.corrections(read, people_of(bible)),
        # Reviewers get the doubtful ones first.
        estimate=estimate(
            [found[key] for key in keys["transcripts"] if key in found],
            sorted((key in doubtful for key in left), reverse=True),
            checks,
        ),
    )


class _Past:
    """What the machine's versions made, read from the store when it is asked for, each output once."""

    def __init__(self, show: Show) -> None:
        self._store: Store = show.store
        self._runs: dict[tuple[str, str], list[Run]] = defaultdict(list)
        for run in _runs(show.store, (_BASE, _SETTLED, _CAPTION)):
            self._runs[run.step, run.unit].append(run)
        self._names = self._versions()
        self._transcripts: dict[Digest, tuple[dict[str, str], dict[str, Doubt]]] = {}
        self._captions: dict[Digest, dict[str, tuple[str, float]]] = {}

    def standing(self, step: str, unit: str, kind: type[R]) -> R | None:
        run = self._store.head(step, unit)
        return self._store.get(run.output, kind) if run else None

    def tasks(self, episode: str) -> Now | None:
        scenes = self.standing("step1-scenes", episode, Scenes)
        transcript = self.standing(_SETTLED, episode, SettledTranscript)
        if scenes is None or transcript is None:
            return None
        now = Now(captions=[f"{episode}/{clip.id}#caption" for clip in scenes.clips])
        unsure = {doubt.segment for doubt in transcript.doubts if doubt.kind == "text"}
        middles = [(segment.span.middle, segment) for segment in transcript.segments]
        for clip, segments in by_clip(scenes.clips, middles).items():
            if segments:
                now.transcripts.append(f"{episode}/{clip}")
            if any(segment.id in unsure for segment in segments):
                now.doubtful.add(f"{episode}/{clip}")
        return now

    def judged(self, decision: ReviewDecision) -> Judged:
        """Of the runs whose output has what the reviewer saw, the newest that was there by then."""
        answer = decision.answer
        if answer is None:
            return Judged(decision, GONE)
        step = _SETTLED if isinstance(answer, TranscriptAnswer) else _CAPTION
        at = decision.at.timestamp()
        runs = sorted(self._runs[step, decision.episode], key=lambda run: (run.finished > at, -run.finished))
        for run in runs:
            if isinstance(answer, TranscriptAnswer):
                lines, doubts = self._transcript(run.output)
                if all(lines.get(line.id) == line.text for line in answer.seen):
                    return Judged(decision, self._names[run.name], doubts)
            elif (caption := self._caption(run.output).get(decision.clip)) and caption[0] == answer.seen:
                return Judged(decision, self._names[run.name], score=caption[1])
        return Judged(decision, GONE)

    def _transcript(self, output: Digest) -> tuple[dict[str, str], dict[str, Doubt]]:
        if output not in self._transcripts:
            made = self._store.get(output, SettledTranscript)
            lines = {segment.id: segment.text for segment in made.segments}
            self._transcripts[output] = lines, {doubt.id: doubt for doubt in made.doubts}
        return self._transcripts[output]

    def _caption(self, output: Digest) -> dict[str, tuple[str, float]]:
        if output not in self._captions:
            made = self._store.get(output, Captions)
            self._captions[output] = {caption.clip: (caption.text, caption.score) for caption in made.captions}
        return self._captions[output]

    def _versions(self) -> dict[str, str]:
        """What each run's version is called: its models and backends, and a mark where only other settings differ."""
        found: dict[str, tuple[str, str]] = {}
        for (step, unit), runs in self._runs.items():
            heard = {run.output: run for run in self._runs.get((_BASE, unit), ())}
            for run in runs if step != _BASE else ():
                before = heard.get(run.recipe["inputs"].get(_BASE)) if step == _SETTLED else None
                configs = [each.recipe["config"] for each in (before, run) if each]
                settings = fingerprint.of_value("settings", configs)[:4]
                found[run.name] = " · ".join(map(model, configs)), settings
        settings_of: dict[str, set[str]] = defaultdict(set)
        for name, settings in found.values():
            settings_of[name].add(settings)
        return {
            run: f"{name} (settings {settings})" if len(settings_of[name]) > 1 else name
            for run, (name, settings) in found.items()
        }


def model(config: Mapping[str, Any]) -> str:
    """What a step's settings say of its models: `large-v3@1a2b3c4`, `lexical`, `vlm Qwen/Qwen2.5-VL-7B or none`."""
    own = [str(config["backend"])] if config.get("backend") else []
    own += [_weights(config)] if config.get("model") else []
    asked = " or ".join(dict.fromkeys(_weights(each) for each in config.get("models") or ()))
    return " ".join([*own, *([asked] if asked else [])]) or "no model"


def _weights(config: Mapping[str, Any]) -> str:
    revision = config.get("revision")
    return f"{config['model']}@{str(revision)[:7]}" if revision else str(config["model"])


def _runs(store: Store, steps: Sequence[str]) -> Iterator[Run]:
    """Every finished run of these steps that is kept."""
    for path in sorted((store.root / "runs").glob("*")):
        step = path.name.rpartition("-")[0]
        if step.endswith(tuple(f"-{name}" for name in steps)) and (run := store.find_run(path.name)):
            yield run
