from pipeline.models.vlm import Request, Text, Vlm
from pipeline.models.vlm_fake import FakeVlm

SCHEMA = {"type": "object", "properties": {"who": {"type": "string"}}, "required": ["who"]}


def asking(*texts):
    return [Request("", (Text(text),), SCHEMA, measured=("who",)) for text in texts]


def test_it_answers_what_its_function_says_and_remembers_what_it_was_asked():
    fake: Vlm = FakeVlm(lambda request: {"who": request.parts[0].text}, confidence=0.7)
    requests = asking("Anna", "Bob")
    replies = list(fake.answer(requests))
    assert [(each.data, each.confidence) for each in replies] == [
        ({"who": "Anna"}, {"who": 0.7}),
        ({"who": "Bob"}, {"who": 0.7}),
    ]
    assert fake.asked == requests


def test_a_text_is_read_like_any_models():
    [reply] = FakeVlm(lambda _: '<think>hm</think> {"who": "Anna"}').answer(asking("?"))
    assert reply.data == {"who": "Anna"}
    [reply] = FakeVlm(lambda _: '{"who": 5}').answer(asking("?"))
    assert (reply.data, reply.confidence) == (None, {})
    assert "5 is not of type 'string'" in reply.problem


def test_confidence_may_depend_on_the_request_and_the_answer():
    fake = FakeVlm(lambda request: {"who": request.parts[0].text}, lambda _, data: {"who": len(data["who"]) / 10})
    assert [each.confidence["who"] for each in fake.answer(asking("Anna", "Bob"))] == [0.4, 0.3]
