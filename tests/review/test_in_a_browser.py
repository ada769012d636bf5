"""The two screens as reviewers meet them: real keys, a real browser, a real Label Studio; then what was decided."""

import json
import subprocess
from pathlib import Path

import pytest

from pipeline import dag
from pipeline.engine.store import Store
from pipeline.review import progress, sync
from pipeline.review.questions import OPTION_KEYS
from pipeline.review.served import Served
from pipeline.review.tasks import Material, tasks_of

pytestmark = pytest.mark.server

ROOT = Path(__file__).parents[2]
PICTURES = ROOT / "build" / "screenshots"
CHROMIUM = Path("/usr/bin/chromium")
LAPTOP, DESKTOP = (1366, 768), (1920, 1080)
# A browser that looks for nobody but the page it is sent to, that root may start, and that may play sound unasked.
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
QUIET += ["--disable-component-update", "--disable-sync", "--autoplay-policy=no-user-gesture-required"]
PATIENCE_MS = 90_000  # other programs may keep the machine busy

KEY = "s01e01/s01e01_0000000"
EPISODES = ("s01e01", "s01e02")
MACHINE = (
    "step1-scenes",
    "step2-transcript-disambiguate",
    "step2-shot-reference",
    "step2-scene-context",
    "step2-caption",
)
SUBMIT = "[data-testid=bottombar-submit-button]"
LINES = ".lsf-outliner-item"
SELECTED = ".lsf-tree-treenode-selected"


