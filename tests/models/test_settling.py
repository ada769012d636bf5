"""The formula by numbers; what becomes of whole transcripts is tested with the step."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.models.settling import FLOOR, combined


def scores(*args):
    return {each.value: each.score for each in combined(*args)}


def test_words_alone_keep_their_scores():
    assert scores({"a": 0.75, "b": 0.25}, None, None) == pytest.approx({"a": 0.75, "b": 0.25}, abs=1e-4)


def test_a_model_multiplies_with_what_the_words_say():
    found = scores({"a": 0.75, "b": 0.25}, None, {"a": 0.1, "b": 0.9})
    assert found["b"] == pytest.approx(0.25 * 0.9 / (0.25 * 0.9 + 0.75 * 0.1), abs=1e-4)


def test_words_and_voice_that_agree_count_as_the_stronger_of_them():
    assert scores({"a": 0.6, "b": 0.4}, {"a": 0.9, "b": 0.1}, None) == pytest.approx({"a": 0.9, "b": 0.1}, abs=1e-4)


def test_words_and_voice_that_differ_both_count():
    assert scores({"a": 0.1, "b": 0.9}, {"a": 0.9, "b": 0.1}, None) == pytest.approx({"a": 0.5, "b": 0.5}, abs=1e-4)


def test_no_source_rules_a_candidate_out_for_good():
    found = scores({"a": 1.0, "b": 0.0}, None, {"a": 0.0, "b": 1.0})
    assert found == pytest.approx({"a": 0.5, "b": 0.5}, abs=1e-4)
    assert FLOOR > 0


SHARES = st.dictionaries(st.sampled_from("abcde"), st.floats(0, 1), min_size=2, max_size=5)


@given(SHARES, st.one_of(st.none(), SHARES), st.one_of(st.none(), SHARES))
def test_scores_are_shares_of_the_words_candidates_best_first(lexical, voices, model):
    found = combined(lexical, voices, model)
    assert {each.value for each in found} == set(lexical)
    assert [each.score for each in found] == sorted((each.score for each in found), reverse=True)
    assert 1 - 5e-4 * len(found) <= math.fsum(each.score for each in found) <= 1
