import base64
import io
import json
import math
import threading
import wave

import numpy as np
import pytest
from PIL import Image

from pipeline.engine.work import Services
from pipeline.models.vlm import Picture, Request, Sound, Text, Video, Vlm
from pipeline.models.vlm_openai import served
from pipeline.models.vlm_pace import Pace
from pipeline.models.vlm_server import ServerError
from pipeline.schemas.weights import Choice

from .model_server import serving

SCHEMA = {
    "type": "object",
    "properties": {"who": {"type": "string", "maxLength": 40}},
    "required": ["who"],
    "additionalProperties": False,
}
TINY = Choice(backend="openai", model="tiny", sees=True, hears=True)
YES = '{"ok": "yes"}'
CUT_OFF = {"message": {"content": None}, "finish_reason": "length"}


def asking(*texts, **options):
    return [Request("You know the show.", (Text(text),), SCHEMA, **options) for text in texts]


def probing(body):
    return body["max_tokens"] <= 16


def echo(body):
    return YES if probing(body) else json.dumps({"who": body["messages"][1]["content"]})


def opened(server, choice=TINY, key=None, patience=30.0):
    context = served(choice, Services(model_server_url=server.url, model_server_key=key), patience)
    vlm = context.__enter__()
    vlm.server.first_wait = 0.001
    return context, vlm


def replies(server, requests, **options):
    context, vlm = opened(server, **options)
    try:
        return list(vlm.answer(requests)), vlm
    finally:
        context.__exit__(None, None, None)


def test_replies_come_in_order_however_long_each_takes():
    first_may_answer = threading.Event()

    def reply(body):
        text = body["messages"][-1]["content"]
        if text == "0":
            assert first_may_answer.wait(30)
        elif text == "3":
            first_may_answer.set()
        return echo(body)

    with serving(reply) as server:
        found, vlm = replies(server, asking(*map(str, range(30))))
    assert [each.data["who"] for each in found] == [str(number) for number in range(30)]
    assert found[0].tokens_in == 10
    assert 0 < sum(each.seconds for each in found) < 60
    typed: Vlm = vlm
    assert (typed.name, typed.sees, typed.hears) == ("tiny", True, True)


def test_several_requests_are_under_way_and_no_more_are_taken_than_that_needs():
    taken, together = [], threading.Barrier(4)

    def requests():
        for request in asking(*map(str, range(200))):
            taken.append(request)
            yield request

    def reply(body):
        if body["messages"][-1]["content"] in tuple("0123"):
            together.wait(30)
        return echo(body)

    with serving(reply) as server:
        context, vlm = opened(server)
        answers = vlm.answer(requests())
        next(answers)
        assert len(taken) < 100
        assert len(list(answers)) == 199
        context.__exit__(None, None, None)
    assert 4 <= server.most_under_way <= vlm.server.pace.most


def test_what_is_sent_is_the_prompt_with_the_schema_and_media_as_every_server_takes_them():
    frames = np.zeros((3, 40, 60, 3), np.uint8)
    sound = np.linspace(-1, 1, 800, dtype=np.float32)
    parts = (Text("look"), Picture(frames[0]), Video(frames, fps=2.0), Sound(sound))
    with serving(lambda body: YES if probing(body) else '{"who": "Anna"}') as server:
        [reply], _ = replies(server, [Request("system", parts, SCHEMA, measured=("who",), seed=7)])
    assert reply.data == {"who": "Anna"}
    body = server.asked[1]
    assert body["response_format"]["json_schema"]["schema"] == SCHEMA
    assert (body["seed"], body["temperature"], body["messages"][0]) == (7, 0.0, {"role": "system", "content": "system"})
    content = body["messages"][1]["content"]
    texts = [each.get("text") for each in content if each["type"] == "text"]
    assert texts[0] == "look"
    assert texts[2:] == ["[0.00 s]", "[0.50 s]", "[1.00 s]"]
    pictures = [each["image_url"]["url"] for each in content if each["type"] == "image_url"]
    assert len(pictures) == 4
    data = base64.b64decode(pictures[0].removeprefix("data:image/jpeg;base64,"))
    assert Image.open(io.BytesIO(data)).size == (60, 40)
    [heard] = [each["input_audio"] for each in content if each["type"] == "input_audio"]
    with wave.open(io.BytesIO(base64.b64decode(heard["data"]))) as file:
        assert (file.getframerate(), file.getnchannels(), file.getnframes()) == (16_000, 1, 800)


def test_video_goes_whole_where_the_settings_say_so_with_the_times_of_its_frames():
    parts = (Video(np.zeros((3, 40, 60, 3), np.uint8), fps=2.0),)
    with serving(lambda body: YES if probing(body) else '{"who": "Anna"}') as server:
        replies(server, [Request("", parts, SCHEMA)], choice=TINY.model_copy(update={"video": "url"}))
    [content] = server.asked[1]["messages"][0]["content"]
    assert content["video_url"]["url"].count(",") == 3
    told = server.asked[1]["media_io_kwargs"]["video"]
    assert (told["fps"], told["frames_indices"], told["duration"]) == (2.0, [0, 1, 2], 1.5)


