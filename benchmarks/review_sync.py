"""What it takes to keep 10,000 review tasks in step with a real Label Studio, against asking it task by task.

    python -m benchmarks.review_sync [--clips 5000]

One server for all: the plain way on 500 tasks, a first push, a push with nothing to do, one with 100 changed tasks, and
a pull of 1,000 new annotations. The tasks are as big as those of real episodes. The last line is JSON, in seconds but
for `first_push_ratio`, how many times as many tasks a second the first push makes as the plain way.
"""

import argparse
import dataclasses
import json
import os
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.engine.records import File
from pipeline.engine.store import Store
from pipeline.review import interface, server, sync
from pipeline.review.client import Client, our_prediction
from pipeline.review.served import Served
from pipeline.review.shown import ReviewTask
from pipeline.review.tasks import Material, tasks_of
from pipeline.schemas.captions import Caption, Captions
from pipeline.schemas.story import (
    Bible,
    Candidate,
    Character,
    Doubt,
    Frame,
    Place,
    SceneContext,
    SceneContexts,
    SettledTranscript,
    ShotReference,
    ShotReferences,
)
from pipeline.schemas.timeline import Clip, MediaInfo, Scene, Scenes, Segment, Shot, Span, Word
from pipeline.settings import Settings

SHOW = "benchmark"
PLAIN, CHANGED, ANNOTATED = 500, 100, 1000
EPISODE_CLIPS, SCENE_CLIPS = 500, 20
CLIP_SECONDS = 5.0

NAMES = (
    *("Reyes", "Cohen", "Pryce", "Margaux", "Okafor", "Lindqvist"),
    *("Tanaka", "Bell", "Duarte", "Nwosu", "Ivey", "Sato"),
)
SPEECH = "we should never have brought the case to the harbour before the others had left the old theatre"


def bible(picture: File) -> Bible:
    """A cast of twelve with looks and pictures, as a series has it."""
    people = tuple(
        Character(id=name.lower(), name=f"Alex {name}", short=name, looks=f"{name}'s long coat", references=(picture,))
        for name in NAMES
    )
    return Bible(
        title="Benchmark", style="film", characters=people, places=(Place(id="harbour", name="The Old Harbour"),)
    )


def material(episode: str, clips: int, keep: Callable[[str], File], still: File) -> Material:
    """An episode whose every clip has three lines, and every other clip a doubt."""
    names = [f"{episode}_{round(i * CLIP_SECONDS * 1000):07d}" for i in range(clips)]
    spans = [Span(start=i * CLIP_SECONDS, end=(i + 1) * CLIP_SECONDS) for i in range(clips)]
    segments = [_segment(episode, clip, line) for clip in range(clips) for line in range(3)]
    doubts = [_doubt(segments[3 * clip]) for clip in range(0, clips, 2)]
    starts = range(0, clips, SCENE_CLIPS)
    scenes = [
        Scene(
            index=n,
            span=Span(start=spans[i].start, end=spans[min(i + SCENE_CLIPS, clips) - 1].end),
            first_shot=i,
            last_shot=min(i + SCENE_CLIPS, clips) - 1,
        )
        for n, i in enumerate(starts)
    ]
    info = MediaInfo(
        width=1920, height=1080, fps=24, variable_frame_rate=False, seconds=clips * CLIP_SECONDS, has_audio=True
    )
    return Material(
        scenes=Scenes(
            episode=episode,
            media=info,
            detector="benchmark",
            shots=tuple(Shot(index=i, span=span) for i, span in enumerate(spans)),
            scenes=tuple(scenes),
            clips=tuple(
                Clip(
                    id=name,
                    scene=i // SCENE_CLIPS,
                    shots=(i,),
                    span=span,
                    fps=24,
                    video=keep(f"{name}.mp4"),
                    audio=keep(f"{name}.m4a"),
                )
                for i, (name, span) in enumerate(zip(names, spans, strict=True))
            ),
            dropped=(),
        ),
        transcript=SettledTranscript(
            episode=episode, language="en", segments=tuple(segments), decisions=(), doubts=tuple(doubts)
        ),
        references=ShotReferences(episode=episode, shots=tuple(_shot(i, s, still) for i, s in enumerate(spans))),
        contexts=SceneContexts(
            episode=episode,
            scenes=tuple(
                SceneContext(
                    scene=scene.index,
                    span=scene.span,
                    place="harbour",
                    cast=tuple(name.lower() for name in NAMES[:5]),
                    dialogue=tuple(s for s in segments if scene.span.holds(s.span.middle)),
                    previously="Reyes and Cohen hid the case behind the stage. " * 3,
                    why=(),
                )
                for scene in scenes
            ),
        ),
        captions=Captions(
            episode=episode,
            backend="benchmark",
            captions=tuple(
                Caption(
                    clip=name,
                    text=f"A medium shot of Reyes and Cohen at the old harbour in {name}. " + "Rain falls hard. " * 12,
                    quotes=(),
                    characters=("reyes", "cohen"),
                    score=0.7,
                )
                for name in names
            ),
        ),
    )


def changed(episode: Material, clips: int) -> Material:
    """The episode with new captions for this many of its clips."""
    first = [caption.model_copy(update={"text": f"{caption.text} New."}) for caption in episode.captions.captions]
    captions = (*first[:clips], *episode.captions.captions[clips:])
    return dataclasses.replace(episode, captions=episode.captions.model_copy(update={"captions": captions}))


