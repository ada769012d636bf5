"""Approved captions become lines of show.toml, on a word, and nothing else of it changes."""

import tomllib

import pytest

from pipeline import examples
from pipeline.engine.plan import SHOW
from pipeline.schemas.captions import Caption, Reviewed, ReviewedClip
from pipeline.schemas.timeline import Span
from pipeline.show import open_show
from tests.app.conftest import Season

TOML = """# Mind the order.
name = "spies"

[steps.step2-caption]   # with a model
backend = "vlm"

[review]
check_share = 0   # none
"""


def test_lines_are_put_into_the_table_that_is_there_and_all_else_stays():
    new = examples.with_examples(TOML, [("c1", 'Pryce asks, "Why?"'), ("c2", "Night.")])
    assert tomllib.loads(new)["steps"]["step2-caption"]["examples"] == ['Pryce asks, "Why?"', "Night."]
    assert [line for line in TOML.splitlines() if line not in new.splitlines()] == []
    assert "# c1" in new
    again = examples.with_examples(new, [("c3", "Day.")])
    assert tomllib.loads(again)["steps"]["step2-caption"]["examples"] == ["Day."]
    assert "Pryce" not in again


@pytest.mark.parametrize("text", ['name = "a"\n', 'name = "a"\n[steps.step1-scenes]\nx = 1\n[review]\ny = 2\n'])
def test_a_table_that_is_not_there_is_made_at_the_end(text):
    new = examples.with_examples(text, [("c1", "Night.")])
    assert new.startswith(text.rstrip())
    assert tomllib.loads(new) == {
        **(old := tomllib.loads(text)),
        "steps": {**old.get("steps", {}), "step2-caption": {"examples": ["Night."]}},
    }


@pytest.fixture
def reviewed(tmp_path):
    """Four approved captions: an edited one, two as the machine made them, one with a fault."""
    made = Season(tmp_path / "season", episodes=1)
    texts = ["Reyes crosses the diner and sits down.", made.caption(1), made.caption(2), "Here Reyes greets Miller."]
    clips = []
    for i, text in enumerate(texts):
        clip = made.clip("s01e01", i)
        caption = Caption(clip=clip, text=text, quotes=(), characters=("reyes",), score=0.5)
        span = Span(start=4 * i, end=4 * i + 4)
        video = made.show.store.put_file(made.folder / "bible.toml")
        clips.append(
            ReviewedClip(
                episode="s01e01", clip=clip, span=span, video=video, caption=caption, lines=(), reviewed=True, by=("a",)
            )
        )
    made.save("step2-reviewed", SHOW, Reviewed(clips=tuple(clips), left_out=(), subtitles=(), policy="reviewed-only"))
    return made


def test_the_best_approved_captions_are_offered_and_written_on_a_word(reviewed):
    config = reviewed.folder / "show.toml"
    config.write_text(config.read_text() + "[steps.step2-caption]\nshortest = 0\n")
    before = config.read_text()
    show = open_show(reviewed.folder)
    offered = examples.offer(show, 2)
    assert (offered.approved, offered.faulty, len(offered.examples)) == (4, 1, 2)
    assert offered.examples[0][1] == "Reyes crosses the diner and sits down."
    assert '+    "Reyes crosses the diner and sits down.", # s01e01' in offered.diff
    assert config.read_text() == before
    examples.write(show, offered)
    show = open_show(reviewed.folder)
    assert show.configs()["step2-caption"].examples == tuple(text for _, text in offered.examples)
    again = examples.offer(show, 2)
    assert (again.diff, again.text, again.stale) == ("", config.read_text(), ())


def test_before_anything_was_approved_it_says_what_to_do(tmp_path):
    with pytest.raises(ValueError, match="dailies pull"):
        examples.offer(Season(tmp_path / "season").show, 12)
