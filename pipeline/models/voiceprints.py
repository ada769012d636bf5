"""How a voice sounds, as a direction in space: speaker embeddings of stretches of speech.

Two kinds of models: GE2E (Wan, Wang, Papir and Lopez Moreno, "Generalized end-to-end loss for speaker verification",
ICASSP 2018), whose weights come in a Python package, and any x-vector head that transformers knows, from the hub or a
folder.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from pipeline.models.weights import Content, Packaged, assemble
from pipeline.schemas.timeline import Span, Word
from pipeline.schemas.voices import Voiceprint
from pipeline.schemas.weights import FOLDER

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    Samples: TypeAlias = NDArray[np.float32]
    Vectors: TypeAlias = NDArray[np.float32]
    Listen: TypeAlias = Callable[[Samples], Vectors]
    """From speech of any length, (samples,) in [-1, 1], to a unit vector for each stretch of it, in order:
    (stretches, dimensions)."""

SAMPLE_RATE_HZ = 16_000

GE2E = "ge2e"
PACKAGED = {
    # Resemblyzer's weights (Apache-2.0), as published on PyPI in version 0.1.4. The package's own code is not used: it
    # asks for librosa, a C compiler, and a `typing` that hides the standard library's.
    GE2E: Packaged(
        packages={"Resemblyzer": "0.1.4"},
        files={
            "pretrained.pt": Content(
                (("resemblyzer", "pretrained.pt"),),
                17_090_379,
                "39373b86598fa3da9fcddee6142382efe09777e8d37dc9c0561f41f0070f134e",
            )
        },
        needless=True,
    ),
}

WINDOW_FRAMES, HOP, FFT = 160, 160, 400
"""GE2E hears 1.6 s at once: frames of 25 ms every 10 ms in 40 mel bands (section 3.1 of the paper)."""
STEP_FRAMES = 80
"""Windows overlap by half, as in the paper's section 3.2."""
LOUDNESS = 10 ** (-23 / 20)
"""Root mean square that all speech is brought to, as on air (EBU R 128). The model's mel bands are not logarithmic: a
whisper and a shout of one person would be two voices. Its authors only raise what is quieter than -30 dB; film and reel
are grouped worse that way (benchmarks/speakers.py)."""
SILENCE = 1e-4
"""Root mean square below which there is nothing to hear: 3 steps of 16 bits."""

XVECTOR_SECONDS = 3.0
"""Stretches that x-vectors are made of: what their verification heads were trained on (Yang et al. 2021, SUPERB)."""

PAUSE_SECONDS = 0.4
EDGE_SECONDS = 0.05
"""Pauses within a line longer than this are not its voice; words' times are good to about this."""
SHORTEST_SECONDS = 0.3
"""Less speech than a syllable or two says nothing about whose it is."""


def spoken(words: Sequence[Word]) -> list[Span]:
    """Where a line's words sound, without the pauses between them."""
    found: list[tuple[float, float]] = []
    for word in words:
        start, end = max(0.0, word.span.start - EDGE_SECONDS), word.span.end + EDGE_SECONDS
        if found and start - found[-1][1] <= PAUSE_SECONDS:
            start, end = found[-1][0], max(end, found.pop()[1])
        found.append((start, end))
    return [Span(start=round(start, 3), end=round(end, 3)) for start, end in found]


def voiceprint(segment: str, samples: Samples, spans: Sequence[Span], listen: Listen) -> Voiceprint:
    """The voice of one line, by the sound of its `spans` in the episode's `samples`."""
    import numpy as np

    pieces = [samples[round(s.start * SAMPLE_RATE_HZ) : round(s.end * SAMPLE_RATE_HZ)] for s in spans]
    speech = np.concatenate([*pieces, np.zeros(0, dtype=np.float32)])
    seconds = round(len(speech) / SAMPLE_RATE_HZ, 3)
    if seconds < SHORTEST_SECONDS or np.sqrt(np.mean(np.square(speech, dtype=np.float64))) < SILENCE:
        return Voiceprint(segment=segment, seconds=seconds)
    stretches = listen(speech)
    mean = stretches.mean(axis=0)
    # Rounded, so that another processor's last bit does not make the record another one.
    vector = tuple(round(float(x), 4) for x in mean / np.linalg.norm(mean))
    steadiness = float((stretches @ stretches.T).min()) if len(stretches) > 1 else None
    return Voiceprint(
        segment=segment,
        seconds=seconds,
        vector=vector,
        steadiness=None if steadiness is None else round(max(-1.0, min(1.0, steadiness)), 3),
    )


