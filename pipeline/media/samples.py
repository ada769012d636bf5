"""From reviewed clips to training samples: windows, captions that keep to them, and an account of every clip."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from pipeline.engine.fingerprint import Digest
from pipeline.engine.records import File
from pipeline.engine.work import Workspace
from pipeline.media import windows
from pipeline.media.cut import Cut, Source, cut_all, look
from pipeline.media.sample_config import SampleConfig
from pipeline.media.windows import Window
from pipeline.schemas.captions import Caption, Quote, Reviewed, ReviewedClip
from pipeline.schemas.datasets import Account, Sample
from pipeline.schemas.timeline import Episode

Requote: TypeAlias = Callable[[Caption, Mapping[str, Quote | None]], Caption]


def make(
    work: Workspace,
    config: SampleConfig,
    episodes: Mapping[str, Episode],
    reviewed: Reviewed,
    requote: Requote,
    write: Callable[[Caption], str] = lambda caption: caption.text,
    refuse: Callable[[Source], str] = lambda _: "",
) -> tuple[list[Sample], list[Account]]:
    """Cut the samples of all reviewed clips; with them, an account of every clip.

    `write` words a caption as the dataset has it; `refuse` says why nothing of an episode can be used, or "".
    """
    sources = look(work, {clip.episode: episodes[clip.episode] for clip in reviewed.clips})
    planned, unused = plan(reviewed, sources, config, requote, refuse)
    cuts = cut_all(
        work,
        [episodes[sample.clip.episode].video for sample in planned],
        [sources[sample.clip.episode] for sample in planned],
        [sample.window for sample in planned],
        config.shape,
    )
    samples, used = assemble(planned, cuts, sources, config, write)
    work.report(
        train=sum(sample.split == "train" for sample in samples),
        holdout=sum(sample.split == "holdout" for sample in samples),
        clips_left_out=sum(not account.kept for account in [*used, *unused]),
        lines_left_unsaid=sum(sample.left_unsaid for sample in samples),
    )
    if not samples:
        work.log("there is no clip to train on yet: review some, or set steps.step2-reviewed.policy = machine-above")
    return samples, sorted([*used, *unused], key=lambda account: (account.episode, account.clip))


def side_files(samples: Sequence[Sample]) -> dict[str, str]:
    """Each sample's caption as a file, under its clip's stem."""
    return {sample.video.name.removesuffix(".mp4") + ".txt": sample.caption + "\n" for sample in samples}


def keep_text(work: Workspace, name: str, text: str) -> File:
    path = work.scratch / name
    path.write_bytes(text.encode())
    return work.keep(path, name)


@dataclass(frozen=True, slots=True)
class Planned:
    """A sample to be cut: `stem` is its file's name without suffix. `left_unsaid` as in `Sample`."""

    clip: ReviewedClip
    stem: str
    window: Window
    caption: Caption
    held: bool
    left_unsaid: int


def plan(
    reviewed: Reviewed,
    sources: Mapping[str, Source],
    config: SampleConfig,
    requote: Requote,
    refuse: Callable[[Source], str],
) -> tuple[list[Planned], list[Account]]:
    """What to cut, and an account of each clip that gives nothing. `sources` by episode id."""
    planned: list[Planned] = []
    accounts = [
        _left(clip.episode, clip.clip, f"left out by step2-reviewed: {clip.reason}") for clip in reviewed.left_out
    ]
    for clip in reviewed.clips:
        source = sources[clip.episode]
        if reason := refuse(source) or _too_small(source, config):
            accounts.append(_left(clip.episode, clip.clip, reason))
            continue
        found = windows.windows(clip.span, config.frames, config.windows_per_clip)
        if not found:
            least = config.frames.seconds(config.min_frames)
            reason = f"too short: {clip.span.seconds:.2f} s, but {config.min_frames} frames last {least:.2f} s"
            accounts.append(_left(clip.episode, clip.clip, reason))
        held = windows.held_out(source.video, clip.span, config.holdout_share)
        for number, window in enumerate(found, 1):
            caption, unsaid = within(clip, window, requote)
            stem = clip.clip if number == 1 else f"{clip.clip}_{number}"
            planned.append(Planned(clip, stem, window, caption, held, unsaid))
    return planned, accounts


