import pytest

from pipeline.engine.records import File
from pipeline.schemas.story import Bible, BibleSource, KnownNames, SpokenNames
from pipeline.steps import step2_bible
from pipeline.steps.step2_bible import Config, read

PICTURE = File(digest="0" * 64, name="a.png", size_bytes=1)
HEAD = '[show]\ntitle = "T"\n'


def character(id_, *lines, name=None, looks="tall"):
    head = [
        f'id = "{id_}"',
        f'name = "{name or id_.title()}"',
        f'looks = "{looks}"',
        'voice = "low"',
        'refs = ["a.png"]',
    ]
    return "\n".join(["[[character]]", *head, *lines, ""])


def problems(text):
    with pytest.raises(ValueError, match=r"^bible\.toml:") as caught:
        read(text, "bible.toml", {"a.png": PICTURE})
    return str(caught.value).splitlines()


def warnings(text):
    return list(read(text, "bible.toml", {"a.png": PICTURE}).warnings)


@pytest.fixture
def source(work, spies):
    files = {path.relative_to(spies).as_posix(): path for path in sorted((spies / "refs").glob("*.png"))}
    return BibleSource(
        file=work.store.put_file(spies / "bible.toml"),
        pictures={name: work.store.put_file(path) for name, path in files.items()},
    )


def test_the_bundled_bible_loads_without_a_warning(work, source):
    bible = step2_bible.run(Config(), work, bible_source=source)
    assert isinstance(bible, Bible)
    assert bible.warnings == ()
    assert [c.short for c in bible.characters] == ["Reyes", "Pryce", "Cohen", "Margaux"]
    assert [len(c.references) for c in bible.characters] == [2, 2, 2, 2]
    assert bible.characters[0].references[0] == source.pictures["refs/reyes.png"]
    assert {t.term for t in bible.terms if t.kind == "thing"} == {"cone", "price"}
    assert "cone" not in SpokenNames.project(bible).names


def test_a_missing_picture_is_an_error_on_its_line(work, source):
    pictures = {name: file for name, file in source.pictures.items() if name != "refs/cohen_2.png"}
    with pytest.raises(
        ValueError, match=r"^bible\.toml:41: character\[2\]\.refs\[1\]: there is no picture \"refs/cohen_2"
    ):
        step2_bible.run(Config(), work, bible_source=source.model_copy(update={"pictures": pictures}))


def test_all_errors_are_told_at_once():
    text = HEAD + character("ann", 'aliases = ["The Boss"]') + character("ann", 'aliases = ["the boss"]', name="Bob")
    assert problems(text) == [
        'bible.toml:11: character[1].id: "ann" is character[0]\'s id already: give it another',
        'bible.toml:16: character[1].aliases[0]: "the boss" is also a name of Ann: leave it to one of '
        "them, or write it in full",
    ]


def test_unknown_keys_wrong_types_and_empty_names_are_refused_with_a_remedy():
    text = HEAD + '[[character]]\nid = "Bad Id"\nname = " "\nalias = ["A"]\n[[places]]\nid = "x"\n'
    found = problems(text)
    assert found[0].startswith("bible.toml:4: character[0].id: String should match pattern")
    assert found[1].startswith("bible.toml:5: character[0].name: String should have at least 1 character")
    assert found[2] == "bible.toml:6: character[0].alias: there is no such key: did you mean `aliases`?"
    assert found[3] == "bible.toml:7: places: there is no such key: did you mean `place`?"


def test_a_mishearing_that_two_people_share_is_a_warning():
    text = HEAD + character("jon", 'mishearings = ["john"]') + character("joan", 'mishearings = ["John"]')
    assert warnings(text) == [
        'bible.toml:9: character[0].mishearings[0]: "john" is listed for Joan too: it will be asked about every time',
        'bible.toml:16: character[1].mishearings[0]: "John" is listed for Jon too: it will be asked about every time',
    ]


def test_a_mishearing_that_is_somebody_elses_name_is_a_warning():
    text = HEAD + character("jon", 'mishearings = ["Joan", "Jon"]') + character("joan")
    assert warnings(text) == [
        'bible.toml:9: character[0].mishearings[0]: "Joan" is the name of another: it stays as it is heard',
        'bible.toml:9: character[0].mishearings[1]: "Jon" is the right spelling itself: remove it',
    ]


def test_a_thing_may_sound_like_a_name():
    text = HEAD + character("cohen", 'mishearings = ["cone", "Coen"]')
    text += '[[term]]\nterm = "cone"\nkind = "thing"\nmishearings = ["Cohen", "Coen"]\n[[term]]\nterm = "Cohen"\n'
    assert warnings(text) == []


def test_gaps_are_warnings():
    assert warnings(HEAD) == ["bible.toml:1: there is no [[character]]: nobody will be named in captions"]
    text = HEAD + '[[character]]\nid = "ann"\nname = "Ann"\nlooks = ""\nvoice = "low"\n'
    assert warnings(text) == [
        "bible.toml:3: character[0].refs: has no picture of Ann: nobody can tell them on screen",
        "bible.toml:6: character[0].looks: says nothing of the looks of Ann: models go by it",
    ]


def test_a_short_name_is_made_where_none_is_given():
    bible = read(HEAD + character("q", name="Dr. Ann Lee"), "bible.toml", {"a.png": PICTURE})
    assert bible.characters[0].short == "Ann Lee"


def test_looks_and_voices_are_no_part_of_the_names():
    one = read(HEAD + character("ann"), "b", {"a.png": PICTURE})
    other = read(HEAD + character("ann", looks="a red coat"), "b", {"a.png": PICTURE})
    assert one != other
    assert KnownNames.project(one) == KnownNames.project(other)
