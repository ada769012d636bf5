"""step3-ltx2-data and step3-wan21-package on the bundled show, read back by other people's code."""

import csv
import json
import tomllib
import zipfile
from fractions import Fraction
from pathlib import Path

import av
import pytest
from pydantic import ValidationError

from pipeline.engine import fingerprint
from pipeline.engine.records import File
from pipeline.engine.store import Run, Store
from pipeline.engine.work import Workspace
from pipeline.media import ffmpeg
from pipeline.media.cut import Cut, Source
from pipeline.media.samples import assemble, plan
from pipeline.models.quoting import requote
from pipeline.schemas.captions import Caption, LeftOut, Observed, Quote, Reviewed, ReviewedClip
from pipeline.schemas.timeline import Episode, Segment, Span, Word
from pipeline.steps import step3_ltx2_data, step3_wan21_package

SMALL_LTX2 = step3_ltx2_data.Config(width=192, height=128, max_frames=73, preset="veryfast", holdout_share=0.2)
SMALL_WAN21 = step3_wan21_package.Config(width=192, height=112, max_frames=49, preset="veryfast", holdout_share=0.2)


def segment(id_: str, speaker: str, words: list[tuple[str, float, float]]) -> Segment:
    return Segment(
        id=id_,
        shot=0,
        speaker=speaker,
        words=tuple(Word(text=t, span=Span(start=a, end=b), probability=1) for t, a, b in words),
    )


def clip_of(episode: Episode, span: Span, lines: list[Segment]) -> ReviewedClip:
    """A clip whose caption quotes all its lines."""
    name = f"{episode.id}_{round(span.start * 1000):07d}"
    quotes = tuple(Quote(segment=line.id, speaker=(line.speaker or "").title(), text=line.text) for line in lines)
    said = [f'{quote.speaker} says, "{quote.text}"' for quote in quotes]
    caption = Caption(clip=name, text=" ".join(["A drawn street.", *said]), quotes=quotes, characters=(), score=1)
    return ReviewedClip(
        episode=episode.id, clip=name, span=span, video=episode.video, caption=caption, lines=tuple(lines),
        reviewed=True, by=("ann",),
    )  # fmt: skip


def show(store: Store, spies: Path) -> tuple[dict[str, Episode], Reviewed]:
    """The bundled show as people would have left it: its truth's shots and lines."""
    episodes, clips = {}, []
    for path in sorted((spies / "episodes").glob("*.mp4")):
        episode = episodes[path.stem] = Episode(id=path.stem, video=store.put_file(path))
        truth = json.loads((spies / "truth" / f"{path.stem}.truth.json").read_text())
        lines = [
            segment(line["id"], line["speaker"], [(w["word"], w["start"], w["end"]) for w in line["words"]])
            for line in truth["lines"]
        ]
        for shot in truth["shots"]:
            span = Span(start=shot["start"], end=shot["end"])
            clips.append(clip_of(episode, span, [line for line in lines if span.holds(line.span.middle)]))
    left_out = (LeftOut(episode="s01e01", clip="s01e01_9999999", reason="dropped by ann: blurry"),)
    return episodes, Reviewed(clips=tuple(clips), left_out=left_out, subtitles=(), policy="reviewed-only")


@pytest.fixture(scope="module")
def spies_show(tmp_path_factory, spies):
    """(a workspace, episodes, reviewed, both datasets as published runs) of the whole bundled show; made once."""
    root = tmp_path_factory.mktemp("spies")
    (root / "scratch").mkdir()
    work = Workspace(Store(root / "store"), root / "scratch", root / "cache")
    episodes, reviewed = show(work.store, spies)
    ltx2 = step3_ltx2_data.run(SMALL_LTX2, work, episode=episodes, step2_reviewed=reviewed)
    wan21 = step3_wan21_package.run(SMALL_WAN21, work, episode=episodes, step2_reviewed=reviewed)
    return work, episodes, reviewed, (ltx2, published(work, ltx2)), (wan21, published(work, wan21))


