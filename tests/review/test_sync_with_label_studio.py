"""Push and pull against a real Label Studio: nothing twice, nothing lost."""

import json
import os
import socket
import stat

import httpx
import pytest

from pipeline.ports import PortTakenError
from pipeline.review import interface, progress, scripted, server, sync
from pipeline.review.client import Client, our_prediction
from pipeline.review.errors import LabelStudioError
from pipeline.review.served import Served
from pipeline.review.shown import MODEL_VERSION
from pipeline.settings import Settings

pytestmark = pytest.mark.server

KEY = "s01e01/s01e01_0000000"


@pytest.fixture
def show(request):
    """A show of the test's own: its projects are nobody else's."""
    return request.node.name.removeprefix("test_")[:60]


@pytest.fixture
def push(work, client, served, show, bible):
    def go(*materials, by=client, **options):
        return sync.push(by, work.store, served, show, materials, bible, **options)

    return go


@pytest.fixture
def open_task(client, show):
    """A task as the server has it now, by its key."""

    def find(key, kind="transcripts"):
        project = client.need_project(show, kind)
        ids = [task.id for task in client.listing(project) if task.key == key]
        found = list(client.details(project, ids))
        return found[0] if len(found) == 1 else found

    return find


def counts(pushed):
    return [(each.created, each.updated, each.unchanged, each.archived, each.revived) for each in pushed]


def test_pushing_twice_writes_nothing(push, material, segment):
    episode = material([segment(1, "hello there")])
    assert counts(push(episode)) == [(1, 0, 0, 0, 0), (2, 0, 0, 0, 0)]
    again = push(episode)
    assert counts(again) == [(0, 0, 1, 0, 0), (0, 0, 2, 0, 0)]
    assert sum(each.writes for each in again) == 0


def test_a_changed_line_replaces_one_prediction_and_touches_no_answer(push, client, material, segment, open_task):
    others = [segment(5, "other"), segment(9, "far away"), segment(13, "further"), segment(17, "off")]
    push(material([segment(1, "bring cone"), *others], clips=5))
    before = open_task(KEY)
    client.submit(before, our_prediction(before)["result"], 1.0)
    # The three clips after it show the line as what was said just before.
    assert counts(push(material([segment(1, "bring Cohen"), *others], clips=5)))[0] == (0, 4, 1, 0, 0)
    after = open_task(KEY)
    (prediction,) = after["predictions"]
    (annotation,) = after["annotations"]
    assert after["id"] == before["id"]
    assert prediction["result"][1]["value"]["text"] == ["bring Cohen"]
    assert annotation["result"][1]["value"]["text"] == ["bring cone"]


def test_an_answer_given_before_a_change_is_read_as_what_was_seen_then(
    push, client, show, material, segment, open_task
):
    push(material([segment(1, "bring cone")]))
    seen = open_task(KEY)
    push(material([segment(1, "bring Cohen")]))
    client.submit(seen, our_prediction(seen)["result"], 1.0)  # It was open in a browser meanwhile.
    for i in range(sync.RECENT + 2):
        push(material([segment(1, f"bring {i}")]))
    pulled = sync.pull(client, show)
    (decision,) = pulled.snapshot.decisions
    assert pulled.unreadable == ()
    assert decision.revision == seen["data"]["rev"]
    assert decision.answer.seen[0].text == decision.answer.lines[0].text == "bring cone"


def test_a_draft_survives_a_change_and_keeps_what_it_was_made_of(
    push, client, label_studio, material, segment, open_task
):
    push(material([segment(1, "bring cone")]))
    task = open_task(KEY)
    draft = {"result": our_prediction(task)["result"], "lead_time": 1}
    headers = {"Authorization": f"Token {label_studio.login.token}"}
    url = f"{label_studio.url}/api/tasks/{task['id']}/drafts"
    assert httpx.post(url, json=draft, headers=headers).status_code == 201
    for i in range(sync.RECENT + 2):
        push(material([segment(1, f"bring {i}")]))
    after = open_task(KEY)
    assert [each["result"] for each in after["drafts"]] == [draft["result"]]
    assert task["data"]["rev"] in {entry["rev"] for entry in after["meta"]["shown"]}


