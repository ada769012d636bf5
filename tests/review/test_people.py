"""Reviewers with a login of their own, on a real Label Studio."""

import httpx
import pytest

from pipeline.review import interface, people, progress, sync
from pipeline.review.client import our_prediction

pytestmark = pytest.mark.server


@pytest.fixture
def browser(label_studio):
    """A session as a person has it: a cookie, no token."""
    with httpx.Client(base_url=label_studio.url) as browser:
        yield browser


def log_in(browser, person):
    browser.get("/user/login/").raise_for_status()
    form = {"email": person.email, "password": person.password, "csrfmiddlewaretoken": browser.cookies["csrftoken"]}
    answer = browser.post("/user/login/", data=form, headers={"Referer": str(browser.base_url)})
    assert answer.status_code == 302
    return {"X-CSRFToken": browser.cookies["csrftoken"], "Referer": str(browser.base_url)}


def test_an_added_person_logs_in_sees_the_clip_answers_and_is_named_in_the_decision(
    client, browser, work, served, bible, material, segment
):
    person = people.add_person(client, "Ann@Example.com")
    assert person.email == "ann@example.com"
    show = "people"
    sync.push(client, work.store, served, show, [material([segment(1, "hello there")])], bible)
    headers = log_in(browser, person)
    project = client.need_project(show, "transcripts")
    task = browser.get(f"/api/projects/{project.id}/next").raise_for_status().json()
    assert browser.get(task["data"]["video"]).content == b"pictures01e01_0000000"
    answer = {"result": our_prediction(task)["result"], "lead_time": 2.0}
    browser.post(f"/api/tasks/{task['id']}/annotations/", json=answer, headers=headers).raise_for_status()
    (decision,) = sync.pull(client, show).snapshot.decisions
    assert (decision.by, decision.seconds) == ("ann@example.com", 2.0)
    keys = browser.get("/api/current-user/hotkeys/").json()["custom_hotkeys"]
    assert {name for name, key in keys.items() if not key["active"]} == set(interface.DISARMED)


def test_unsent_drafts_are_counted_for_each_person_and_keep_what_they_were_made_of(
    client, label_studio, browser, work, served, bible, material, segment
):
    person, show = people.add_person(client, "bea@example.com"), "drafts"

    def push(text):
        sync.push(client, work.store, served, show, [material([segment(1, text), segment(5, "other")])], bible)

    push("hello there")
    headers = log_in(browser, person)
    project = client.need_project(show, "transcripts")
    first, second = client.details(project, [task.id for task in client.listing(project)])
    seen = first["data"]["rev"]
    for task in (first, second):
        draft = {"result": our_prediction(task)["result"], "lead_time": 1}
        browser.post(f"/api/tasks/{task['id']}/drafts", json=draft, headers=headers).raise_for_status()
    mine = {"result": our_prediction(first)["result"], "lead_time": 1}
    token = {"Authorization": f"Token {label_studio.login.token}"}
    httpx.post(f"{label_studio.url}/api/tasks/{first['id']}/drafts", json=mine, headers=token).raise_for_status()
    pulled = sync.pull(client, show)
    assert pulled.snapshot.decisions == ()
    assert pulled.drafts == {"bea@example.com": 2, "reviewer@example.com": 1}
    assert [each.drafts for each in progress.progress(client, show)] == [2, 0]
    for i in range(sync.RECENT + 2):
        push(f"hello {i}")
    answer = {"result": our_prediction(first)["result"], "lead_time": 2.0}
    browser.post(f"/api/tasks/{first['id']}/annotations/", json=answer, headers=headers).raise_for_status()
    pulled = sync.pull(client, show)
    assert ([d.revision for d in pulled.snapshot.decisions], pulled.unreadable) == ([seen], ())


def test_who_has_an_account_or_no_address_is_told_so(client):
    with pytest.raises(ValueError, match="no e-mail address"):
        people.add_person(client, "Ann")
    with pytest.raises(ValueError, match=r"has an account.*reset_password"):
        people.add_person(client, "Reviewer@example.com")
