"""step1-scenes on the bundled show: cuts, scenes, clips and proxies against the truth that comes with it."""

import json

import pytest
from pydantic import ValidationError

from pipeline.media import ffmpeg, video
from pipeline.schemas.timeline import Cuts, Episode
from pipeline.steps import step1_scenes
from pipeline.steps.step1_scenes import Config, run


@pytest.fixture
def made(work):
    """Run the step on a file, as often as asked, in one workspace."""

    def make(path, **config):
        episode = Episode(id=path.stem, video=work.store.put_file(path))
        return run(Config(**{"detector": "adaptive", **config}), work, episode=episode)

    return make


@pytest.fixture
def short(tmp_path):
    """A video of two places: 2.0 s, 1.2 s and 3.0 s in blue light, 2.4 s in red."""
    path = tmp_path / "s02e03.mp4"
    colours = ((0x102060, 50), (0x2040A0, 30), (0x102050, 75), (0xC02010, 60))
    sources = [f"color=0x{colour:06x}:s=128x96:r=25:d={frames / 25},noise=alls=12" for colour, frames in colours]
    inputs = [part for source in sources for part in ("-f", "lavfi", "-i", source)]
    joined = "".join(f"[{i}:v]" for i in range(4)) + "concat=n=4[v]"
    sound = ["-f", "lavfi", "-i", "sine=440:d=8.6"]
    coded = ["-map", "[v]", "-map", "4:a", "-c:v", "mpeg4", "-q:v", "2", str(path)]
    ffmpeg.run([*inputs, *sound, "-filter_complex", joined, *coded], "making a test video")
    return path


def precision_and_recall(found, truth, tolerance=0.0417):
    hits = [t for t in truth if any(abs(t - f) <= tolerance for f in found)]
    return len(hits) / max(1, len(found)), len(hits) / len(truth)


@pytest.mark.parametrize("detector", ["adaptive", "content"])
@pytest.mark.parametrize("episode", ["s01e01", "s01e02"])
def test_the_bundled_episodes_cuts_are_found_and_the_planted_traps_are_not_taken(
    spies, work, episode, detector, monkeypatch
):
    # Lightning, headlights, a pan, a tilt and fades are no cuts; a dissolve is one, at its middle.
    truth = json.loads((spies / "truth" / f"{episode}.truth.json").read_text())
    monkeypatch.setattr(step1_scenes, "_clips", lambda *_: [])
    source = Episode(id=episode, video=work.store.put_file(spies / "episodes" / f"{episode}.mp4"))
    scenes = run(Config(detector=detector), work, episode=source)
    cuts = [c["time"] for c in truth["cuts"]] + [(t["start"] + t["end"]) / 2 for t in truth["transitions"]]
    precision, recall = precision_and_recall([s.span.start for s in scenes.shots[1:]], cuts)
    assert (precision, recall) == (1.0, 1.0)
    # Scenes are the truth's places, to the shot.
    found = [scene.span.start for scene in scenes.scenes]
    assert found == pytest.approx([scene["start"] for scene in truth["scenes"]], abs=0.05)
    assert scenes.media.seconds == pytest.approx(truth["duration"], abs=0.001)


def test_every_second_is_in_one_clip_or_dropped(made, short, work):
    scenes = made(short)
    assert [round(s.span.start, 2) for s in scenes.shots] == [0.0, 2.0, 3.2, 6.2]
    assert [(s.first_shot, s.last_shot) for s in scenes.scenes] == [(0, 2), (3, 3)]
    assert [(c.id, c.shots, c.scene) for c in scenes.clips] == [
        ("s02e03_0000000", (0, 1), 0),
        ("s02e03_0003200", (2,), 0),
        ("s02e03_0006200", (3,), 1),
    ]
    assert scenes.dropped == ()
    for clip in scenes.clips:
        info = video.probe(work.open(clip.video))
        assert (info.width, info.height, info.fps, info.has_audio) == (128, 96, clip.fps, True)
        assert info.seconds == pytest.approx(clip.span.seconds, abs=0.001)
        assert (clip.video.name, clip.audio.name) == (f"{clip.id}.mp4", f"{clip.id}.m4a")


def test_other_clip_lengths_leave_what_other_steps_read_as_it_is(made, short):
    plain, longer = made(short), made(short, shortest_clip=2.5, longest_clip=9)
    assert plain.clips != longer.clips
    assert Cuts.project(plain) == Cuts.project(longer)
    assert [d.reason for d in longer.dropped] == [
        "a shot of 2.40 s, under 2.5 s, which no neighbour of its scene can take"
    ]


def test_what_was_made_is_not_made_again(made, short, monkeypatch):
    first = made(short)
    monkeypatch.setattr(step1_scenes.proxies, "encode", None)
    assert made(short) == first


def test_a_killed_run_goes_on_with_the_clip_it_was_on(made, short, monkeypatch):
    encode = step1_scenes.proxies.encode
    asked = []

    def dies_after_one(source, cuts, *rest):
        asked.append([cut.stem for cut in cuts])
        made_clips = encode(source, cuts, *rest)
        if len(asked) == 1:
            yield next(made_clips)
            raise KeyboardInterrupt
        yield from made_clips

    monkeypatch.setattr(step1_scenes.proxies, "encode", dies_after_one)
    with pytest.raises(KeyboardInterrupt):
        made(short)
    assert len(made(short).clips) == 3
    assert asked == [["s02e03_0000000", "s02e03_0003200", "s02e03_0006200"], ["s02e03_0003200", "s02e03_0006200"]]


def test_auto_is_transnetv2_where_there_is_a_gpu(made, short, monkeypatch):
    assert made(short, detector="auto").detector == ("transnetv2" if step1_scenes.detectors.has_gpu() else "adaptive")
    assert len(made(short, detector="transnetv2").shots) == 4


def test_a_file_that_cannot_be_used_is_named_as_people_call_it(made, tmp_path):
    path = tmp_path / "s02e09.mp4"
    path.write_bytes(b"not a video")
    with pytest.raises(ValueError, match=r"s02e09\.mp4 holds text"):
        made(path)


def test_lengths_that_splits_cannot_meet_are_refused():
    with pytest.raises(ValidationError, match="at least twice shortest_clip"):
        Config(shortest_clip=5, longest_clip=8)