def within(clip: ReviewedClip, window: Window, requote: Requote) -> tuple[Caption, int]:
    """The clip's caption as far as it is true of `window`, and how many of its quotes the window cut or cut off."""
    lines = {line.id: line for line in clip.lines}
    said = {
        quote.segment: windows.quoted(quote, lines[quote.segment], window.span) if quote.segment in lines else None
        for quote in clip.caption.quotes
    }
    changed = {quote.segment: said[quote.segment] for quote in clip.caption.quotes if said[quote.segment] != quote}
    return requote(clip.caption, changed) if changed else clip.caption, len(changed)


def assemble(
    planned: Sequence[Planned],
    cuts: Sequence[Cut],
    sources: Mapping[str, Source],
    config: SampleConfig,
    write: Callable[[Caption], str],
) -> tuple[list[Sample], list[Account]]:
    """Samples, and the account of the clips they were to come from. A cut equal to an earlier one is left out."""
    samples: list[Sample] = []
    first: dict[Digest, str] = {}
    fates: dict[tuple[str, str], list[str]] = {}
    kept: dict[tuple[str, str], list[Sample]] = {}
    for plan_, cut in zip(planned, cuts, strict=True):
        key = plan_.clip.episode, plan_.clip.clip
        fate = fates.setdefault(key, [])
        text = config.written(write(plan_.caption))
        if cut.video is None:
            fate.append(cut.why)
        elif cut.video.digest in first:
            fate.append(f"the same picture and sound as {first[cut.video.digest]}")
        elif not plan_.caption.text.strip():
            fate.append("nothing is left to say about its frames")
        else:
            first[cut.video.digest] = plan_.stem
            sample = _sample(plan_, cut.video, config, text)
            samples.append(sample)
            kept.setdefault(key, []).append(sample)
    accounts = []
    for (episode, clip), fate in fates.items():
        made = kept.get((episode, clip), [])
        said = [*_notes(made, sources[episode], config), *fate] if made else fate
        accounts.append(Account(episode=episode, clip=clip, kept=bool(made), reason="; ".join(dict.fromkeys(said))))
    return samples, accounts


def _sample(planned: Planned, video: File, config: SampleConfig, text: str) -> Sample:
    return Sample(
        episode=planned.clip.episode,
        clip=planned.clip.clip,
        split="holdout" if planned.held else "train",
        window=planned.window.span,
        num_frames=planned.window.num_frames,
        fps=config.FPS,
        width=config.width,
        height=config.height,
        video=video.model_copy(update={"name": f"{planned.stem}.mp4"}),
        caption=text,
        left_unsaid=planned.left_unsaid,
    )


def _notes(made: Sequence[Sample], source: Source, config: SampleConfig) -> Iterator[str]:
    yield made[0].split
    if len(made) > 1:
        yield f"{len(made)} windows"
    if (enlarged := source.enlarged(config.width, config.height)) > 1:
        yield f"enlarged {enlarged:.2f} times"
    if (lost := source.cropped(config.width, config.height)) > 0.25:
        yield f"{lost:.0%} of the picture is cropped away"
    if config.SOUND and not source.has_audio:
        yield "silent, because the episode has no audio track"
    if unsaid := sum(sample.left_unsaid for sample in made):
        yield f"{unsaid} lines reach beyond the frames used"


def _too_small(source: Source, config: SampleConfig) -> str:
    if config.allow_enlarging or source.enlarged(config.width, config.height) <= 1:
        return ""
    return f"the episode's {source.width}x{source.height} pixels are less than {config.width}x{config.height}"


def _left(episode: str, clip: str, reason: str) -> Account:
    return Account(episode=episode, clip=clip, kept=False, reason=reason)
