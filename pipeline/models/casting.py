"""Whose voice is whose: votes on single lines, from whatever source, added up for the voice that the lines share."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from pipeline.models import speaking
from pipeline.models.lexical_settling import Rules, applied, texts
from pipeline.models.sightings import Limits
from pipeline.schemas.story import UNKNOWN, Candidate, KnownNames
from pipeline.schemas.timeline import Transcript
from pipeline.schemas.voices import SaidBy, Voice, VoiceLine, Vote

WRITTEN = 5.0
"""What a subtitle's own speaker label is worth: people wrote it, for reading rather than for training."""
REVIEWED = 12.0
"""What a reviewer's word is worth: more than all the rest together, which MOST holds."""
MOST = 8.0
"""One source but the reviewers moves a voice by so much at most: a name that is misheard ten times stays one error."""
NOBODY_KNOWN = 1.0
"""What speaks for somebody who is not in the bible, where a voice says one line; the logarithm of its lines speaks
against it, for a bible lists those who say most.
"""
TAKEN = 2.0
"""What speaks against a character whom another voice has for sure: two voices are most often two people."""
SPELLING = Rules(margin=0.8, limits=Limits(min_alike=0.7, low_probability=0.25, max_candidates=2))
"""How sure a misheard name must be put right to count, as step2-transcript-disambiguate has it by default."""
JOINED = 0.5
"""What a vote on a line counts that was too short to be sure of its voice."""
REASONS = 6


def dialogue(transcript: Transcript, known: KnownNames, lines: Sequence[VoiceLine]) -> Iterator[Vote]:
    """What the names that are spoken tell: who is addressed is silent and often answers; an introduction is proof.

    Names are read as the words alone settle them. That a neighbouring line speaks to somebody tells nothing where both
    are of one voice.
    """
    segments = applied(transcript.segments, texts(transcript, known, SPELLING).taken)
    said = speaking.mentions(segments, known.characters)
    for index, segment in enumerate(segments):
        around = [mention for mention in said if abs(mention.segment - index) <= 1]
        for clue in speaking.clues(index, segments, around):
            other = lines[clue.segment].voice
            if clue.segment == index or other is None or other != lines[index].voice:
                yield Vote(
                    episode=transcript.episode,
                    segment=segment.id,
                    character=clue.character,
                    weight=clue.points,
                    source="dialogue",
                    why=clue.why,
                )


def written(transcript: Transcript) -> Iterator[Vote]:
    """What subtitles say of who speaks."""
    for segment in transcript.segments:
        if segment.speaker is not None:
            yield Vote(
                episode=transcript.episode,
                segment=segment.id,
                character=segment.speaker,
                weight=WRITTEN,
                source="subtitles",
                why="the subtitles say so",
            )


def reviewed(transcript: Transcript, said: Iterable[SaidBy]) -> Iterator[Vote]:
    """What reviewers settled, put on the lines that now lie where theirs lay."""
    for one in (one for one in said if one.episode == transcript.episode):
        for segment in transcript.segments:
            if segment.span.overlap(one.span) > 0.5 * segment.span.seconds:
                yield Vote(
                    episode=one.episode,
                    segment=segment.id,
                    character=one.speaker,
                    weight=REVIEWED,
                    source="review",
                    why=f"{one.by} says so",
                )


def cast(lines: Mapping[str, Sequence[VoiceLine]], votes: Iterable[Vote], ids: Sequence[str]) -> tuple[Voice, ...]:
    """Each voice with the characters (`ids`) it may belong to, in the order in which the voices are first heard.

    Lines in which more than one person speaks have no vote.
    """
    every = {(episode, line.segment): line for episode, own in lines.items() for line in own}
    size = Counter(line.voice for line in every.values() if line.voice is not None)
    own_votes: dict[str, list[Vote]] = {voice: [] for voice in size}
    for vote in votes:
        line = every.get((vote.episode, vote.segment))
        if line is not None and line.voice is not None and not line.overlap and vote.character in ids:
            weight = vote.weight * (1.0 if line.founds else JOINED)
            own_votes[line.voice].append(vote.model_copy(update={"weight": weight}))
    points = {voice: _points(own_votes[voice], ids, size[voice]) for voice in size}
    alone = {voice: _scores(own) for voice, own in points.items()}
    surest = {character: sorted(alone, key=lambda voice: -alone[voice][character])[:2] for character in ids}
    made = []
    for voice, own in points.items():
        taken = _taken(voice, alone, surest)
        less = {character: own[character] - TAKEN * alone[other][character] for character, other in taken.items()}
        why = (*_reasons(own_votes[voice]), *_rivals(taken, alone))
        made.append(Voice(id=voice, candidates=_candidates(_scores({**own, **less})), why=why))
    return tuple(made)


def _points(votes: Iterable[Vote], ids: Sequence[str], size: int) -> dict[str, float]:
    sums: dict[tuple[str, str], float] = {}
    for vote in votes:
        at = (vote.source, vote.character)
        sums[at] = sums.get(at, 0.0) + vote.weight
    points = {**dict.fromkeys(ids, 0.0), UNKNOWN: NOBODY_KNOWN - math.log(size)}
    for (source, character), total in sums.items():
        points[character] += total if source == "review" else max(-MOST, min(MOST, total))
    return points


def _taken(voice: str, alone: Mapping[str, Mapping[str, float]], surest: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """The characters that another voice is surer to belong to, each with the surest one."""
    found = {}
    for character, voices in surest.items():
        other = next((each for each in voices if each != voice), None)
        if other is not None and alone[other][character] > alone[voice][character]:
            found[character] = other
    return found


def _rivals(taken: Mapping[str, str], alone: Mapping[str, Mapping[str, float]]) -> Iterator[str]:
    for character, other in taken.items():
        if alone[other][character] > 0.5:
            yield f"against {character}: {other} is more likely theirs"


def _scores(points: Mapping[str, float]) -> dict[str, float]:
    most = max(points.values())
    odds = {character: math.exp(point - most) for character, point in points.items()}
    return {character: odd / sum(odds.values()) for character, odd in odds.items()}


def _candidates(scores: Mapping[str, float]) -> tuple[Candidate, ...]:
    """Rounded down to hundredths: what moves a score by less is not worth telling to every episode."""
    ranked = sorted(scores.items(), key=lambda item: (-item[1], item[0]))
    return tuple(Candidate(value=value, score=math.floor(score * 100) / 100) for value, score in ranked)


def _reasons(votes: Iterable[Vote]) -> Iterator[str]:
    """The weightiest reasons, each with the line it was first found in."""
    sums: dict[tuple[str, str], float] = {}
    first: dict[tuple[str, str], str] = {}
    for vote in votes:
        at = (vote.character, vote.why)
        sums[at] = sums.get(at, 0.0) + vote.weight
        first.setdefault(at, vote.segment)
    for character, why in sorted(sums, key=lambda at: (-abs(sums[at]), at))[:REASONS]:
        side = "for" if sums[character, why] > 0 else "against"
        yield f"{side} {character}: {why} ({first[character, why]})"
