"""What the panel says about a show: states in words, what to do next."""

from pathlib import Path

import pytest

from app import shared
from pipeline.control import UnitStatus


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