def test_probabilities_of_the_servers_tokens_are_the_confidence():
    listed = [("{", 1), ('"who":"', 1), ("An", 0.9), ("na", 0.8), ('"}', 1.0)]
    content = [{"token": t, "bytes": list(t.encode()), "logprob": math.log(p)} for t, p in listed]

    def reply(body):
        text = YES if probing(body) else '{"who":"Anna"}'
        return {"message": {"content": text}, "logprobs": {"content": content}, "finish_reason": "stop"}

    with serving(reply) as server:
        [reply], vlm = replies(server, asking("?", measured=("who",)))
    assert reply.confidence == pytest.approx({"who": 0.72})
    assert server.asked[1]["logprobs"] is True
    assert vlm.notes == ()


def test_where_a_server_gives_no_probabilities_three_answers_are_compared():
    answers = iter(["Anna", "Bob", "Anna"])
    with serving(lambda body: YES if probing(body) else json.dumps({"who": next(answers)})) as server:
        [reply], vlm = replies(server, asking("?", measured=("who",)))
    assert (reply.data, reply.confidence) == ({"who": "Anna"}, {"who": pytest.approx(2 / 3)})
    assert [(each["seed"], each["temperature"]) for each in server.asked[1:]] == [(0, 0.0), (1, 0.7), (2, 0.7)]
    assert reply.tokens_out == 15
    assert "logprobs" in vlm.notes[0]


def test_an_answer_that_cannot_be_read_is_asked_for_once_more_with_the_reason():
    answers = {"mended": iter(["Anna, I think", '{"who": "Anna"}']), "lost": iter(["hm", CUT_OFF])}
    with serving(lambda body: YES if probing(body) else next(answers[body["messages"][1]["content"]])) as server:
        (mended, lost), _ = replies(server, asking("mended", "lost"))
    assert (mended.data, mended.problem, mended.tokens_out) == ({"who": "Anna"}, "", 10)
    assert (lost.data, lost.problem) == (None, "the answer is empty (it was cut off after 1024 tokens)")
    again = [body["messages"] for body in server.asked if len(body["messages"]) > 2]
    assert len(again) == 2
    for system, _, said, told in again:
        assert system == server.asked[1]["messages"][0]
        assert said["content"] in ("Anna, I think", "hm")
        assert "there is no JSON object" in told["content"]


@pytest.mark.parametrize(
    ("word", "message"),
    [("logprobs", "logprobs is not supported"), ("response_format", "This model has no grammar backend")],
)
def test_what_a_server_does_not_know_is_left_out_and_told_once(word, message):
    def reply(body):
        return (400, {"error": {"message": message}}, {}) if word in body else echo(body)

    with serving(reply) as server:
        found, vlm = replies(server, asking("a", "b", measured=("who",)))
    assert [each.data for each in found] == [{"who": "a"}, {"who": "b"}]
    assert sum(message in note for note in vlm.notes) == 1
    assert sum(word in body for body in server.asked) == 1


@pytest.mark.parametrize(("status", "headers"), [(429, {"Retry-After": "0"}), (503, {}), (500, {}), (502, {})])
def test_a_busy_server_is_asked_again_and_less(status, headers):
    busy = iter([True, True])

    def reply(body):
        if not probing(body) and next(busy, False):
            return status, {"error": "busy"}, headers
        return echo(body)

    with serving(reply) as server:
        found, _ = replies(server, asking(*"abcdef"))
    assert [each.data["who"] for each in found] == list("abcdef")
    assert len(server.asked) == 1 + 6 + 2


def test_a_server_that_stays_busy_ends_in_words():
    with (
        serving(lambda body: YES if probing(body) else (503, {"message": "loading the model"}, {})) as server,
        pytest.raises(ServerError, match=r"keeps failing \(503\): loading the model"),
    ):
        replies(server, asking("?"), patience=0.05)


def test_a_request_that_breaks_the_server_is_not_made_for_ever():
    with (
        serving(lambda body: YES if probing(body) else (500, "Internal Server Error", {})) as server,
        pytest.raises(ServerError, match=r"keeps failing \(500\): Internal Server Error"),
    ):
        replies(server, asking("?"))
    assert len(server.asked) == 1 + 3


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((400, {"error": {"message": "This model's maximum context length is 4096 tokens."}}, {}), "fewer frames"),
        ((400, {"error": {"message": "At most 4 image(s) may be provided"}}, {}), "refuses the request .400.: At most"),
        ((200, "<html>Welcome to nginx</html>", {}), "no OpenAI-compatible model server"),
        ((200, {"choices": []}, {}), "no OpenAI-compatible model server"),
        ((413, "", {}), "413.: no reason given"),
    ],
)
def test_what_a_server_cannot_do_is_said_with_the_remedy(answer, said):
    with (
        serving(lambda body: YES if probing(body) else answer) as server,
        pytest.raises(ServerError, match=said),
    ):
        replies(server, asking("?"))