def test_a_task_whose_clip_is_gone_leaves_the_queue_and_can_come_back(push, client, show, material, segment, open_task):
    push(material([segment(1, "one"), segment(5, "two")]))
    whole, cut = open_task("s01e01/s01e01_0004000"), material([segment(1, "one")], clips=1)
    client.submit(whole, our_prediction(whole)["result"], 1.0)
    assert counts(push(cut)) == [(0, 0, 1, 1, 0), (0, 0, 1, 1, 0)]
    assert counts(push(cut)) == [(0, 0, 1, 0, 0), (0, 0, 1, 0, 0)]
    gone = open_task("s01e01/s01e01_0004000")
    assert (gone["data"]["archived"], len(gone["annotations"])) == ("its clip is gone", 1)
    assert [each.tasks for each in progress.progress(client, show)] == [1, 1]
    assert len(sync.pull(client, show).snapshot.decisions) == 1
    scripted.review(client, show)
    assert len(sync.pull(client, show).snapshot.decisions) == 3  # The archived caption was not served.
    assert counts(push(material([segment(1, "one"), segment(5, "two")]))) == [(0, 0, 1, 0, 1), (0, 0, 1, 0, 1)]
    assert [(each.tasks, each.left) for each in progress.progress(client, show)] == [(2, 0), (2, 1)]


def test_only_episodes_that_the_show_has_lost_are_archived_with_it(push, material, segment):
    first, second = material([segment(1, "one")]), material(episode="s01e02")
    push(first, second)
    assert [each.archived for each in push(first)] == [0, 0]
    assert [each.archived for each in push(first, episodes=["s01e01", "s01e02"])] == [0, 0]
    assert [each.archived for each in push(first, episodes=["s01e01"])] == [0, 2]


def test_a_repeated_import_leaves_one_task_for_each_key(push, client, show, material, segment, open_task):
    push(material([segment(1, "hello there")]))
    project = client.need_project(show, "transcripts")
    (first,) = client.listing(project)
    task = open_task(KEY)
    client._sdk.projects.import_tasks(
        project.id,
        request=[{"data": task["data"], "meta": task["meta"], "predictions": [_plain(our_prediction(task))]}] * 2,
    )
    later = max(client.listing(project), key=lambda each: each.id)
    (annotated,) = client.details(project, [later.id])
    client.submit(annotated, our_prediction(annotated)["result"], 1.0)
    assert counts(push(material([segment(1, "hello there")])))[0] == (0, 0, 1, 2, 0)
    assert counts(push(material([segment(1, "hello there")])))[0] == (0, 0, 1, 0, 0)
    standing = [each for each in client.listing(project) if not each.archived]
    assert [each.id for each in standing] == [later.id]
    assert first.id != later.id


class Lost(Client):
    """A connection that breaks: after a write arrived, or between the two writes of an update."""

    def create(self, project, tasks, work):
        super().create(project, tasks, work)
        raise LabelStudioError("the answer was lost")

    def replace(self, standing, task, meta):
        self._sdk.predictions.update(our_prediction(standing)["id"], result=task.result, score=task.score)
        raise LabelStudioError("the connection was lost")


def test_a_push_that_was_cut_off_is_finished_by_the_next(push, label_studio, material, segment, open_task):
    old, new = material([segment(1, "bring cone")]), material([segment(1, "bring Cohen")])
    with Lost(label_studio.url, label_studio.login.token) as broken:
        with pytest.raises(LabelStudioError, match="the answer was lost"):
            push(old, by=broken)
        assert counts(push(old)) == [(0, 0, 1, 0, 0), (2, 0, 0, 0, 0)]
        with pytest.raises(LabelStudioError, match="the connection was lost"):
            push(new, by=broken)
    # One caption shows the line in its dialogue.
    assert counts(push(new)) == [(0, 1, 0, 0, 0), (0, 1, 1, 0, 0)]
    (prediction,) = open_task(KEY)["predictions"]
    assert prediction["result"][1]["value"]["text"] == ["bring Cohen"]


def test_a_task_that_lost_its_prediction_gets_it_again(push, client, show, material, segment, open_task):
    push(material([segment(1, "hello there")]))
    task = open_task(KEY)
    # From the first deleted project on, Label Studio no longer counts the predictions that are deleted.
    client._sdk.projects.delete(client._sdk.projects.create(title="another").id)
    client._sdk.predictions.delete(our_prediction(task)["id"])
    (listed,) = client.listing(client.need_project(show, "transcripts"))
    assert listed.predictions == 0
    assert counts(push(material([segment(1, "hello there")])))[0] == (0, 1, 0, 0, 0)
    assert our_prediction(open_task(KEY))["result"] == our_prediction(task)["result"]


