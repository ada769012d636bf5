"""Review proxies: cut to the frame, constant rate, picture and sound equally long, the same bytes each time."""

import os
import subprocess
import sys
from fractions import Fraction

import av
import numpy as np
import pytest

from pipeline.media import audio, ffmpeg, proxies, video
from pipeline.schemas.timeline import Span


@pytest.fixture
def counted(tmp_path):
    """Make a video whose every frame's level of grey is its own number times 4, with a tone from second 1 on."""

    def make(name="counted.mp4", *arguments, rate="25"):
        grey = f"color=black:s=128x96:r={rate}:d=2.4,format=gray,geq=lum='4*N'"
        tone = "aevalsrc='if(gte(t,1),0.5*sin(2*PI*440*t),0)':s=48000:d=2.4"
        path = tmp_path / name
        lossless = ("-c:v", "libx264", "-preset", "ultrafast", "-qp", "0", "-pix_fmt", "yuv420p", "-color_range", "tv")
        sources = ("-f", "lavfi", "-i", grey, "-f", "lavfi", "-i", tone)
        ffmpeg.run([*sources, *lossless, *arguments, str(path)], "making a test video")
        return path

    return make


def encode(path, into, *spans, fps=Fraction(25), size=(128, 96), has_audio=True):
    into.mkdir(exist_ok=True)
    cuts = [proxies.Cut(Span(start=a, end=b), f"clip{i}") for i, (a, b) in enumerate(spans)]
    return list(proxies.encode(path, cuts, fps, size, has_audio, into))


def numbers(path):
    """Which frames of the counted video a file shows."""
    return [round(float(p[..., 0].mean()) / 4) for _, p in video.frames(path)]


def source_numbers(path, start, end):
    return [round(float(p[..., 0].mean()) / 4) for t, p in video.frames(path) if start - 1e-6 <= t < end - 1e-6]


def test_each_clip_has_just_its_own_frames(counted, tmp_path):
    path = counted()
    (first, _), (second, _) = encode(path, tmp_path / "out", (0.4, 0.96), (0.96, 2.0))
    assert numbers(first) == source_numbers(path, 0.4, 0.96)
    assert numbers(second) == source_numbers(path, 0.96, 2.0)


def test_picture_and_sound_are_equally_long_and_in_step(counted, tmp_path):
    ((picture, alone),) = encode(counted(), tmp_path / "out", (0.6, 1.8))
    with av.open(str(picture)) as container:
        lengths = [float(s.duration * s.time_base) for s in (container.streams.video[0], container.streams.audio[0])]
        assert container.streams.video[0].average_rate == 25
        assert container.streams.video[0].codec_context.pix_fmt == "yuv420p"
    assert lengths == pytest.approx([1.2, 1.2], abs=0.002)
    for path in (picture, alone):
        samples = audio.decode_mono(path)
        tone = np.flatnonzero(np.abs(samples) > 0.2)[0] / audio.SAMPLE_RATE_HZ
        assert tone == pytest.approx(0.4, abs=0.01)


def test_the_index_stands_in_front(counted, tmp_path):
    for path in encode(counted(), tmp_path / "out", (0, 1))[0]:
        content = path.read_bytes()
        assert content.index(b"moov") < content.index(b"mdat")


def test_the_same_plan_gives_the_same_bytes_alone_or_among_others(counted, tmp_path):
    path = counted()
    _, together = encode(path, tmp_path / "a", (0, 0.6), (0.6, 1.8))
    (alone,) = encode(path, tmp_path / "b", (0.6, 1.8))
    assert [p.read_bytes() for p in together] == [p.read_bytes() for p in alone]


ENCODED_BY_ITSELF = """
import hashlib, sys
from fractions import Fraction
from pathlib import Path
from pipeline.media import proxies
from pipeline.schemas.timeline import Span

cuts = [proxies.Cut(Span(start=0, end=1.2), "a"), proxies.Cut(Span(start=1.2, end=2.4), "b")]
for made in proxies.encode(Path(sys.argv[1]), cuts, Fraction(25), (480, 204), True, Path(sys.argv[2])):
    print(*(hashlib.sha256(path.read_bytes()).hexdigest() for path in made))
"""


def test_the_bytes_do_not_depend_on_what_memory_held_before(tmp_path):
    # x264 reads memory that nobody set, unless told not to: glibc fills it with other bytes for each of these runs.
    path, out = tmp_path / "moving.mp4", tmp_path / "out"
    moving = "testsrc2=s=480x204:r=25:d=2.4,noise=alls=20:allf=t"
    ffmpeg.run(["-f", "lavfi", "-i", moving, "-f", "lavfi", "-i", "sine=440:d=2.4", str(path)], "making a test video")
    out.mkdir()
    digests = set()
    for filling in ("1", "85", "200"):
        heap = {"MALLOC_PERTURB_": filling, "MALLOC_MMAP_THRESHOLD_": "1000000000", "MALLOC_TOP_PAD_": "100000000"}
        command = [sys.executable, "-c", ENCODED_BY_ITSELF, str(path), str(out)]
        done = subprocess.run(command, env={**os.environ, **heap}, capture_output=True, text=True, check=True)
        digests.add(done.stdout)
    assert len(digests) == 1


def test_a_variable_rate_becomes_constant_and_stays_in_step(counted, tmp_path):
    path = counted("vfr.mp4", "-vf", "select='lt(t,0.8)+not(mod(n,5))'", "-fps_mode", "vfr")
    ((picture, _),) = encode(path, tmp_path / "out", (0.4, 2.0))
    shown = numbers(picture)
    assert len(shown) == 40
    # From 0.8 s on, one picture in five is left: each is shown for five frames, at its own time.
    assert shown[:10] == source_numbers(path, 0.4, 0.8)
    assert [shown.count(n) for n in source_numbers(path, 0.8, 2.0)] == pytest.approx([5] * 6, abs=3)


def test_without_sound_there_is_no_track_and_no_sound_file(counted, tmp_path):
    ((picture, alone),) = encode(counted("mute.mp4", "-an"), tmp_path / "out", (0, 1), has_audio=False)
    assert alone is None
    assert video.probe(picture).has_audio is False


def test_size_is_even_and_at_most_720_lines():
    assert proxies.size_for(1920, 1080) == (1280, 720)
    assert proxies.size_for(1080, 1920) == (404, 720)
    assert proxies.size_for(479, 203) == (480, 204)


def test_each_slot_shows_the_frame_nearest_in_time():
    frames = [(1.0, "a"), (1.049, "b"), (1.2, "c")]
    assert list(proxies.constant(frames, 1.0, Fraction(20), 6)) == ["a", "b", "b", "b", "c", "c"]
    with pytest.raises(ValueError, match=r"no frame can be decoded after 3\.000 s"):
        list(proxies.constant([], 3.0, Fraction(20), 2))
