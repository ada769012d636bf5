"""LTX-2's transformer written out from its formulas: what the product's training step is held against.

One sample, fp32, nothing but torch's own functions: attention as a softmax, every token with a noise level of its own,
no mask, no checkpoint, no peft. Sizes are those of the small model in `tiny`. T tokens, C channels, H heads.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

BLOCKS, HEADS = 2, 2
LONGEST_S, WIDEST = 20, 2048
"""What positions are told in shares of: seconds, and pixels."""


class Formulas:
    """`weights` by the checkpoint's names; `pairs` is the LoRA, (A, B) by module, `scale` its alpha / rank."""

    def __init__(self, weights: dict[str, Tensor], pairs: dict[str, tuple[Tensor, Tensor]], scale: float) -> None:
        self.weights, self.pairs, self.scale = weights, pairs, scale

    def velocities(self, clip, video_TC, sigma_T, words_TC, audio_TC=None, audio_sigma=None, audio_words_TC=None):
        """Those of the video and, where there is any, of the sound; `clip` has the sizes in latents and the fps."""
        video = self.stream("", video_TC, sigma_T, words_TC, video_places(clip))
        if audio_TC is None:
            for number in range(BLOCKS):
                self.alone(number, video)
                self.feed_forward(number, video)
            return self.out(video), None
        steps = len(audio_TC)
        audio = self.stream("audio_", audio_TC, torch.full((steps,), audio_sigma), audio_words_TC, audio_places(steps))
        for number in range(BLOCKS):
            self.alone(number, video)
            self.alone(number, audio)
            self.to_each_other(number, video, audio)
            self.feed_forward(number, video)
            self.feed_forward(number, audio)
        return self.out(video), self.out(audio)

    def stream(self, kind, x, sigma_T, words, places):
        """One modality: its tokens `x`, and what all blocks use of it. `kind` begins its modules' names."""
        cross = "audio" if kind else "video"
        gate = f"av_cross_attn_{cross}_{'v2a' if kind else 'a2v'}_gate"
        hidden = gelu(self.linear(f"{kind}caption_projection.linear_1", words))
        channels = len(self.weights[f"{kind}proj_in.bias"])
        return {
            "kind": kind,
            "x": self.linear(f"{kind}proj_in", x),
            "time": self.time(f"{kind}time_embed", sigma_T),
            "own": self.modulation(f"{kind}time_embed", sigma_T, 6),
            "cross": self.modulation(f"av_cross_attn_{cross}_scale_shift", sigma_T, 4),
            "gate": self.modulation(gate, sigma_T, 1),
            "words": self.linear(f"{kind}caption_projection.linear_2", hidden),
            "turns": angles(places, channels),
            "times": angles(places[:, :1], 16),
        }

    def time(self, name, sigma_T):
        rates = 10000 ** (-torch.arange(128) / 128)
        waves = 1000 * sigma_T[:, None] * rates
        waves = torch.cat([waves.cos(), waves.sin()], -1)
        hidden = functional.silu(self.linear(f"{name}.emb.timestep_embedder.linear_1", waves))
        return self.linear(f"{name}.emb.timestep_embedder.linear_2", hidden)

    def modulation(self, name, sigma_T, count):
        return self.linear(f"{name}.linear", functional.silu(self.time(name, sigma_T))).unflatten(-1, (count, -1))

    # A block, in its three parts.

    def alone(self, number, stream):
        """A modality looks at itself, then at its words."""
        block, kind = f"transformer_blocks.{number}", stream["kind"]
        shift, scale, gate, *_ = self.parts(f"{block}.{kind}scale_shift_table", stream["own"])
        own = rms(stream["x"]) * (1 + scale) + shift
        turns = stream["turns"]
        stream["x"] = stream["x"] + gate * self.attention(f"{block}.{kind}attn1", own, own, turns, turns)
        stream["x"] = stream["x"] + self.attention(f"{block}.{kind}attn2", rms(stream["x"]), stream["words"])

    def to_each_other(self, number, video, audio):
        """Both look at what the other was before either did."""
        block = f"transformer_blocks.{number}"
        seen, said = rms(video["x"]), rms(audio["x"])
        tables = [f"{block}.{kind}_a2v_cross_attn_scale_shift_table" for kind in ("video", "audio")]
        given = [
            (*(self.weights[table][:4] + each["cross"]).unbind(-2), self.weights[table][4] + each["gate"][:, 0])
            for table, each in zip(tables, (video, audio), strict=True)
        ]
        (v_scale, v_shift, v_scale2, v_shift2, v_gate), (a_scale, a_shift, a_scale2, a_shift2, a_gate) = given
        heard = self.attention(
            f"{block}.audio_to_video_attn", seen * (1 + v_scale) + v_shift, said * (1 + a_scale) + a_shift,
            video["times"], audio["times"],
        )  # fmt: skip
        watched = self.attention(
            f"{block}.video_to_audio_attn", said * (1 + a_scale2) + a_shift2, seen * (1 + v_scale2) + v_shift2,
            audio["times"], video["times"],
        )  # fmt: skip
        video["x"], audio["x"] = video["x"] + v_gate * heard, audio["x"] + a_gate * watched

    def feed_forward(self, number, stream):
        block, kind = f"transformer_blocks.{number}", stream["kind"]
        *_, shift, scale, gate = self.parts(f"{block}.{kind}scale_shift_table", stream["own"])
        hidden = gelu(self.linear(f"{block}.{kind}ff.net.0.proj", rms(stream["x"]) * (1 + scale) + shift))
        stream["x"] = stream["x"] + gate * self.linear(f"{block}.{kind}ff.net.2", hidden)

    def out(self, stream):
        kind, x = stream["kind"], stream["x"]
        shift, scale = (self.weights[f"{kind}scale_shift_table"] + stream["time"][:, None]).unbind(-2)
        centred = x - x.mean(-1, keepdim=True)
        normal = centred / (centred.square().mean(-1, keepdim=True) + 1e-6).sqrt()
        return self.linear(f"{kind}proj_out", normal * (1 + scale) + shift)

    # What they are made of.

    def linear(self, name, x):
        found = x @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"]
        if name in self.pairs:
            down, up = self.pairs[name]
            found = found + self.scale * (x @ down.T @ up.T)
        return found

    def parts(self, table, modulation):
        return (self.weights[table] + modulation).unbind(-2)

    def attention(self, name, x, memory, turns=None, memory_turns=None):
        q = rms(self.linear(f"{name}.to_q", x)) * self.weights[f"{name}.norm_q.weight"]
        k = rms(self.linear(f"{name}.to_k", memory)) * self.weights[f"{name}.norm_k.weight"]
        q, k, v = (each.unflatten(-1, (HEADS, -1)) for each in (q, k, self.linear(f"{name}.to_v", memory)))
        if turns is not None:
            q, k = turned(q, turns), turned(k, memory_turns)
        share = (torch.einsum("qhc,khc->hqk", q, k) / math.sqrt(q.shape[-1])).softmax(-1)
        return self.linear(f"{name}.to_out.0", torch.einsum("hqk,khc->qhc", share, v).flatten(1))


