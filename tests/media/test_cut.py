"""Training clips: exact frames by time, size, sound; the same bytes every time."""

from fractions import Fraction

import av
import numpy as np
import pytest

from pipeline.engine import fingerprint
from pipeline.media import ffmpeg
from pipeline.media.cut import SOUND_RATE_HZ, Shape, Source, count_frames, cut, cut_all, look
from pipeline.media.windows import Window
from pipeline.schemas.timeline import Episode, Span

LTX2 = Shape(width=96, height=64, fps=24, crf=17, preset="veryfast", sound=True)
WAN21 = Shape(width=96, height=64, fps=16, crf=17, preset="veryfast", sound=False)

# The grey of frame n says its number, as long as there are no more than 54.
GREY = "color=s=128x96:r={rate}:d={seconds},geq=lum='16+4*mod(N,54)':cb=128:cr=128"


@pytest.fixture
def episode(tmp_path, work):
    """Make an episode whose frames say their numbers in grey and whose sound is a beep from second 1.0 to 1.2."""

    def make(name="e.mp4", rate="24", seconds=2.0, select="1", sound=True, codec=("libx264", "-qp", "0")):
        path = tmp_path / name
        beep = f"aevalsrc='if(between(t,1,1.2),0.5*sin(2*PI*440*t),0)':s=48000:d={seconds}"
        arguments = ["-f", "lavfi", "-i", GREY.format(rate=rate, seconds=seconds)]
        arguments += ["-f", "lavfi", "-i", beep] if sound else []
        arguments += ["-vf", f"select='{select}'", "-fps_mode", "vfr", "-c:v", *codec, "-c:a", "aac", str(path)]
        ffmpeg.run(arguments, "making a test episode")
        return Episode(id="e", video=work.keep(path))

    return make


def window(start: float, num_frames: int, fps: int = 24) -> Window:
    return Window(Span(start=start, end=start + num_frames / fps), num_frames)


def cut_one(work, episode, window, shape):
    (source,) = look(work, {"e": episode}).values()
    (made,) = cut_all(work, [episode.video], [source], [window], shape)
    assert made.video is not None, made.why
    return work.open(made.video)


def numbers(path) -> list[int]:
    """The numbers that the frames say."""
    with av.open(str(path)) as container:
        return [
            round((float(frame.to_ndarray(format="gray").mean()) * 219 / 255) / 4)
            for frame in container.decode(video=0)
        ]


def shown(pts: list[Fraction], start: float, count: int, fps: int) -> list[int]:
    """Which frame is on the screen at each moment of the clip."""
    moments = [start + k / fps for k in range(count)]
    return [max(i for i, time in enumerate(pts) if time <= moment + 0.002) for moment in moments]


@pytest.mark.parametrize(("shape", "count"), [(LTX2, 25), (WAN21, 17)])
@pytest.mark.parametrize("rate", ["24", "25", "30000/1001", "24000/1001", "12", "50"])
@pytest.mark.parametrize("start", [0.0, 0.5])
def test_each_frame_is_the_one_on_the_screen_at_its_moment(work, episode, rate, shape, count, start):
    seconds = min(2.0, 53 / float(Fraction(rate)))
    start = start if start + count / shape.fps < seconds else 0.0
    if count / shape.fps > seconds:
        count -= 8 if shape is LTX2 else 4
    path = cut_one(work, episode(rate=rate, seconds=seconds), window(start, count, shape.fps), shape)
    times = [Fraction(n) / Fraction(rate) for n in range(54)]
    assert numbers(path) == shown(times, start, count, shape.fps)


@pytest.mark.parametrize("name", ["e.mkv", "e.mp4"])
def test_a_varying_frame_rate_is_followed_by_time(work, episode, name):
    # Frames 10 to 29 are missing: frame 9 stays on the screen for 0.84 s.
    made = episode(name, rate="25", select="lt(n,10)+gt(n,29)")
    kept = [n for n in range(50) if n < 10 or n > 29]
    path = cut_one(work, made, window(0.6, 33), LTX2)
    expected = shown([Fraction(n, 25) for n in kept], 0.6, 33, 24)
    assert numbers(path) == [kept[i] for i in expected]


@pytest.mark.parametrize(
    ("name", "codec"), [("e.ts", ("libx264", "-qp", "0")), ("e.mkv", ("libx264", "-qp", "0", "-g", "9"))]
)
def test_a_clip_far_from_the_start_is_entered_before_it(work, episode, name, codec):
    made = episode(name, rate="4", seconds=13, codec=codec)
    start = 12.0 if name == "e.mkv" else 10.5
    path = cut_one(work, made, window(start, 17), LTX2)
    assert numbers(path) == shown([Fraction(n, 4) for n in range(52)], start, 17, 24)


def test_times_rounded_to_the_millisecond_do_not_bring_in_the_frame_before(work, episode):
    path = cut_one(work, episode(), window(round(7 / 24, 3), 25), LTX2)
    assert numbers(path) == list(range(7, 32))


