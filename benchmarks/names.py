"""How many misheard names are put right or asked about, and how many words are changed that were right.

    python -m benchmarks.names [--seeds 200:240]

Transcripts of the bundled show (and of the film, where `../shared/data/film` is there) are made from the truth with
names misheard (`benchmarks.mishearing`), a transcript for each seed, and settled by each backend. "multimodal" is asked
through the product's own requests, answer schema and parser; the model behind them is an oracle that answers from the
truth, and wrongly at a set rate: "honest" is less sure where it is wrong, "dishonest" is always sure. So the logic
around a model is measured without one. Seeds below 60 were looked at while the lexical side was made; the default
ones were not. The last line is JSON.
"""

import argparse
import json
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.mishearing import Misheard, Said, misheard
from pipeline.engine.fingerprint import Digest
from pipeline.engine.records import File
from pipeline.models import consulting, scene_asks
from pipeline.models.disambiguation import Draft, draft, finish
from pipeline.models.lexicon import normal
from pipeline.models.scene_asks import Ask, Budget
from pipeline.models.vlm_fake import FakeVlm
from pipeline.schemas.story import Bible, Character, Consulted, Doubt, KnownNames, SettledTranscript
from pipeline.schemas.timeline import Span
from pipeline.schemas.wording import bare
from pipeline.steps.step2_bible import read
from pipeline.steps.step2_transcript_disambiguate import Config

ROOT = Path(__file__).resolve().parents[1]
SPIES, FILM = ROOT / "examples" / "spies", ROOT.parent / "shared" / "data" / "film"
SEEDS = "200:240"


@dataclass(frozen=True, slots=True)
class Reel:
    """An episode whose dialogue is known."""

    episode: str
    lines: tuple[Said, ...]
    bible: Bible


@dataclass(frozen=True, slots=True)
class Oracle:
    """A model that knows the truth, and is wrong in `wrong` of its answers; `honest` ones are then less sure."""

    wrong: float
    honest: bool


BACKENDS: Mapping[str, Oracle | None] = {
    "lexical": None,
    "multimodal, never wrong": Oracle(0.0, honest=True),
    "multimodal, 10 % wrong, honest": Oracle(0.1, honest=True),
    "multimodal, 10 % wrong, dishonest": Oracle(0.1, honest=False),
    "multimodal, 30 % wrong, dishonest": Oracle(0.3, honest=False),
}


def reels() -> Iterator[Reel]:
    pictures = {
        f"refs/{path.name}": File(digest=Digest("0" * 64), name=path.name, size_bytes=1)
        for path in sorted((SPIES / "refs").glob("*.png"))
    }
    bible = read((SPIES / "bible.toml").read_text(encoding="utf-8"), "bible.toml", pictures)
    for episode in ("s01e01", "s01e02"):
        truth = json.loads((SPIES / "truth" / f"{episode}.truth.json").read_text(encoding="utf-8"))
        yield Reel(episode, _said(truth["lines"]), bible)
    if (path := FILM / "s01e01.truth.json").is_file():
        truth = json.loads(path.read_text(encoding="utf-8"))
        yield Reel("film", _said(truth["speech"]), film_bible(truth["speakers"]))
    else:
        print(f"without the film: there is no {path}", file=sys.stderr)


def film_bible(speakers: Sequence[str]) -> Bible:
    """The film has none: its speakers, and the names that its truth says are spoken."""
    people = [Character(id=name.lower(), name=name, short=name) for name in speakers if name != "Helen"]
    people.append(Character(id="helen", name="Helen Cooper", short="Helen"))
    people.append(Character(id="harry", name="Harry Cooper", short="Harry", aliases=("Harry", "Mr. Cooper")))
    return Bible(title="film", characters=tuple(people))


def _said(lines: Sequence[Mapping[str, Any]]) -> tuple[Said, ...]:
    return tuple(Said(line["speaker"].lower(), line["text"], line["start"], line["end"]) for line in lines)


def settled(reel: Reel, heard: Misheard, oracle: Oracle | None, seed: int) -> SettledTranscript:
    made = draft(heard.transcript, KnownNames.project(reel.bible), Config().rules)
    return finish(made, {} if oracle is None else answers(reel, heard, made, oracle, seed), None)


def answers(reel: Reel, heard: Misheard, made: Draft, oracle: Oracle, seed: int) -> dict[str, Consulted]:
    """What the oracle says to every doubt about words, asked scene by scene as the step asks."""
    doubts = [doubt for doubt in made.askable if doubt.kind == "text"]
    found: dict[str, Consulted] = {}
    chance = random.Random(f"{reel.episode}/{seed}/{oracle}")
    cast = [character.id for character in reel.bible.characters]
    for ask in scene_asks.plan(0, made.segments, doubts, Budget()):
        sure: dict[str, float] = {}
        fake = FakeVlm(_replies(ask, heard, oracle, chance, sure), confidence=_always(sure))
        request = scene_asks.request(ask, reel.bible, instructions=scene_asks.INSTRUCTIONS, voices={})
        (reply,) = fake.answer([request])
        found |= consulting.recorded(fake, ask, cast, reply)
    return found


