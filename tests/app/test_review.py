"""The review page, run as Streamlit runs it: on a show that was never run, one under review, and broken ones."""

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from app import beside
from pipeline import control, desk

ROOT = Path(__file__).parents[2]
ANNA = "anna@example.com"


@pytest.fixture
def page(monkeypatch):
    """Opens the review page at a part, as somebody."""

    def run(folder, part="Progress", who=ANNA, **address):
        monkeypatch.setenv("DAILIES_SHOW", str(folder))
        app = AppTest.from_file(str(ROOT / "app" / "main.py"), default_timeout=60)
        app.query_params.update({"part": part, **({"who": who} if who else {}), **address})
        app.run().switch_page("views/review.py").run()
        assert not app.exception
        return app

    return run


@pytest.fixture
def reviewed(season):
    """Anna settled a name and a speaker, in one place each."""
    made = season()
    made.answered("s01e01", 0)
    made.answered("s01e01", 3, who="pryce")
    made.captioned("s01e01", 0, verdict="second look")
    return made.pull()


def words(app):
    """All that the page says."""
    return "\n".join(
        [*(each.value for each in (*app.markdown, *app.caption, *app.code, *app.error)), *(b.label for b in app.button)]
    )


def button(app, label):
    return next(each for each in app.button if each.label.startswith(label))


def test_a_show_that_was_never_run_says_what_to_do_in_every_part(page, spies_copy):
    app = page(spies_copy)
    for part in ("Progress", "More like this", "Change everywhere", "Flagged", "Glossary", "Log"):
        app.session_state.part = part
        assert "dailies run" in words(app.run()), part
    app.session_state.part = "People"
    assert "Nobody's answers were pulled yet" in words(app.run())
    app.session_state.part = "What it tells"
    assert "Nothing was pulled yet" in words(app.run())


def test_a_broken_show_file_is_told_with_its_line(page, spies_copy):
    (spies_copy / "show.toml").write_text('name = "spies"\ncolour = 3\n')
    app = page(spies_copy)
    assert "cannot be read" in app.error[0].value
    assert "colour" in app.code[0].value


def test_progress_tells_what_is_done_and_that_label_studio_was_never_started(page, reviewed, drawn):
    app = page(reviewed.folder)
    assert "**Transcripts** :gray[2 of 16]" in words(app)
    assert "Label Studio was never started here" in words(app)
    assert not button(app, "Start Label Studio").disabled
    assert 'href="/review?part=More+like+this" data-here><span><b>10</b> places that an answer settles' in drawn(app)


