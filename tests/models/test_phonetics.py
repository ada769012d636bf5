import pytest

from pipeline.models.phonetics import alike, commonness


@pytest.mark.parametrize(
    ("name", "heard"),
    [
        ("Reyes", "rays"),
        ("Reyes", "Ray's"),
        ("Cohen", "cone"),
        ("Cohen", "Cohn"),
        ("Cohen", "Cowan"),
        ("Margaux", "Margo"),
        ("Margaux", "Margot"),
        ("Margaux", "Marco"),
        ("Pryce", "price"),
        ("Pryce", "prize"),
        ("Halcyon", "Hal Seon"),
        ("Halcyon", "Halsian"),
        ("Halcyon", "Halsey on"),
        ("Lantern Street", "Landon Street"),
        ("Barbra", "Barbara"),
        ("Sean", "Shawn"),
        ("Neil", "kneel"),
        ("Thoreau", "thorough"),
        ("Caitlín", "Kate Lynn"),
        ("Phoebe", "fee bee"),
        ("Beaumont", "bow mont"),
    ],
)
def test_what_a_recogniser_writes_for_a_name_sounds_like_it(name, heard):
    assert alike(name, heard) > 0.77


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("Ben", "them"),
        ("Ben", "him"),
        ("Johnny", "Tommy"),
        ("Cohen", "coffees"),
        ("Cohen", "in"),
        ("Margaux", "midnight"),
        ("Margaux", "Friday"),
        ("Reyes", "radio"),
        ("Reyes", "umbrella"),
        ("Halcyon", "Lisbon"),
        ("Harry", "church"),
    ],
)
def test_unrelated_words_sound_unlike(name, word):
    assert alike(name, word) < 0.65


def test_likeness_is_symmetric_ignores_case_and_marks_and_is_1_for_itself():
    assert alike("Margaux", "Margo") == alike("Margo", "Margaux")
    assert alike("MARGAUX!", "margaux") == 1
    assert alike("", "Cohen") == alike("...", "Cohen") == 0


def test_names_written_in_other_letters_are_compared_by_their_letters():
    assert alike("Анна", "Анна") == 1
    assert alike("Анна", "Борис") < 0.6


def test_ordinary_words_are_commoner_than_names():
    assert (
        commonness("him", "en") > commonness("price", "en") > commonness("Margot", "en") > commonness("halsian", "en")
    )
