"""The Episodes page: what it says, what it hands out, how it plays."""

import subprocess
from functools import partial
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from app import media
from app.episodes import clip as clip_page
from pipeline import search, timelines
from pipeline.engine.plan import SHOW
from pipeline.engine.store import Store
from pipeline.schemas.captions import Caption, LeftOut, Reviewed, ReviewedClip
from pipeline.schemas.story import UNKNOWN
from pipeline.search import Query
from pipeline.timelines import SETTLED

ROOT = Path(__file__).parents[2]


@pytest.fixture
def page(opened):
    """Opens the page at an address."""
    return partial(opened, "episodes")


@pytest.fixture
def reviewed(season):
    """The first clip was reviewed: its caption changed, its line was put right. The second is left out."""
    made = season()
    first, second = timelines.timelines(made.show)[0].clips[:2]
    line = made.segment("s01e01", 0)
    words = tuple(w.model_copy(update={"text": w.text.replace("cone", "Cohen")}) for w in line.words)
    kept = ReviewedClip(
        episode="s01e01",
        clip=first.id,
        span=first.span,
        video=first.video,
        caption=Caption(clip=first.id, text="A wide shot of Pryce.", quotes=(), characters=("pryce",), score=1),
        lines=(line.model_copy(update={"words": words, "speaker": "pryce"}),),
        reviewed=True,
        by=("anna@example.com",),
    )
    left = LeftOut(episode="s01e01", clip=second.id, reason="dropped by anna@example.com: blurred")
    made.save("step2-reviewed", SHOW, Reviewed(clips=(kept,), left_out=(left,), subtitles=(), policy="reviewed-only"))
    return made


def words(app):
    return "\n".join(each.value for each in (*app.markdown, *app.caption, *app.code, *app.error))


def test_a_show_that_was_never_run_says_what_to_run(page, spies_copy):
    assert "dailies run step1-scenes" in words(page(spies_copy))
    assert "dailies run step1-scenes" in words(page(spies_copy, look="Search"))


def test_a_broken_show_file_is_told(page, spies_copy):
    (spies_copy / "show.toml").write_text('name = "spies"\ncolour = 3\n')
    assert "cannot be read" in page(spies_copy).error[0].value


def test_an_output_that_is_gone_is_told_with_its_remedy(page, season):
    made = season()
    run = made.show.store.head(SETTLED, "s01e01")
    made.show.store.object_path(run.output).unlink()
    # A result that is lost is one that was not made.
    assert "has no decisions yet" in words(page(made.folder))


def test_the_clip_of_the_address_is_shown_before_and_after_review(page, reviewed):
    said = words(page(reviewed.folder, episode="s01e01", t="1.5"))
    assert "s01e01\\_0000000" in said
    assert ":red[~~close\\-up~~]" in said
    assert ":green[**wide shot**]" in said
    assert ":red[~~Reyes~~] :green[**Pryce**]" in said
    assert ":red[~~cone~~] :green[**Cohen**]" in said
    assert "Was it “cone”?" in said


def test_a_clip_that_is_left_out_says_why(page, reviewed):
    assert "dropped by anna@example\\.com: blurred".replace(":", "\\:") in words(page(reviewed.folder, t="5"))


@pytest.mark.parametrize("moment", ["nan", "-3", "inf", "<script>", "1e9"])
def test_an_address_that_cannot_be_read_opens_a_clip_of_the_episode(page, reviewed, moment):
    assert "s01e02" in words(page(reviewed.folder, episode="s01e02", t=moment))


def test_words_speaker_and_doubt_are_asked_of_the_same_line(reviewed):
    def ids(**query):
        return [(hit.episode, hit.at_seconds) for hit in search.search(reviewed.show, Query(**query))]

    assert len(ids()) == 16
    assert ids(words="diner bring", speaker="reyes") == [("s01e01", 16.5), ("s01e02", 0.5), ("s01e02", 16.5)]
    assert ids(words="Cohen") == [("s01e01", 0.5)]
    assert ids(speaker=UNKNOWN, words="moves") == [(e, t) for e in ("s01e01", "s01e02") for t in (12.5, 28.5)]
    assert ids(speaker=UNKNOWN, doubt="text") == []
    assert len(ids(doubt="speaker")) == 4
    assert ids(reviewed="yes") == ids(character="pryce") == [("s01e01", 0.0)]
    assert ids(words="take 3") == [("s01e01", 12.0), ("s01e02", 12.0)]
    assert ids(words="iner") == []


def test_an_index_reads_an_output_once_and_then_nothing_of_the_store(season, monkeypatch):
    made = season(episodes=3)
    reads = []
    get = Store.get
    monkeypatch.setattr(Store, "get", lambda self, digest, kind: reads.append(kind) or get(self, digest, kind))
    search.search(made.show, Query(words="cone"))
    assert len(reads) == 3 * 3  # Scenes, transcript and captions of each episode.
    for query in (Query(words="diner"), Query(speaker="reyes")):
        search.search(made.show, query)
    timelines._timeline.cache_clear()  # As in a panel that was started anew.
    search.search(made.show, Query())
    assert len(reads) == 3 * 3
    (kept,) = (made.show.store.root / "index" / "s01e01").glob("*.json")
    kept.write_bytes(kept.read_bytes()[:100])  # Cut off by a full disk.
    timelines._timeline.cache_clear()
    assert len(search.search(made.show, Query(words="cone"))) == 12
    assert len(reads) == 4 * 3


def test_what_became_of_one_episode_is_kept_by_itself(reviewed, monkeypatch):
    (one, other), whole = timelines.timelines(reviewed.show), timelines.outcome(reviewed.show)
    assert timelines.outcome_of(reviewed.show, one) == whole
    assert timelines.outcome_of(reviewed.show, other) == timelines.Outcome()
    monkeypatch.setattr(timelines, "_outcome", None)
    timelines._outcome_of.cache_clear()  # As in a panel that was started anew.
    assert timelines.outcome_of(reviewed.show, one) == whole


