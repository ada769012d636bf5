"""A newcomer's whole way by mouse, in a real browser: from an episode to a LoRA on their disk, with no stand-in."""

import re
import shutil
import subprocess

import pytest
from playwright.sync_api import TimeoutError as TooLong
from safetensors import safe_open

from pipeline import control, jobs, runs
from pipeline.demo import open_demo
from pipeline.review import scripted
from pipeline.schemas.training import Lora
from pipeline.serve import up
from pipeline.settings import Settings

pytestmark = [pytest.mark.server, pytest.mark.weights]

LAPTOP = {"width": 1366, "height": 768}
PATIENCE_MS = 300_000  # for the steps themselves, where other programs keep the machine busy
SECONDS = 11  # of the episode: two clips
FAR = 4000  # training steps that nobody would wait for
SMALL = {
    "width = 192\nheight = 128": "width = 64\nheight = 64\nmax_frames = 33",
    'profile = "tiny"\nsteps = 20': f'profile = "tiny"\nsteps = {FAR}',
    "checkpoint_every = 10": "checkpoint_every = 2\nsample_clips = 0\nholdout_sigmas = 1",
}


@pytest.fixture
def show(spies, tmp_path):
    """The bundled show with an episode of a few seconds. What goes on at the end is ended: something failed."""
    if not Settings().label_studio_executable.exists():
        pytest.skip(f"no Label Studio at {Settings().label_studio_executable}: run `make setup`")
    folder = tmp_path / "spies"
    shutil.copytree(spies, folder, ignore=shutil.ignore_patterns(".dailies", "generator", "truth", "episodes"))
    (folder / "episodes").mkdir()
    cut = ["ffmpeg", "-v", "error", "-i", spies / "episodes" / "s01e01.mp4", "-t", str(SECONDS), "-c", "copy"]
    subprocess.run([*cut, folder / "episodes" / "s01e01.mp4"], check=True, stdin=subprocess.DEVNULL)
    text = (folder / "show.toml").read_text()
    for usual, small in SMALL.items():
        assert usual in text
        text = text.replace(usual, small)
    (folder / "show.toml").write_text(text)
    opened = open_demo(folder)
    yield opened
    for job in jobs.running(opened.state):
        jobs.stop(opened.state, job.id, by="the test")


@pytest.fixture
def opened(browser):
    """Opens an address in a new tab; at the end no page may have had an error."""
    errors = []

    def tab(address):
        page = browser.new_page(viewport=LAPTOP, accept_downloads=True)
        page.set_default_timeout(PATIENCE_MS)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(address)
        return page

    yield tab
    assert errors == []


def press(page, name):
    page.get_by_role("button", name=name, exact=True).click()


def come_to_reviewed_clips(page, show):
    """What to do next is said each time, and one button does it; before that somebody says who they are."""
    page.get_by_text("dailies run step2-caption").first.wait_for()
    page.get_by_role("button", name="Who are you?").click()
    page.get_by_role("textbox", name="Your name or e-mail").fill("anna@example.com")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="anna@example.com").wait_for()
    page.keyboard.press("Escape")
    press(page, "Run")
    page.get_by_text("Everything that needs no people is made").wait_for()
    press(page, "Push")
    page.get_by_text("Review Transcripts: 0 of 2 answered").wait_for()
    assert page.get_by_role("link", name="Open in Label Studio").first.get_attribute("href").startswith("http")
    with control.label_studio(show) as client:
        assert scripted.review(client, show.file.name).tasks == 4
    page.get_by_text("All tasks are answered").wait_for()
    press(page, "Pull")
    page.get_by_text(re.compile(r"\d+ of \d+ results to make")).wait_for()


def launch(page, name, also=None):
    """From the Launch page, to the page that follows it; `also` is the button of another tab."""
    press(page, f"Launch {name}")
    if also:
        also.dispatch_event("click")
    card = page.get_by_test_id("stColumn").filter(has_text=name)
    card.get_by_role("link", name="Progress, log and samples").click()


def look_at_a_clip(page):
    """The chosen sample's own frames and caption."""
    page.get_by_text("Trained on").first.wait_for()
    film = page.locator(".sample video")
    film.wait_for()
    page.wait_for_function("video => video.readyState > 1", arg=film.element_handle())
    page.get_by_text(re.compile(r"64x64 pixels · \d+ frames at 24 a second")).wait_for()


@pytest.mark.timeout(1500)
def test_from_an_episode_to_a_lora_without_a_terminal(opened, show, tmp_path):
    with up(show) as running:
        page = opened(running.panel)
        come_to_reviewed_clips(page, show)
        page.get_by_role("link", name="Launch", exact=True).click()
        launch(page, "Package")
        page.get_by_role("link", name="Dataset", exact=True).click()  # It comes by itself once it is made.
        look_at_a_clip(page)

        # Two tabs launch a training at once: it is one. It is watched; closing the page stops nothing.
        address = f"{running.panel}/launch?what=train-ltx-2&who=anna@example.com"
        other = opened(address)
        button = other.get_by_role("button", name="Launch Train LTX-2")
        button.wait_for()
        page.goto(address)
        launch(page, "Train LTX-2", also=button)
        other.close()
        for attempt in range(20):  # A page that came by a link was seen to stand still: opened anew it shows the rest.
            try:
                page.get_by_text(re.compile(r"([4-9]|\d\d+) of 4,000")).first.wait_for(timeout=10_000)
                page.get_by_role("img", name=re.compile("^Loss: ")).wait_for(timeout=10_000)
                break
            except TooLong:
                assert attempt < 19, "the run's page never showed the training's steps"
                page.reload()
        address = page.url
        page.close()
        page = opened(address)
        press(page, "Cancel")
        page.get_by_role("button", name="Resume …").wait_for()

        # It need not be so long. It is told from where it goes on; it does, and ends.
        (run_id,) = [each for each in runs.ids(show) if runs.find(show, each).trainings]
        (job,) = runs.find(show, run_id).trainings
        kept = job.training.checkpoints[-1].checkpoint.step
        file = show.folder / "show.toml"
        file.write_text(file.read_text().replace(f"steps = {FAR}", f"steps = {kept + 2}"))
        press(page, "Resume …")
        page.get_by_text(f"step {kept} of {kept + 2}").wait_for()
        press(page, "Go on")
        page.wait_for_url(lambda url: run_id not in url)
        page.get_by_text("Checkpoints", exact=True).first.click()
        with page.expect_download() as download:
            page.get_by_role("link", name="Download").click()
        download.value.save_as(tmp_path / "taken.safetensors")
        page.close()
    lora = show.store.get(show.store.head("step5-ltx2-train", "show").output, Lora)
    assert (tmp_path / "taken.safetensors").read_bytes() == show.store.path_of(lora.weights).read_bytes()
    with safe_open(tmp_path / "taken.safetensors", "pt") as weights:
        assert weights.keys()
    assert runs.find(show, runs.ids(show)[0]).trainings[0].training.resumed == kept