@pytest.fixture(scope="module")
def browser(label_studio):
    if not CHROMIUM.exists():
        pytest.skip(f"no browser at {CHROMIUM} (Debian: apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def signed_in(browser, label_studio):
    """A browser's profile in which a reviewer came in by the form; its pages share what was loaded once."""
    context = browser.new_context()
    context.set_default_timeout(PATIENCE_MS)
    form = f"{label_studio.url}/user/login/"
    context.request.get(form)
    (token,) = [cookie["value"] for cookie in context.cookies() if cookie["name"] == "csrftoken"]
    login = {"email": label_studio.login.email, "password": label_studio.login.password, "csrfmiddlewaretoken": token}
    entered = context.request.post(form, form=login, headers={"Referer": form})
    assert "/login" not in entered.url, entered.text()
    return context


@pytest.fixture(scope="module")
def film(spies, tmp_path_factory):
    """Two pieces of the bundled show, picture and sound, small enough for a test."""
    folder = tmp_path_factory.mktemp("film")
    pieces = []
    for i, start in enumerate((8, 31)):
        video, audio = folder / f"{i}.mp4", folder / f"{i}.m4a"
        source = ["-ss", str(start), "-t", "4", "-i", str(spies / "episodes" / "s01e01.mp4")]
        encoding = ["-vf", "scale=320:-2", "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"]
        command = [
            "ffmpeg",
            "-v",
            "error",
            *source,
            *encoding,
            "-movflags",
            "+faststart",
            str(video),
            "-vn",
            str(audio),
        ]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
        pieces.append((video.read_bytes(), audio.read_bytes()))
    return pieces


@pytest.fixture
def filmed(material, film, keep):
    """`material` with clips that play."""

    def make(*arguments, **keywords):
        made = material(*arguments, **keywords)
        clips = []
        for i, clip in enumerate(made.scenes.clips):
            video, audio = film[i % len(film)]
            files = {"video": keep(f"{clip.id}-film.mp4", video), "audio": keep(f"{clip.id}-film.m4a", audio)}
            clips.append(clip.model_copy(update=files))
        scenes = made.scenes.model_copy(update={"clips": tuple(clips)})
        return Material(scenes, made.transcript, made.references, made.contexts, made.captions)

    return make


class Screen:
    """A reviewer at the keyboard. `keys` counts what was pressed; a chord is one."""

    def __init__(self, page, url):
        self.page, self.url, self.keys = page, url, 0

    def press(self, *keys):
        for key in keys:
            self.page.keyboard.press(key)
        self.keys += len(keys)

    def type(self, text):
        self.page.keyboard.type(text)
        self.keys += len(text)

    def open(self, project):
        """The queue, as the button "Label All Tasks" opens it."""
        self.page.goto(f"{self.url}/projects/{project.id}/data?labeling=1")
        self.ready()

    def ready(self):
        """Wait until picture and sound are loaded and the answers stand."""
        self.page.locator(SUBMIT).wait_for()
        self.page.wait_for_function(
            "() => { const all = [...document.querySelectorAll('video, audio')];"
            " return all.length && all.every(m => m.readyState >= 3) }"
        )
        self.page.locator(".lsf-video-segmentation button").first.wait_for()

    def send(self, key="Control+Enter"):
        """Press a key that sends the task, and wait until the server has it. Returns the task's id."""
        with self.page.expect_response(
            lambda answer: answer.request.method == "POST" and "/annotations" in answer.url
        ) as sent:
            self.press(key)
        assert sent.value.status == 201, sent.value.text()
        return int(sent.value.url.split("/tasks/")[1].split("/")[0])

    def checked(self, name):
        return self.page.locator(f'input[name="{name}"]').is_checked()

    def select_next_line(self, number):
        self.press("Alt+.")
        self.page.locator(SELECTED).get_by_text(str(number), exact=True).first.wait_for()

    def keep_picture(self, name):
        PICTURES.mkdir(parents=True, exist_ok=True)
        # Two frames later all that the last change moves has been drawn.
        self.page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        self.page.screenshot(path=PICTURES / f"{name}.png")


@pytest.fixture
def open_screen(signed_in, label_studio):
    """Opens a project's queue in a page of its own: `open_screen(project, size, theme)`."""
    pages = []

    def go(project, size=LAPTOP, theme="Light"):
        page = signed_in.new_page()
        pages.append(page)
        page.set_viewport_size({"width": size[0], "height": size[1]})
        page.add_init_script(f"localStorage.setItem('preferred-color-scheme', '{theme}')")
        page.on("pageerror", lambda error: broken.append(str(error)))
        screen = Screen(page, label_studio.url)
        screen.open(project)
        return screen

    broken = []
    yield go
    for page in pages:
        page.close()
    assert broken == []


@pytest.fixture
def review(work, client, served, bible, request, open_screen):
    """Pushes an episode as a show of the test's own; opens its screens, and reads what was decided there."""

    class Review:
        show = request.node.name.removeprefix("test_")[:60]

        def __init__(self, *materials, cast=bible, files=served):
            pushed = sync.push(client, work.store, files, self.show, materials, cast)
            self.transcripts, self.captions = (each.project for each in pushed)

        def open(self, kind, **options):
            return open_screen(self.transcripts if kind == "transcripts" else self.captions, **options)

        def decisions(self):
            pulled = sync.pull(client, self.show)
            assert pulled.unreadable == ()
            return pulled.snapshot.decisions

        def decision(self):
            (only,) = self.decisions()
            return only

        def drafts(self):
            return sum(each.drafts for each in progress.progress(client, self.show))

    return Review


@pytest.fixture
def two_lines(segment):
    return [segment(0.4, "Bring cone now", end=1.4, speaker="cohen"), segment(2.0, "He brought a cone", end=3.2)]


# The transcript's screen


def test_a_transcript_without_doubts_is_accepted_by_one_key(review, filmed, two_lines):
    reviewed = review(filmed(two_lines, clips=1))
    screen = reviewed.open("transcripts")
    screen.send()
    assert screen.keys == 1
    decision = reviewed.decision()
    assert decision.key == KEY
    assert decision.answer.lines == decision.answer.seen
    assert [line.text for line in decision.answer.seen] == ["Bring cone now", "He brought a cone"]
    assert (decision.answer.answers, decision.answer.flags, decision.skipped) == ({}, (), False)
    assert decision.seconds > 0


def test_a_doubt_is_answered_by_one_key(review, filmed, two_lines, doubt):
    word = doubt(two_lines[0], ("cone", 0.6), ("Cohen", 0.4), at=1)
    voice = doubt(two_lines[1], ("pryce", 0.2), ("reyes", 0.1), ("UNKNOWN", 0.7))
    reviewed = review(filmed(two_lines, [word, voice], clips=1))
    screen = reviewed.open("transcripts")
    screen.press("w", "a")
    screen.page.locator('.ask input[name="Cohen"]:checked').wait_for()
    screen.page.locator('.ask input[name="Pryce"]:checked').wait_for()
    screen.keep_picture("transcript-answered")
    screen.send()
    assert screen.keys == 3
    answer = reviewed.decision().answer
    assert answer.answers == {word.id: "Cohen", voice.id: "pryce"}
    assert answer.lines == answer.seen


def test_two_keys_go_to_the_next_line_and_play_just_that_line(review, filmed, two_lines):
    screen = review(filmed(two_lines, clips=1)).open("transcripts")
    screen.select_next_line(1)
    screen.select_next_line(2)
    screen.keys = 0
    screen.press("Space")
    playing = "() => { const sound = document.querySelector('audio'); return !sound.paused && sound.currentTime > 2 }"
    screen.page.wait_for_function(playing)
    screen.page.wait_for_function("() => document.querySelector('audio').paused")
    assert screen.page.evaluate("document.querySelector('audio').currentTime") == pytest.approx(3.2, abs=0.15)
    assert screen.page.evaluate("document.querySelector('video').currentTime") == pytest.approx(3.2, abs=0.3)
    assert screen.keys == 1


def test_a_line_gets_another_speaker_another_text_and_a_flag_from_the_keyboard(review, filmed, two_lines):
    reviewed = review(filmed(two_lines, clips=1))
    screen = reviewed.open("transcripts")
    screen.select_next_line(1)
    screen.press("3")
    screen.page.locator(SELECTED).get_by_text("Pryce").wait_for()
    screen.press("Enter")
    screen.page.locator("textarea:focus").wait_for()
    screen.press("Control+a")
    screen.type("Bring Cohen, 2 dim lions")  # letters and digits that are keys outside the box
    screen.press("Enter")
    screen.page.locator("textarea:focus").wait_for(state="detached")
    screen.select_next_line(2)
    screen.press("o")
    screen.page.locator("input[name=overlap]:checked").wait_for()
    screen.press("m")
    screen.page.locator('input[name="missing line"]:checked').wait_for()
    screen.keep_picture("transcript-mended")
    screen.send()
    answer = reviewed.decision().answer
    first, second = answer.lines
    assert (first.speaker, first.text, first.flags) == ("pryce", "Bring Cohen, 2 dim lions", ())
    assert (first.span, first.id) == (answer.seen[0].span, answer.seen[0].id)
    assert (second.speaker, second.text, second.flags) == ("reyes", "He brought a cone", ("overlap",))
    assert answer.flags == ("missing line",)
    assert answer.answers == {}


def test_a_text_is_mended_by_a_click_on_it_in_the_list(review, filmed, two_lines):
    reviewed = review(filmed(two_lines, clips=1))
    screen = reviewed.open("transcripts")
    screen.page.get_by_text("He brought a cone").last.click()
    screen.page.locator("textarea:focus").wait_for()
    screen.press("Control+End")
    screen.type(", no?")
    screen.press("Enter")
    screen.page.locator("textarea:focus").wait_for(state="detached")
    screen.send()
    assert [line.text for line in reviewed.decision().answer.lines] == ["Bring cone now", "He brought a cone, no?"]


def test_keys_that_delete_lines_do_nothing_outside_a_text_box(review, filmed, two_lines):
    reviewed = review(filmed(two_lines, clips=1))
    screen = reviewed.open("transcripts")
    screen.press("Control+Backspace", "Backspace", "Delete")
    screen.select_next_line(1)
    screen.press("Backspace", "Delete", "Control+Backspace")
    screen.press("Enter")
    screen.page.locator("textarea:focus").wait_for()
    screen.press("Control+End", "Backspace", "Control+Backspace")  # inside the box they write
    screen.press("Enter")
    screen.page.locator("textarea:focus").wait_for(state="detached")
    assert screen.page.locator(LINES).count() == 2
    screen.send()
    answer = reviewed.decision().answer
    assert [line.text for line in answer.lines] == ["Bring cone", "He brought a cone"]
    assert [line.id for line in answer.lines] == [line.id for line in answer.seen]


def test_second_look_at_a_transcript_is_one_key_more(review, filmed, two_lines):
    reviewed = review(filmed(two_lines, clips=1))
    screen = reviewed.open("transcripts")
    screen.press("l")
    screen.page.locator('input[name="second look"]:checked').wait_for()
    screen.send()
    assert screen.keys == 2
    assert reviewed.decision().answer.flags == ("second look",)


def test_a_skipped_task_is_a_skip_and_comes_back_at_the_end(review, filmed, segment):
    reviewed = review(filmed([segment(1, "first", sure=0.2), segment(5, "second", sure=0.9)]))
    screen = reviewed.open("transcripts")
    skipped = screen.send("Control+Space")
    assert screen.keys == 1
    screen.page.get_by_text("0:04.0 to 0:08.0").wait_for()
    decision = reviewed.decision()
    assert (decision.key, decision.skipped, decision.answer) == (KEY, True, None)
    screen.ready()
    assert screen.send() != skipped
    screen.page.get_by_text("0:00.0 to 0:04.0").wait_for()


def test_a_draft_left_is_kept_and_resumed(review, filmed, two_lines, doubt):
    word = doubt(two_lines[0], ("cone", 0.6), ("Cohen", 0.4), at=1)
    reviewed = review(filmed(two_lines, [word], clips=1))
    screen = reviewed.open("transcripts")
    with screen.page.expect_response(lambda answer: answer.request.method == "POST" and "/drafts" in answer.url):
        screen.press("w")
        screen.select_next_line(1)
        screen.press("3")
    assert reviewed.drafts() == 1
    assert reviewed.decisions() == ()
    screen.page.close()
    again = reviewed.open("transcripts")
    again.page.locator('.ask input[name="Cohen"]:checked').wait_for()
    again.page.locator(LINES).get_by_text("Pryce").wait_for()
    again.send()
    answer = reviewed.decision().answer
    assert answer.answers == {word.id: "Cohen"}
    assert [line.speaker for line in answer.lines] == ["pryce", "reyes"]
    assert reviewed.drafts() == 0


# The caption's screen


def test_a_caption_is_accepted_by_one_key(review, filmed):
    reviewed = review(filmed(clips=1))
    screen = reviewed.open("captions")
    screen.send()
    assert screen.keys == 1
    answer = reviewed.decision().answer
    assert (answer.verdict, answer.text, answer.characters) == ("keep", answer.seen, ("reyes",))


def test_writing_a_caption_never_fights_the_keys(review, filmed):
    reviewed = review(filmed(clips=1))
    screen = reviewed.open("captions")
    screen.page.locator(".box [data-testid=htx-textbox-view]").hover()
    screen.page.locator(".box [data-testid=htx-textbox-edit-button]").click()
    screen.page.locator(".box textarea:focus").wait_for()
    screen.press("Control+a")
    screen.type("A dark kitchen, 3 lamps; k d l q w 1 2")
    assert screen.checked("keep")
    screen.press("Shift+Enter")
    screen.page.locator("textarea:focus").wait_for(state="detached")
    assert (screen.checked("keep"), screen.checked("Reyes"), screen.checked("Pryce")) == (True, True, False)
    screen.press("3")
    screen.page.locator("input[name=Pryce]:checked").wait_for()
    screen.keep_picture("caption-mended")
    screen.send()
    answer = reviewed.decision().answer
    assert (answer.verdict, answer.text) == ("keep", "A dark kitchen, 3 lamps; k d l q w 1 2")
    assert answer.characters == ("reyes", "pryce")
    assert answer.seen == "A close-up of Reyes in s01e01_0000000."


def test_a_clip_is_dropped_with_a_reason_and_never_without(review, filmed):
    reviewed = review(filmed(clips=1))
    screen = reviewed.open("captions")
    screen.press("d")
    screen.page.get_by_text("titles or text").wait_for()
    screen.press("Control+Enter")
    screen.page.get_by_text("Why drop this clip?").wait_for()
    screen.keep_picture("caption-why-drop")
    screen.press("Escape")
    screen.page.get_by_text("Why drop this clip?").wait_for(state="hidden")
    screen.keys = 1
    screen.press("e")
    screen.page.locator('input[name="titles or text"]:checked').wait_for()
    screen.send()
    assert screen.keys == 3
    answer = reviewed.decision().answer
    assert (answer.verdict, answer.reasons) == ("drop", ("titles or text",))


def test_second_look_at_a_caption_is_one_key_more(review, filmed):
    reviewed = review(filmed(clips=1))
    screen = reviewed.open("captions")
    screen.press("d", "l")  # changed their mind: no reason is asked for
    screen.page.locator('input[name="second look"]:checked').wait_for()
    screen.send()
    answer = reviewed.decision().answer
    assert (answer.verdict, answer.reasons) == ("second look", ())


# The bundled show


@pytest.fixture(scope="module")
def bundled(spies):
    """What the pipeline made of the bundled show, and the store that holds it; None where it was not run here."""
    store = Store(spies / ".dailies" / "store")
    kinds = {step.name: step.output for step in dag.STEPS}

    def output(step, unit):
        return store.get(store.head(step, unit).output, kinds[step])

    if not all(store.head(step, episode) for step in MACHINE for episode in EPISODES):
        return None
    materials = [Material(*(output(step, episode) for step in MACHINE)) for episode in EPISODES]
    return store, materials, output("step2-bible", "show")


@pytest.fixture
def spies_review(bundled, review, filmed, two_lines, doubt, bible, label_studio):
    """The bundled show pushed for review, and its tasks; a small episode of its pictures where nothing was made yet."""
    if bundled:
        store, materials, cast = bundled
        files = Served(store, label_studio.log.parents[1] / "media")
        return review(*materials, cast=cast, files=files), [tasks_of(m, cast, files.url) for m in materials]
    word = doubt(two_lines[0], ("cone", 0.6), ("Cohen", 0.4), at=1)
    voice = doubt(two_lines[1], ("pryce", 0.5), ("reyes", 0.3), ("UNKNOWN", 0.2))
    small = filmed(two_lines, [word, voice])
    return review(small), [tasks_of(small, bible, lambda file: file.name)]


@pytest.fixture(scope="module")
def truth(spies):
    """What is said in the bundled show: (episode, start, end, speaker, text)."""
    return [
        (episode, line["start"], line["end"], line["speaker"], line["text"])
        for episode in EPISODES
        for line in json.loads((spies / "truth" / f"{episode}.truth.json").read_text())["lines"]
    ]


def right_answer(doubt, question, truth, episode):
    """The label a reviewer picks who knows the truth: of the line that the doubt lies in."""
    _, _, _, speaker, text = max(
        (line for line in truth if line[0] == episode),
        key=lambda line: min(line[2], doubt.span.end) - max(line[1], doubt.span.start),
    )
    told = [label for label, value in question.options.items() if value == speaker or value in text]
    return told[0] if told else next(iter(question.options))


def test_a_perfect_reviewer_presses_one_key_a_clip_and_one_a_doubt(spies_review, bundled, truth):
    """All of the bundled show, task after task as the queue gives them, without a click between them."""
    reviewed, episodes = spies_review
    doubts = {doubt.id: doubt for each in (bundled[1] if bundled else ()) for doubt in each.transcript.doubts}
    pressed = {}
    for kind in ("transcripts", "captions"):
        left = {task.data["title"]: task for tasks in episodes for task in getattr(tasks, kind)}
        screen = reviewed.open(kind)
        while left:
            title = screen.page.locator(".rv h4").first
            task = left.pop(title.inner_text())
            screen.keys = 0
            for slot, question in task.shown.questions.items():
                options = list(question.options)
                if question.doubt in doubts:
                    label = right_answer(doubts[question.doubt], question, truth, task.data["episode"])
                else:
                    label = options[0]
                screen.press(OPTION_KEYS[slot][options.index(label)])
                screen.page.locator(f'.ask input[name="{label}"]:checked').first.wait_for()
            screen.send()
            pressed[task.key] = (screen.keys, len(task.shown.questions))
            if left:
                screen.page.get_by_text(task.data["title"]).wait_for(state="detached")
                screen.page.locator(LINES if kind == "transcripts" else ".box").first.wait_for()
    assert {decision.key for decision in reviewed.decisions()} == set(pressed)
    assert all(keys == 1 + asked for keys, asked in pressed.values())
    PICTURES.mkdir(parents=True, exist_ok=True)
    (PICTURES / "keystrokes.json").write_text(json.dumps(pressed, indent=1))


# Runs in the page. What a reviewer reads or touches: where it lies, and how it stands out from what is behind it.
LAYOUT = """() => {
  const seen = e => { const b = e.getBoundingClientRect(); const s = getComputedStyle(e);
    return b.width > 1 && b.height > 1 && s.visibility !== 'hidden' && s.opacity > 0 && !e.closest('.mark') };
  const box = e => { let { left, top, right, bottom } = e.getBoundingClientRect();
    for (let p = e.parentElement; p; p = p.parentElement) {
      if (!/auto|scroll|hidden/.test(getComputedStyle(p).overflowY)) continue;
      const c = p.getBoundingClientRect();
      left = Math.max(left, c.left); right = Math.min(right, c.right);
      top = Math.max(top, c.top); bottom = Math.min(bottom, c.bottom);
    }
    return [left, top, right, bottom].map(Math.round) };
  const name = e => e.innerText.trim().slice(0, 40) || e.getAttribute('aria-label') || e.placeholder || e.tagName;
  const area = document.querySelector('.lsf-main-view');
  const controls = ['label', 'textarea', 'button', 'input[type=text]', 'video', '.lsf-label', '.rv h4', '.rv img',
    '[data-testid=htx-textbox-content] p', '#waveform-layer-main', '.lsf-video__main'];
  const laid = [...document.querySelectorAll(controls.map(c => `.lsf-main-view ${c}, .lsf-bottombar ${c}`).join(','))]
    .filter(seen).map(e => [e, name(e), box(e)]).filter(([, , b]) => b[2] > b[0] && b[3] > b[1]);
  const overlaps = [];
  laid.forEach(([e, n, a], i) => laid.slice(i + 1).forEach(([f, m, b]) => {
    if (e.contains(f) || f.contains(e)) return;
    const width = Math.min(a[2], b[2]) - Math.max(a[0], b[0]), height = Math.min(a[3], b[3]) - Math.max(a[1], b[1]);
    if (width > 1 && height > 1) overlaps.push([n, a, m, b]);
  }));
  const rgba = text => { const n = text.match(/[0-9.]+/g).map(Number); return n.length > 3 ? n : [...n, 1] };
  const over = (top, under) => [0, 1, 2].map(i => top[i] * top[3] + under[i] * (1 - top[3])).concat(1);
  const behind = e => { const layers = [];
    for (let p = e; p; p = p.parentElement) layers.push(rgba(getComputedStyle(p).backgroundColor));
    return layers.reverse().reduce((under, top) => over(top, under), [255, 255, 255, 1]) };
  const light = c => c.slice(0, 3).map(v => v / 255).map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
  const pale = [];
  const texts = document.createTreeWalker(document.querySelector('.lsf-main-view'), NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const e = texts.currentNode.parentElement, text = texts.currentNode.textContent.trim();
    if (!text || !seen(e) || !e.closest('.rv, .who') || e.closest('.lsf-video-segmentation')) continue;
    const under = behind(e), ink = rgba(getComputedStyle(e).color);
    let faint = 1; for (let p = e; p; p = p.parentElement) faint *= getComputedStyle(p).opacity;
    const both = [light(over([...ink.slice(0, 3), ink[3] * faint], under)), light(under)].sort((a, b) => b - a);
    const ratio = (both[0] + .05) / (both[1] + .05);
    if (ratio < 4.5) pale.push([text.slice(0, 40), Math.round(ratio * 100) / 100]);
  }
  const page = document.documentElement;
  const wide = [page, document.body, area, document.querySelector('.lsf-main-content')]
    .filter(e => e && e.scrollWidth > e.clientWidth + 1).map(e => [e.className, e.scrollWidth, e.clientWidth]);
  return { overlaps, pale, wide, controls: laid.length, theme: page.dataset.colorScheme };
}"""


@pytest.mark.parametrize("kind", ["transcripts", "captions"])
def test_nothing_overlaps_scrolls_sideways_or_is_hard_to_read(spies_review, kind):
    """Contrast is that of WCAG 2.1 AA for text, 4.5 to 1."""
    reviewed, _ = spies_review
    for size in (LAPTOP, DESKTOP):
        for theme in ("Light", "Dark"):
            screen = reviewed.open(kind, size=size, theme=theme)
            screen.keep_picture(f"{kind}-{theme.lower()}-{size[0]}")
            found = screen.page.evaluate(LAYOUT)
            assert found.pop("controls") > 15
            assert found == {"overlaps": [], "pale": [], "wide": [], "theme": theme.lower()}


@pytest.mark.parametrize("kind", ["transcripts", "captions"])
def test_the_keys_are_explained_one_click_away(spies_review, kind):
    reviewed, _ = spies_review
    screen = reviewed.open(kind)
    screen.page.get_by_role("button", name="Instructions").click()
    screen.page.get_by_text("Ctrl+Enter", exact=True).wait_for()
    screen.keep_picture(f"{kind}-instructions")
    screen.page.keyboard.press("Escape")
    screen.page.get_by_text("Ctrl+Enter", exact=True).wait_for(state="hidden")
    screen.send()