def test_a_server_that_is_down_is_not_one_without_tasks(page, reviewed, monkeypatch):
    monkeypatch.setenv("DAILIES_LABEL_STUDIO_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("DAILIES_LABEL_STUDIO_TOKEN", "none")
    app = page(reviewed.folder)
    assert "**Label Studio does not answer**" in words(app)
    assert "Start Label Studio" not in words(app)  # It is somebody else's.
    assert "Push" not in {each.label for each in app.button}


def test_nothing_is_written_before_somebody_says_who_they_are(page, reviewed):
    app = page(reviewed.folder, "More like this", who="")
    assert button(app, "Accept all").disabled
    assert "Who are you?" not in words(app)
    app.text_input(key="who-box").set_value("  Anna\nSmith ").run()
    button(app, "Accept all").click().run()
    assert desk.edits_made(reviewed.show)[0].by == "Anna Smith"


def test_a_group_shows_who_settled_it_and_each_place_before_and_after(page, reviewed):
    app = page(reviewed.folder, "More like this")
    assert "7 more places like this" in app.subheader[0].value
    assert "anna" in words(app)
    assert ":red[~~cone~~] :green[**Cohen**]" in app.checkbox[0].label
    assert all(box.value for box in app.checkbox)


def test_only_ticked_places_are_accepted_and_the_edit_can_be_taken_back(page, reviewed):
    app = page(reviewed.folder, "More like this")
    (group, _) = desk.suggestions(reviewed.show)
    left_out = group.places[1].id
    app.checkbox(key=f"take-{group.id}-{left_out}").uncheck().run()
    button(app, "Accept 6").click().run()
    (edit,) = desk.edits_made(reviewed.show)
    assert len(edit.places) == 6
    assert left_out not in {place.id for place in edit.places}
    button(app, "Undo").click().run()
    assert desk.edits_made(reviewed.show)[1].undone_by == ANNA
    assert len(desk.suggestions(reviewed.show)[0].places) == 7


def test_an_address_opens_its_group_and_a_settled_one_leads_to_the_next(page, reviewed):
    names, voices = desk.suggestions(reviewed.show)
    app = page(reviewed.folder, "More like this", group=voices.id)
    assert "3 more places like this" in app.subheader[0].value
    button(app, "Refuse for good").click().run()
    assert "7 more places like this" in app.subheader[0].value
    assert app.radio[0].value == names.id


def test_what_changed_meanwhile_is_told_and_nothing_is_done(page, reviewed):
    app = page(reviewed.folder, "More like this")
    (group, _) = desk.suggestions(reviewed.show)
    desk.refuse(reviewed.show, group.id, None, "ben@example.com")
    button(app, "Accept all").click().run()
    assert "not suggested (any more)" in words(app)
    assert [edit.what for edit in desk.edits_made(reviewed.show)] == ["refusal"]


def test_words_are_replaced_everywhere_after_a_preview(page, reviewed):
    app = page(reviewed.folder, "Change everywhere")
    app.text_input(key="find").set_value("diner").run()
    app.text_input(key="with").set_value("harbour").run()
    assert "**4 places** in 2 episodes" in words(app)
    button(app, "Replace 4").click().run()
    assert desk.preview_replace(reviewed.show, "diner", "harbour") == []
    assert len(desk.preview_replace(reviewed.show, "harbour", "diner")) == 4


def test_a_speaker_becomes_another_after_a_preview(page, reviewed):
    app = page(reviewed.folder, "Change everywhere")
    app.selectbox(key="from-speaker").set_value("reyes").run()
    app.selectbox(key="to-speaker").set_value("cohen").run()
    assert "**12 lines**" in words(app)
    button(app, "Change 12").click().run()
    assert desk.speakers(reviewed.show)["cohen"] == 12


def test_flagged_tasks_are_sent_back_with_a_reason(page, reviewed):
    app = page(reviewed.folder, "Flagged")
    assert app.session_state.why == "reviewer: second look"
    app.checkbox[0].check().run()
    app.text_input(key="reason").set_value("Who is in the picture?").run()
    button(app, "Send back").click().run()
    (edit,) = desk.edits_made(reviewed.show)
    assert (edit.what, edit.reason) == ("send back", "Who is in the picture?")


def test_the_address_of_a_task_shows_why_it_is_flagged(page, reviewed):
    app = page(reviewed.folder, "Flagged", clip="s01e01/s01e01_0000000#caption")
    assert app.markdown[0].value == r"reviewer\: second look"
    assert not button(app, "Send back").disabled


def test_a_mishearing_is_written_into_the_bible_on_a_word(page, reviewed):
    reviewed.answered("s01e01", 2)
    reviewed.pull()
    app = page(reviewed.folder, "Glossary")
    assert "mishearings" not in (reviewed.folder / "bible.toml").read_text()
    button(app, "Write into bible.toml").click().run()
    assert 'mishearings = ["cone"]' in (reviewed.folder / "bible.toml").read_text()
    assert "No line is offered" in words(app)


def test_the_log_takes_several_edits_back_at_once(page, reviewed):
    desk.replace(reviewed.show, "diner", "harbour", ANNA)
    desk.replace(reviewed.show, "rain", "storm", ANNA)
    app = page(reviewed.folder, "Log", who="ben@example.com")
    for box in app.checkbox:
        box.check()
    app.run()
    button(app, "Undo 2").click().run()
    assert [edit.undone_by for edit in desk.edits_made(reviewed.show)[2:]] == ["ben@example.com"] * 2


def test_people_and_what_review_tells_show_figures_with_what_they_are_a_part_of(page, reviewed):
    table = page(reviewed.folder, "People").dataframe[0].value
    assert list(table["Reviewer"]) == [ANNA]
    assert list(table["Transcripts"]) == [2]
    app = page(reviewed.folder, "What it tells")
    assert app.metric[0].label == "Errors found"
    assert "% of" in app.dataframe[0].value["Word error rate"][0]


def test_a_push_that_cannot_be_is_a_job_that_tells_why(page, reviewed, monkeypatch):
    begun = []
    monkeypatch.setattr(control, "start", lambda show, verb, *, by: begun.append((verb, by)))
    monkeypatch.setattr(beside, "desk", lambda _: control.Desk("empty", "http://127.0.0.1:9", ours=True))
    app = page(reviewed.folder)
    assert "**Nothing was pushed yet**" in words(app)
    button(app, "Push").click().run()
    assert begun == [("push", ANNA)]
