"""Whatever machines, reviewers and careless people do in whatever order: no decision is lost, no task is there twice.

Thousands of random sequences run on a Label Studio in memory; some of the same kind run on it and on the real server,
and both must end up alike.
"""

import copy
import json
import random
from collections import Counter
from dataclasses import replace
from itertools import count

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.models.quoting import requote
from pipeline.review import interface, restore, sync
from pipeline.review.again import earlier
from pipeline.review.client import our_prediction
from pipeline.review.merge import Machine, merge
from pipeline.review.served import Served
from pipeline.review.shown import KINDS
from pipeline.review.tasks import tasks_of
from pipeline.schemas.captions import ReviewSnapshot
from tests.review.stand_in import StandIn

NAMES = count()
STEPS = [
    "machine",
    "push",
    "push",
    "edit",
    "accept",
    "drop",
    "skip",
    "draft",
    "open",
    "send",
    "pull",
    "delete",
    "recut",
]
# Short enough that a task opened at first is still remembered when it is sent (sync.RECENT revisions).
MOST_STEPS = 10

sequences = st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 5)), max_size=MOST_STEPS)


@pytest.fixture
def worlds(material, segment, doubt):
    """By how the shots are cut: what the machines may make of one episode."""
    asked = segment(1, "bring cone now", speaker=None)
    first = ([asked, segment(5, "the price is fine")], [doubt(asked, ("Cohen", 0.6), ("cone", 0.4), at=1)])
    second = ([segment(1, "bring corn now"), segment(5, "the price is fine")], [])
    third = ([segment(5.2, "who are you", speaker="cohen")], [])
    made = []
    for cuts in ([(0, 4), (4, 8)], [(0, 2.5), (2.5, 8)], [(0, 8)], [(0.2, 4.1), (4.1, 7)]):
        made.append([material(lines, doubts, cuts=cuts) for lines, doubts in (first, second, third)])
        names = {clip.id: "Rain." for clip in made[-1][0].scenes.clips}
        made[-1].append(material(*first, cuts=cuts, captions=names))
    return made


