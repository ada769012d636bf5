"""The small pages of HTML inside a task: where we are, who is there, what was said. All text is escaped."""

from collections.abc import Callable, Iterable, Sequence
from html import escape

from pipeline.engine.records import File
from pipeline.schemas.story import UNKNOWN, Bible, Character, SceneContext, ShotReference
from pipeline.schemas.timeline import Clip, Segment

Url = Callable[[File], str]
"""Where Label Studio serves a file of the store."""


def clock(seconds: float) -> str:
    """`75.25` -> `1:15.2`, the way both screens write moments. Rounds down, so that it never names the next second."""
    tenths = int(seconds * 10 + 1e-6)
    return f"{tenths // 600}:{tenths // 10 % 60:02d}.{tenths % 10}"


def context(
    scene: SceneContext,
    bible: Bible,
    people: dict[str, str],
    before: Sequence[Segment],
    warnings: Iterable[str],
    url: Url,
) -> str:
    """The transcript's panel: place, cast with pictures, what was said before this clip, what else to listen for."""
    parts = [f"<p><b>{escape(_place(scene, bible))}</b></p>"]
    parts += [_cast([c for c in bible.characters if c.id in scene.cast], people, url)]
    if before:
        parts.append("<p><i>Just before</i></p>" + dialogue(before, people))
    elif scene.previously:
        parts.append(f"<p><i>Before this scene:</i> {escape(scene.previously)}</p>")
    parts += [f"<p>⚠ {escape(warning)}</p>" for warning in warnings]
    return "".join(parts)


def dialogue(segments: Sequence[Segment], people: dict[str, str]) -> str:
    """Lines with their speakers."""
    if not segments:
        return "<p><i>Nobody speaks.</i></p>"
    return "".join(f"<p><b>{escape(people.get(s.speaker or '', UNKNOWN))}</b>: {escape(s.text)}</p>" for s in segments)


def hints(notes: Sequence[str]) -> str:
    """What the machine says about its own caption."""
    return "".join(f"<p>⚠ {escape(note)}</p>" for note in notes)


def before(answers: Sequence[str]) -> str:
    """What people answered before the machines changed their minds."""
    return "".join(f"<p>↩ {escape(answer)}</p>" for answer in answers)


def frames(clip: Clip, shots: Sequence[ShotReference], url: Url, most: int = 4) -> str:
    """Stills of the clip in order, at most `most`, spread evenly; each is titled with its moment in the clip."""
    stills = [f for shot in shots if shot.shot in clip.shots for f in shot.frames if clip.span.holds(f.at)]
    if len(stills) > most:
        stills = [stills[round(i * (len(stills) - 1) / (most - 1))] for i in range(most)]
    return "".join(
        f'<img src="{escape(url(f.picture))}" title="{clock(f.at - clip.span.start)}" alt="still">' for f in stills
    )


def bible_page(scene: SceneContext, bible: Bible, people: dict[str, str], url: Url) -> str:
    """What the bible says about those in this scene and where it plays; then the names of everybody else."""
    here = [c for c in bible.characters if c.id in scene.cast]
    others = [c for c in bible.characters if c.id not in scene.cast]
    parts = [_described(character, people, url) for character in here]
    parts += [
        f"<p><b>{escape(p.name)}</b>: {escape(p.looks or 'no looks given')}</p>"
        for p in bible.places
        if p.id == scene.place
    ]
    if bible.style:
        parts.append(f"<p><b>Style</b>: {escape(bible.style)}</p>")
    parts += [_described(character, people, url) for character in others]
    return "".join(parts) or "<p><i>The bible names nobody.</i></p>"


def _place(scene: SceneContext, bible: Bible) -> str:
    return next((place.name for place in bible.places if place.id == scene.place), "Place unknown")


def _cast(characters: Sequence[Character], people: dict[str, str], url: Url) -> str:
    if not characters:
        return "<p><i>Nobody is known to be in this scene.</i></p>"
    return "<p>" + "".join(f"<span>{_picture(c, url)}{escape(people[c.id])}</span>" for c in characters) + "</p>"


def _described(character: Character, people: dict[str, str], url: Url) -> str:
    looks = character.looks or "no looks given"
    return f"<p>{_picture(character, url)}<b>{escape(people[character.id])}</b>: {escape(looks)}</p>"


def _picture(character: Character, url: Url) -> str:
    if not character.references:
        return ""
    return f'<img src="{escape(url(character.references[0]))}" title="{escape(character.name)}" alt="">'
