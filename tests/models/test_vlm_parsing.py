import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.models.vlm_parsing import again, parse

ALTERNATIVE = {
    "type": "object",
    "properties": {"text": {"type": "string"}, "speaker": {"type": "string"}},
    "required": ["text", "speaker"],
}
SCHEMA = {
    "type": "object",
    "properties": {
        "text": {"type": "string", "maxLength": 60},
        "speaker": {"enum": ["Anna", "Bob", "UNKNOWN"]},
        "confidence": {"type": "integer", "minimum": 0, "maximum": 100},
        "alternatives": {"type": "array", "maxItems": 3, "items": {"$ref": "#/$defs/Alternative"}},
    },
    "required": ["text", "speaker"],
    "additionalProperties": False,
    "$defs": {"Alternative": ALTERNATIVE},
}
FITS = {"text": "hi", "speaker": "Anna"}
PLAIN = json.dumps(FITS)


@pytest.mark.parametrize(
    "text",
    [
        PLAIN,
        f"```json\n{PLAIN}\n```",
        f"Sure! Here is the answer:\n{PLAIN}\nLet me know if {{more}} is needed.",
        f"<think>maybe {{x}} or {json.dumps({'text': 'draft', 'speaker': 'Bob'})}</think>{PLAIN}",
        f'The draft was {{"text": "draft", "speaker": "Bob"}}.</think>\n{PLAIN}',
        f"[THINK]hm[/THINK]{PLAIN}",
        f'{{"speaker": "nobody"}} {PLAIN} {{"text": "second", "speaker": "Bob"}}',
        f"[{PLAIN}]",
        f"Use the form {{text, speaker}}: {PLAIN}",
        '{"text": "hi", "speaker": "Anna",}',
        "{'text': 'hi', 'speaker': 'Anna'}",
        '{text: "hi", "speaker": Anna}',
        '{"text": "hi", "speaker": " anna "}',
        '{"text": "hi", "speaker": "Anna", "mood": "grim"}',
        '{"text": "hi", "speaker": "Anna"',
        '```json\n{"text": "hi", "speaker": "Anna", "confidence": 8',
        '{"text": "hi", "speaker": "Anna", "alternatives": [{"text": "hy", "speaker": "B',
        '{"text": "hi", "speaker": "Anna", "confidence": "',
    ],
)
def test_an_answer_is_found_in_whatever_is_around_it(text):
    assert parse(text, SCHEMA).data == FITS


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ('{"text": "a\x1fb\\u0000", "speaker": "Bob"}', {"text": "a b ", "speaker": "Bob"}),
        ('{"text": "\\ud83d", "speaker": "Bob"}', {"text": " ", "speaker": "Bob"}),
        ('{"text": "a\nb", "speaker": "Bob"}', {"text": "a\nb", "speaker": "Bob"}),
        ('{"text": "hi", "speaker": "Bob", "confidence": "80"}', {"text": "hi", "speaker": "Bob", "confidence": 80}),
        ('{"text": "hi", "speaker": "Bob", "confidence": 80.0}', {"text": "hi", "speaker": "Bob", "confidence": 80}),
        ('{"text": "no </think> is no end", "speaker": "Bob"}', {"text": "no </think> is no end", "speaker": "Bob"}),
        ('{"text": "a { b", "speaker": "Bob",}', {"text": "a { b", "speaker": "Bob"}),
        ('{"text":"he said "no" to me","speaker":"Bob"', {"text": 'he said "no" to me', "speaker": "Bob"}),
    ],
)
def test_values_are_put_right_without_loss(text, data):
    assert parse(text, SCHEMA).data == data


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is empty"),
        ("no json at all", "no JSON object"),
        ("<think>I wonder whether " + PLAIN, "still thinking"),
        ('{"text": "hi", "speaker": "Bobby"}', "speaker: 'Bobby' is not one of"),
        ('{"text": 5, "speaker": "Bob"}', "text: 5 is not of type 'string'"),
        ('{"text": "hi", "speaker": "Bob", "confidence": NaN}', "confidence: None is not of type 'integer'"),
        ('{"text": "hi", "speaker": "Bob", "confidence": 1e999}', "confidence: None is not"),
        ('{"text": "hi", "speaker": "Bob", "confidence": 80.5}', "confidence: 80.5 is not"),
        ('{"text": "' + "x" * 99 + '", "speaker": "Bob"}', "is too long"),
        ('{"speaker": "Bob", "text": "he was about to s', "'text' is a required property"),
        ('{"speaker": "Bob", "text": "', "'text' is a required property"),
        ('{"text": "he was about to s', "cut off in 'text'"),
        # An alternative has the same keys as an answer, and must not be taken for one.
        ('{"speaker": "Bobby", "alternatives": [{"text": "hi", "speaker": "Anna"}], "text": "h', "required"),
    ],
)
def test_what_does_not_fit_is_a_problem_in_words(text, problem):
    parsed = parse(text, SCHEMA)
    assert parsed.data is None
    assert problem in parsed.problem


def test_a_model_is_told_its_mistake_and_the_schema():
    told = again("the answer is empty", SCHEMA)
    assert "the answer is empty" in told
    assert json.dumps(SCHEMA, separators=(",", ":")) in told


PIECES = st.sampled_from(
    ["{", "}", "[", "]", '"', ":", ",", "\\", "\\u", "<think>", "</think>", "```", "NaN", "1e999", "text", "'", "\x00"]
)


@given(st.one_of(st.text(), st.lists(st.one_of(PIECES, st.text(max_size=3))).map("".join)))
def test_no_text_makes_it_raise_and_what_it_gives_is_clean(text):
    for given_text in (text, PLAIN[:-1] + ',"confidence":' + text, '{"text":"' + text):
        parsed = parse(given_text, SCHEMA)
        assert (parsed.data is None) == bool(parsed.problem)
        json.dumps(parsed.data, allow_nan=False, ensure_ascii=False).encode()


@given(st.integers(min_value=0, max_value=len(PLAIN) - 1))
def test_an_answer_cut_off_anywhere_is_whole_or_a_problem(length):
    parsed = parse(PLAIN[:length], SCHEMA)
    assert parsed.data in (None, FITS)


@pytest.mark.parametrize(
    "text", ["{" * 3_000, '{"a":' * 20_000, "[" * 20_000, '{"text": ' + "9" * 9_999, "{}" * 20_000]
)
def test_hostile_text_costs_little(text):
    began = time.process_time()
    assert parse(text, SCHEMA).data is None
    assert time.process_time() - began < 5