class Desk:
    """A show under review: what the machines made last, what people did, and what was pulled of it."""

    def __init__(self, client, hands, store, served, bible, worlds, name="show"):
        self.client, self.hands = client, hands
        self.store, self.served, self.bible, self.worlds = store, served, bible, worlds
        self.show = f"{name}{next(NAMES)}"
        self.cut = self.version = 0
        self.made = Counter()
        self.drafts = {}
        self.opened = []
        self.pulled = ()
        self.projects = {}
        self.asking_again = set()

    @property
    def material(self):
        return replace(self.worlds[self.cut][self.version], decisions=self.pulled)

    @property
    def machine(self):
        return Machine(self.material.scenes, self.material.transcript, self.material.captions)

    def machine_changes(self, number):
        self.version = number % len(self.worlds[self.cut])

    def recut(self, number):
        self.cut = number % len(self.worlds)

    def push(self, _=0):
        made = sync.push(
            self.client, self.store, self.served, self.show, [self.material], self.bible, episodes=["s01e01"]
        )
        self._pushed({each.kind: each.project for each in made})
        return made

    def _pushed(self, projects):
        self.projects = projects
        made = tasks_of(self.material, self.bible, self.served.url)
        self.asking_again |= {task.rev for task in (*made.transcripts, *made.captions) if task.again}

    def edit(self, number):
        self._send(self._task(number), f"by hand {number}")

    def accept(self, number):
        self._send(self._task(number), "")

    def drop(self, number):
        self._send(self._task(number), "drop")

    def skip(self, number):
        self._send(self._task(number), None)

    def open(self, number):
        self.opened += [task] if (task := self._task(number)) else []

    def send(self, number):
        """What was opened some steps ago, whatever has become of its task since."""
        if self.opened:
            self._send(self.opened.pop(), f"late {number}")

    def draft(self, number):
        if task := self._task(number):
            self.drafts[task["data"]["key"]] = result = _worked(task, "a draft")
            self.hands.leave_draft(task, result)

    def pull(self, _=0):
        if self.projects:
            found = sync.pull(self.client, self.show, self.store)
            assert found.unreadable == ()
            self.pulled = found.snapshot.decisions

    def delete(self, number):
        """Somebody deletes a project; the show's owner restores what was pulled. Drafts and what was not pulled go."""
        if self.projects:
            kind = KINDS[number % len(KINDS)]
            self.hands.delete_project(self.show, kind)
            lost = [made for made in self.made if _kind(made[0]) == kind]
            safe = Counter(_done(decision) for decision in self.pulled)
            for made in lost:
                self.made[made] = safe[made]
            self.made = +self.made
            self.drafts = {key: draft for key, draft in self.drafts.items() if _kind(key) != kind}
            self.opened = [task for task in self.opened if _kind(task["data"]["key"]) != kind]
            snapshot = ReviewSnapshot(decisions=self.pulled)
            restore.restore(
                self.client, self.store, self.served, self.show, snapshot, [self.material], self.bible,
                episodes=["s01e01"],
            )  # fmt: skip
            self._pushed(self.client.projects_of(self.show))

    def look(self):
        """What stands on the server, in words that do not depend on which one it is, nor on when people answered."""
        found = {}
        for project in self.projects.values():
            drafted = {draft.task for draft in self.client.drafts(project)}
            for task in self.client.listing(project):
                rev = "asks again" if task.rev in self.asking_again else task.rev
                state = (rev, task.archived, task.in_queue, task.predictions, task.annotations, task.skips)
                found.setdefault(task.key, []).append((*state, task.id in drafted))
        return found

    def _task(self, number):
        """One of those in the queue or done, whole, but for what is archived."""
        if not self.projects:
            return None
        project = self.projects[KINDS[number % 2]]
        live = sorted((task.key, task.id) for task in self.client.listing(project) if not task.archived)
        if not live:
            return None
        (task,) = self.client.details(project, [live[number // 2 % len(live)][1]])
        return task

    def _send(self, task, words):
        if task is not None:
            result = [] if words is None else _worked(task, words)
            self.client.submit(task, result, 1.0, skip=words is None)
            self.made[task["data"]["key"], words is None, json.dumps(result, sort_keys=True)] += 1


def _worked(task, words):
    """The prediction as a reviewer leaves it: accepted, dropped, or with these words typed into it."""
    result = copy.deepcopy(our_prediction(task)["result"])
    for item in result:
        if item["from_name"] == "decision" and words == "drop":
            item["value"]["choices"] = ["drop"]
        if item["from_name"] in ("text", "caption") and words not in ("", "drop"):
            item["value"]["text"] = [words]
    return result


def _done(decision):
    return decision.key, decision.skipped, json.dumps(list(decision.raw.result), sort_keys=True)


def _kind(key):
    return "captions" if key.endswith("#caption") else "transcripts"


def run(desk, steps):
    for step, number in steps:
        (desk.machine_changes if step == "machine" else getattr(desk, step))(number)


def finish(desk):
    """Push and pull at last, and hold what stands to what was done."""
    desk.push()
    desk.pull()
    assert Counter(map(_done, desk.pulled)) == desk.made
    merged = merge({"s01e01": desk.machine}, desk.bible, desk.pulled, requote)
    assert [(a.key, a.by, a.at) for a in merged.accounts] == [(d.key, d.by, d.at) for d in desk.pulled]
    desk.push()
    standing = desk.look()
    assert all(sum(not archived for _, archived, *_ in tasks) <= 1 for tasks in standing.values())
    live = {key for key, tasks in standing.items() if any(not archived for _, archived, *_ in tasks)}
    asked = earlier(desk.machine, desk.bible, desk.pulled)
    assert asked.keys() <= live
    shown = {}
    for decision in desk.pulled:
        if not decision.skipped:
            shown.setdefault(decision.key, []).append(set(decision.raw.shown.get("again", ())))
    for key, answers in asked.items():
        served = any(in_queue for _, archived, in_queue, *_ in standing[key] if not archived)
        assert served or any({each.name for each in answers} <= seen for seen in shown.get(key, ()))
    told = {(each.by, each.at) for answers in asked.values() for each in answers}
    for its in merged.accounts:
        if its.state == "queued again" and its.sureness is not None:
            assert (its.by, its.at) in told
    assert {key for key, tasks in standing.items() if any(task[-1] for task in tasks)} == desk.drafts.keys()
    assert sum(pushed.writes for pushed in desk.push()) == 0


@pytest.fixture
def media(work, tmp_path):
    return Served(work.store, tmp_path / "media")


@pytest.fixture
def once(monkeypatch):
    """Check each task against its labeling config only the first time: thousands of sequences have the same ones."""
    check, known = interface.check, set()

    def remembering(task):
        if task.rev not in known:
            check(task)
            known.add(task.rev)

    monkeypatch.setattr(interface, "check", remembering)


@settings(
    deadline=None, max_examples=2000, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(sequences)
def test_no_decision_is_lost_no_task_is_there_twice_and_the_accounts_add_up(once, work, media, bible, worlds, steps):
    client = StandIn()
    desk = Desk(client, client, work.store, media, bible, worlds)
    run(desk, steps)
    finish(desk)


class Hands:
    """What a browser does on the real server, and no command of Dailies."""

    def __init__(self, client, label_studio):
        self.client, self.url = client, label_studio.url
        self.headers = {"Authorization": f"Token {label_studio.login.token}"}

    def leave_draft(self, task, result):
        drafts = f"{self.url}/api/tasks/{task['id']}/drafts"
        standing = httpx.get(drafts, headers=self.headers).json()
        body = {"result": result, "lead_time": 1}
        if standing:
            answer = httpx.patch(f"{self.url}/api/drafts/{standing[0]['id']}/", json=body, headers=self.headers)
        else:
            answer = httpx.post(drafts, json=body, headers=self.headers)
        assert answer.is_success, answer.text

    def delete_project(self, show, kind):
        self.client._sdk.projects.delete(self.client.need_project(show, kind).id)


@pytest.mark.server
@pytest.mark.parametrize("seed", range(30))
def test_the_label_studio_in_memory_does_what_the_real_one_does(
    seed, client, label_studio, work, served, bible, worlds
):
    dice = random.Random(seed)
    steps = [("push", 0)] + [(dice.choice(STEPS), dice.randrange(6)) for _ in range(MOST_STEPS - 4)]
    before = {}
    stand_in = StandIn(email=label_studio.login.email)
    real = Desk(client, Hands(client, label_studio), work.store, served, bible, worlds, f"real{seed}-")
    ours = Desk(stand_in, stand_in, work.store, served, bible, worlds)
    for desk in (real, ours):
        run(desk, steps)
        before[desk] = desk.look()
        finish(desk)
    assert before[ours] == before[real]
    assert ours.look() == real.look()
    shown = [d.model_copy(update={"at": ours.pulled[0].at, "raw": None}) for d in ours.pulled]
    assert shown == [d.model_copy(update={"at": ours.pulled[0].at, "raw": None}) for d in real.pulled]
