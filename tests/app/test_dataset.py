"""The Dataset page: what it says, what it hands out."""

import io
import zipfile
from functools import partial
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from app import downloads
from app.dataset import pictures
from app.dataset.pictures import Bar
from pipeline import datasets
from pipeline.engine.plan import SHOW
from pipeline.schemas.captions import Caption, Reviewed, ReviewedClip
from pipeline.schemas.datasets import Account, Ltx2Dataset, Sample, Wan21Package
from pipeline.schemas.timeline import Span
from pipeline.schemas.training import Lora, Ltx2Precomputed, RoundTrip
from pipeline.timelines import timelines

ROOT = Path(__file__).parents[2]


@pytest.fixture
def page(opened):
    """Opens the page at an address."""
    return partial(opened, "dataset")


@pytest.fixture
def packaged(season):
    """A season whose first clips are an LTX-2 dataset; one clip was too short for it."""
    made = season()
    clips = timelines(made.show)[0].clips
    reviewed = [
        ReviewedClip(
            episode="s01e01",
            clip=clip.id,
            span=clip.span,
            video=clip.video,
            caption=Caption(clip=clip.id, text="x", quotes=(), characters=("pryce",), score=1),
            lines=(),
            reviewed=True,
            by=("anna@example.com",),
        )
        for clip in clips
    ]
    made.save("step2-reviewed", SHOW, Reviewed(clips=tuple(reviewed), left_out=(), subtitles=(), policy="agreement"))
    samples = [
        Sample(
            episode="s01e01",
            clip=clip.id,
            split="holdout" if number == 3 else "train",
            window=Span(start=clip.span.start, end=clip.span.start + 25 / 24),
            num_frames=25,
            fps=24,
            width=64,
            height=64,
            video=clip.video.model_copy(update={"name": f"{clip.id}.mp4"}),
            caption=f"A wide shot of Pryce, number {number} of several.",
        )
        for number, clip in enumerate(clips[:4])
    ]
    accounts = [Account(episode="s01e01", clip=clips[5].id, kept=False, reason="too short: 0.8 s, but 25 frames last")]
    with made.show.store.scratch() as scratch:
        (scratch / "dataset.jsonl").write_text('{"video": "a.mp4", "caption": "A wide shot."}\n')
        lines = made.show.store.put_file(scratch / "dataset.jsonl")
    dataset = Ltx2Dataset(
        samples=tuple(samples),
        accounts=tuple(accounts),
        trigger="spyshw",
        dataset=lines,
        holdout=lines,
        captions=(),
    )
    made.save("step3-ltx2-data", SHOW, dataset)
    return made


def words(app):
    return "\n".join(each.value for each in (*app.markdown, *app.caption, *app.code, *app.error))


def test_a_show_without_a_dataset_says_what_makes_it(page, spies_copy):
    app = page(spies_copy)
    assert "No LTX\\-2 dataset yet" in words(app) or "No LTX-2 dataset yet" in words(app)
    assert "dailies run step3-ltx2-data" in words(app)


def test_a_broken_show_file_is_told(page, spies_copy):
    (spies_copy / "show.toml").write_text('name = "spies"\ncolour = 3\n')
    assert "cannot be read" in page(spies_copy).error[0].value


def test_the_page_counts_the_samples_and_says_why_a_clip_is_left_out(page, packaged):
    app = page(packaged.folder)
    figures = {metric.label: metric.value for metric in app.metric}
    assert figures == {"Trained on": "3", "Held out": "1", "Film": "4.2 s", "Left out": "1"}
    assert "too short" in "\n".join(each.label for each in app.expander)


def test_a_sample_is_shown_with_the_caption_that_the_trainer_sees(page, packaged):
    stem = timelines(packaged.show)[0].clips[1].id
    app = page(packaged.folder, sample=stem)
    assert "**spyshw**" in words(app)
    assert "number 1 of several" in words(app)
    assert stem in words(app).replace("\\", "")


def test_a_sample_whose_latents_were_decoded_again_says_how_much_they_keep(page, packaged):
    stem, other = (clip.id for clip in timelines(packaged.show)[0].clips[:2])
    of = Ltx2Precomputed(
        base="Lightricks/LTX-2", revision=None, trigger="spyshw", samples=(),
        empty=packaged.show.store.get(packaged.show.store.head("step3-ltx2-data", SHOW).output, Ltx2Dataset).dataset,
        checks=(RoundTrip(sample=stem, psnr_db=31.26),),
    )  # fmt: skip
    packaged.save("step4-ltx2-preprocess", SHOW, of)
    assert "its latents keep 31.3 dB of it (PSNR)" in words(page(packaged.folder, sample=stem))
    assert "PSNR" not in words(page(packaged.folder, sample=other))


