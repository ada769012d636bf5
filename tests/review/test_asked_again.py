"""What must be asked once more is served once more on a real Label Studio, and nothing that was answered is touched."""

import secrets

import httpx
import pytest

from pipeline.models.quoting import requote
from pipeline.review import people, progress, restore, sync
from pipeline.review.client import Client, our_prediction
from pipeline.review.merge import Machine, merge
from pipeline.review.shown import ANSWERED

pytestmark = pytest.mark.server

KEY = "s01e01/s01e01_0000000"


@pytest.fixture
def show(request):
    return request.node.name.removeprefix("test_")[:60]


@pytest.fixture
def push(work, client, served, show, bible):
    """Whether the second of two pushes writes nothing is held each time; what the first did to the transcripts."""

    def go(*materials):
        first, _ = sync.push(client, work.store, served, show, materials, bible)
        assert sum(each.writes for each in sync.push(client, work.store, served, show, materials, bible)) == 0
        return first

    return go


@pytest.fixture
def answer(client, show):
    """What the browser is given next, answered with these words for every line; the queue must not be empty."""

    def go(words, *, by=client):
        task = by.next_task(by.need_project(show, "transcripts"))
        result = our_prediction(task)["result"]
        for item in result:
            if item["from_name"] == "text":
                item["value"]["text"] = [words]
        by.submit(task, result, 1.0)
        return task

    return go


@pytest.fixture
def tasks(client, show):
    def now():
        project = client.need_project(show, "transcripts")
        return list(client.details(project, [task.id for task in client.listing(project)]))

    return now


@pytest.fixture
def colleague(client, label_studio):
    """A second reviewer's browser."""
    person = people.add_person(client, f"{secrets.token_hex(4)}@example.com")
    login = f"{label_studio.url}/user/login/"
    with httpx.Client(follow_redirects=True) as browser:
        browser.get(login)
        form = {"email": person.email, "password": person.password, "csrfmiddlewaretoken": browser.cookies["csrftoken"]}
        browser.post(login, data=form, headers={"Referer": login}).raise_for_status()
        token = browser.get(f"{label_studio.url}/api/current-user/token").json()["token"]
    with Client(label_studio.url, token) as colleague:
        assert colleague.whoami() == person.email
        yield colleague


def pulled(client, show):
    found = sync.pull(client, show)
    assert found.unreadable == ()
    return found.snapshot.decisions


def test_who_answered_is_served_the_task_again_with_the_old_answer_and_nothing_is_asked_twice(
    push, answer, tasks, client, show, material, segment
):
    project = push(material([segment(1, "bring cone now")])).project
    answer("bring Cohen now")
    (answered,) = tasks()
    first = pulled(client, show)
    assert client.next_task(project) is None

    # Another hearing, so unlike that the answer cannot be carried to it.
    other = [segment(1, "where is the case of the spy")]
    pushed = push(material(other, decisions=first))
    assert (pushed.again, pushed.created, pushed.updated) == (1, 0, 0)
    served = client.next_task(project)
    assert served["data"]["key"] == KEY
    assert served["id"] != answered["id"]
    assert "reviewer@example.com" in served["data"]["context"]
    assert "bring Cohen now" in served["data"]["context"]
    assert served["data"]["why"].startswith("asked again")
    old, _ = tasks()
    assert old["annotations"] == answered["annotations"]
    assert (old["data"], old["is_labeled"]) == (answered["data"] | {"archived": ANSWERED}, True)
    assert [(each.done, each.left, each.archived) for each in progress.progress(client, show)[:1]] == [(0, 1, 1)]

    # The answer to it is not pulled yet, so nothing may be made of it.
    answer("where is the case of the spy")
    assert push(material(other, decisions=first)).writes == 0
    assert push(material([segment(1, "who has it")], decisions=first)).again == 0
    assert client.next_task(project) is None

    both = pulled(client, show)
    assert [decision.key for decision in both] == [KEY, KEY]
    assert push(material(other, decisions=both)).again == 0
    assert client.next_task(project) is None

    # And once more, when the machine hears otherwise once more.
    third = material([segment(1, "nobody ever told us")], decisions=both)
    assert push(third).again == 1
    assert "where is the case of the spy" in client.next_task(project)["data"]["context"]
    assert len(tasks()) == 3


def test_a_restored_project_asks_again_what_was_to_be_asked_again(
    push, answer, tasks, client, show, material, segment, work, served, bible
):
    push(material([segment(1, "bring cone now")]))
    answer("bring Cohen now")
    decisions = pulled(client, show)
    episode = material([segment(1, "where is the case of the spy")], decisions=decisions)
    push(episode)
    snapshot = sync.pull(client, show).snapshot
    client._sdk.projects.delete(client.need_project(show, "transcripts").id)

    def bring_back():
        return restore.restore(client, work.store, served, show, snapshot, [episode], bible, episodes=["s01e01"])

    assert (bring_back().restored, bring_back().restored) == (1, 0)
    assert pulled(client, show) == decisions
    assert client.next_task(client.need_project(show, "transcripts"))["data"]["why"].startswith("asked again")
    assert sorted(len(task["annotations"]) for task in tasks()) == [0, 1]
    accounts = merge(
        {"s01e01": Machine(episode.scenes, episode.transcript, episode.captions)}, bible, decisions, requote
    ).accounts
    assert [each.state for each in accounts] == ["queued again"]


def test_the_most_valuable_is_served_first_to_everybody_and_a_few_answers_write_nothing(
    push, answer, client, colleague, show, material, segment, doubt
):
    names = [segment(start, "bring cone", sure=1.0) for start in (1, 5, 9, 13)]
    price = segment(17, "the price", sure=1.0)
    doubts = [doubt(line, ("cone", 0.4), ("Cohen", 0.6), at=1, context="cone") for line in names]
    doubts.append(doubt(price, ("price", 0.1), ("Pryce", 0.9), at=1, context="price"))

    def episode(*decisions):
        return material([*names, price, segment(21, "sure", sure=1.0)], doubts, clips=6, decisions=decisions)

    project = push(episode()).project
    first = [answer("bring Cohen"), answer("bring Cohen", by=colleague), answer("bring Cohen")]
    assert [our_prediction(task)["score"] for task in first] == [pytest.approx(1 / (1 + 4 * 0.6), abs=1e-6)] * 3
    # Three of four are answered: the last one promises less than the price now, and only it moves.
    pushed = push(episode(*pulled(client, show)))
    assert (pushed.moved, pushed.writes) == (1, 1)
    assert [answer("x", by=by)["data"]["why"] for by in (colleague, client, colleague)] == [
        "0:01.5 · “price” or “Pryce”?",
        "0:01.5 · “cone” or “Cohen”?",
        "no doubts",
    ]
    assert client.next_task(project) is None
