"""What the panel is told of the trainers' datasets: the index, what looks wrong, why clips were left out."""

import pytest

from pipeline import datasets
from pipeline.engine.records import File
from pipeline.schemas.captions import Caption, Reviewed, ReviewedClip
from pipeline.schemas.datasets import Account, Ltx2Dataset, Sample
from pipeline.schemas.timeline import Span

NAMES = {"pryce": "Pryce", "cohen": "Cohen"}


def file(name):
    return File(digest=f"{abs(hash(name)):064x}"[:64], name=name, size_bytes=1)


def sample(number, caption="Agent Pryce looks up and says nothing at all.", **more):
    values = {
        "episode": "s01e01",
        "clip": f"c{number}",
        "split": "train",
        "window": Span(start=number, end=number + 1),
        "num_frames": 25,
        "fps": 24,
        "width": 64,
        "height": 64,
        "video": file(f"c{number}.mp4"),
        "caption": f"{caption} {number}",
    }
    return Sample(**{**values, **more})


def reviewed_clip(number, characters):
    caption = Caption(clip=f"c{number}", text="words", quotes=(), characters=characters, score=1)
    span = Span(start=number, end=number + 1)
    return ReviewedClip(
        episode="s01e01",
        clip=f"c{number}",
        span=span,
        video=file("clip.mp4"),
        caption=caption,
        lines=(),
        reviewed=True,
        by=(),
    )


def laid(samples, accounts=(), casts=None, trigger="spyshw"):
    given = [sample(n) if isinstance(n, int) else n for n in samples]
    record = Ltx2Dataset(
        samples=tuple(given),
        accounts=tuple(accounts),
        trigger=trigger,
        dataset=file("d"),
        holdout=file("h"),
        captions=(),
    )
    clips = tuple(reviewed_clip(int(each.clip[1:]), (casts or {}).get(each.clip, ("pryce",))) for each in given)
    review = Reviewed(clips=clips, left_out=(), subtitles=(), policy="reviewed-only")
    return datasets.laid(record, review)


def told(of, kind="ltx2"):
    return {each.what: each for each in datasets.findings(of, kind, NAMES)}


def held(number):
    return sample(number, split="holdout")


def test_the_index_has_each_sample_with_its_words_and_who_is_in_it():
    (row,) = laid([7]).rows
    assert (row.stem, row.at, row.words, row.characters, row.shape) == ("c7", 7, 10, ("pryce",), "64x64x25")
    assert row.seconds == pytest.approx(25 / 24)


def test_a_good_dataset_has_nothing_wrong():
    assert told(laid([1, 2, 3, held(4)])) == {}


def test_a_dataset_without_a_holdout_or_without_anything_else_is_told():
    assert "Nothing is held out" in told(laid([1, 2, 3]))
    assert "Everything is held out" in told(laid([held(1), held(2)]))


def test_captions_too_long_for_the_text_encoder_are_named_by_model():
    long = sample(1, caption=" ".join(["word"] * 400))
    of = laid([long, 2, 3, held(4)])
    assert told(of, "wan21")["1 sample with a caption too long to be read whole"].stems == ("c1",)
    assert told(of, "ltx2") == {}


def test_samples_that_share_a_caption_are_named_whatever_their_letters():
    twins = [sample(n, caption=text) for n, text in ((1, "A man  waits in the dark HALL."), (2, "x"))]
    twins[1] = twins[0].model_copy(
        update={"clip": "c2", "video": file("c2.mp4"), "caption": twins[0].caption.casefold()}
    )
    assert told(laid([*twins, 3, held(4)]))["2 samples share their caption with another"].stems == ("c1", "c2")


def test_samples_that_are_the_very_same_film_are_named():
    twin = sample(2).model_copy(update={"video": sample(1).video.model_copy(update={"name": "c2.mp4"})})
    assert told(laid([1, twin, 3, held(4)]))["2 samples are the very same film as another"].stems == ("c1", "c2")


def test_who_is_seen_only_in_the_holdout_or_seldom_is_named():
    of = laid([1, 2, 3, held(4)], casts={"c4": ("cohen",)})
    assert told(of)["Only in what is held out: Cohen"].stems == ("c4",)
    seldom = laid([1, 2, 3, held(4)], casts={"c1": ("pryce", "cohen")})
    assert told(seldom)["Seldom seen: Cohen (1)"].stems == ("c1",)


def test_a_line_cut_off_and_a_lone_shape_are_notes_not_warnings():
    of = laid([sample(1, left_unsaid=1), 2, 3, sample(5, num_frames=49), held(4)])
    assert {each.level for each in datasets.findings(of, "ltx2", NAMES)} == {"note"}
    assert told(of)["1 sample is the only one of its shape"].stems == ("c5",)


def test_warnings_stand_before_notes():
    levels = [each.level for each in datasets.findings(laid([1, 2], trigger=""), "ltx2", NAMES)]
    assert levels == sorted(levels, reverse=True)
    assert levels[0] == "warning"


def test_reasons_are_grouped_without_their_figures():
    said = [
        "left out by step2-reviewed: dropped by anna: blurred",
        "left out by step2-reviewed: dropped by anna: titles",
        "too short: 0.80 s, but 25 frames last 1.04 s",
        "too short: 0.90 s, but 25 frames last 1.04 s",
        "too short: 0.70 s, but 25 frames last 1.04 s",
    ]
    accounts = [Account(episode="e", clip=f"c{n}", kept=False, reason=reason) for n, reason in enumerate(said)]
    found = datasets.reasons(accounts)
    assert [(reason, len(group)) for reason, group in found] == [("too short", 3), ("dropped by anna", 2)]


def test_neighbours_end_at_the_ends():
    rows = laid([1, 2, 3]).rows
    assert datasets.neighbours(rows, "c1") == ("", "c2")
    assert datasets.neighbours(rows, "c3") == ("c2", "")
    assert datasets.neighbours(rows, "gone") == ("", "")
