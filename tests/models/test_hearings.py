from pipeline.models.hearings import compare, missed
from pipeline.schemas.timeline import Segment, Span, Transcript, Word


def words(text, start=0.0):
    return tuple(
        Word(text=word, span=Span(start=start + index * 0.3, end=start + index * 0.3 + 0.3), probability=0.5)
        for index, word in enumerate(text.split())
    )


def segment(text, start=0.0):
    return Segment(id=f"e@{start}", shot=0, words=words(text, start))


def texts(some):
    return " ".join(word.text for word in some or ())


def test_case_and_punctuation_make_no_difference():
    both = compare([segment("Bring cone, price.")], words("bring Cone Price"))
    assert both.same == {(0, 0), (0, 1), (0, 2)}
    assert both.differences == ()
    assert both.agree(0, 0, 2)


def test_words_that_differ_are_set_side_by_side_one_by_one_where_they_count_the_same():
    both = compare([segment("I can handle him now")], words("I can manage Ben now"))
    assert texts(both.second(0, 3, 3)) == "Ben"
    assert texts(both.second(0, 2, 3)) == "manage Ben"
    assert both.second(0, 0, 0) is None
    assert not both.agree(0, 3, 3)


def test_a_difference_in_number_is_one_difference():
    both = compare([segment("Don't he ask me")], words("Tommy asked me"))
    assert [(d.first, d.last, texts(d.words)) for d in both.differences] == [(0, 2, "Tommy asked")]
    assert texts(both.second(0, 1, 1)) == "Tommy asked"


def test_equal_words_at_another_time_are_not_the_same_sound():
    both = compare([segment("no no", 0)], words("no no", 20))
    assert both.same == frozenset()


def test_what_only_the_second_hearing_has_is_extra_and_what_it_lacks_is_unknown():
    both = compare([segment("one two")], (*words("one two"), *words("Operation Halcyon", 9)))
    assert [texts(extra) for extra in both.extra] == ["Operation Halcyon"]
    alone = compare([segment("one two")], ())
    assert not alone.agree(0, 0, 1)
    assert alone.second(0, 0, 1) is None


def test_speech_that_only_the_second_hearing_has_is_told_if_it_is_sure_of_it():
    base = Transcript(episode="e", language="en", source="asr", segments=(segment("one two"),))

    def told(probability):
        lost = (word.model_copy(update={"probability": probability}) for word in words("so where is he", 9))
        return list(missed(base.model_copy(update={"biased": (*words("one two"), *lost)})))

    assert told(0.9) == ['the text lacks what a second hearing has at 9.0 s: "so where is he"']
    assert told(0.1) == []


def test_a_difference_over_two_segments_is_one_for_each():
    both = compare([segment("ask cone", 0), segment("price now", 0.6)], words("ask Cohen Pryce now"))
    assert [(d.segment, texts(d.words)) for d in both.differences] == [(0, "Cohen"), (1, "Pryce")]