def test_of_wan21_the_training_says_how_much_its_latents_keep(packaged):
    store = packaged.show.store
    file = store.get(store.head("step3-ltx2-data", SHOW).output, Ltx2Dataset).dataset
    samples = store.get(store.head("step3-ltx2-data", SHOW).output, Ltx2Dataset).samples
    packaged.save(
        "step3-wan21-package",
        SHOW,
        Wan21Package(samples=samples, accounts=(), trigger="", package=file, extras=()),
    )
    assert datasets.look(packaged.show, "wan21").psnr_db == {}
    lora = Lora(
        model="wan21", base="tiny", revision=None, trigger="", rank=4, steps=1, best_step=1, weights=file, card=file,
        log=file, checkpoints=(), checks=(RoundTrip(sample="c1", psnr_db=28.5),),
    )  # fmt: skip
    packaged.save("step5-wan21-train", SHOW, lora)
    assert datasets.look(packaged.show, "wan21").psnr_db == {"c1": 28.5}


def test_an_address_with_a_sample_that_is_gone_or_a_path_shows_the_first(page, packaged):
    for wish in ("gone", "../../etc/passwd", "\x00"):
        app = page(packaged.folder, sample=wish)
        assert "number 0 of several" in words(app)


def test_words_narrow_the_samples(page, packaged):
    app = page(packaged.folder, words="number 2")
    assert "**1 sample**" in words(app)
    assert "No sample fits" in words(page(packaged.folder, words="zebra"))


def test_a_dataset_older_than_the_review_is_told_to_be_behind(page, packaged):
    made = packaged.show.store.head("step3-ltx2-data", SHOW)
    older = {**made.recipe, "inputs": {"step2-reviewed": "0" * 64}}
    changed = made.model_copy(update={"name": f"{made.name}x", "recipe": older})
    packaged.show.store.save_run(changed, packaged.show.store.get(made.output, Ltx2Dataset))
    assert "The review has gone on since" in words(page(packaged.folder))


def test_the_download_is_the_trainers_folder_as_a_zip(monkeypatch, packaged):
    monkeypatch.setenv("DAILIES_SHOW", str(packaged.folder))
    client = TestClient(Starlette(routes=[downloads.route]))
    answer = client.get(downloads.url("step3-ltx2-data"))
    assert answer.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        assert "dataset.jsonl" in names
        assert sum(name.endswith(".mp4") for name in names) == 4
        film = next(name for name in names if name.endswith(".mp4"))
        assert archive.read(film) == packaged.film


@pytest.mark.parametrize("step", ["step1-scenes", "..", "%2e%2e%2fstore", "step3-wan21-package", "x" * 5000])
def test_no_other_name_downloads_anything(monkeypatch, packaged, step):
    monkeypatch.setenv("DAILIES_SHOW", str(packaged.folder))
    client = TestClient(Starlette(routes=[downloads.route]))
    assert client.get(f"/download/{step}.zip").status_code == 404


def test_bars_tell_their_counts_to_those_who_cannot_see_them():
    drawn = pictures.upright("Length", [Bar("1–2 s", 3, 1), Bar("2–3 s", 1, 0)])
    assert 'aria-label="Length: 1–2 s: 4; 2–3 s: 1"' in drawn
    assert "3 to train on, 1 held out" in drawn


def test_names_beyond_the_most_are_one_bar_and_are_escaped():
    found = {f"<b>{n}": {"train": n} for n in range(1, 6)}
    bars = pictures.by_name(found, 3)
    assert [bar.train for bar in bars] == [5, 4, 3, 3]
    assert "<b>" not in pictures.lying("Who", bars)


def test_words_of_captions_fall_into_at_most_a_dozen_bars(packaged):
    rows = datasets.look(packaged.show, "ltx2").dataset.rows
    many = [rows[0].model_copy(update={"words": n}) for n in range(0, 600, 7)]
    assert len(pictures.words(many)) <= 12
    assert sum(bar.train for bar in pictures.words(many)) == len(many)


def test_a_clip_that_is_left_out_is_seen_and_opens_where_it_is(browser, serve, packaged):
    page = browser.new_page(viewport={"width": 1366, "height": 768})
    page.set_default_timeout(60_000)
    page.goto(f"{serve(packaged.folder)}/dataset?who=anna")
    page.get_by_text("too short").first.click()
    page.locator(".sheet.small a").click()
    page.wait_for_url("**/episodes?*clip=s01e01_0020000*")
    page.get_by_text("0:20 – 0:24").wait_for()
    page.go_back()
    page.get_by_text("Trained on").first.wait_for()
    page.close()
