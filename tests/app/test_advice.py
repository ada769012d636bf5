"""What the panel says to do next."""

from app.advice import advice
from pipeline.control import Desk, Link, UnitStatus


def unit(step, of, state, why="", seconds=None):
    return UnitStatus(step, of, state, why, "cpu", None, seconds)


def desk(*links, state="ready", new=None, ours=True, problem=""):
    return Desk(state, "http://ls", ours, links, problem, new)


def transcripts(done):
    return Link("Transcripts", "http://ls/1", done, 8)


def captions(done):
    return Link("Captions", "http://ls/2", done, 8)


EMPTY, NEVER = desk(state="empty"), desk(state="never started")
FRESH = [unit("step1-scenes", "s01e01", "fresh"), unit("step2-bible", "show", "fresh")]


def test_a_failure_is_what_to_look_at_first():
    told = advice([*FRESH, unit("a", "e1", "running"), unit("b", "e2", "failed", "no audio track")], NEVER)
    assert (told.headline, told.detail, told.command) == ("b of e2 failed", "no audio track", "dailies run")


def test_what_runs_is_left_alone():
    told = advice([unit("a", "e1", "running"), unit("b", "e1", "missing", "waits for a")], NEVER)
    assert told.headline == "Running: a of e1"
    assert told.command == ""
    told = advice([unit("a", "e1", "stale"), unit("b", "e1", "missing", "waits for a")], NEVER, goes=True)
    assert (told.headline, told.command) == ("A run goes on", ""), "between two of its jobs"


def test_what_is_to_be_made_starts_with_its_root_cause():
    units = [unit("a", "e1", "stale", "setting beam_size: 5 → 1"), unit("b", "show", "missing", "waits for a")]
    told = advice([*FRESH, *units], NEVER)
    assert told.headline == "2 of 4 results to make"
    assert told.detail == "First a of e1: setting beam_size: 5 → 1"
    told = advice([unit("a", "e1", "stale", "; ".join("vwxyz"))], NEVER)
    assert told.detail == "First a of e1: v; w; x; and 2 more"


def test_what_is_made_and_not_sent_goes_to_the_reviewers():
    assert advice(FRESH, EMPTY).command == "dailies push"
    assert advice(FRESH, NEVER).command == "dailies up"


def test_unanswered_tasks_are_the_reviewers_turn():
    told = advice(FRESH, desk(transcripts(8), captions(3)))
    assert told.link == captions(3)
    assert told.headline == "Review Captions: 3 of 8 answered"
    assert told.command == "dailies pull", "nobody knows whether answers are new"
    assert advice(FRESH, desk(captions(3), new=0)).command == ""
    told = advice(FRESH, desk(captions(3), new=2))
    assert told.command == "dailies pull"
    assert "2 answered tasks newer than the last pull" in told.detail


def test_before_anybody_answered_the_reviewers_come_before_what_builds_on_them():
    units = [*FRESH, unit("c", "show", "missing"), unit("d", "show", "missing", "waits for c")]
    builds = {"c", "d"}
    assert advice([unit("a", "e1", "missing"), *units], NEVER, builds).command == "dailies run step2-caption"
    assert advice(units, EMPTY, builds).command == "dailies push"
    assert advice(units, NEVER, builds).command == "dailies up"
    for done in (0, 2):
        told = advice(units, desk(transcripts(done), captions(0)), builds)
        assert told.headline == f"Review Transcripts: {done} of 8 answered"
    whole = desk(transcripts(8), captions(8))
    assert advice(units, whole, builds).command == "dailies pull"
    assert advice(units, whole, builds, pulled=True).command == "dailies run"


def test_a_show_with_nothing_to_do_says_so_and_offers_nothing():
    told = advice(FRESH, desk(captions(8), new=0))
    assert (told.state.name, told.headline, told.verb) == ("fresh", "Everything is up to date", None)
    assert "No answer is newer than the last pull" in told.detail


def test_answers_that_wait_are_to_be_fetched():
    told = advice(FRESH, desk(captions(8), new=1))
    assert (told.headline, told.command) == ("1 answered task waits to be fetched", "dailies pull")


def test_where_label_studio_does_not_run_nobody_knows_whether_answers_wait():
    told = advice(FRESH, desk(state="down"))
    assert (told.state.name, told.command) == ("fresh", "dailies up")
    assert "not known" in told.detail
    told = advice(FRESH, desk(state="down", ours=False, problem="no Label Studio answers at http://ls"))
    assert told.verb is None
    assert "http://ls" in told.detail
    assert "is being asked" in advice(FRESH, desk(state="asked")).detail