def _replies(
    ask: Ask, heard: Misheard, oracle: Oracle, chance: random.Random, sure: dict[str, float]
) -> Callable[[object], dict[str, Any]]:
    def reply(_: object) -> dict[str, Any]:
        data: dict[str, Any] = {}
        for number, doubt in enumerate(ask.doubts, 1):
            right = true_text(heard, doubt)
            values = [candidate.value for candidate in doubt.candidates]
            choice = next((value for value in values if bare(value) == bare(right)), scene_asks.OTHER)
            is_wrong = chance.random() < oracle.wrong
            if is_wrong:
                choice = chance.choice([value for value in values if bare(value) != bare(right)] or values)
            data |= {f"why{number}": "", f"answer{number}": choice, f"other{number}": right, f"also{number}": []}
            low = is_wrong and oracle.honest
            sure[f"answer{number}"] = chance.uniform(0.3, 0.7) if low else chance.uniform(0.85, 1.0)
        return data

    return reply


def _always(sure: Mapping[str, float]) -> Callable[[object, object], Mapping[str, float]]:
    return lambda _, __: sure


def true_text(heard: Misheard, doubt: Doubt) -> str:
    """What was really said in the time of a doubt."""
    index = next(i for i, s in enumerate(heard.transcript.segments) if s.id == doubt.segment)
    words = heard.transcript.segments[index].words
    inside = [at for at, word in enumerate(words) if doubt.span.overlap(word.span) > 0.5 * word.span.seconds]
    return truth(heard, index, inside[0], inside[-1])


def truth(heard: Misheard, segment: int, first: int, last: int) -> str:
    """The true words of `first` to `last`; a misheard name that begins there counts whole."""
    words = heard.transcript.segments[segment].words
    starts = {place.first: place for place in heard.places if place.segment == segment}
    inner = {at for place in starts.values() for at in range(place.first, place.last + 1)}
    said = [
        starts[at].right if at in starts else words[at].text
        for at in range(first, last + 1)
        if at in starts or at not in inner
    ]
    return " ".join(said)


def score(heard: Misheard, made: SettledTranscript) -> Counter[str]:
    """Misheard names right, raised, wrong or missed; words that were right and are changed; words and questions."""
    found = Counter[str]()
    changes = [d for d in made.decisions if d.doubt.kind == "text" and d.chosen != d.original]
    open_ = [doubt for doubt in made.doubts if doubt.kind == "text"]
    for index, (before, after) in enumerate(zip(heard.transcript.segments, made.segments, strict=True)):
        places = [(place.first, place.last) for place in heard.places if place.segment == index]
        mine = [(d.doubt.first_word, d.doubt.last_word) for d in changes if d.doubt.segment == before.id]
        for first, last in _regions([*places, *mine]):
            span = Span(start=before.words[first].span.start, end=before.words[last].span.end)
            now = normal(" ".join(word.text for word in after.words if span.holds(word.span.middle)))
            right = normal(truth(heard, index, first, last))
            names = sum(first <= place[0] <= last for place in places)
            if now == right:
                found["right"] += names
                continue
            raised = any(d.segment == before.id and d.span.overlap(span) > 0 for d in open_)
            touched = any(first <= one <= last for one, _ in mine)
            found["raised" if raised else "wrong" if touched else "missed"] += names
            misheard_ = {at for one, end in places for at in range(one, end + 1)}
            plain = Counter(normal(before.words[at].text) for at in range(first, last + 1) if at not in misheard_)
            found["false_changes"] += (plain - Counter(now.split())).total()
    found["names"] = len(heard.places)
    found["words"] = sum(len(segment.words) for segment in heard.transcript.segments)
    found["questions"] = len(open_)
    return found


def _regions(pieces: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Pieces that overlap, as one."""
    found: list[tuple[int, int]] = []
    for first, last in sorted(pieces):
        if found and first <= found[-1][1]:
            found[-1] = (found[-1][0], max(last, found[-1][1]))
        else:
            found.append((first, last))
    return found


def measure(seeds: Sequence[int]) -> dict[str, dict[str, float]]:
    counts = {backend: Counter[str]() for backend in BACKENDS}
    for reel in reels():
        for seed in seeds:
            heard = misheard(reel.episode, reel.lines, KnownNames.project(reel.bible), seed)
            for backend, oracle in BACKENDS.items():
                counts[backend] += score(heard, settled(reel, heard, oracle, seed))
    return {backend: _figures(count) for backend, count in counts.items()}


def _figures(count: Counter[str]) -> dict[str, float]:
    names = count["names"]
    return {
        "right_or_raised": round((count["right"] + count["raised"]) / names, 4),
        "right": round(count["right"] / names, 4),
        "wrong": count["wrong"],
        "missed": count["missed"],
        "false_changes": count["false_changes"],
        "questions": count["questions"],
        "names": names,
        "words": count["words"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seeds", default=SEEDS, help="first:end, the end not in it")
    first, end = map(int, parser.parse_args().seeds.split(":"))
    figures = measure(range(first, end))
    for backend, each in figures.items():
        print(f"{backend:<36}{each}", file=sys.stderr)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
