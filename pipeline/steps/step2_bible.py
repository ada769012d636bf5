"""step2-bible: what the show knows of itself, read from bible.toml and checked whole.

What would make results wrong stops the run; what may make them worse is a warning. Both name the line.
"""

from collections.abc import Callable, Mapping

from pipeline.engine.records import File
from pipeline.engine.step import StepConfig, step
from pipeline.engine.work import Workspace
from pipeline.models.lexicon import untitled
from pipeline.schemas import bible_toml, located
from pipeline.schemas.bible_toml import BibleFile, Problem
from pipeline.schemas.story import Bible, BibleSource, Character, Place, Term


class Config(StepConfig):
    """All that can be set about a bible stands in bible.toml itself."""


@step(version=1, per="show")
def run(config: Config, work: Workspace, *, bible_source: BibleSource) -> Bible:
    name = bible_source.file.name
    bible = read(located.read(work.open(bible_source.file), name), name, bible_source.pictures)
    for warning in bible.warnings:
        work.log(warning)
    work.report(characters=len(bible.characters), places=len(bible.places), warnings=len(bible.warnings))
    return bible


def read(text: str, name: str, pictures: Mapping[str, File]) -> Bible:
    """The bible in `text`; `pictures` by their paths. Raises ValueError with every error, one a line."""
    file = located.parse(text, BibleFile, name)
    by_line = _by_line(text)
    if errors := sorted(bible_toml.errors(file, pictures), key=by_line):
        raise ValueError("\n".join(located.at(name, text, *error) for error in errors))
    return Bible(
        title=file.show.title,
        language=file.show.language,
        style=file.show.style,
        characters=tuple(
            Character(
                **character.model_dump(exclude={"short", "refs"}),
                short=character.short or untitled(character.name),
                references=tuple(pictures[bible_toml.picture(path)] for path in character.refs),
            )
            for character in file.characters
        ),
        places=tuple(Place(**place.model_dump()) for place in file.places),
        terms=tuple(Term(**term.model_dump()) for term in file.terms),
        warnings=tuple(located.at(name, text, *risk) for risk in sorted(bible_toml.risks(file), key=by_line)),
    )


def _by_line(text: str) -> Callable[[Problem], int]:
    return lambda problem: located.line_of(text, problem[0])
