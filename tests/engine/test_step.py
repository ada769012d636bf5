import pytest

from pipeline.engine.records import Record
from pipeline.engine.step import Source, StepConfig, check, step
from pipeline.engine.work import Workspace


class Reel(Record):
    frames: int


class Length(Record):
    frames: int

    @classmethod
    def project(cls, reel: Reel) -> "Length":
        return cls(frames=reel.frames)


class Roll(Record):
    names: dict[str, str]


class OwnCredit(Record):
    name: str

    @classmethod
    def project(cls, roll: Roll, episode: str) -> "OwnCredit":
        return cls(name=roll.names[episode])


SOURCES = (Source("reel", Reel), Source("roll", Roll, per="show"))


def run(config: StepConfig, work: Workspace, *, reel: Reel) -> Length: ...


def narrowed(config: StepConfig, work: Workspace, *, reel: Length) -> Length: ...


def gathered(config: StepConfig, work: Workspace, *, reel: dict[str, Length]) -> Length: ...


def wrong(config: StepConfig, work: Workspace, *, reel: StepConfig) -> Length: ...


def unknown(config: StepConfig, work: Workspace, *, film: Reel) -> Length: ...


def test_a_step_says_everything_once():
    made = step(version=2, device="cuda")(run)
    assert (made.name, made.version, made.per, made.device, made.output) == ("test-step", 2, "episode", "cuda", Length)
    assert list(made.needs) == ["reel"]


def test_a_projection_and_a_gathering_are_understood():
    check(SOURCES, (step(version=1)(narrowed),))
    check(SOURCES, (step(version=1, per="show")(gathered),))


def credited(config: StepConfig, work: Workspace, *, roll: OwnCredit) -> Length: ...


def test_an_episode_may_read_its_own_part_of_what_is_made_for_the_show():
    made = step(version=1)(credited)
    assert made.needs["roll"].by_episode
    check(SOURCES, (made,))
    with pytest.raises(TypeError, match="is made once a show: it has no part of roll by episode"):
        check(SOURCES, (step(version=1, per="show")(credited),))


def test_a_wrong_type_an_unknown_need_and_a_twin_are_refused():
    with pytest.raises(TypeError, match="takes reel as"):
        check(SOURCES, (step(version=1)(wrong),))
    with pytest.raises(TypeError, match="needs 'film', which does not stand above it"):
        check(SOURCES, (step(version=1)(unknown),))
    with pytest.raises(TypeError, match=r"takes reel as .*, but it is made once a episode"):
        check(SOURCES, (step(version=1)(gathered),))
    with pytest.raises(TypeError, match="two steps are called"):
        check(SOURCES, (step(version=1)(run), step(version=1)(narrowed)))