def _segment(episode: str, clip: int, line: int) -> Segment:
    start = clip * CLIP_SECONDS + 0.3 + line * 1.5
    talk = SPEECH.split()
    turn = (clip * 7 + line) % len(talk)
    words = (talk[turn:] + talk)[:8]
    return Segment(
        id=f"{episode}@{round(start * 1000):07d}",
        shot=clip,
        words=tuple(
            Word(text=word, span=Span(start=start + i * 0.15, end=start + (i + 1) * 0.15), probability=0.9)
            for i, word in enumerate(words)
        ),
        speaker=NAMES[(clip + line) % len(NAMES)].lower(),
    )


def _doubt(segment: Segment) -> Doubt:
    return Doubt(
        id=f"{segment.id}/1",
        kind="text",
        segment=segment.id,
        span=segment.words[1].span,
        first_word=1,
        last_word=1,
        heard=segment.words[1].text,
        context=segment.id,
        candidates=(Candidate(value="Cohen", score=0.6), Candidate(value=segment.words[1].text, score=0.4)),
        evidence=("benchmark",),
    )


def _shot(index: int, span: Span, still: File) -> ShotReference:
    frames = tuple(Frame(at=span.start + part, picture=still, sharpness=1, brightness=0.5) for part in (1.0, 2.0, 3.0))
    return ShotReference(
        shot=index,
        span=span,
        frames=frames,
        brightness=0.5,
        contrast=0.2,
        warmth=0,
        motion=0,
        camera="static",
        scale="medium shot",
        faces=2,
        hash="0" * 16,
        look=0,
    )


@contextmanager
def label_studio(folder: Path) -> Iterator[server.Server]:
    """A Label Studio of the benchmark's own."""
    settings = Settings()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    templates = settings.cache / "label-studio"
    start = server.running(
        settings.label_studio_executable, folder / "data", folder / "media", port=port, templates=templates
    )
    with start as running:
        yield running


def plainly(client: Client, tasks: Sequence[ReviewTask]) -> float:
    """Tasks a second the plain way: one SDK call for each task, one for its prediction."""
    made = client._sdk.projects.create(title="plain", label_config=interface.config("captions"))
    assert made.id is not None
    started = time.perf_counter()
    for task in tasks:
        there = client._sdk.tasks.create(project=made.id, data=task.data, meta={"shown": []})
        client._sdk.predictions.create(task=there.id, result=task.result, score=task.score, model_version="plain")
    seconds = time.perf_counter() - started
    client._sdk.projects.delete(made.id)
    return len(tasks) / seconds


def annotate(client: Client, count: int) -> None:
    """Accept the first tasks of the captions as a reviewer would."""
    project = client.need_project(SHOW, "captions")
    ids = [task.id for task in client.listing(project)][:count]

    def accept(task: dict[str, Any]) -> None:
        client.submit(task, our_prediction(task)["result"], 3.0)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(accept, client.details(project, ids)))


def measure(folder: Path, clips: int) -> dict[str, Any]:
    """The figures, in the order in which they are taken."""
    store = Store(folder / "store")
    kept: list[Path] = []

    def keep(name: str) -> File:
        path = folder / name.rpartition("/")[2]
        path.write_bytes(name.encode())
        kept.append(path)
        return store.put_file(path)

    still = keep("still.jpg")
    cast = bible(keep("reference.jpg"))
    sizes = [min(EPISODE_CLIPS, clips - start) for start in range(0, clips, EPISODE_CLIPS)]
    episodes = [material(f"s01e{i + 1:02d}", size, keep, still) for i, size in enumerate(sizes)]
    figures: dict[str, Any] = {"machine": f"{os.cpu_count()} cores", "tasks": 2 * clips}

    def timed(name: str, materials: Sequence[Material], client: Client) -> tuple[sync.Pushed, ...]:
        started = time.perf_counter()
        pushed = sync.push(client, store, served, SHOW, materials, cast)
        figures[name] = round(time.perf_counter() - started, 2)
        figures["load"] = round(os.getloadavg()[0], 1)
        print(name, figures[name], "load", figures["load"], file=sys.stderr)
        return pushed

    with label_studio(folder) as running, Client(running.url, running.login.token) as client:
        served = Served(store, folder / "media")
        some = tasks_of(episodes[0], cast, served.url).captions[:PLAIN]
        plain = plainly(client, some)
        figures["task_bytes"] = len(json.dumps(dataclasses.asdict(some[0]) | {"shown": some[0].shown.model_dump()}))
        timed("first_push_s", episodes, client)
        assert not sum(each.writes for each in timed("unchanged_10k_s", episodes, client))
        new = [changed(episodes[0], min(CHANGED, sizes[0])), *episodes[1:]]
        assert sum(each.updated for each in timed("changed_100_s", new, client)) == min(CHANGED, sizes[0])
        annotate(client, ANNOTATED)
        started = time.perf_counter()
        pulled = sync.pull(client, SHOW, store)
        figures["pull_1000_s"] = round(time.perf_counter() - started, 2)
        figures["pulled"] = len(pulled.snapshot.decisions)
        figures["first_push_ratio"] = round(2 * clips / figures["first_push_s"] / plain, 1)
        figures["plain_tasks_per_s"] = round(plain, 1)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=5000)
    clips = parser.parse_args().clips
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(Path(folder), clips)
    for name, value in figures.items():
        print(f"{name}: {value}", file=sys.stderr)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