def test_only_what_the_show_refers_to_is_handed_out(season, monkeypatch):
    made = season()
    monkeypatch.setenv("DAILIES_SHOW", str(made.folder))
    client = TestClient(Starlette(routes=[media.route]))
    file = timelines.timelines(made.show)[0].clips[0].video
    whole = client.get(media.url(file))
    assert (whole.status_code, whole.content, whole.headers["content-type"]) == (200, b"no film", "video/mp4")
    part = client.get(media.url(file), headers={"range": "bytes=3-5"})
    assert (part.status_code, part.content, part.headers["content-range"]) == (206, b"fil", "bytes 3-5/7")
    assert client.get(media.url(file), headers={"range": "bytes=99-"}).status_code == 416
    same = client.get(media.url(file), headers={"if-none-match": whole.headers["etag"]})
    assert (same.status_code, same.content) == (304, b"")
    assert client.post(media.url(file)).status_code == 405


def test_no_path_of_a_browser_reaches_the_file_system(season, monkeypatch):
    made = season()
    monkeypatch.setenv("DAILIES_SHOW", str(made.folder))
    client = TestClient(Starlette(routes=[media.route]))
    file = timelines.timelines(made.show)[0].clips[0].video
    record = made.show.store.head(SETTLED, "s01e01").output  # In the store, but no media of the show.
    tricks = [
        f"/store/{record}/{file.name}", f"/store/{file.digest}/other.mp4", f"/store/{file.digest.upper()}/{file.name}",
        f"/store/{file.digest[:-1]}/{file.name}", f"/store/{file.digest}%0a/{file.name}", "/store/../show.toml",
        "/store/..%2f..%2fshow.toml/clip.mp4", f"/store/{file.digest}/..%2f..%2fshow.toml",
        f"/store/{file.digest}/..\\show.toml", f"/store/{'.' * 64}/{file.name}", "/store//etc/passwd", "/store/%00/a",
        f"/store/{file.digest}/{file.name}%00.jpg", f"/store/{file.digest}/{file.name}/x",
        "/store/%2fetc%2fpasswd/a.mp4",
    ]  # fmt: skip
    assert {trick: client.get(trick).status_code for trick in tricks} == dict.fromkeys(tricks, 404)


def test_differences_stand_on_their_own_sides():
    assert clip_page.sides("He sits down.", "He stands.") == ("He :red[~~sits down~~]\\.", "He :green[**stands**]\\.")
    assert clip_page.sides("the same", "the same") == ("the same", "the same")


@pytest.fixture(scope="session")
def film(tmp_path_factory):
    """Four seconds that a browser plays."""
    path = tmp_path_factory.mktemp("film") / "clip.mp4"
    source = ["-f", "lavfi", "-i", "testsrc=size=64x36:rate=12:duration=4", "-pix_fmt", "yuv420p"]
    subprocess.run(["ffmpeg", "-loglevel", "error", *source, "-movflags", "+faststart", path], check=True)
    return path.read_bytes()


def test_the_lines_follow_the_player_and_what_is_found_opens_at_its_moment(browser, serve, season, film):
    made = season(film=film)
    url = serve(made.folder)
    page = browser.new_page(viewport={"width": 1366, "height": 768})
    page.set_default_timeout(60_000)  # other programs may keep the machine busy
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"{url}/episodes?episode=s01e02&t=8.6")
    current = page.locator(".line.current")
    current.get_by_text("Is that cone over there?").wait_for()
    assert page.locator(".clips .chosen").count() == 1
    page.get_by_text("0:08 – 0:12").wait_for()
    page.locator(".sound .heard path").wait_for(state="attached", timeout=60_000)
    video = page.locator("video:visible")
    page.wait_for_function("e => e.readyState > 1", arg=video.element_handle())
    assert 0.5 < video.evaluate("e => e.currentTime") < 0.7
    page.get_by_role("button", name="Play").click()
    current.get_by_text("Nobody moves.").wait_for(timeout=60_000)  # Another clip, on the other screen.
    page.keyboard.press(" ")
    page.get_by_role("button", name="Play").wait_for()
    assert "t=8.6" in page.url  # Playing told the page nothing.
    page.get_by_role("button", name="Link to this moment").click()
    page.wait_for_url("**t=12*")
    page.get_by_text("0:12 – 0:16").wait_for()
    page.keyboard.press("ArrowLeft")
    current.get_by_text("Is that cone over there?").wait_for()
    page.locator(".sheet.small a[href$='clip=s01e02_0004000']").click()  # A still of the episode leads to its clip.
    page.get_by_text("0:04 – 0:08").wait_for()
    page.locator(".clock", has_text="0:04 /").wait_for()
    page.get_by_text("Search", exact=True).click()
    page.get_by_role("textbox", name="Words").fill("rain left")
    page.keyboard.press("Enter")
    page.get_by_text("4 clips").wait_for()
    page.locator(".sheet a[href='/episodes?episode=s01e01&t=4.50']").click()
    current.get_by_text("He left before the rain.").wait_for()
    page.wait_for_url("**episode=s01e01**")
    assert errors == []
    page.close()
    file = timelines.timelines(made.show)[0].clips[0].video
    part = httpx.get(f"{url}{media.url(file)}", headers={"range": "bytes=4-7"}, trust_env=False)
    assert (part.status_code, part.content) == (206, b"ftyp")
    assert httpx.get(f"{url}/store/{'0' * 64}/{file.name}", trust_env=False).status_code == 404