def test_a_clip_is_what_was_promised(work, episode):
    path = cut_one(work, episode(), window(0.5, 33), LTX2)
    with av.open(str(path)) as container:
        (video,), (audio,) = container.streams.video, container.streams.audio
        assert (video.codec_context.name, video.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert (video.width, video.height) == (96, 64)
        assert video.average_rate == video.base_rate == 24
        assert (audio.codec_context.name, audio.rate, audio.layout.name) == ("aac", SOUND_RATE_HZ, "stereo")
        times = [frame.pts * frame.time_base for frame in container.decode(video)]
    assert times == [Fraction(k, 24) for k in range(33)]
    assert count_frames(path) == 33


def heard(path) -> np.ndarray:
    with av.open(str(path)) as container:
        start = None
        pieces = []
        for frame in container.decode(audio=0):
            start = frame.pts if start is None else start
            pieces.append(frame.to_ndarray().mean(axis=0))
    assert start == 0
    return np.concatenate(pieces)


def test_the_sound_is_heard_when_it_is_shown_and_as_long_as_the_picture(work, episode):
    samples = heard(cut_one(work, episode(), window(0.5, 33), LTX2))
    loud = np.flatnonzero(np.abs(samples) > 0.1) / SOUND_RATE_HZ
    assert (loud[0], loud[-1]) == pytest.approx((0.5, 0.7), abs=0.02)
    assert abs(samples).max() == pytest.approx(0.5, abs=0.1)
    # AAC comes in blocks of 1024 samples.
    assert len(samples) / SOUND_RATE_HZ == pytest.approx(33 / 24, abs=1024 / SOUND_RATE_HZ)


def test_one_channel_is_as_loud_in_two(work, episode):
    made = episode()
    (source,) = look(work, {"e": made}).values()
    assert source.channels == 1
    with av.open(str(cut_one(work, made, window(0.5, 33), LTX2))) as container:
        loudest = [np.abs(frame.to_ndarray()).max(axis=1) for frame in container.decode(audio=0)]
    assert np.max(loudest, axis=0) == pytest.approx([0.5, 0.5], abs=0.1)


def test_an_episode_without_sound_gives_a_silent_track(work, episode):
    samples = heard(cut_one(work, episode(sound=False), window(0.5, 33), LTX2))
    assert not samples.any()
    assert len(samples) / SOUND_RATE_HZ == pytest.approx(33 / 24, abs=1024 / SOUND_RATE_HZ)


def test_a_clip_without_sound_has_no_audio_track(work, episode):
    with av.open(str(cut_one(work, episode(), window(0.5, 17, 16), WAN21))) as container:
        assert not container.streams.audio


def test_the_same_clip_has_the_same_bytes(work, episode, tmp_path):
    made = episode()
    (source,) = look(work, {"e": made}).values()
    for name in ("one.mp4", "two.mp4"):
        cut(work.open(made.video), tmp_path / name, source, window(0.5, 25), LTX2)
    assert (tmp_path / "one.mp4").read_bytes() == (tmp_path / "two.mp4").read_bytes()


def test_the_last_frame_is_used_up_to_its_end(work, episode):
    path = cut_one(work, episode(), window(2 - 25 / 24, 25), LTX2)
    assert numbers(path) == list(range(23, 48))


def test_a_picture_that_ends_before_the_window_is_told(work, episode):
    made = episode()
    (source,) = look(work, {"e": made}).values()
    (cut_short,) = cut_all(work, [made.video], [source], [window(1.5, 25)], LTX2)
    assert cut_short.video is None
    assert cut_short.why == "the picture ends too early: 13 of 25 frames"


def test_what_was_cut_before_is_not_cut_again(work, episode, monkeypatch):
    made = episode()
    first = cut_one(work, made, window(0.5, 25), LTX2)
    monkeypatch.setattr(ffmpeg, "run", lambda *_: pytest.fail("cut again"))
    assert cut_one(work, made, window(0.5, 25), LTX2) == first


def test_the_picture_covers_the_clip_and_is_cropped_in_the_middle():
    source = Source(
        video=fingerprint.of_bytes(b""), name="e.mp4", width=640, height=360, channels=2, origin=0, preroll=2
    )
    assert source.scaled(768, 448) == (796, 448)
    assert source.enlarged(768, 448) == pytest.approx(448 / 360)
    assert source.cropped(768, 448) == pytest.approx(1 - 768 / 796)
    assert source.scaled(320, 320) == (569, 320)
    assert source.enlarged(320, 320) < 1


@pytest.mark.parametrize("width", [480, 704, 832])
def test_the_bytes_do_not_depend_on_what_memory_held_before(work, tmp_path, monkeypatch, width):
    # glibc fills fresh memory with another byte for each of these runs.
    path, made = tmp_path / "moving.mp4", set()
    ffmpeg.run(["-f", "lavfi", "-i", "testsrc2=s=480x270:r=24:d=1.2,noise=alls=20:allf=t", str(path)], "a test video")
    (source,) = look(work, {"e": Episode(id="e", video=work.keep(path))}).values()
    video = next((work.store.root / "objects").glob("*/*"))
    for filling in ("1", "85", "200"):
        monkeypatch.setenv("MALLOC_PERTURB_", filling)
        monkeypatch.setenv("MALLOC_MMAP_THRESHOLD_", "1000000000")
        monkeypatch.setenv("MALLOC_TOP_PAD_", "100000000")
        shape = Shape(width=width, height=204 // 16 * 16, fps=24, crf=17, preset="fast", sound=False)
        target = tmp_path / f"{width}-{filling}.mp4"
        cut(video, target, source, window(0.0, 25), shape)
        made.add(fingerprint.of_file(target))
    assert len(made) == 1
