"""From requests to a processor's tensors: within the budgets, told the true times, batched only where families can.

transformers' processors accept wrong or unknown arguments silently, enlarge small pictures, and take frames for
24 a second unless they are told otherwise; so everything that matters is given explicitly here, family by family.
"""

from __future__ import annotations

import math
import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.models.vlm import SOUND_HZ, Part, Picture, Request, Sound, Text, Video
from pipeline.models.vlm_fitting import as_pictures, length, metadata, shrunk

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]

SHORTEST_SOUND = SOUND_HZ // 2
"""Samples; audio encoders fail on sounds that give not even one token."""

GEMMA_PICTURE_TOKENS = (70, 140, 280, 560, 1120)
"""What Gemma 4's picture processor may spend on one picture (transformers, image_processing_gemma4.py)."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What one request may cost at most: `frames` of a video, pixels of each frame and of each picture."""

    frames: int
    frame_pixels: int
    picture_pixels: int


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request within its budget. `turns` are the chat's messages with a place for each medium; requests with the
    same `alike` can share a batch; `length` guesses at tokens, for sorting. `pixels` are those of a picture at most.
    """

    turns: list[dict[str, Any]]
    pictures: tuple[Pixels, ...]
    videos: tuple[Video, ...]
    sounds: tuple[npt.NDArray[np.float32], ...]
    pixels: int
    interleaved: bool
    alike: Hashable
    length: float


class Inputs:
    """A processor of transformers, and what has to be known of its family."""

    def __init__(self, name: str, processor: Any, budget: Budget) -> None:
        self._name, self._processor, self._budget = name, processor, budget
        self._tokenizer = getattr(processor, "tokenizer", processor)
        self._pictures: Any = getattr(processor, "image_processor", None)
        self._videos: Any = getattr(processor, "video_processor", None)
        self._ears: Any = getattr(processor, "feature_extractor", None)
        self.sees, self.hears = self._pictures is not None, self._ears is not None
        self._omni = self.hears and "Omni" in type(processor).__name__
        # Patches of any number of pictures lie in one row in Qwen's families; others stack pictures side by side.
        self._rows_may_differ = hasattr(self._pictures, "merge_size")
        marks = sorted({*self._tokenizer.all_special_tokens, *_marks(self._processor)}, key=len, reverse=True)
        self._marks = re.compile("|".join(re.escape(mark) for mark in marks if len(mark) > 1) or r"(?!)")

    def prepared(self, request: Request) -> Prepared:
        """Raises ValueError, naming the part, where the model cannot take it."""
        parts = [part for index, part in enumerate(request.parts) for part in self._fitted(index, part)]
        own = [
            isinstance(part, Sound) and index > 0 and isinstance(parts[index - 1], Video)
            for index, part in enumerate(parts)
        ]
        videos = tuple(part for part in parts if isinstance(part, Video))
        interleaved = self._omni and 0 < sum(own) == len(videos) == sum(isinstance(part, Sound) for part in parts)
        pixels = self._budget.picture_pixels
        if videos and not self._shows_videos(parts):
            parts, videos = [shown for part in parts for shown in as_pictures(part)], ()
            pixels = min(pixels, self._budget.frame_pixels)
        if self._omni and len({video.fps for video in videos}) > 1:
            raise ValueError(f"{self._name} takes videos of one rate only: give all of a request's at the same fps")
        pictures = tuple(part.pixels for part in parts if isinstance(part, Picture))
        sounds = tuple(part.samples for part in parts if isinstance(part, Sound))
        content = [
            {"type": _KINDS[type(part)], **({"text": self._harmless(part.text)} if isinstance(part, Text) else {})}
            for part in parts
            if not (interleaved and isinstance(part, Sound))
        ]
        alike: Hashable = (len(pictures), tuple(video.frames.shape for video in videos), len(sounds), pixels)
        if self._rows_may_differ:
            alike = (interleaved, {video.fps for video in videos}.pop() if self._omni and videos else None)
        return Prepared(
            turns=self._turns(request.system, content),
            pictures=pictures,
            videos=videos,
            sounds=sounds,
            pixels=pixels,
            interleaved=interleaved,
            alike=alike,
            length=sum(length(part) for part in parts) + len(request.system) / 4,
        )

    def tensors(self, batch: Sequence[Prepared]) -> dict[str, Any]:
        """What the model is given for requests that are `alike`, padded on the left."""
        # Writing the text first and filling it then, instead of both at once, is the only way to interleave sound.
        texts = [self._written(prepared.turns) for prepared in batch]
        bos = self._tokenizer.bos_token
        words = {"padding": True, "add_special_tokens": not (bos and texts[0].startswith(bos))}
        if not self.sees and not self.hears:
            return dict(self._tokenizer(texts, return_tensors="pt", **words))
        media: dict[str, Any] = {}
        if batch[0].pictures or (self._rows_may_differ and any(prepared.pictures for prepared in batch)):
            media |= {"images": self._pictures_of(batch), "images_kwargs": self._picture_settings(batch)}
        if videos := [video for prepared in batch for video in prepared.videos]:
            media |= {"videos": [video.frames for video in videos], "videos_kwargs": self._video_settings(videos)}
        if sounds := [sound for prepared in batch for sound in prepared.sounds]:
            media |= {"audio": sounds, "audio_kwargs": {"sampling_rate": SOUND_HZ}}
        if batch[0].interleaved:
            media |= {"load_audio_from_video": True, "audio_from_video_indices": list(range(len(sounds)))}
        return dict(self._processor(text=texts, text_kwargs=words, return_tensors="pt", **media))

    def _fitted(self, index: int, part: Part) -> list[Part]:
        where = f"{self._name}: part {index} of the request"
        if isinstance(part, Picture | Video) and not self.sees:
            raise ValueError(f"{where} is to be seen, but this model does not see: leave it out or name another model")
        match part:
            case Picture():
                return [Picture(shrunk(part.pixels[None], self._budget.picture_pixels)[0])]
            case Video():
                if not len(part.frames) or part.fps <= 0:
                    raise ValueError(f"{where} is a video of {len(part.frames)} frames at {part.fps} a second")
                every = math.ceil(len(part.frames) / self._budget.frames)
                video = Video(shrunk(part.frames[::every], self._budget.frame_pixels), part.fps / every)
                # This family numbers frames and does not say when they are seen.
                told = (
                    [Text(f"(A frame every {1 / video.fps:.2f} s.)")]
                    if "InternVL" in type(self._processor).__name__
                    else []
                )
                return [*told, video]
            case Sound():
                return [Sound(self._heard(where, part.samples))]
        return [part]

    def _heard(self, where: str, samples: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        import numpy as np

        if not self.hears:
            raise ValueError(f"{where} is a sound, but this model does not hear: leave it out or name another model")
        longest = self._longest_sound()
        if longest is not None and len(samples) > longest:
            raise ValueError(
                f"{where} is a sound of {len(samples) / SOUND_HZ:.1f} s, but this model hears "
                f"{longest / SOUND_HZ:.0f} s at most: cut it"
            )
        return np.pad(samples.astype(np.float32, copy=False), (0, max(0, SHORTEST_SOUND - len(samples))))

    def _longest_sound(self) -> int | None:
        """Samples behind which the processor would cut off without a word; None where it does not."""
        if getattr(self._processor, "audio_kwargs", {}).get("truncation") is False:
            return None
        if tokens := getattr(self._processor, "audio_seq_length", None):
            return int(tokens * self._processor.audio_ms_per_token * SOUND_HZ // 1000)
        return getattr(self._ears, "n_samples", None)

    def _shows_videos(self, parts: Sequence[Part]) -> bool:
        """Whether videos are given as such. SmolVLM's processor loses pictures that stand beside a video."""
        beside = any(isinstance(part, Picture) for part in parts)
        return self._videos is not None and not (beside and "SmolVLM" in type(self._processor).__name__)

    def _turns(self, system: str, content: list[dict[str, Any]]) -> list[dict[str, Any]]:
        said = [{"role": "system", "content": [{"type": "text", "text": self._harmless(system)}]}] if system else []
        return [*said, {"role": "user", "content": content}]

    def _harmless(self, text: str) -> str:
        """`text` without control tokens: a line of dialogue that says "<image>" must not count as a picture."""
        return self._marks.sub(lambda mark: f"{mark[0][0]} {mark[0][1:]}", text)

    def _written(self, turns: list[dict[str, Any]]) -> str:
        if not self.sees and not self.hears:
            turns = [{**turn, "content": "".join(part["text"] for part in turn["content"])} for turn in turns]
        # Thinking aloud does not fit a grammar that allows the answer only.
        template = self._processor.chat_template
        thinks = {"enable_thinking": False} if "enable_thinking" in str(template) else {}
        written: str = self._processor.apply_chat_template(turns, tokenize=False, add_generation_prompt=True, **thinks)
        return written

    def _pictures_of(self, batch: Sequence[Prepared]) -> list[Any]:
        from PIL import Image

        nested = [[Image.fromarray(pixels) for pixels in prepared.pictures] for prepared in batch]
        return [picture for pictures in nested for picture in pictures] if self._rows_may_differ else nested

    def _picture_settings(self, batch: Sequence[Prepared]) -> dict[str, Any]:
        processor, pixels = self._pictures, batch[0].pixels
        if self._rows_may_differ:
            return {"size": {"shortest_edge": _unit(processor), "longest_edge": max(pixels, _unit(processor))}}
        if hasattr(processor, "max_soft_tokens"):
            one = (processor.patch_size * processor.pooling_kernel_size) ** 2
            return {"max_soft_tokens": max((n for n in GEMMA_PICTURE_TOKENS if n * one <= pixels), default=70)}
        # Other families enlarge a picture until it fills many tiles, each of which costs the same.
        if hasattr(processor, "do_image_splitting"):
            tile = int(processor.max_image_size["longest_edge"])
            longest = max(max(picture.shape) for prepared in batch for picture in prepared.pictures)
            across = max(1, min(math.isqrt(pixels // tile**2), math.ceil(longest / tile)))
            return {"do_image_splitting": across > 1, "size": {"longest_edge": across * tile}}
        if hasattr(processor, "crop_to_patches"):
            tiles = max(1, pixels // (processor.size["height"] * processor.size["width"]))
            return {"crop_to_patches": tiles > 1, "max_patches": tiles}
        return {}

    def _video_settings(self, videos: Sequence[Video]) -> dict[str, Any]:
        settings: dict[str, Any] = {
            "do_sample_frames": False,
            "video_metadata": [metadata(video) for video in videos],
        }
        if self._omni:
            # These families are told the rate, and look at no metadata.
            settings["fps"] = videos[0].fps
        if hasattr(self._videos, "merge_size"):
            pixels = max(self._budget.frame_pixels, _unit(self._videos))
            if hasattr(self._videos, "cap_pixels_per_frame"):
                settings["cap_pixels_per_frame"] = False
            # Qwen3-VL's processor counts the pixels of the whole video, Qwen2-VL's those of a frame.
            if "Qwen3VL" in type(self._videos).__name__:
                pixels *= max(len(video.frames) for video in videos) + 1
            settings["size"] = {"shortest_edge": _unit(self._videos), "longest_edge": pixels}
        return settings


_KINDS = {Text: "text", Picture: "image", Video: "video", Sound: "audio"}


def _marks(processor: Any) -> list[str]:
    """What stands for media in a family's texts; not all of them are special tokens of its tokenizer."""
    found = (getattr(processor, f"{kind}_token", None) for kind in ("image", "video", "audio"))
    return [mark for mark in found if isinstance(mark, str)]


def _unit(processor: Any) -> int:
    """Pixels of one token."""
    return int((processor.patch_size * processor.merge_size) ** 2)
