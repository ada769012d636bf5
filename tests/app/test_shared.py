"""What the panel says about a show: states in words, what to do next."""

from pathlib import Path

import pytest

from app import shared
from pipeline.control import Link, UnitStatus


def unit(step, of, state, why="", seconds=None):
    return UnitStatus(step, of, state, why, "cpu", None, seconds)


FRESH = [unit("step1-scenes", "s01e01", "fresh"), unit("step2-bible", "show", "fresh")]


def test_a_roll_up_never_hides_the_worst_part():
    assert (
        shared.worst([unit("a", "e1", "fresh"), unit("a", "e2", "failed"), unit("a", "e3", "stale")]).name == "failed"
    )


def test_counts_name_only_the_states_that_occur():
    assert shared.counts([unit("a", "e1", "fresh"), unit("a", "e2", "missing")]) == {"missing": 1, "fresh": 1}


def test_every_state_has_its_own_mark_and_its_own_colour():
    states = [*shared.STATES.values(), shared.REVIEW]
    assert len({state.mark for state in states}) == len({state.colour for state in states}) == len(states)


def test_a_failure_is_what_to_look_at_first():
    advice = shared.advice([*FRESH, unit("a", "e1", "running"), unit("b", "e2", "failed", "no audio track")], [])
    assert (advice.headline, advice.detail, advice.command) == ("b of e2 failed", "no audio track", "dailies run")


def test_what_runs_is_left_alone():
    advice = shared.advice([unit("a", "e1", "running"), unit("b", "e1", "missing", "waits for a")], [])
    assert advice.headline == "Running: a of e1"
    assert advice.command == ""


def test_what_is_to_be_made_starts_with_its_root_cause():
    units = [unit("a", "e1", "stale", "setting beam_size: 5 → 1"), unit("b", "show", "missing", "waits for a")]
    advice = shared.advice([*FRESH, *units], [])
    assert advice.headline == "2 of 4 results to make"
    assert advice.detail == "First a of e1: setting beam_size: 5 → 1"
    advice = shared.advice([unit("a", "e1", "stale", "; ".join("vwxyz"))], [])
    assert advice.detail == "First a of e1: v; w; x; and 2 more"


def test_what_is_made_and_not_sent_goes_to_the_reviewers():
    assert shared.advice(FRESH, []).command == "dailies push"


def test_unanswered_tasks_are_the_reviewers_turn():
    links = [Link("Transcript", "http://ls/1", 8, 8), Link("Caption", "http://ls/2", 3, 8)]
    advice = shared.advice(FRESH, links)
    assert advice.link is links[1]
    assert advice.headline == "Review Caption: 3 of 8 answered"


def test_before_anybody_answered_the_reviewers_come_before_what_builds_on_them():
    units = [*FRESH, unit("c", "show", "missing"), unit("d", "show", "missing", "waits for c")]
    assert shared.advice([unit("a", "e1", "missing"), *units], [], {"c", "d"}).command == "dailies run step2-caption"
    assert shared.advice(units, [], {"c", "d"}).command == "dailies push"
    links = [Link("Transcript", "http://ls/1", 0, 8), Link("Caption", "http://ls/2", 0, 8)]
    assert shared.advice(units, links, {"c", "d"}).headline == "Review Transcript: 0 of 8 answered"
    links = [Link("Transcript", "http://ls/1", 2, 8), Link("Caption", "http://ls/2", 0, 8)]
    assert shared.advice(units, links, {"c", "d"}).headline == "Review Transcript: 2 of 8 answered"
    links = [Link("Transcript", "http://ls/1", 8, 8), Link("Caption", "http://ls/2", 8, 8)]
    assert shared.advice(units, links, {"c", "d"}).command == "dailies pull"
    assert shared.advice(units, links, {"c", "d"}, pulled=True).command == "dailies run"


def test_a_show_with_nothing_to_do_says_so():
    assert shared.advice(FRESH, [Link("Caption", "http://ls/2", 8, 8)]).state.name == "fresh"


def test_the_result_shown_first_is_the_worst_or_else_the_last():
    assert shared.most_telling(FRESH) is FRESH[1]
    broken = unit("c", "e1", "failed")
    assert shared.most_telling([*FRESH, broken, unit("d", "e1", "missing")]) is broken
    assert shared.most_telling([]) is None


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, "–"),
        (0.02, "under 0.1 s"),
        (0.42, "0.4 s"),
        (12, "12 s"),
        (200, "3 min 20 s"),
        (60, "1 min"),
        (7500, "2 h 5 min"),
    ],
)
def test_durations_are_words(seconds, words):
    assert shared.duration(seconds) == words


def test_the_show_is_the_one_that_the_environment_names(monkeypatch, tmp_path):
    monkeypatch.setenv("DAILIES_SHOW", str(tmp_path))
    assert shared.show_folder() == tmp_path
    monkeypatch.delenv("DAILIES_SHOW")
    assert shared.show_folder() == Path.cwd()


def test_a_look_at_a_show_has_every_step_and_the_sources_they_read(spies_copy):
    now = shared.look(spies_copy)
    assert now.name == "spies"
    assert now.episodes == ("s01e01", "s01e02")
    assert {unit.state for unit in now.units} == {"missing"}
    assert [node.name for node in now.steps if node.is_source] == ["episode", "bible-source", "review"]
    assert now.reviewed == {
        "review", "step2-reviewed", "step3-ltx2-data", "step3-wan21-package", "step4-ltx2-preprocess",
        "step5-ltx2-train", "step5-wan21-train",
    }  # fmt: skip
