"""How well voices are told apart and named: the bundled show and, where it is present, media by others.

    python -m benchmarks.speakers [--media ../shared/data]

Every show goes through the real steps twice: with the lines as Whisper base hears them, and with the true lines. A line
belongs to the speaker who is heard longest in it. Purity is the share of the voices' time that is their main speaker's,
coverage the share of the speakers' time that is in their main voice (what has no voice is missing there); `named` are
the lines by whether the best candidate is right, wrong or nobody, at the margin at which it would be taken. The last
line is JSON.
"""

import argparse
import json
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.engine.store import Store
from pipeline.engine.work import Workspace
from pipeline.models import voiceprints
from pipeline.schemas.story import Bible, Character, KnownNames, SpokenNames
from pipeline.schemas.timeline import Cuts, Episode, Segment, Shot, Span, Transcript, Word
from pipeline.schemas.voices import ReviewedSpeakers, Voiceprints, Voices
from pipeline.steps import step2_transcript_base, step2_voiceprints, step2_voices
from pipeline.steps.step2_bible import read

ROOT = Path(__file__).resolve().parents[1]
SPIES = ROOT / "examples" / "spies"
MARGIN = 0.8
"""By so much a name leads where step2-transcript-disambiguate takes it, by default."""


@dataclass(frozen=True, slots=True)
class Show:
    """Episodes by id: video and truth (`lines`: speaker, text, start, end, and words where they are known)."""

    name: str
    episodes: Mapping[str, tuple[Path, dict[str, Any]]]
    bible: Bible


def bundled(work: Workspace) -> Show:
    pictures = {f"refs/{path.name}": work.store.put_file(path) for path in (SPIES / "refs").glob("*.png")}
    return Show(
        "bundled show",
        {
            name: (SPIES / "episodes" / f"{name}.mp4", _truth(SPIES / "truth" / f"{name}.truth.json"))
            for name in ("s01e01", "s01e02")
        },
        read((SPIES / "bible.toml").read_text(encoding="utf-8"), "bible.toml", pictures),
    )


def film(media: Path) -> Show:
    """It has no bible: its speakers, and the names that its truth says are spoken."""
    truth = _truth(media / "film" / "s01e01.truth.json")
    people = [Character(id=name.lower(), name=name, short=name) for name in truth["speakers"] if name != "Helen"]
    people.append(Character(id="helen", name="Helen Cooper", short="Helen"))
    people.append(Character(id="harry", name="Harry Cooper", short="Harry", aliases=("Harry", "Mr. Cooper")))
    episodes = {"film": (media / "film" / "s01e01.mp4", truth)}
    return Show("film", episodes, Bible(title="film", characters=tuple(people)))


def reel(media: Path) -> Show:
    """Twelve talkers, two seconds each, one of them twice; none has a name."""
    episodes = {"reel": (media / "reel" / "sync_reel.mp4", _truth(media / "reel" / "sync_reel.truth.json"))}
    return Show("reel", episodes, Bible(title="reel"))


def _truth(path: Path) -> dict[str, Any]:
    truth: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    truth["lines"] = truth.get("lines") or truth["speech"]
    return truth


def heard(work: Workspace, show: Show) -> dict[str, Transcript]:
    """The lines as they are recognised."""
    made = {}
    for name, (video, truth) in show.episodes.items():
        shots = tuple(Shot(index=i, span=Span(start=s["start"], end=s["end"])) for i, s in enumerate(truth["shots"]))
        transcript = step2_transcript_base.run(
            step2_transcript_base.Config(model="whisper-base"),
            work,
            episode=Episode(id=name, video=work.store.put_file(video)),
            step1_scenes=Cuts(seconds=shots[-1].span.end, has_audio=True, shots=shots),
            step2_bible=SpokenNames.project(show.bible),
        )
        assert isinstance(transcript, Transcript)
        made[name] = transcript
    return made


def true(show: Show) -> dict[str, Transcript]:
    """The lines as they truly are; words whose times the truth does not tell share their line's evenly."""
    return {
        name: Transcript(
            episode=name,
            language="en",
            source="subtitles",
            segments=tuple(
                Segment(id=f"{name}@{round(line['start'] * 1000):07d}", shot=0, words=tuple(_words(line)))
                for line in truth["lines"]
            ),
        )
        for name, (_, truth) in show.episodes.items()
    }