def test_replies_before_a_refused_request_are_given():
    def reply(body):
        refused = body["messages"][-1]["content"] == "c"
        return (400, {"error": {"message": "no"}}, {}) if refused else echo(body)

    with serving(reply) as server:
        context, vlm = opened(server)
        answers = vlm.answer(asking("a", "b", "c", "d"))
        assert [next(answers).data["who"], next(answers).data["who"]] == ["a", "b"]
        with pytest.raises(ServerError, match="refuses"):
            next(answers)
        context.__exit__(None, None, None)


def test_a_server_that_is_away_or_was_never_set_is_told_at_once():
    with serving(echo) as server:
        pass
    with pytest.raises(ServerError, match=r"cannot be reached .*: start it, or set model_server_url"):
        opened(server)
    with pytest.raises(ServerError, match="no model server is set: set model_server_url"):
        served(TINY, Services()).__enter__()


def test_a_key_that_is_missing_or_wrong_is_told_and_never_shown():
    with serving(echo, key="s3cret") as server:
        with pytest.raises(ServerError, match=r"wants a key \(401\): set DAILIES_MODEL_SERVER_KEY"):
            opened(server)
        with pytest.raises(ServerError, match="does not accept the key"):
            opened(server, key="wrong")
        context, vlm = opened(server, key="s3cret")
        assert "s3cret" not in f"{vlm} {Services(model_server_key='s3cret')}"
        context.__exit__(None, None, None)


def test_a_model_that_is_not_there_is_told_with_those_that_are():
    models = [{"id": "big"}, {"id": "small"}]
    missing = (404, {"error": {"message": "The model `tiny` does not exist."}}, {})
    with (
        serving(lambda _: missing, models=models) as server,
        pytest.raises(ServerError, match=r"has no model 'tiny' .*serves big, small: name one of them"),
    ):
        opened(server)


def test_a_server_that_answers_with_another_model_is_not_taken_for_the_one_asked_for():
    answer = {"model": "big", "choices": [{"message": {"content": YES}}]}
    with (
        serving(lambda _: (200, answer, {}), models=[{"id": "big"}]) as server,
        pytest.raises(ServerError, match="has no model 'tiny'; it serves big"),
    ):
        opened(server)


def test_what_a_model_perceives_is_found_out_by_asking_it():
    def reply(body):
        content = body["messages"][-1]["content"]
        if isinstance(content, list) and any(each["type"] == "input_audio" for each in content):
            return 400, {"error": {"message": "At most 0 audio(s) may be provided in one prompt."}}, {}
        return echo(body)

    with serving(reply) as server:
        context, vlm = opened(server, Choice.model_validate("server:tiny"))
        assert (vlm.sees, vlm.hears) == (True, False)
        assert any("takes no sound" in note for note in vlm.notes)
        with pytest.raises(ValueError, match="part 0 is a Sound, which tiny does not take"):
            list(vlm.answer([Request("", (Sound(np.zeros(9, np.float32)),), SCHEMA)]))
        context.__exit__(None, None, None)


def test_the_revision_is_what_the_settings_say_or_follows_what_the_server_tells():
    def revision(entry, choice=TINY):
        with serving(echo, models=[{"id": "tiny", **entry}]) as server:
            context, vlm = opened(server, choice)
            context.__exit__(None, None, None)
            return vlm.revision

    assert revision({}, TINY.model_copy(update={"revision": "abc"})) == "abc"
    assert revision({"root": "a/b", "created": 1}) == revision({"root": "a/b", "created": 2})
    assert revision({"root": "a/b"}) != revision({"root": "a/c"})


@pytest.mark.parametrize(
    ("part", "said"),
    [
        (Video(np.zeros((0, 4, 4, 3), np.uint8), 2.0), "part 0 is a video of 0 frames"),
        (Picture(np.zeros((4, 4), np.uint8)), r"part 0 has pixels of shape \(4, 4\)"),
        (Sound(np.zeros((2, 9), np.float32)), "part 0 is sound of shape"),
    ],
)
def test_a_part_that_nobody_could_send_is_named(part, said):
    with serving(echo) as server, pytest.raises(ValueError, match=said):
        replies(server, [Request("", (part,), SCHEMA)])


def test_the_pace_rises_while_a_server_keeps_up_and_halves_once_for_all_that_was_under_way():
    pace = Pace(most=8, limit=4.0)
    for number in range(100):
        pace.answered(number, number + 1, 100, 10)
    assert pace.limit == 8
    for started in (100.0, 100.1, 100.2):
        pace.refused(started, 101)
    assert pace.limit == 4
    pace.refused(101.5, 102)
    assert pace.limit == 2
    for started in range(200, 220):
        pace.refused(started, started + 0.5)
    assert pace.limit == 1


def test_the_pace_falls_where_a_server_only_queues():
    pace = Pace(most=64, limit=4.0)
    for number in range(20):
        pace.answered(number, number + 1, 0, 10)
    before = pace.limit
    pace.answered(30, 40, 0, 10)
    assert pace.limit == pytest.approx(0.8 * before)
    pace.answered(50, 60, 0, 100)
    assert pace.limit > 0.8 * before