def published(work: Workspace, output) -> Path:
    """The folder in which a finished run's files lie."""
    name = type(output).__name__
    key = fingerprint.of_value("test", name)
    digest = work.store.put(output)
    run = Run(name=name, step=name, unit="spies", key=key, recipe={}, output=digest, seconds=0, finished=0)
    work.store.save_run(run, output)
    return work.store.run_path(name) / "files"


def test_the_official_trainer_finds_every_file_that_its_list_names(spies_show):
    _, _, _, (dataset, folder), _ = spies_show
    rows = [json.loads(line) for line in (folder / "dataset.jsonl").read_text().splitlines()]
    held = [json.loads(line) for line in (folder / "holdout.jsonl").read_text().splitlines()]
    assert {*rows[0]} == {"video", "caption"}
    assert len(rows) + len(held) == len(dataset.samples)
    assert len(held) == sum(sample.split == "holdout" for sample in dataset.samples) > 0
    for row in [*rows, *held]:
        assert row["caption"].strip()
        assert (folder / row["video"]).with_suffix(".txt").read_text() == row["caption"] + "\n"
        assert (folder / row["video"]).is_file()


def test_the_datasets_library_reads_the_list(spies_show, tmp_path):
    datasets = pytest.importorskip("datasets")
    _, _, _, (dataset, folder), _ = spies_show
    loaded = datasets.load_dataset(
        "json",
        data_files={"train": str(folder / "dataset.jsonl"), "test": str(folder / "holdout.jsonl")},
        cache_dir=str(tmp_path),
    )
    assert loaded["train"].column_names == ["video", "caption"]
    assert loaded["train"].num_rows + loaded["test"].num_rows == len(dataset.samples)


def test_the_datasets_library_reads_the_package_as_a_folder_of_videos(spies_show, tmp_path):
    datasets = pytest.importorskip("datasets")
    _, _, _, _, (package, folder) = spies_show
    with zipfile.ZipFile(folder / "wan21.zip") as archive:
        archive.extractall(tmp_path / "clips")
    loaded = datasets.load_dataset("videofolder", data_dir=str(tmp_path / "clips"), cache_dir=str(tmp_path / "cache"))
    found = [row["video"] for row in loaded["train"].cast_column("video", datasets.Video(decode=False))]
    train = [sample for sample in package.samples if sample.split == "train"]
    assert sorted(Path(each["path"]).name for each in found) == sorted(sample.video.name for sample in train)
    assert {Path(each["path"]).with_suffix(".txt").is_file() for each in found} == {True}


def test_every_ltx2_clip_is_what_its_sample_says(spies_show):
    _, _, _, (dataset, folder), _ = spies_show
    for sample in dataset.samples:
        with av.open(str(folder / sample.video.name)) as container:
            (video,), (audio,) = container.streams.video, container.streams.audio
            assert (video.width, video.height) == (sample.width, sample.height) == (192, 128)
            assert video.average_rate == sample.fps == 24
            times = [frame.pts * frame.time_base for frame in container.decode(video)]
            assert times == [Fraction(k, 24) for k in range(sample.num_frames)]
            assert float(audio.duration * audio.time_base) == pytest.approx(sample.num_frames / 24, abs=0.022)
        assert sample.num_frames % 8 == 1
        assert sample.window.seconds == pytest.approx(sample.num_frames / 24)


@pytest.mark.parametrize("index", [3, 4], ids=["ltx2", "wan21"])
def test_captions_quote_just_the_words_that_are_heard_in_the_frames_used(spies_show, index):
    _, _, reviewed, *_ = spies_show
    output = spies_show[index][0]
    clips = {clip.clip: clip for clip in reviewed.clips}
    cut = 0
    for sample in output.samples:
        quoted = " ".join(sample.caption.split('"')[1::2])
        for line in clips[sample.clip].lines:
            inside = [word.text for word in line.words if sample.window.holds(word.span.middle)]
            outside = [word.text for word in line.words if not sample.window.holds(word.span.middle)]
            if not outside:
                assert line.text in quoted
            elif len(inside) >= 2 and len(inside) >= len(line.words) / 3:
                assert " ".join(inside).rstrip(",;:-–—.…") + "…" in quoted
                assert f"{inside[-1]} {outside[0]}" not in quoted
                cut += 1
            else:
                assert line.text not in quoted
                cut += 1
        assert sample.left_unsaid <= cut
    assert cut > 3


