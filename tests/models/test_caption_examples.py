from pipeline.models.caption_examples import Approved, chosen, unlike


def approved(clip, text="Pryce waits at the counter.", place="diner", cast=("pryce",), edited=False):
    return Approved(clip, text, place, frozenset(cast), edited)


def test_other_places_people_and_lengths_are_taken_before_more_of_the_same():
    same = [approved(f"a{n}") for n in range(5)]
    street = approved("b", "Pryce runs.", place="street")
    reyes = approved("c", "Reyes sits down and opens the file, while rain falls on the window.", cast=("reyes",))
    assert [each.clip for each in chosen([*same, street, reyes], 3)] == ["a0", "b", "c"]


def test_of_captions_that_are_alike_the_one_that_a_person_worded_is_taken():
    assert [each.clip for each in chosen([approved("a"), approved("b", edited=True)], 1)] == ["b"]


def test_the_same_captions_always_choose_the_same_and_few_are_all_taken():
    many = [approved(f"c{n}", f"Pryce counts to {n}.", cast=("pryce", str(n % 3))) for n in range(30)]
    assert chosen(many, 12) == chosen(many, 12)
    assert len(chosen(many, 12)) == 12
    assert chosen(many[:4], 12) == many[:4]
    assert chosen([], 12) == []


def test_a_caption_is_like_itself_and_most_unlike_one_that_shares_nothing():
    assert unlike(approved("a"), approved("b")) == 0
    assert unlike(approved("a"), approved("b", "xx", place="", cast=("cohen",))) > 3
