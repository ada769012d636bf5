import pytest

from pipeline.models.lexicon import core, forms, normal, spellings, untitled
from pipeline.schemas.story import Character, KnownNames, Place, Term

COHEN = Character(
    id="cohen",
    name="Dr. Aaron Cohen",
    short="Cohen",
    aliases=("Cohen", "Dr. Cohen", "the doctor"),
    mishearings=("cone", "Erin Cone"),
)


@pytest.mark.parametrize(
    ("word", "parts"),
    [
        ('"Cone?"', ('"', "Cone", '?"')),
        ("Dr.", ("", "Dr", ".")),
        ("Ray's", ("", "Ray's", "")),
        ("...", ("", "...", "")),
        ("it?”", ("", "it", "?”")),
    ],
)
def test_punctuation_stands_around_a_word(word, parts):
    assert core(word) == parts


def test_spellings_compare_without_case_marks_and_kinds_of_apostrophe():
    assert normal("Operation Hal Seon!") == "operation hal seon"
    assert normal("Ray’s,") == normal("ray's")


def test_titles_and_descriptions_are_no_part_of_a_name():
    assert untitled("Inspector Tom Pryce") == "Tom Pryce"
    assert untitled("Doctor") == "Doctor"
    assert spellings(COHEN) == ("Cohen", "Aaron Cohen")


def test_a_mishearing_belongs_to_the_spelling_it_sounds_like():
    known = KnownNames(
        language="en",
        characters=(COHEN,),
        places=(Place(id="x", name="Lantern Street", mishearings=("Landon Street",)),),
        terms=(Term(term="Cohen", kind="person", mishearings=("Coen",)), Term(term="cone", kind="thing")),
    )
    found = {form.text: form for form in forms(known)}
    assert set(found) == {"Cohen", "Aaron Cohen", "Lantern Street", "cone"}
    assert found["Cohen"].mishearings == {"cone", "coen"}
    assert found["Aaron Cohen"].mishearings == {"erin cone"}
    assert found["Cohen"].titles == {"dr"}
    assert (found["Cohen"].owner, found["cone"].kind) == ("cohen", "thing")
