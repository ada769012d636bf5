"""Whose voice is whose: votes on single lines, from whatever source, added up for the voice that the lines share."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

from pipeline.models import speaking
from pipeline.schemas.story import UNKNOWN, Candidate, KnownNames
from pipeline.schemas.timeline import Segment, Span, Transcript
from pipeline.schemas.voices import SaidBy, Voice, VoiceLine, Vote

WRITTEN = 5.0
"""What a subtitle's own speaker label is worth: people wrote it, for reading rather than for training."""
REVIEWED = 12.0
"""What a reviewer's word is worth: more than all the rest together, which MOST holds."""
MOST = 8.0
"""One source but the reviewers moves a voice by so much at most: a name that is misheard ten times stays one error."""
NOBODY_KNOWN = 1.0
"""What speaks for somebody who is not in the bible, before anything is heard."""
TAKEN = 2.0
"""What speaks against a character whom another voice has for sure: two voices are most often two people."""
SECOND_HEARING = 0.5
"""A name that only a recogniser hears that was told the names counts half: it invents some."""
JOINED = 0.3
"""What a vote on a line counts that was too short to be sure of its voice."""
REASONS = 6


def dialogue(transcript: Transcript, known: KnownNames, lines: Sequence[VoiceLine]) -> Iterator[Vote]:
    """What the names that are spoken tell: who is addressed is silent and often answers; an introduction is proof.

    That a neighbouring line speaks to somebody tells nothing where both are of one voice.
    """
    plain, told = transcript.segments, _as_told(transcript)
    voices = [line.voice for line in lines]
    counted: set[tuple[int, str, str]] = set()
    for segments, share in ((plain, 1.0), (told, SECOND_HEARING)):
        said = speaking.mentions(segments, known.characters)
        for index, segment in enumerate(segments):
            around = [mention for mention in said if abs(mention.segment - index) <= 1]
            for clue in speaking.clues(index, segments, around):
                same_voice = clue.segment != index and voices[clue.segment] == voices[index] is not None
                heard = (index, clue.character, clue.why.partition('"')[0])
                if not same_voice and heard not in counted:
                    counted.add(heard)
                    yield Vote(
                        episode=transcript.episode,
                        segment=segment.id,
                        character=clue.character,
                        weight=clue.points * share,
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
    for one in said:
        for segment in transcript.segments:
            if one.episode == transcript.episode and _lies_at(segment, one.span):
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
    clear = {
        (episode, line.segment): line
        for episode, own in lines.items()
        for line in own
        if line.voice is not None and not line.overlap
    }
    heard = dict.fromkeys(line.voice for own in lines.values() for line in own if line.voice is not None)
    own_votes: dict[str, list[Vote]] = {voice: [] for voice in heard}
    for vote in votes:
        line = clear.get((vote.episode, vote.segment))
        if line is not None and line.voice is not None and vote.character in ids:
            weight = vote.weight * (1.0 if line.founds else JOINED)
            own_votes[line.voice].append(vote.model_copy(update={"weight": weight}))
    points = {voice: _points(own, ids) for voice, own in own_votes.items()}
    alone = {voice: _scores(own) for voice, own in points.items()}
    return tuple(
        Voice(
            id=voice,
            candidates=_candidates(_scores({**own, **_less(voice, own, alone)})),
            why=tuple(_reasons(own_votes[voice])),
        )
        for voice, own in points.items()
    )


def _points(votes: Iterable[Vote], ids: Sequence[str]) -> dict[str, float]:
    sums: dict[tuple[str, str], float] = {}
    for vote in votes:
        at = (vote.source, vote.character)
        sums[at] = sums.get(at, 0.0) + vote.weight
    points = dict.fromkeys(ids, 0.0)
    for (source, character), total in sums.items():
        points[character] += total if source == "review" else max(-MOST, min(MOST, total))
    return points


def _less(voice: str, own: Mapping[str, float], alone: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """The points left to each character where another voice is surer to be theirs."""
    taken = {
        character: max((scores[character] for other, scores in alone.items() if other != voice), default=0.0)
        for character in own
    }
    return {
        character: own[character] - TAKEN * score
        for character, score in taken.items()
        if score > alone[voice][character]
    }


def _scores(points: Mapping[str, float]) -> dict[str, float]:
    every = {**points, UNKNOWN: NOBODY_KNOWN}
    most = max(every.values())
    odds = {character: math.exp(point - most) for character, point in every.items()}
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


def _as_told(transcript: Transcript) -> tuple[Segment, ...]:
    """The lines in the words of the second hearing, where it heard any."""
    told = {
        segment.id: tuple(word for word in transcript.biased if segment.span.holds(word.span.middle))
        for segment in transcript.segments
    }
    return tuple(
        segment.model_copy(update={"words": told[segment.id]}) if told[segment.id] else segment
        for segment in transcript.segments
    )


def _lies_at(segment: Segment, span: Span) -> bool:
    return segment.span.overlap(span) > 0.5 * segment.span.seconds
