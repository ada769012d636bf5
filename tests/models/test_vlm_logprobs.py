import math

import pytest

from pipeline.models.vlm_confidence import agreed
from pipeline.models.vlm_logprobs import of_tokens


def tokens(*pairs):
    return [(text.encode(), math.log(p)) for text, p in pairs]


def test_a_fields_probability_is_that_of_the_tokens_of_its_value():
    written = tokens(
        ('{"', 0.5), ("speaker", 0.5), ('": "', 0.5), ("An", 0.8), ("na", 0.9), ('",', 0.5), (' "sure":', 0.5),
        (" 7", 0.4), ("5", 0.5), ("}", 0.1),
    )  # fmt: skip
    found = of_tokens(written, {"speaker": "Anna", "sure": 75}, ["speaker", "sure", "mood"])
    assert found == pytest.approx({"speaker": 0.8 * 0.9 * 0.5, "sure": 0.4 * 0.5})


def test_a_letter_may_be_spread_over_tokens():
    written = [(b'{"name": "Zo', math.log(0.9)), (b"\xc3", math.log(0.5)), (b'\xab"}', math.log(0.5))]
    assert of_tokens(written, {"name": "Zoë"}, ["name"]) == pytest.approx({"name": 0.225})


def test_the_quote_that_ends_a_text_tells_ann_from_anna():
    written = tokens(('{"a":"', 1), ("Ann", 1), ('"', 0.2), ("}", 1))
    assert of_tokens(written, {"a": "Ann"}, ["a"]) == pytest.approx({"a": 0.2})


def test_a_draft_is_not_what_was_answered():
    written = tokens(('<think>{"a": "', 1), ("Bob", 0.3), ('"}</think>{"a": "', 1), ("Anna", 0.6), ('"}', 1))
    assert of_tokens(written, {"a": "Anna"}, ["a"]) == pytest.approx({"a": 0.6})


def test_what_was_not_written_is_not_measured():
    assert of_tokens(tokens(('{"a": "cut o', 0.5)), {"a": "cut"}, ["a"]) == {}
    assert of_tokens([], {"a": "x"}, ["a"]) == {}
    assert of_tokens(tokens(("{}", 0.5)), None, ["a"]) == {}


def test_of_several_answers_the_commonest_wins_and_the_unreadable_agree_with_nobody():
    answers = [{"who": "Bob", "n": 1}, {"who": "Anna", "n": 1}, None, {"who": "anna ", "n": 1}]
    assert agreed(answers, ["who", "n"]) == (1, {"who": 0.5, "n": 0.75})
    assert agreed([None, None], ["who"]) == (None, {})
    assert agreed([None, {"x": 1}, {"x": 2}], []) == (1, {})
