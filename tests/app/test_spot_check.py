"""The spot check's page, run as Streamlit runs it: on a show that was never run, and on a sample by a model."""

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from pipeline import control, jobs, spot_check
from pipeline.engine.records import File
from pipeline.models.caption_lint import Finding
from pipeline.schemas.captions import Caption, Observed
from pipeline.schemas.timeline import Span
from pipeline.spot_check import Checked, Cost, SpotCheck

ROOT = Path(__file__).parents[2]
ANNA = "anna@example.com"


@pytest.fixture
def page(monkeypatch):
    def run(folder, who=ANNA):
        monkeypatch.setenv("DAILIES_SHOW", str(folder))
        app = AppTest.from_file(str(ROOT / "app" / "main.py"), default_timeout=60)
        if who:
            app.query_params["who"] = who
        app.run().switch_page("views/spot_check.py").run()
        assert not app.exception
        return app

    return run


@pytest.fixture
def sampled(monkeypatch):
    """A model's sample of one clip of sixteen, with a fault."""
    video = File(digest="0" * 64, name="clip.mp4", size_bytes=7)
    text = 'The video shows Reyes. She asks, "Where is he?"'
    found = Checked(
        clip="s01e01_0000000",
        span=Span(start=62, end=66),
        video=video,
        said=(("Reyes", "Where is he?"), ("", "Gone.")),
        caption=Caption(
            clip="s01e01_0000000", text=text, quotes=(), characters=("reyes",), score=0.4,
            observed=Observed(shot="close-up", camera="static", light="dim", sounds="rain"),
        ),
        faults=(Finding("boilerplate opening", "“The video shows” says nothing", "The video shows"),),
        notes=("lines whose speaker is not known: 1 of 2",),
    )  # fmt: skip
    now = SpotCheck(
        episode="s01e01", waits=(), whole=False, checked=(found,), clips=16, by=("big at 0 answers",),
        will_repair=True, cost=Cost(1, 12.0, 3000, 150, 4.0), show_clips=300, uncut=1,
    )  # fmt: skip
    monkeypatch.setattr(spot_check, "look", lambda show, episode, most: now)


def words(app):
    return "\n".join(each.value for each in (*app.markdown, *app.caption, *app.error, *app.code))


def button(app, label):
    return next(each for each in app.button if each.label.startswith(label))


def test_before_the_first_run_the_page_says_what_runs_before_a_sample(page, spies_copy):
    app = page(spies_copy)
    assert "**No caption of s01e01 to look at yet**" in words(app)
    assert "step2-transcript-base of s01e01" in words(app)
    assert not button(app, "Caption 3 clips").disabled


def test_the_button_starts_a_limited_run_of_the_episode_for_whoever_pressed_it(page, spies_copy, monkeypatch):
    begun = []
    monkeypatch.setattr(jobs, "start", lambda state, folder, verb, *, by, more: begun.append((verb, by, more)))
    app = page(spies_copy)
    app.selectbox(key="episode").set_value("s01e02").run()
    app.number_input(key="clips").set_value(2).run()
    button(app, "Caption 2 clips").click().run()
    assert begun == [("spot-check", ANNA, ("--episode", "s01e02", "--limit", "2"))]
    assert button(page(spies_copy, who=""), "Caption").disabled


def test_a_sample_shows_the_true_words_the_caption_with_its_faults_and_what_the_show_would_cost(
    page, spies_copy, sampled, drawn
):
    app = page(spies_copy)
    said = words(app)
    assert "Reyes: Where is he?" in said
    assert "nobody known: Gone" in said
    assert "(/episodes?episode=s01e01&clip=" in said
    assert ":orange-background[**The video shows**] Reyes" in said
    assert "**boilerplate opening**" in said
    assert "a run asks the model about them once more" in said
    assert {metric.label: metric.value for metric in app.metric} == {
        "A clip": "12 s",
        "Clips a minute": "5.0",
        "Tokens a clip": "3,000 → 150",
        "Model memory": "4.0 GiB",
        "Whole show, 300 clips": "1 h 0 min",
    }
    assert f'src="/store/{"0" * 64}/clip.mp4"' in drawn(app)
    assert not button(app, "Run the show").disabled


def test_a_broken_show_file_is_told(page, spies_copy):
    (spies_copy / "show.toml").write_text('name = "spies"\ncolour = 3\n')
    assert "cannot be read" in words(page(spies_copy))


def test_an_episode_that_the_show_lacks_and_too_many_clips_are_refused(spies_copy):
    show = control.open_show(spies_copy)
    with pytest.raises(ValueError, match="no episode 's09e09'; there are s01e01, s01e02"):
        spot_check.begin(show, "s09e09", 3, by=ANNA)
    with pytest.raises(ValueError, match="1 to 12 clips, not of 400"):
        spot_check.begin(show, "s01e01", 400, by=ANNA)