def _words(line: Mapping[str, Any]) -> Iterator[Word]:
    texts = line["text"].split()
    each = (line["end"] - line["start"]) / len(texts)
    starts = [line["start"] + index * each for index in range(len(texts))]
    spread = [{"word": text, "start": at, "end": at + each} for text, at in zip(texts, starts, strict=True)]
    for word in line.get("words", spread):
        yield Word(text=word["word"], span=Span(start=word["start"], end=word["end"]), probability=1)


def listened(work: Workspace, show: Show, transcripts: Mapping[str, Transcript]) -> tuple[Voices, float]:
    """The voices, and the processor's seconds that listening took, without loading the model."""
    config, prints = step2_voiceprints.Config(), {}
    work.model(voiceprints.listening, config.model, config.revision, work.cache)
    started = time.process_time()
    for name, (video, _) in show.episodes.items():
        episode = Episode(id=name, video=work.store.put_file(video))
        own = step2_voiceprints.run(config, work, episode=episode, step2_transcript_base=transcripts[name])
        assert isinstance(own, Voiceprints)
        prints[name] = own
    seconds = time.process_time() - started
    known, nobody = KnownNames.project(show.bible), ReviewedSpeakers(said=())
    return step2_voices.named(step2_voices.Config(), transcripts, prints, known, nobody), seconds


def speaker(segment: Segment, lines: Sequence[Mapping[str, Any]]) -> str | None:
    """Who is heard longest in a segment; None for nobody, and where the truth does not know."""

    def shared(line: Mapping[str, Any]) -> float:
        return segment.span.overlap(Span(start=line["start"], end=line["end"]))

    best = max(lines, key=shared)
    return best["speaker"] if shared(best) and " or " not in best["speaker"] else None


def scored(show: Show, transcripts: Mapping[str, Transcript], found: Voices) -> dict[str, Any]:
    voices, speakers = defaultdict[str, Counter[str]](Counter), defaultdict[str, Counter[str | None]](Counter)
    best = {voice.id: voice.candidates for voice in found.voices}
    named: Counter[str] = Counter()
    for name, transcript in transcripts.items():
        for segment, line in zip(transcript.segments, found.lines[name], strict=True):
            who = speaker(segment, show.episodes[name][1]["lines"])
            if who is None:
                continue
            speakers[who][line.voice] += segment.span.seconds  # type: ignore[assignment]
            if line.voice is not None:
                voices[line.voice][who] += segment.span.seconds  # type: ignore[assignment]
            candidates = best.get(line.voice or "", ())
            taken = len(candidates) > 1 and candidates[0].score - candidates[1].score >= MARGIN
            named["nobody" if not taken else "right" if candidates[0].value == who.lower() else "wrong"] += 1
    in_voices = sum(sum(each.values()) for each in voices.values())
    mains = [max((each[voice] for voice in each if voice), default=0) for each in speakers.values()]
    return {
        "purity": round(sum(max(each.values()) for each in voices.values()) / in_voices, 3),
        "coverage": round(sum(mains) / sum(sum(each.values()) for each in speakers.values()), 3),
        "voices": len(voices),
        "speakers": len(speakers),
        "named": dict(sorted(named.items())),
    }


def found_again(show: Show, transcripts: Mapping[str, Transcript], found: Voices, who: str) -> bool:
    """Whether all lines of `who` are one voice, and nobody else's are."""
    of: dict[str | None, set[str | None]] = defaultdict(set)
    for name, transcript in transcripts.items():
        for segment, line in zip(transcript.segments, found.lines[name], strict=True):
            if line.voice is not None:
                of[line.voice].add(speaker(segment, show.episodes[name][1]["lines"]))
    own = [people for people in of.values() if who in people]
    return own == [{who}]


def measure(work: Workspace, shows: Sequence[Show]) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    for show in shows:
        minutes = sum(truth["shots"][-1]["end"] for _, truth in show.episodes.values()) / 60
        for kind, transcripts in (("as recognised", heard(work, show)), ("true lines", true(show))):
            found, seconds = listened(work, show, transcripts)
            scores = scored(show, transcripts, found)
            scores["cpu_seconds_per_episode_minute"] = round(seconds / minutes, 2)
            if show.name == "reel":
                scores["who_appears_twice_found"] = found_again(show, transcripts, found, "man_d")
            figures[f"{show.name}, {kind}"] = scores
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--media", type=Path, default=ROOT.parent / "shared" / "data", help="the film and the reel")
    media = parser.parse_args().media
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "scratch").mkdir()
        work = Workspace(Store(root / "store"), root / "scratch", root / "cache")
        shows = [bundled(work), *([film(media), reel(media)] if media.is_dir() else [])]
        figures = measure(work, shows)
        work.models.close()
    for name, scores in figures.items():
        print(name, scores)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