@pytest.mark.parametrize("index", [3, 4], ids=["ltx2", "wan21"])
def test_every_clip_has_one_account(spies_show, index):
    _, _, reviewed, *_ = spies_show
    output = spies_show[index][0]
    told = {account.clip: account for account in output.accounts}
    assert len(told) == len(output.accounts) == len(reviewed.clips) + len(reviewed.left_out)
    assert {sample.clip for sample in output.samples} == {clip for clip, account in told.items() if account.kept}
    assert told["s01e01_9999999"].reason == "left out by step2-reviewed: dropped by ann: blurry"


def test_the_buckets_name_every_shape_so_that_no_clip_is_cut_again(spies_show):
    _, _, _, (dataset, _), _ = spies_show
    counts = sorted({sample.num_frames for sample in dataset.samples}, reverse=True)
    assert dataset.buckets == ";".join(f"192x128x{count}" for count in counts)


def test_the_wan21_zip_is_flat_and_holds_each_training_clip_with_its_caption_and_nothing_else(spies_show):
    work, _, _, _, (package, _) = spies_show
    train = [sample for sample in package.samples if sample.split == "train"]
    with zipfile.ZipFile(work.open(package.package)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == sorted(archive.namelist())
        stems = [sample.video.name.removesuffix(".mp4") for sample in train]
        assert set(archive.namelist()) == {stem + suffix for stem in stems for suffix in (".mp4", ".txt")}
        for sample, stem in zip(train, stems, strict=True):
            assert archive.read(f"{stem}.txt").decode() == sample.caption + "\n"
            assert fingerprint.of_bytes(archive.read(f"{stem}.mp4")) == sample.video.digest
    assert 0 < len(train) < len(package.samples)


def test_every_wan21_clip_is_what_its_sample_says(spies_show):
    work, _, _, _, (package, _) = spies_show
    for sample in package.samples:
        with av.open(str(work.open(sample.video))) as container:
            video = container.streams.video[0]
            assert (video.codec_context.name, video.codec_context.pix_fmt) == ("h264", "yuv420p")
            assert (video.width, video.height) == (192, 112)
            assert video.average_rate == sample.fps == 16
            times = [frame.pts * frame.time_base for frame in container.decode(video)]
            assert times == [Fraction(k, 16) for k in range(sample.num_frames)]
            assert not container.streams.audio
        assert sample.num_frames % 4 == 1


def test_what_lies_beside_the_zip_agrees_with_it(spies_show):
    _, _, _, _, (package, folder) = spies_show
    train = [sample for sample in package.samples if sample.split == "train"]
    names, captions = [s.video.name for s in train], [s.caption for s in train]
    with (folder / "metadata.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["video"], row["prompt"]) for row in rows] == list(zip(names, captions, strict=True))
    lines = [json.loads(line) for line in (folder / "metadata.jsonl").read_text().splitlines()]
    assert [(row["video_path"], row["caption"]) for row in lines] == [
        (f"clips/{name}", caption) for name, caption in zip(names, captions, strict=True)
    ]
    held = [json.loads(line)["video_path"] for line in (folder / "holdout.jsonl").read_text().splitlines()]
    assert held == [s.video.name for s in package.samples if s.split == "holdout"]
    facts = json.loads((folder / "package.json").read_text())
    assert (facts["trigger"], facts["fps"], len(facts["clips"])) == ("", 16, len(package.samples))


def test_musubi_and_diffusion_pipe_are_told_to_use_every_clip_whole(spies_show):
    _, _, _, _, (package, folder) = spies_show
    musubi = tomllib.loads((folder / "musubi.toml").read_text())
    assert musubi["general"]["resolution"] == [192, 112]
    (clips,) = musubi["datasets"]
    assert (clips["video_directory"], clips["frame_extraction"], clips["max_frames"]) == ("clips", "full", 49)
    assert clips["source_fps"] == 16.0
    assert isinstance(clips["source_fps"], float)
    pipe = tomllib.loads((folder / "diffusion-pipe.toml").read_text())
    train = {sample.num_frames for sample in package.samples if sample.split == "train"}
    assert pipe["size_buckets"] == [[192, 112, count] for count in sorted(train)]
    assert pipe["directory"] == [{"path": "clips", "num_repeats": 1}]


def test_both_datasets_hold_out_the_same_clips(spies_show):
    _, _, _, (dataset, _), (package, _) = spies_show
    kept = {sample.clip for sample in dataset.samples} & {sample.clip for sample in package.samples}
    held = [
        {s.clip for s in samples if s.split == "holdout" and s.clip in kept}
        for samples in (dataset.samples, package.samples)
    ]
    assert held[0] == held[1] != set()


def test_a_changed_caption_encodes_nothing_and_changes_the_package(spies_show, monkeypatch):
    work, episodes, reviewed, (dataset, _), (package, _) = spies_show
    first = reviewed.clips[0]
    caption = first.caption.model_copy(update={"text": "Rain.", "quotes": ()})
    changed = first.model_copy(update={"caption": caption})
    again = reviewed.model_copy(update={"clips": (changed, *reviewed.clips[1:])})
    monkeypatch.setattr(ffmpeg, "run", lambda *_: pytest.fail("encoded again"))
    new = step3_ltx2_data.run(SMALL_LTX2, work, episode=episodes, step2_reviewed=again)
    assert [s.video for s in new.samples] == [s.video for s in dataset.samples]
    assert new.samples[0].caption == "Rain."
    same = step3_wan21_package.run(SMALL_WAN21, work, episode=episodes, step2_reviewed=reviewed)
    assert same == package


def test_the_zip_and_the_lists_are_the_same_bit_for_bit_when_made_anew(spies_show, work, spies):
    _, _, _, _, (package, _) = spies_show
    episodes, reviewed = show(work.store, spies)
    few = {clip.clip for clip in reviewed.clips[:5]}
    some = reviewed.model_copy(update={"clips": reviewed.clips[:5]})
    made = step3_wan21_package.run(SMALL_WAN21, work, episode=episodes, step2_reviewed=some)
    assert list(made.samples) == [sample for sample in package.samples if sample.clip in few]


# Small cases, each with an episode of its own.


@pytest.fixture
def episode(work):
    def make(name="e", sound=True, size="96x64", seconds=3):
        path = work.scratch / f"{name}.mp4"
        tone = ["-f", "lavfi", "-i", f"sine=d={seconds}"] if sound else []
        picture = f"testsrc2=s={size}:r=24:d={seconds}"
        ffmpeg.run(["-f", "lavfi", "-i", picture, *tone, "-fflags", "+bitexact", str(path)], "making an episode")
        return Episode(id=name, video=work.keep(path))

    return make


def ltx2(work, clips, episodes, **config):
    chosen = {"width": 96, "height": 64, "preset": "veryfast", "holdout_share": 0.0, **config}
    reviewed = Reviewed(clips=tuple(clips), left_out=(), subtitles=(), policy="reviewed-only")
    config = step3_ltx2_data.Config(**chosen)
    return step3_ltx2_data.run(config, work, episode={e.id: e for e in episodes}, step2_reviewed=reviewed)


def test_a_clip_that_is_too_short_is_left_out_and_says_so(work, episode):
    e = episode()
    made = ltx2(work, [clip_of(e, Span(start=0, end=1), [])], [e])
    assert made.samples == ()
    assert made.accounts[0].reason == "too short: 1.00 s, but 25 frames last 1.04 s"


def test_nothing_reviewed_gives_an_empty_dataset(work, episode):
    made = ltx2(work, [], [episode()])
    assert (made.samples, made.accounts, made.buckets) == ((), (), "")
    assert work.open(made.dataset).read_text() == ""


def test_a_long_clip_gives_several_windows_each_with_its_own_words(work, episode):
    e = episode()
    lines = [
        segment("e@0000100", "reyes", [("Where", 0.1, 0.4), ("is", 0.5, 0.7), ("he?", 0.7, 0.9)]),
        segment("e@0001500", "pryce", [("In", 1.5, 1.7), ("the", 1.7, 1.8), ("cone.", 1.8, 2.0)]),
    ]
    made = ltx2(work, [clip_of(e, Span(start=0, end=3), lines)], [e], max_frames=33, windows_per_clip=2)
    assert [(s.video.name, s.num_frames) for s in made.samples] == [("e_0000000.mp4", 33), ("e_0000000_2.mp4", 33)]
    assert [s.caption for s in made.samples] == [
        'A drawn street. Reyes says, "Where is he?"',
        'A drawn street. Pryce says, "In the cone."',
    ]
    assert [s.left_unsaid for s in made.samples] == [1, 1]
    assert made.accounts[0].reason == "train; 2 windows; 2 lines reach beyond the frames used"


def test_the_tagged_form_keeps_speech_apart(work, episode):
    e = episode()
    line = segment("e@0000100", "reyes", [("Where", 0.1, 0.4), ("is", 0.5, 0.7), ("he?", 0.7, 0.9)])
    clips = [clip_of(e, Span(start=0, end=1.5), [line]), clip_of(e, Span(start=1.5, end=3), [])]
    made = ltx2(work, clips, [e], captions="tagged")
    assert [s.caption for s in made.samples] == [
        '[VISUAL]: A drawn street. [SPEECH]: Reyes: "Where is he?" [SOUNDS]: None [TEXT]: None',
        "[VISUAL]: A drawn street. [SPEECH]: None [SOUNDS]: None [TEXT]: None",
    ]


def observed(clip, **more):
    seen = Observed(shot="close-up", camera="static", light="dim", sounds="rain on a roof")
    return clip.model_copy(update={"caption": clip.caption.model_copy(update={"observed": seen, **more})})


def test_sounds_that_a_model_heard_stand_in_their_section(work, episode):
    e = episode()
    made = ltx2(work, [observed(clip_of(e, Span(start=0, end=2), []))], [e], captions="tagged")
    assert made.samples[0].caption.endswith("[SPEECH]: None [SOUNDS]: rain on a roof [TEXT]: None")


@pytest.mark.parametrize(("form", "expected"), [("short", ["A street.", "A drawn street."]), ("paragraph", None)])
def test_short_captions_are_taken_where_there_are_any(work, episode, form, expected):
    e = episode()
    clips = [clip_of(e, Span(start=0, end=1.5), []), clip_of(e, Span(start=1.5, end=3), [])]
    reviewed = Reviewed(
        clips=(observed(clips[0], short="A street."), clips[1]), left_out=(), subtitles=(), policy="reviewed-only"
    )
    config = step3_wan21_package.Config(width=96, height=64, preset="veryfast", holdout_share=0.0, captions=form)
    made = step3_wan21_package.run(config, work, episode={e.id: e}, step2_reviewed=reviewed)
    assert [sample.caption for sample in made.samples] == (expected or ["A drawn street."] * 2)


def test_the_trigger_is_recorded_and_only_written_where_that_is_wanted(work, episode):
    e = episode()
    clips = [clip_of(e, Span(start=0, end=2), [])]
    recorded = ltx2(work, clips, [e], trigger="SPYSTYLE")
    assert (recorded.trigger, recorded.samples[0].caption) == ("SPYSTYLE", "A drawn street.")
    written = ltx2(work, clips, [e], trigger="SPYSTYLE", trigger_in_captions=True)
    assert written.samples[0].caption == "SPYSTYLE A drawn street."


def test_an_episode_without_sound_is_silent_and_says_so_or_is_left_out(work, episode):
    e = episode(sound=False)
    clips = [clip_of(e, Span(start=0, end=2), [])]
    made = ltx2(work, clips, [e])
    assert made.accounts[0].reason == "train; silent, because the episode has no audio track"
    with av.open(str(work.open(made.samples[0].video))) as container:
        assert len(container.streams.audio) == 1
    refused = ltx2(work, clips, [e], no_audio="leave out")
    assert (refused.accounts[0].kept, refused.accounts[0].reason) == (False, "e.mp4 has no audio track")


def test_enlarging_and_cropping_are_told_or_refused(work, episode):
    e = episode(size="64x64")
    clips = [clip_of(e, Span(start=0, end=2), [])]
    made = ltx2(work, clips, [e])
    assert made.accounts[0].reason == "train; enlarged 1.50 times; 33% of the picture is cropped away"
    refused = ltx2(work, clips, [e], allow_enlarging=False)
    assert refused.accounts[0].reason == "the episode's 64x64 pixels are less than 96x64"


def test_the_same_picture_twice_is_used_once(work, episode):
    one, two = episode("e"), episode("f")
    made = ltx2(work, [clip_of(e, Span(start=0, end=2), []) for e in (one, two)], [one, two])
    assert [(a.kept, a.reason) for a in made.accounts] == [
        (True, "train"),
        (False, "the same picture and sound as e_0000000"),
    ]


def test_a_caption_that_the_window_empties_leaves_the_clip_out(work, episode):
    e = episode()
    line = segment("e@0002100", "reyes", [("Where", 2.1, 2.4), ("is", 2.5, 2.7), ("he?", 2.7, 2.9)])
    clip = clip_of(e, Span(start=0, end=3), [line])
    only = clip.caption.model_copy(update={"text": 'Reyes says, "Where is he?"'})
    made = ltx2(work, [clip.model_copy(update={"caption": only})], [e], max_frames=25)
    assert (made.samples, made.accounts[0].reason) == ((), "nothing is left to say about its frames")


def test_the_samples_are_those_that_earlier_datasets_had():
    episode = Episode(id="e", video=File(digest=fingerprint.of_bytes(b"e"), name="e.mp4", size_bytes=1))
    source = Source(video=episode.video.digest, name="e.mp4", width=640, height=360, channels=2, origin=0, preroll=2)
    line = segment("e@0000100", "reyes", [("Where", 0.1, 0.9), ("is", 1.0, 1.9), ("he?", 2.0, 2.9)])
    reviewed = Reviewed(
        clips=(clip_of(episode, Span(start=0, end=3), [line]), clip_of(episode, Span(start=3, end=4), [])),
        left_out=(LeftOut(episode="e", clip="e_0004000", reason="dropped by ann: blurry"),),
        subtitles=(), policy="reviewed-only",
    )  # fmt: skip
    config = step3_ltx2_data.Config(max_frames=49, windows_per_clip=2)
    planned, accounts = plan(reviewed, {"e": source}, config, requote, lambda _: "")
    cuts = [Cut(video=episode.video.model_copy(update={"digest": fingerprint.of_bytes(b"%d" % i)})) for i in range(2)]
    samples, kept = assemble(planned, cuts[: len(planned)], {"e": source}, config, step3_ltx2_data.tagged)
    made = [record.model_dump(mode="json") for record in (*samples, *kept, *accounts)]
    golden = fingerprint.of_value("test", made)
    assert golden[:16] == "e6d529f8d3d2e46a", "restore the samples, or raise `version` in both step3 files"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"width": 700}, "700 is no multiple of 32: take 672 or 704"),
        ({"max_frames": 120}, "120 is no multiple of 8 plus 1: take 113 or 121"),
        ({"min_frames": 49, "max_frames": 25}, "min_frames = 49 is more than max_frames = 25"),
        ({"trigger_in_captions": True}, "trigger_in_captions is set, but trigger is empty"),
    ],
)
def test_a_config_that_the_trainer_would_refuse_is_refused_with_the_remedy(config, message):
    with pytest.raises(ValidationError, match=message):
        step3_ltx2_data.Config(**config)


def test_wan21_takes_sides_of_16_and_frames_by_fours():
    assert step3_wan21_package.Config(width=624, height=624, max_frames=77).shape.fps == 16
    with pytest.raises(ValidationError, match="80 is no multiple of 4 plus 1: take 77 or 81"):
        step3_wan21_package.Config(max_frames=80)
