import pytest

from pipeline.models.caption_lint import About, Rules, lint, marked
from pipeline.schemas.captions import Caption
from pipeline.schemas.story import Bible, Character, Place, Term

BIBLE = Bible(
    title="Spies",
    characters=(
        Character(
            id="reyes",
            name="Agent Ines Reyes",
            short="Reyes",
            aliases=("Ines",),
            looks="black bob with fringe, mustard-yellow trench coat",
        ),
        Character(id="pryce", name="Inspector Tom Pryce", short="Pryce", aliases=("the inspector",)),
    ),
    places=(Place(id="street", name="Lantern Street"),),
    terms=(Term(term="Operation Halcyon", kind="operation"),),
)
HERE = About(heard="Bring the cone, Pryce. Now!", present=frozenset({"reyes", "pryce"}))
RULES = Rules(min_words=3, max_words=40)


def caption(text, clip="c", characters=(), score=0.8):
    return Caption(clip=clip, text=text, quotes=(), characters=characters, score=score)


def kinds(text, about=HERE, **more):
    found = lint([caption(text, **more)], {"c": about}, BIBLE, RULES)
    return [finding.kind for finding in found.get("c", ())]


@pytest.mark.parametrize(
    "text",
    [
        'On Lantern Street, in dim light, Agent Reyes says to Pryce, "Bring the cone, Pryce."',
        "Ines’s coat is in view. On Monday, Operation Halcyon begins.",
        "Reyes calls out, “Now!” Then the camera holds still.",
        "The inspector waits.",
        "Pryce, in a T-shirt, looks at the TV; Victorian lamps and Venetian blinds stand behind him.",
        'Behind Reyes a sign reads "OPEN ALL NIGHT".',
    ],
)
def test_a_caption_that_says_what_is_known_has_no_fault(text):
    assert kinds(text) == []


def test_a_name_that_the_bible_does_not_know_is_named():
    (finding,) = lint([caption("Here Reyes hands Miller the file.")], {"c": HERE}, BIBLE, RULES)["c"]
    assert str(finding) == "unknown name: “Miller” is neither in the cast nor a place or term of the bible"


def test_the_first_word_of_a_sentence_is_no_name_for_being_capitalised():
    assert kinds("Someone waits in the dark. Nobody speaks. Warm light falls on the wall.") == []


def test_a_quote_that_nobody_says_is_a_fault_and_one_that_leaves_out_a_filler_is_none():
    assert kinds('Pryce says, "Bring the cone Pryce."') == []
    assert kinds('Pryce says, "We will meet at the harbour."') == ["unheard quote"]


def test_a_name_inside_a_quote_is_what_was_said_and_no_character_of_the_picture():
    alone = About(heard="Where is Pryce?", present=frozenset({"reyes"}))
    assert kinds('Reyes asks, "Where is Pryce?"', alone) == []
    assert kinds("Reyes turns to Pryce.", alone) == ["absent character"]
    assert kinds("Reyes turns round.", alone, characters=("pryce",)) == ["absent character"]


def test_the_name_of_a_place_or_a_term_is_nobody_in_the_picture():
    alone = About(heard="", present=frozenset({"reyes"}))
    moon = Character(id="moon", name="Keith Moon", short="Moon")
    bible = BIBLE.model_copy(
        update={
            "characters": (*BIBLE.characters, moon),
            "places": (Place(id="diner", name="Blue Moon Diner"), Place(id="shop", name="Pryce and Sons")),
        }
    )
    inside = caption("Reyes waits in the Blue Moon Diner, opposite Pryce and Sons.")
    assert lint([inside], {"c": alone}, bible, RULES) == {}
    (finding,) = lint([caption("Reyes greets Moon in the Blue Moon Diner.")], {"c": alone}, bible, RULES)["c"]
    assert (finding.kind, finding.where) == ("absent character", "Moon")


