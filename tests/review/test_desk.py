"""The lead's desk on a show in a store: what it offers, does, undoes and tells; and once on a real Label Studio."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from pipeline import desk
from pipeline.engine import fingerprint
from pipeline.engine.plan import SHOW
from pipeline.engine.store import Run
from pipeline.review import fixes, sync
from pipeline.review.client import our_prediction
from pipeline.schemas.captions import Asked, Line, ReviewDecision, ReviewSnapshot, TranscriptAnswer
from pipeline.show import open_show
from pipeline.steps import step2_reviewed

NOON = datetime.now(UTC) - timedelta(hours=1)
BIBLE = """# Who is who.
[show]
title = "Spies"

[[character]]
id = "cohen"
name = "Aaron Cohen"
short = "Cohen"
mishearings = ["Coen"]  # said like "cone"
"""
CONE = "cone (in a sentence)"


@pytest.fixture
def three(material, segment, doubt):
    """Three clips in which the same is doubted."""
    lines = [
        segment(clip * 4 + 1, text) for clip, text in enumerate(("bring cone now", "is cone? here", "see cone there"))
    ]
    doubts = [doubt(line, ("Cohen", 0.6), ("cone", 0.4), at=1, context=CONE) for line in lines]
    return material(lines, doubts, clips=3)


@pytest.fixture
def show(tmp_path, work, three, bible):
    """A show whose steps before review have run."""
    folder = tmp_path / "show"
    for name in ("episodes", ".dailies"):
        (folder / name).mkdir(parents=True)
    (folder / ".dailies" / "store").symlink_to(work.store.root)
    work.store.root.mkdir(exist_ok=True)
    (folder / "episodes" / "s01e01.mp4").write_bytes(b"film")
    (folder / "show.toml").write_text('name = "tiny"\n')
    (folder / "bible.toml").write_text(BIBLE)
    outputs = {
        ("step1-scenes", "s01e01"): three.scenes,
        ("step2-transcript-disambiguate", "s01e01"): three.transcript,
        ("step2-caption", "s01e01"): three.captions,
        ("step2-bible", SHOW): bible,
    }
    for (step, unit), output in outputs.items():
        key = fingerprint.of_value("test", [step, unit])
        run = Run(
            name=f"{key[:8]}-{step}", step=step, unit=unit, key=key, recipe={}, output=work.store.put(output),
            seconds=1, finished=1,
        )  # fmt: skip
        work.store.save_run(run, output)
    return open_show(folder)


def answer(three, clip, value, *, by="margaux@example.com", minutes=0, text=None) -> ReviewDecision:
    its, doubt, cut = three.transcript.segments[clip], three.transcript.doubts[clip], three.scenes.clips[clip]
    seen = Line(id=its.id, span=its.span, speaker=its.speaker, text=its.text)
    asked = Asked(
        doubt=doubt.id, kind="text", segment=its.id, span=doubt.span, heard=doubt.heard, context=doubt.context
    )
    left = seen.model_copy(update={"text": text or its.text})
    answers = {doubt.id: value} if value else {}
    return ReviewDecision(
        key=f"s01e01/{cut.id}", episode="s01e01", clip=cut.id, span=cut.span, revision="r", by=by,
        at=NOON + timedelta(minutes=minutes), seconds=1,
        answer=TranscriptAnswer(seen=(seen,), lines=(left,), answers=answers, asked=(asked,)),
    )  # fmt: skip


def reviewed(show, work, three, bible):
    """What step2-reviewed makes of the newest snapshot."""
    snapshot = show.store.get(show.latest_snapshot(), ReviewSnapshot)
    return step2_reviewed.run(
        step2_reviewed.Config(), work, step1_scenes={"s01e01": three.scenes},
        step2_transcript_disambiguate={"s01e01": three.transcript}, step2_caption={"s01e01": three.captions},
        step2_bible=bible, review=snapshot,
    )  # fmt: skip


def lines(show, work, three, bible) -> str:
    return work.open(reviewed(show, work, three, bible).subtitles[0].srt).read_text()


@pytest.fixture
def settled(show, three):
    """Margaux has answered the first clip."""
    show.keep_snapshot(ReviewSnapshot(decisions=(answer(three, 0, "Cohen"),)))
    return show


def test_one_answer_is_offered_for_the_rest_taken_and_undone(settled, work, three, bible):
    (group,) = desk.suggestions(settled)
    assert (group.kind, group.heard, group.value, group.by) == ("text", "cone", "Cohen", "margaux@example.com")
    assert [(place.clip, place.line, place.line_after) for place in group.places] == [
        ("s01e01_0004000", "is cone? here", "is Cohen? here"),
        ("s01e01_0008000", "see cone there", "see Cohen there"),
    ]
    before = lines(settled, work, three, bible)
    edit = desk.accept(settled, group.id, None, "lead")
    assert (edit.id, edit.title, edit.account.applied) == (
        "1",
        "suggestion taken: “cone?” → “Cohen?” and 1 more, 2 places",
        2,
    )
    assert desk.suggestions(settled) == []
    assert "Cohen? here" in lines(settled, work, three, bible)
    (undo,) = desk.undo(settled, ["1"], "lead")
    assert undo.title == "edit 1 undone"
    assert [each.undone_by for each in desk.edits_made(settled)] == ["", "lead"]
    assert desk.edits_made(settled)[1].account.undone == 2
    assert lines(settled, work, three, bible) == before
    assert [each.id for each in desk.suggestions(settled)] == [group.id]
    with pytest.raises(ValueError, match="edit 1 is undone already, by lead: undo 2 to have it back"):
        desk.undo(settled, ["1"], "lead")


def test_some_places_are_taken_others_refused_and_stay_refused(settled):
    (group,) = desk.suggestions(settled)
    desk.accept(settled, group.id, [group.places[0].id], "lead")
    (rest,) = desk.suggestions(settled)
    assert rest.places == group.places[1:]
    snapshot = settled.latest_snapshot()
    desk.refuse(settled, group.id, None, "lead")
    assert desk.suggestions(settled) == []
    assert settled.latest_snapshot() == snapshot  # A refusal makes nothing stale.
    with pytest.raises(ValueError, match="is not suggested"):
        desk.accept(settled, group.id, None, "lead")


def test_words_are_replaced_where_the_preview_says_and_a_person_is_named(settled, work, three, bible):
    places = desk.preview_replace(settled, "cone", "Kohn")
    assert [place.line_after for place in places] == ["is Kohn? here", "see Kohn there"]
    desk.replace(settled, "cone", "Kohn", "lead", places=[places[1].id])
    assert "see Kohn there" in lines(settled, work, three, bible)
    assert [place.line for place in desk.preview_replace(settled, "cone", "Kohn")] == ["is cone? here"]
    with pytest.raises(ValueError, match="no such place"):
        desk.replace(settled, "cone", "Kohn", "lead", places=[places[1].id])
    with pytest.raises(ValueError, match="'xyz' stands nowhere"):
        desk.replace(settled, "xyz", "Kohn", "lead")
    with pytest.raises(ValueError, match="say who does it"):
        desk.replace(settled, "cone", "Kohn", " ")


def test_speakers_are_counted_and_merged(settled):
    assert desk.speakers(settled) == {"reyes": 3, "cohen": 0, "pryce": 0, "UNKNOWN": 0}
    assert [(place.before, place.after) for place in desk.preview_speaker(settled, "reyes", "pryce")] == [
        ("Reyes", "Pryce")
    ] * 3
    desk.change_speaker(settled, "reyes", "pryce", "lead")
    assert desk.speakers(settled)["pryce"] == 3
    with pytest.raises(ValueError, match="the bible has no character 'nobody'"):
        desk.preview_speaker(settled, "pryce", "nobody")
    with pytest.raises(ValueError, match="reyes has no line"):
        desk.change_speaker(settled, "reyes", "pryce", "lead")


def test_a_task_is_sent_back_with_a_reason_and_stands_among_the_flagged(settled, work, three, bible):
    key = "s01e01/s01e01_0000000"
    with pytest.raises(ValueError, match="say why"):
        desk.send_back(settled, [key], " ", "lead")
    with pytest.raises(ValueError, match="nobody has answered s01e01/s01e01_0004000"):
        desk.send_back(settled, [key, "s01e01/s01e01_0004000"], "typo", "lead")
    edit = desk.send_back(settled, [key], "typo", "lead")
    assert edit.title == "1 place sent back: typo"
    left = {each.clip: each.reason for each in reviewed(settled, work, three, bible).left_out}
    assert left["s01e01_0000000"] == "sent back by lead: typo"
    found = desk.flagged(settled)
    assert found["sent back"] == found["asked again"] == (key,)
    assert len(found["doubt: words"]) == 3


def test_a_glossary_line_is_offered_after_two_corrections_and_written_only_then(show, three):
    two = (answer(three, 0, "Cohen"), answer(three, 1, None, text="is Cohen? here", by="bob@example.com"))
    show.keep_snapshot(ReviewSnapshot(decisions=two[:1]))
    assert desk.glossary(show) == []
    show.keep_snapshot(ReviewSnapshot(decisions=two))
    (offer,) = desk.glossary(show)
    assert (offer.heard, offer.right) == ("cone", "Cohen")
    assert (show.folder / "bible.toml").read_text() == BIBLE
    desk.write_glossary(show, offer.id, "lead")
    assert (show.folder / "bible.toml").read_text() == BIBLE.replace('["Coen"]', '["Coen", "cone"]')
    assert desk.glossary(show) == []
    (edit,) = desk.edits_made(show)
    assert edit.title == "written into the bible: cone is Cohen misheard"
    with pytest.raises(ValueError, match=r"take it out there"):
        desk.undo(show, [edit.id], "lead")
    with pytest.raises(ValueError, match="no glossary line"):
        desk.write_glossary(show, offer.id, "lead")


def test_a_pull_keeps_the_edits_and_edits_keep_the_pull(settled, three):
    desk.replace(settled, "there", "here", "lead")
    settled.keep_snapshot(ReviewSnapshot(decisions=(answer(three, 0, "Cohen"), answer(three, 1, "cone"))))
    desk.replace(settled, "now", "then", "lead")
    snapshot = settled.store.get(settled.latest_snapshot(), ReviewSnapshot)
    assert (len(snapshot.decisions), [edit.id for edit in snapshot.edits]) == (2, ["1", "2"])
    assert len(settled.kept()) == len(settled.snapshots()) + 2


def test_a_show_that_never_ran_says_so(tmp_path):
    (tmp_path / "episodes").mkdir()
    (tmp_path / "episodes" / "a.mp4").write_bytes(b"film")
    (tmp_path / "show.toml").write_text('name = "tiny"\n')
    with pytest.raises(ValueError, match="the bible was never read: `dailies run` first"):
        desk.suggestions(open_show(tmp_path))


def said(show, *arguments) -> str:
    from typer.testing import CliRunner

    from pipeline.review_commands import app

    result = CliRunner().invoke(app, [*arguments, "--show", str(show.folder)], env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    return result.output


def test_the_command_line_shows_does_lists_and_undoes(settled):
    offered = said(settled, "fixes")
    assert "“cone” may be “Cohen” in 2 more: margaux@example.com corrected" in offered
    assert "s01e01 s01e01_0004000 5.3 s  “is cone? here” → “is Cohen? here”" in offered
    assert "2 places, by lead" in said(settled, "fixes", "--accept", offered.split()[0], "--by", "lead")
    assert "nothing to fix" in said(settled, "fixes")
    assert "1 places; --yes changes them" in said(settled, "replace", "there", "here")
    said(settled, "replace", "there", "here", "--yes", "--by", "lead")
    said(settled, "undo", "2", "--by", "lead")
    assert "3 doubt: words" in said(settled, "flagged").replace("  ", " ").strip()
    assert "s01e01/s01e01_0004000" in said(settled, "flagged", "doubt: words")
    said(settled, "speaker", "reyes", "pryce", "--yes", "--by", "lead")
    said(settled, "send-back", "s01e01/s01e01_0000000", "--because", "typo", "--by", "lead")
    listed = said(settled, "edits")
    assert [line.split()[0] for line in listed.splitlines() if line.lstrip()[0].isdigit()] == ["5", "4", "3", "2", "1"]
    assert "(undone by lead)" in listed
    line = said(settled, "glossary")
    assert '+mishearings = ["Coen", "cone"]' in line
    assert "written: cone is Cohen misheard" in said(settled, "glossary", "--write", line.split()[0], "--by", "lead")
    assert "nothing to list" in said(settled, "glossary")


@pytest.mark.server
def test_on_a_real_label_studio_one_answer_settles_three_places(show, work, three, bible, client, served):
    """Push, answer one of three, pull, push: the others carry the suggestion. Accept: all three are right. Undo."""

    def push():
        last = show.latest_snapshot()
        decisions = show.store.get(last, ReviewSnapshot).decisions if last else ()
        found = fixes.suggestions({"s01e01": three.transcript}, decisions, show.edits())
        suggested = fixes.by_episode(found).get("s01e01", ())
        now = replace(three, decisions=decisions, suggested=suggested, log=show.edits())
        sync.push(client, work.store, served, name, [now], bible)

    def tasks(kind="transcripts"):
        project = client.need_project(name, kind)
        found = client.details(project, [task.id for task in client.listing(project)])
        return sorted(found, key=lambda task: task["data"]["key"])

    def shown(task, what):
        (item,) = [item for item in our_prediction(task)["result"] if item["from_name"] == what] or [None]
        return item and (item["value"].get("choices") or item["value"].get("text"))

    def words():
        made = reviewed(show, work, three, bible)
        assert sum(len(edit.places) for edit in show.edits()) == sum(
            account.applied + account.undone for account in made.edits
        )
        return [line.text for clip in made.clips for line in clip.lines]

    name = "one-answer-settles-three-places"
    push()
    first, *others = tasks()
    assert [shown(task, "q_a") for task in (first, *others)] == [None, None, None]
    picked = {"id": "x", "from_name": "q_a", "to_name": "audio", "type": "choices", "value": {"choices": ["Cohen"]}}
    client.submit(first, [*our_prediction(first)["result"], picked], 1.0)
    for task in tasks("captions"):
        client.submit(task, our_prediction(task)["result"], 1.0)
    show.keep_snapshot(sync.pull(client, name, work.store).snapshot)
    assert words() == ["bring Cohen now", "is cone? here", "see cone there"]

    push()
    _, *others = tasks()
    assert [shown(task, "q_a") for task in others] == [["Cohen"], ["Cohen"]]
    assert all("corrected “cone” to “Cohen” at s01e01 0:01" in task["data"]["context"] for task in others)

    (group,) = desk.suggestions(show)
    taken = desk.accept(show, group.id, None, "lead@example.com")
    assert words() == ["bring Cohen now", "is Cohen? here", "see Cohen there"]
    push()
    _, *others = tasks()
    assert [shown(task, "text") for task in others] == [["is Cohen? here"], ["see Cohen there"]]
    assert [shown(task, "q_a") for task in others] == [None, None]

    desk.undo(show, [taken.id], "lead@example.com")
    assert words() == ["bring Cohen now", "is cone? here", "see cone there"]
    push()
    _, *others = tasks()
    assert [shown(task, "text") for task in others] == [["is cone? here"], ["see cone there"]]
    assert [shown(task, "q_a") for task in others] == [["Cohen"], ["Cohen"]]


def test_what_is_offered_stands_on_disk_until_something_changes(settled):
    assert desk.suggested(settled) is None
    (group,) = desk.suggestions(settled)
    assert desk.suggested(settled) == [group]
    desk.accept(settled, group.id, None, "margaux@example.com")
    assert desk.suggested(settled) is None