def test_a_task_that_does_not_fit_stops_the_push_before_anything_is_written(push, client, show, material, segment):
    with pytest.raises(ValueError, match="no character 'ghost'"):
        push(material([segment(1, "fine")]), material([segment(1, "boo", speaker="ghost")], episode="s01e02"))
    assert client.find_project(show, "transcripts") is None


def test_pulling_twice_gives_the_same_bytes_and_skips_are_in_it(push, client, show, material, segment, open_task):
    push(material([segment(1, "hello there")]))
    client.submit(open_task(f"{KEY}#caption", "captions"), [], 2.0, skip=True)
    task = open_task(KEY)
    client.submit(task, our_prediction(task)["result"], 3.5)
    first, second = sync.pull(client, show), sync.pull(client, show)
    assert first.snapshot.model_dump_json() == second.snapshot.model_dump_json()
    assert [(d.key, d.skipped, d.seconds, d.by) for d in first.snapshot.decisions] == [
        (KEY, False, 3.5, "reviewer@example.com"),
        (f"{KEY}#caption", True, 2.0, "reviewer@example.com"),
    ]
    assert [(each.done, each.skipped) for each in progress.progress(client, show)] == [(1, 0), (0, 1)]


def test_what_was_answered_or_skipped_since_a_pull_is_counted_without_reading_it(
    push, client, show, material, segment, open_task
):
    push(material([segment(1, "hello there")]))

    def newer(stamps):
        return [client.newer(client.need_project(show, kind), stamps[kind]) for kind in ("transcripts", "captions")]

    first = sync.pull(client, show).newest
    assert newer(first) == [0, 0]
    task = open_task(KEY)
    client.submit(task, our_prediction(task)["result"], 3.5)
    client.submit(open_task(f"{KEY}#caption", "captions"), [], 2.0, skip=True)
    assert newer(first) == [1, 1]
    assert newer(sync.pull(client, show).newest) == [0, 0]


def test_an_annotation_that_cannot_be_read_is_named_and_the_others_are_pulled(
    push, client, show, material, segment, open_task
):
    push(material([segment(1, "hello there")]))
    task = open_task(KEY)
    result = our_prediction(task)["result"]
    client.submit(task, result, 1.0)
    client.submit(task, [*result[:-1], {**result[-1], "value": {"text": ["feed"]}}], 1.0)
    pulled = sync.pull(client, show)
    assert len(pulled.snapshot.decisions) == 1
    (problem,) = pulled.unreadable
    assert f"?task={task['id']}: {KEY}: the answer by reviewer@example.com is to revision feed" in problem


def test_the_scripted_reviewer_mends_drops_and_accepts_once(push, client, show, material, segment, doubt):
    asked = segment(1, "bring cone now", speaker="cohen")
    doubts = [doubt(asked, ("Cohen", 0.6), ("cone", 0.4), at=1)]
    push(material([asked, segment(5, "the cone of Dr. cone"), segment(9, "fine")], doubts, clips=3))
    done = scripted.review(
        client, show, corrections={"Dr. cone": "Dr. Cohen"}, picks={"cone": "Cohen"}, drop={"s01e01_0004000": "blurry"}
    )
    assert (done.tasks, done.accepted, done.dropped) == (6, 3, ["s01e01_0004000"])
    assert done.corrected == ["s01e01/s01e01_0004000: “Dr. cone” → “Dr. Cohen”"]
    assert done.picked == [f"{KEY}: 0:00.3 · “cone” or “Cohen”? Cohen"] or len(done.picked) == 1
    assert scripted.review(client, show).tasks == 0
    answers = {d.key: d.answer for d in sync.pull(client, show).snapshot.decisions}
    assert answers[KEY].answers == {f"{asked.id}/1": "Cohen"}
    assert answers["s01e01/s01e01_0004000"].lines[0].text == "the cone of Dr. Cohen"
    assert answers["s01e01/s01e01_0004000#caption"].verdict == "drop"
    assert answers["s01e01/s01e01_0004000#caption"].reasons == ("blurry",)


