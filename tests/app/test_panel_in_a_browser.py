"""The panel as a person meets it: a real server, a real browser, a laptop's screen."""

import pytest

from pipeline import dag, desk

LAPTOP = {"width": 1366, "height": 768}


@pytest.fixture
def panel(serve, spies_copy):
    return serve(spies_copy)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_pipeline_and_what_to_do_next_are_in_sight_on_a_laptop(browser, panel, tmp_path, scheme):
    page = browser.new_page(viewport=LAPTOP, color_scheme=scheme)
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(panel)
    picture = page.get_by_role("img", name="The pipeline")
    picture.wait_for()
    page.screenshot(path=tmp_path / f"{scheme}.png")
    box = picture.bounding_box()
    assert box["y"] + box["height"] <= LAPTOP["height"]
    assert box["x"] + box["width"] <= LAPTOP["width"]
    assert picture.locator("text").all_text_contents().count("step1") == 1
    assert picture.locator("g > title, a > title").count() == len(dag.STEPS) + len(dag.SOURCES)
    page.get_by_text("dailies run").first.wait_for()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    light, dark = "rgb(252, 251, 248)", "rgb(22, 24, 29)"
    assert page.locator("[data-testid=stApp]").evaluate("e => getComputedStyle(e).backgroundColor") == (
        light if scheme == "light" else dark
    )
    # A card opens its step's result, which has an address.
    picture.locator("a.card[href$=step2-caption]").click()
    page.get_by_text("step2-caption of s01e01").first.wait_for()
    assert "step=step2-caption" in page.url
    assert errors == []
    page.close()


def test_the_page_follows_the_show_by_itself(browser, panel, spies_copy):
    """A broken show.toml appears and heals without a reload, on whatever page."""
    page = browser.new_page(viewport=LAPTOP)
    page.goto(panel)
    page.get_by_role("img", name="The pipeline").wait_for()
    good = (spies_copy / "show.toml").read_text()
    (spies_copy / "show.toml").write_text(good + "\n[nonsense]\n")
    page.get_by_text("cannot be read").wait_for(timeout=40_000)
    page.get_by_role("link", name="Episodes", exact=True).click()
    page.get_by_text("cannot be read").wait_for(timeout=40_000)
    (spies_copy / "show.toml").write_text(good)
    page.get_by_text("s01e01 has no clips yet").wait_for(timeout=40_000)
    page.close()


def test_a_lead_accepts_a_group_undoes_it_and_replaces_words_with_preview(browser, serve, season):
    """The whole story by mouse and keys: who one is, a group accepted and taken back, a name replaced everywhere."""
    made = season()
    made.answered("s01e01", 0)
    made.pull()
    page = browser.new_page(viewport=LAPTOP)
    page.set_default_timeout(90_000)  # other programs may keep the machine busy
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(serve(made.folder))
    page.get_by_role("img", name="The pipeline").wait_for()
    page.get_by_role("button", name="Who are you?").click()
    page.get_by_role("textbox", name="Your name or e-mail").fill("anna@example.com")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="anna@example.com").wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("link", name="Review", exact=True).click()
    page.get_by_role("link", name="7 places that an answer settles too").click()
    page.get_by_text("7 more places like this").wait_for()
    page.locator("label", has_text="0:09").first.click()
    page.get_by_role("button", name="Accept 6").click()
    page.get_by_text("1 more place like this").wait_for()
    assert [len(edit.places) for edit in desk.edits_made(made.show)] == [6]
    page.get_by_role("button", name="Undo").click()
    page.get_by_text("7 more places like this").wait_for()
    assert "part=More+like+this" in page.url
    assert "who=anna" in page.url
    page.get_by_text("Change everywhere").click()
    page.get_by_role("textbox", name="Find").fill("diner")
    page.keyboard.press("Enter")
    page.get_by_text("4 places").first.wait_for()
    page.get_by_role("textbox", name="Replace with").fill("harbour")
    page.keyboard.press("Enter")
    page.get_by_text("harbour").first.wait_for()
    page.get_by_role("button", name="Replace 4").click()
    page.get_by_text("stands nowhere").wait_for()
    edits = desk.edits_made(made.show)
    assert (edits[0].what, edits[0].by) == ("replace", "anna@example.com")
    assert len(desk.preview_replace(made.show, "harbour", "diner")) == 4
    page.reload()
    page.get_by_role("button", name="anna@example.com").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert errors == []
    page.close()