@contextmanager
def listening(model: str, revision: str | None, cache: Path) -> Iterator[Listen]:
    """Load a model by its name in PACKAGED, a path, or its name on the hub.

    Raises ValueError where it cannot be had.
    """
    import torch

    if model in PACKAGED:
        if revision is not None:
            raise ValueError(f"voice model {model!r} comes in a package and has no revisions: take out `revision`")
        file = assemble(model, PACKAGED[model], cache) / "pretrained.pt"
        state = torch.load(file, map_location="cpu", weights_only=True)["model_state"]
        yield ge2e(state)
    else:
        yield xvector(model, revision)


def ge2e(state: dict[str, Tensor]) -> Listen:
    """GE2E's network with the weights `state` (its shapes decide the layers' sizes)."""
    import torch
    from transformers.audio_utils import mel_filter_bank

    hidden, mels = state["lstm.weight_hh_l0"].shape[1], state["lstm.weight_ih_l0"].shape[1]
    layers = sum(name.startswith("lstm.weight_ih_l") for name in state)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    lstm = torch.nn.LSTM(mels, hidden, layers, batch_first=True)
    linear = torch.nn.Linear(hidden, state["linear.weight"].shape[0])
    for name, module in (("lstm.", lstm), ("linear.", linear)):
        module.load_state_dict({key.removeprefix(name): value for key, value in state.items() if key.startswith(name)})
        module.to(device).eval()
    filters = mel_filter_bank(
        FFT // 2 + 1, mels, 0.0, SAMPLE_RATE_HZ / 2, SAMPLE_RATE_HZ, norm="slaney", mel_scale="slaney"
    )
    mel, hann = torch.tensor(filters, dtype=torch.float32, device=device), torch.hann_window(FFT, device=device)

    def listen(samples: Samples) -> Vectors:
        with torch.inference_mode(), _one_thread():
            waveform = torch.from_numpy(_filled(_levelled(samples), WINDOW_FRAMES * HOP)).to(device)
            spectrum = torch.stft(waveform, FFT, HOP, window=hann, pad_mode="constant", return_complex=True)
            bands = spectrum.abs().square().T @ mel  # (frames, mel bands)
            windows = torch.stack([bands[at : at + WINDOW_FRAMES] for at in _starts(len(bands))])
            _, (states, _) = lstm(windows)  # (layers, windows, numbers): what each layer knows after the last frame
            return torch.nn.functional.normalize(torch.relu(linear(states[-1])), dim=1).cpu().numpy()

    return listen


def xvector(model: str, revision: str | None) -> Listen:
    """A model with an x-vector head (Wav2Vec2, WavLM, UniSpeech-SAT, Data2Vec ...) from the hub or a folder."""
    import torch
    from transformers import AutoFeatureExtractor, AutoModelForAudioXVector

    # A folder's revision is the digest of its files, which no loader knows.
    commit = None if model.startswith(FOLDER) else revision
    try:
        prepare = AutoFeatureExtractor.from_pretrained(model, revision=commit)  # type: ignore[no-untyped-call]
        network = AutoModelForAudioXVector.from_pretrained(model, revision=commit)
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ValueError(
            f"the voice model {model!r} cannot be loaded ({reason}): name a model with an x-vector head on the hub or "
            f"in a folder, or set `model` to {GE2E!r}, which comes in a Python package"
        ) from error
    device = "cuda" if torch.cuda.is_available() else "cpu"
    network = network.to(device).eval()

    def listen(samples: Samples) -> Vectors:
        size = round(XVECTOR_SECONDS * SAMPLE_RATE_HZ)
        pieces = [samples[at : at + size] for at in range(0, max(1, len(samples) - size // 2), size)]
        with torch.inference_mode():
            rows = [network(**_prepared(prepare, piece, device)).embeddings for piece in pieces]
            return torch.nn.functional.normalize(torch.cat(rows).float(), dim=1).cpu().numpy()

    return listen


@contextmanager
def _one_thread() -> Iterator[None]:
    """An LSTM this small is done before a second thread has woken: on a busy machine two take ten times as long."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _prepared(prepare: Callable[..., Any], samples: Samples, device: str) -> Any:
    filled = _filled(samples, SAMPLE_RATE_HZ)
    return prepare(filled, sampling_rate=SAMPLE_RATE_HZ, return_tensors="pt").to(device)


def _levelled(samples: Samples) -> Samples:
    import numpy as np

    level = float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))
    return samples * np.float32(LOUDNESS / max(level, SILENCE))


def _filled(samples: Samples, least: int) -> Samples:
    """Speech shorter than `least` samples again and again until it is as long: silence would not sound like anybody."""
    import numpy as np

    return np.tile(samples, -(-least // len(samples)))[:least] if len(samples) < least else samples


def _starts(frames: int) -> list[int]:
    """First frames of windows spread evenly from the first to the last of `frames`."""
    last = frames - WINDOW_FRAMES
    count = max(1, round(last / STEP_FRAMES) + 1)
    return [round(index * last / max(1, count - 1)) for index in range(count)]


def identity(model: str, revision: str | None) -> str:
    return f"{model}@{revision}" if revision else model