def test_the_most_doubtful_clip_is_served_first(push, client, show, material, segment):
    push(
        material([segment(1, "sure", sure=0.9), segment(5, "hardly", sure=0.2), segment(9, "so so", sure=0.5)], clips=3)
    )
    project = client.need_project(show, "transcripts")
    served = []
    while task := client.next_task(project):
        served.append(task["data"]["clip_id"])
        client.submit(task, our_prediction(task)["result"], 1.0)
    assert served == ["s01e01_0004000", "s01e01_0008000", "s01e01_0000000"]


def test_projects_are_found_by_their_mark_and_open_our_predictions(push, client, show, material, segment):
    pushed = push(material([segment(1, "hello there")]))
    client._sdk.projects.update(pushed[0].project.id, title="Renamed by somebody", show_collab_predictions=False)
    again = push(material([segment(1, "hello there")]))
    assert [each.project.id for each in again] == [each.project.id for each in pushed]
    assert ([each.project.new for each in pushed], [each.project.new for each in again]) == ([True] * 2, [False] * 2)
    project = client._sdk.projects.get(pushed[0].project.id)
    assert (project.show_collab_predictions, project.model_version) == (True, MODEL_VERSION)
    client._sdk.projects.create(title="copy", description=project.description, label_config=project.label_config)
    with pytest.raises(LabelStudioError, match=r"projects .* all bear the mark"):
        push(material([segment(1, "hello there")]))


def test_a_changed_config_is_sent_and_a_refusal_says_what_to_do(
    push, client, material, segment, open_task, monkeypatch
):
    (pushed, _) = push(material([segment(1, "hello there")]))
    task = open_task(KEY)
    flag = {
        "id": "f",
        "from_name": "clip_flag",
        "to_name": "audio",
        "type": "choices",
        "value": {"choices": ["second look"]},
    }
    client.submit(task, [*our_prediction(task)["result"], flag], 1.0)
    xml = interface.config("transcripts")

    def with_config(changed):
        monkeypatch.setattr(interface, "config", lambda kind: changed if kind == "transcripts" else caption)

    caption = interface.config("captions")
    with_config(xml.replace('placeholder="Note (optional)"', 'placeholder="Anything else?"'))
    push(material([segment(1, "hello there")]))
    assert "Anything else?" in client._sdk.projects.get(pushed.project.id).label_config
    with_config(xml.replace('name="clip_flag"', 'name="clip_marks"'))
    with pytest.raises(LabelStudioError, match=r"(?s)refused.*clip_flag.*put the control or choice back"):
        push(material([segment(1, "hello there")]))


def test_media_are_served_to_those_who_may_see_them(push, label_studio, material, segment, open_task):
    push(material([segment(1, "hello there")]))
    url = label_studio.url + open_task(KEY)["data"]["video"]
    headers = {"Authorization": f"Token {label_studio.login.token}"}
    assert httpx.get(url, headers=headers).content == b"pictures01e01_0000000"
    part = httpx.get(url, headers=headers | {"Range": "bytes=0-6"})
    assert (part.status_code, part.content) == (206, b"picture")
    assert httpx.get(url).status_code == 401


def test_a_url_changes_only_with_the_content(work, keep, tmp_path):
    served = Served(work.store, tmp_path / "root", there="/srv/media")
    one, same, other = keep("a.mp4", b"1"), keep("b.MP4", b"1"), keep("a.mp4", b"2")
    assert served.url(one) == served.url(same) != served.url(other)
    assert served.folder == "/srv/media/clips"
    link = tmp_path / "root" / served.url(one).partition("=")[2]
    assert link.samefile(work.store.path_of(one))


def test_the_keys_that_delete_work_are_off_and_others_stay(push, client, material):
    client._sdk.users.update_hotkeys(custom_hotkeys={"regions:region:lock": {"key": "alt+k", "active": True}})
    push(material())
    keys = client._sdk.users.get_hotkeys().custom_hotkeys
    assert keys["regions:region:lock"] == {"key": "alt+k", "active": True}
    assert not any(keys[name]["active"] for name in interface.DISARMED)


@pytest.mark.filterwarnings("ignore:The `parse_obj` method is deprecated")  # by the SDK, on itself
def test_a_personal_access_token_works_too(label_studio):
    headers = {"Authorization": f"Token {label_studio.login.token}"}
    made = httpx.post(f"{label_studio.url}/api/token/", headers=headers)
    assert made.status_code == 201
    with Client(label_studio.url, made.json()["token"]) as client:
        assert client.whoami() == label_studio.login.email