def rms(x):
    return x / (x.square().mean(-1, keepdim=True) + 1e-6).sqrt()


def gelu(x):
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


# Where a token is: the middle of what it stands for. A first frame stands for one picture, all others for eight; a
# first step of sound for one step of the mel, all others for four.


def video_places(clip):
    """(T, 3): seconds, rows and columns of pixels, in shares."""
    frame = torch.arange(clip.frames + 1).float()
    borders = (8 * frame - 7).clamp(min=0) / clip.fps
    seconds = (borders[:-1] + borders[1:]) / 2 / LONGEST_S
    rows, columns = ((32 * torch.arange(n).float() + 16) / WIDEST for n in (clip.height, clip.width))
    return torch.stack(torch.meshgrid(seconds, rows, columns, indexing="ij"), -1).flatten(0, 2)


def audio_places(steps):
    borders = (4 * torch.arange(steps + 1).float() - 3).clamp(min=0) * 160 / 16000
    return ((borders[:-1] + borders[1:]) / 2 / LONGEST_S)[:, None]


def angles(places, channels):
    """(T, H, channels / H / 2): by frequency first, then by axis; what they leave over in front turns by nothing."""
    count = channels // (2 * places.shape[1])
    # The products are fp32, as the model learnt them: at the last frequency that rounds to thousandths of a radian.
    rates = (10000 ** torch.linspace(0, 1, count, dtype=torch.float64) * math.pi / 2).float()
    found = ((2 * places[:, None] - 1) * rates[:, None]).flatten(1)
    return functional.pad(found, (channels // 2 - found.shape[1], 0)).unflatten(-1, (HEADS, -1))


def turned(x, turns):
    """The first half of a head's channels is turned with the second."""
    one, other = x.chunk(2, -1)
    return torch.cat([one * turns.cos() - other * turns.sin(), other * turns.cos() + one * turns.sin()], -1)
