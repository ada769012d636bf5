"""Decisions brought back to a real Label Studio after somebody deleted them there."""

import pytest

from pipeline import control
from pipeline.review import progress, restore, sync
from pipeline.review.client import our_prediction
from pipeline.review.shown import KINDS
from pipeline.schemas.captions import ReviewDecision, ReviewSnapshot
from pipeline.schemas.timeline import Span

pytestmark = pytest.mark.server


@pytest.fixture
def show(request):
    return request.node.name.removeprefix("test_")[:60]


@pytest.fixture
def push(work, client, served, show, bible):
    def go(*materials, **options):
        return sync.push(client, work.store, served, show, materials, bible, **options)

    return go


@pytest.fixture
def bring_back(work, client, served, show, bible):
    def go(snapshot, *materials, episodes=("s01e01",)):
        return restore.restore(client, work.store, served, show, snapshot, materials, bible, episodes=episodes)

    return go


@pytest.fixture
def answer(client, show):
    """Accept every task as it is, but skip those of these clips."""

    def go(*skipped):
        for kind in KINDS:
            project = client.need_project(show, kind)
            for task in client.details(project, [task.id for task in client.listing(project)]):
                skip = task["data"]["clip_id"] in skipped
                client.submit(task, our_prediction(task)["result"], 2.5, skip=skip)

    return go


@pytest.fixture
def deleted(client, show):
    """Delete a project as anybody can in the web page."""

    def go(*kinds):
        for kind in kinds:
            client._sdk.projects.delete(client.need_project(show, kind).id)

    return go


def as_bytes(pulled):
    return [decision.model_dump_json() for decision in pulled.snapshot.decisions]


def test_a_deleted_project_comes_back_with_the_same_decisions_byte_for_byte(
    push, bring_back, answer, deleted, client, show, work, material, segment
):
    episode = material([segment(1, "hello there"), segment(5, "bring cone")])
    push(episode)
    answer("s01e01_0004000")
    before = sync.pull(client, show, work.store)
    assert [d.skipped for d in before.snapshot.decisions] == [False, False, True, True]
    deleted("transcripts", "captions")
    done = bring_back(before.snapshot, episode)
    assert (done.restored, done.there, done.lost) == (4, 0, ())
    after = sync.pull(client, show, work.store)
    assert as_bytes(after) == as_bytes(before) == as_bytes(sync.pull(client, show))
    assert [(each.done, each.skipped) for each in progress.progress(client, show)] == [(1, 1), (1, 1)]
    again = bring_back(before.snapshot, episode)
    assert (again.restored, again.there) == (0, 4)
    assert as_bytes(sync.pull(client, show, work.store)) == as_bytes(before)


def test_answers_to_earlier_revisions_and_to_clips_that_are_gone_come_back_too(
    push, bring_back, answer, deleted, client, show, work, material, segment
):
    push(material([segment(1, "bring cone"), segment(5, "two")]))
    answer()
    now = material([segment(1, "bring Cohen")], clips=1)
    push(now, episodes=["s01e01"])
    before = sync.pull(client, show)
    deleted("transcripts")
    assert bring_back(before.snapshot, now).restored == 2
    assert as_bytes(sync.pull(client, show)) == as_bytes(before)
    assert [each.archived for each in push(now, episodes=["s01e01"])] == [0, 0]
    assert [(each.tasks, each.archived) for each in progress.progress(client, show)] == [(1, 1), (1, 1)]
    assert client.next_task(client.need_project(show, "transcripts")) is None


def test_after_a_push_into_the_gap_the_answers_are_put_onto_its_tasks(
    push, bring_back, answer, deleted, client, show, material, segment
):
    episode = material([segment(1, "hello there")])
    push(episode)
    answer()
    before = sync.pull(client, show)
    deleted("captions")
    push(episode)
    assert bring_back(before.snapshot, episode).restored == 2
    assert as_bytes(sync.pull(client, show)) == as_bytes(before)


def test_who_answered_anew_after_a_restore_is_theirs_and_of_today(
    push, bring_back, answer, deleted, client, show, work, material, segment
):
    episode = material([segment(1, "hello there")])
    push(episode)
    answer()
    before = sync.pull(client, show)
    deleted("transcripts")
    bring_back(before.snapshot, episode)
    project = client.need_project(show, "transcripts")
    sync.pull(client, show, work.store)
    (task,) = client.details(project, [task.id for task in client.listing(project)])
    (annotation,) = task["annotations"]
    result = annotation["result"]
    result[1]["value"]["text"] = ["hello Cohen"]
    client._sdk.annotations.update(annotation["id"], result=result)
    (changed, *_) = sync.pull(client, show, work.store).snapshot.decisions
    assert changed.answer.lines[0].text == "hello Cohen"
    assert changed.at > before.snapshot.decisions[0].at
    assert bring_back(before.snapshot, episode).there == 3


def test_decisions_of_snapshots_that_kept_no_annotations_are_named(
    push, bring_back, answer, deleted, client, show, material, segment
):
    episode = material([segment(1, "hello there")])
    push(episode)
    answer()
    (first, *others) = sync.pull(client, show).snapshot.decisions
    deleted("transcripts")
    old = ReviewSnapshot(decisions=(first.model_copy(update={"raw": None}), *others))
    done = bring_back(old, episode)
    assert (done.restored, done.there) == (0, 2)
    (named,) = done.lost
    assert named.startswith("s01e01/s01e01_0000000, answered by reviewer@example.com on ")


def test_a_decision_by_somebody_the_server_does_not_know_stays_theirs(
    push, bring_back, answer, deleted, client, show, material, segment
):
    episode = material([segment(1, "hello there")])
    push(episode)
    answer()
    decisions = tuple(
        d.model_copy(update={"by": "ann@example.com"}) for d in sync.pull(client, show).snapshot.decisions
    )
    deleted("transcripts", "captions")
    bring_back(ReviewSnapshot(decisions=decisions), episode)
    assert sync.pull(client, show).snapshot.decisions == decisions


def test_which_snapshot_is_meant_is_asked_where_the_newest_has_lost_decisions(spies, tmp_path):
    (tmp_path / "show.toml").write_text((spies / "show.toml").read_text())
    show = control.open_show(tmp_path)
    with pytest.raises(ValueError, match="nothing was ever pulled here"):
        control.restore(show)
    decision = ReviewDecision(
        key="a/b",
        episode="a",
        clip="b",
        span=Span(start=0, end=1),
        revision="r",
        by="ann@example.com",
        at="2026-01-02T03:04:05Z",
        seconds=1,
        skipped=True,
    )
    show.keep_snapshot(ReviewSnapshot(decisions=(decision,)))
    show.keep_snapshot(ReviewSnapshot())
    with pytest.raises(ValueError, match=r"newest snapshot \(2\) has 0 decisions, but 1 has 1: say which"):
        control.restore(show)
    with pytest.raises(ValueError, match="there is no snapshot '7'; there are 1, 2"):
        control.restore(show, "7")