def test_a_finding_tells_the_words_of_the_caption_that_it_is_about():
    text = 'The video shows Miller. Then he says, "We will meet at the harbour."'
    (findings,) = lint([caption(text)], {"c": HERE}, BIBLE, RULES).values()
    assert {finding.kind: finding.where for finding in findings} == {
        "unknown name": "Miller",
        "unheard quote": "We will meet at the harbour.",
        "boilerplate opening": "The video shows",
    }
    assert all(finding.where in text for finding in findings)


@pytest.mark.parametrize(
    "opening", ["The video shows", "In this clip, we see", "This scene opens with", "A short clip of"]
)
def test_an_opening_that_says_nothing_is_boilerplate(opening):
    assert kinds(f"{opening} a warm diner at night.") == ["boilerplate opening"]


def test_captions_that_are_too_short_or_too_long_say_by_how_much():
    (finding,) = lint([caption("Night.")], {"c": HERE}, BIBLE, RULES)["c"]
    assert finding.what == "1 words; 3 to 40 are wanted"
    assert kinds("word " * 41) == ["length"]


def shows(texts, characters=("reyes",)):
    captions = [caption(text, clip=f"c{n}", characters=characters) for n, text in enumerate(texts)]
    return lint(captions, {each.clip: HERE for each in captions}, BIBLE, RULES)


def test_a_trait_that_most_captions_of_a_character_repeat_leaks_into_each_of_them():
    texts = [f"Reyes in her mustard-yellow trench coat crosses room {n}." for n in range(4)]
    found = shows([*texts, "Reyes waits alone at the counter."])
    assert {clip: [finding.kind for finding in each] for clip, each in found.items()} == {
        f"c{n}": ["identity leakage"] for n in range(4)
    }
    assert found["c0"][0].what.startswith("4 of 5 captions of Reyes say “mustard-yellow trench coat”")


def test_a_trait_in_fewer_captions_or_of_too_few_captions_is_no_leak():
    coat, other = "Reyes in her mustard-yellow trench coat crosses the room.", "Here Reyes waits alone."
    assert shows([coat, coat, coat, other, other]) == {}
    assert shows([coat, coat, coat, coat]) == {}


def test_many_captions_with_one_opening_are_marked_and_a_few_are_not():
    same = [f"A medium shot of the door number {n}." for n in range(4)]
    others = [f"Door {n} stands in the light of a street lamp." for n in range(6)]
    assert sorted(shows([*same, *others])) == ["c0", "c1", "c2", "c3"]
    assert shows([*same[:2], *others]) == {}


def test_an_opening_that_tells_what_was_measured_of_each_clip_is_no_boilerplate():
    texts = [f"In warm light, the camera holds still on number {n}." for n in range(8)]
    captions = [caption(text, clip=f"c{n}") for n, text in enumerate(texts)]
    measured = "The camera holds still, and the picture is in warm light."
    about = {each.clip: About(HERE.heard, HERE.present, measured) for each in captions}
    assert lint(captions, about, BIBLE, RULES) == {}
    about["c0"] = About(HERE.heard, HERE.present, "The camera pans left, in cool light.")
    assert lint(captions, about, BIBLE, RULES) == {}  # One that is wrong is not many that are alike.
    about = dict.fromkeys(about, HERE)
    found = lint(captions, about, BIBLE, RULES)
    assert {finding.where for findings in found.values() for finding in findings} == {"In warm light, the"}
    assert len(found) == 8


def test_findings_lower_the_score_once_for_each_kind_and_change_no_word():
    faulty = caption('Here Miller and Brown say, "Nobody said this at all."')
    (findings,) = lint([faulty], {"c": HERE}, BIBLE, RULES).values()
    after = marked(faulty, findings)
    assert [finding.kind for finding in findings] == ["unknown name", "unknown name", "unheard quote"]
    assert (after.text, after.score) == (faulty.text, 0.2)
    assert after.notes == tuple(map(str, findings))
    assert marked(faulty, ()) is faulty