def test_every_trouble_says_what_to_do(label_studio, client, show, push, material, segment):
    with Client(label_studio.url, "0" * 40) as stranger, pytest.raises(LabelStudioError, match="refuses the token"):
        stranger.whoami()
    with Client("http://127.0.0.1:9", "0" * 40) as nowhere, pytest.raises(LabelStudioError, match="dailies up"):
        nowhere.whoami()
    with pytest.raises(LabelStudioError, match="never pushed, or somebody deleted it"):
        sync.pull(client, show)
    (pushed, _) = push(material([segment(1, "hello there")]))
    client._sdk.projects.delete(pushed.project.id)
    with pytest.raises(LabelStudioError, match="safe in the show's store"):
        progress.progress(client, show)
    (again, _) = push(material([segment(1, "hello there")]))
    assert (again.project.new, again.created) == (True, 1)


# The server


def test_a_port_that_is_taken_is_refused(label_studio, tmp_path):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        start = server.running(Settings().label_studio_executable, tmp_path / "ls", tmp_path / "media", port=port)
        with pytest.raises(PortTakenError, match="set another label_studio_port"), start:
            pass


def test_a_second_server_on_the_same_data_is_refused(label_studio, tmp_path):
    data = label_studio.log.parent
    start = server.running(Settings().label_studio_executable, data, tmp_path, port=1)
    with pytest.raises(LabelStudioError, match=f"runs already at {label_studio.url}: use it"), start:
        pass


def test_a_server_left_by_a_killed_program_is_named_with_the_way_to_stop_it(label_studio, tmp_path):
    (tmp_path / "server.pid").write_text(str(label_studio.pid))
    start = server.running(Settings().label_studio_executable, tmp_path, tmp_path / "media", port=_free_port())
    with pytest.raises(LabelStudioError, match=f"kill -- -{label_studio.pid}"), start:
        pass


def test_a_missing_executable_names_the_remedy(tmp_path):
    start = server.running(tmp_path / "no" / "label-studio", tmp_path / "ls", tmp_path / "media")
    with pytest.raises(LabelStudioError, match="make setup"), start:
        pass


def test_a_server_that_dies_shows_its_last_words(tmp_path):
    program = tmp_path / "label-studio"
    program.write_text("#!/bin/sh\necho something is wrong\nexit 3\n")
    program.chmod(0o755)
    start = server.running(program, tmp_path / "ls", tmp_path / "media", port=_free_port())
    with pytest.raises(LabelStudioError, match=r"(?s)exit 3.*something is wrong"), start:
        pass


def test_a_restart_keeps_login_and_data_and_stops_all_it_started(label_studio, tmp_path):
    settings = Settings()

    def start():
        templates = settings.cache / "label-studio"
        folders = (tmp_path / "ls", tmp_path / "media")
        return server.running(settings.label_studio_executable, *folders, port=_free_port(), templates=templates)

    with start() as first, Client(first.url, first.login.token) as client:
        client._sdk.projects.create(title="kept", label_config="<View><Text name='t' value='$t'/></View>")
    with pytest.raises(ProcessLookupError):
        os.killpg(first.pid, 0)
    with start() as second, Client(second.url, second.login.token) as client:
        assert second.login == first.login
        assert [project.title for project in client._sdk.projects.list()] == ["kept"]
    assert stat.S_IMODE((tmp_path / "ls" / "login.json").stat().st_mode) == 0o600
    (tmp_path / "ls" / "login.json").unlink()
    with pytest.raises(LabelStudioError, match=r"database but no login\.json"), start():
        pass


def test_a_token_that_the_database_does_not_know_is_explained(label_studio, tmp_path):
    settings = Settings()
    folders = (tmp_path / "ls", tmp_path / "media")
    with server.running(
        settings.label_studio_executable, *folders, port=_free_port(), templates=settings.cache / "label-studio"
    ):
        pass
    path = tmp_path / "ls" / "login.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"token": "0" * 40}))
    start = server.running(settings.label_studio_executable, *folders, port=_free_port())
    with pytest.raises(LabelStudioError, match="refuses the token in"), start:
        pass


def _plain(prediction):
    return {name: prediction[name] for name in ("model_version", "score", "result")}


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
