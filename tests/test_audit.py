"""`dailies audit` on a show on disk: what it prints, what it takes back, and whom it tells what is wrong."""

import json
from datetime import UTC, datetime

import pytest
from typer.testing import CliRunner

from pipeline import audit
from pipeline.__main__ import app
from pipeline.engine import fingerprint
from pipeline.engine.store import Run
from pipeline.schemas.story import Candidate, Consulted, Decision, Doubt, SettledTranscript, Weighed
from pipeline.schemas.timeline import Segment, Span
from pipeline.schemas.wording import retimed
from pipeline.show import open_show

ID = "s01e01@0001000:1-1"
MODEL = Consulted(
    backend="openai", model="toy", revision="abc", prompt="f" * 64, lines=("s01e01@0001000",), frames=("still.jpg",),
    sounds=(Span(start=0.75, end=2.25),), withheld=("pictures",), chosen="Cohen.", confidence=0.93,
    reason="she says so",
)  # fmt: skip


@pytest.fixture
def show(tmp_path):
    (tmp_path / "show.toml").write_text('name = "toy"\n')
    (tmp_path / "bible.toml").write_text('[show]\ntitle = "Toy"\n')
    (tmp_path / "episodes").mkdir()
    for episode in ("s01e01", "s01e02"):
        (tmp_path / "episodes" / f"{episode}.mp4").write_bytes(b"")
    shown = open_show(tmp_path)
    span = Span(start=1.5, end=2)
    doubt = Doubt(
        id=ID, kind="text", segment="s01e01@0001000", span=span, first_word=1, last_word=1, heard="Cone.", context="",
        candidates=(Candidate(value="Cohen.", score=0.9),), evidence=("it sounds alike",), consulted=MODEL,
        weighed=(Weighed(value="Cohen.", lexical=0.4, model=0.93, score=0.9),),
    )  # fmt: skip
    record = SettledTranscript(
        episode="s01e01",
        language="en",
        segments=(
            Segment(id="s01e01@0001000", shot=0, words=retimed("Bring Cohen.", (), Span(start=1, end=2)), speaker=None),
        ),
        decisions=(
            Decision(doubt=doubt, original="Cone.", chosen="Cohen.", by=audit.STEP, reason="multimodal: it", score=0.9),
        ),
        doubts=(),
    )
    output = shown.store.put(record)
    key = fingerprint.of_value("run", output)
    run = Run(
        name=f"{key[:12]}-toy", step=audit.STEP, unit="s01e01", key=key, recipe={}, output=output, seconds=1,
        finished=datetime.now(UTC).timestamp(),
    )  # fmt: skip
    shown.store.save_run(run, record)
    return shown


def dailies(show, *arguments):
    return CliRunner().invoke(app, ["audit", *arguments, "--show", str(show.folder)])


def test_the_table_names_each_decision_and_why_tells_all_it_rests_on(show):
    told = dailies(show, "s01e01", "--why")
    assert told.exit_code == 0, told.output
    for part in (
        ID, "Cone.", "Cohen.", "multimodal", "it sounds alike", "toy at abc (openai)", "still.jpg", "0.8–2.2 s",
        "cannot perceive: pictures", "words 0.40, model 0.93", "1 decision",
    ):  # fmt: skip
        assert part in told.output, part


def test_the_json_holds_the_same(show):
    (row,) = json.loads(dailies(show, "s01e01", "--json").output)
    assert (row["id"], row["original"], row["chosen"], row["backend"]) == (ID, "Cone.", "Cohen.", "multimodal")
    assert row["consulted"]["prompt"] == "f" * 64
    assert row["weighed"][0]["model"] == 0.93


def test_a_decision_taken_back_is_an_entry_of_the_log_and_told_so(show):
    done = dailies(show, "--revert", ID, "--by", "ann")
    assert done.exit_code == 0, done.output
    assert "edit 1 by ann: “Cohen.” is “Cone.” again" in done.output
    (entry,) = show.edits()
    assert (entry.what, entry.by, entry.decision) == ("replace", "ann", ID)
    assert (entry.places[0].before, entry.places[0].after) == ("Cohen.", "Cone.")
    assert "taken back by ann" in dailies(show, "s01e01").output
    assert audit.audit(show, "s01e01")[0].edit == "1"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["s09"], "there is no episode 's09'; there are s01e01, s01e02"),
        (["s01e02"], "s01e02 has no decisions yet"),
        (["--revert", "s01e01@0001000:9-9"], "there is no decision s01e01@0001000:9-9"),
        (["--revert", ID, "--by", " "], "say who does it"),
        ([], "name an episode"),
    ],
)
def test_what_is_wrong_is_one_message(show, arguments, message):
    told = dailies(show, *arguments)
    assert told.exit_code == 2
    assert message in told.output


def test_what_is_taken_back_already_is_not_taken_back_again(show):
    dailies(show, "--revert", ID, "--by", "ann")
    assert "ann took" in dailies(show, "--revert", ID, "--by", "bob").output
    assert len(show.edits()) == 1
