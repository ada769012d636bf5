import json

import numpy as np
import pytest

from pipeline.media import audio
from pipeline.models import voiceprints, weights
from pipeline.schemas.timeline import Span, Word

RATE = voiceprints.SAMPLE_RATE_HZ


@pytest.fixture(scope="module")
def listen(tmp_path_factory):
    """The packaged model, loaded as the step loads it."""
    if missing := weights.missing(voiceprints.PACKAGED[voiceprints.GE2E]):
        pytest.skip(f"needs {' '.join(missing)}")
    with voiceprints.listening(voiceprints.GE2E, None, tmp_path_factory.mktemp("cache")) as function:
        yield function


@pytest.fixture(scope="module")
def sound(spies):
    return audio.decode_mono(spies / "episodes" / "s01e01.mp4")


@pytest.fixture(scope="module")
def lines(spies):
    truth = json.loads((spies / "truth" / "s01e01.truth.json").read_text())
    return {line["id"]: (line["speaker"], Span(start=line["start"], end=line["end"])) for line in truth["lines"]}


def word(start, end):
    return Word(text="word", span=Span(start=start, end=end), probability=1)


def test_the_voice_model_and_the_decoder_of_sound_mean_the_same_samples():
    assert voiceprints.SAMPLE_RATE_HZ == audio.SAMPLE_RATE_HZ


def test_pauses_are_not_part_of_a_voice():
    words = [word(0.02, 0.5), word(0.6, 1.0), word(2.0, 2.5), word(2.4, 2.45)]
    assert voiceprints.spoken(words) == [Span(start=0, end=1.05), Span(start=1.95, end=2.55)]


@pytest.mark.parametrize("samples", [np.zeros(RATE, dtype=np.float32), np.ones(RATE // 5, dtype=np.float32)])
def test_silence_and_a_click_have_no_voice(samples):
    def never(_):
        raise AssertionError

    found = voiceprints.voiceprint("e@0", samples, [Span(start=0, end=1)], never)
    assert (found.vector, found.steadiness) == ((), None)


def test_a_package_that_is_missing_is_named_with_the_command_that_leaves_its_needs_out(tmp_path, monkeypatch):
    monkeypatch.setattr(weights, "find_spec", lambda _: None)
    with (
        pytest.raises(ValueError, match=r"run `pip install --no-deps Resemblyzer==0\.1\.4`"),
        voiceprints.listening(voiceprints.GE2E, None, tmp_path),
    ):
        pass


def test_a_packaged_model_has_no_revision(tmp_path):
    with (
        pytest.raises(ValueError, match="'ge2e' comes in a package and has no revisions"),
        voiceprints.listening(voiceprints.GE2E, "main", tmp_path),
    ):
        pass


@pytest.mark.weights
def test_a_voice_is_more_like_itself_than_like_any_other(listen, sound, lines):
    chosen = {name: lines[name] for name in ("l01", "l07", "l06", "l14", "l09", "l11", "l02", "l13")}
    found = {name: voiceprints.voiceprint(name, sound, [span], listen).vector for name, (_, span) in chosen.items()}
    for name, (speaker, _) in chosen.items():
        others = sorted(chosen, key=lambda other: -np.dot(found[name], found[other]))
        assert chosen[others[1]][0] == speaker, (name, others)


@pytest.mark.weights
def test_a_line_of_two_voices_is_unsteady(listen, sound, lines):
    reyes, pryce = lines["l07"][1], lines["l13"][1]
    whole = voiceprints.voiceprint("one", sound, [pryce], listen)
    mixed = voiceprints.voiceprint("two", sound, [reyes, pryce], listen)
    assert whole.steadiness > 0.75
    assert mixed.steadiness < 0.6


@pytest.mark.weights
def test_a_short_line_sounds_like_its_voice_and_loudness_does_not_matter(listen, sound, lines):
    speaker, span = lines["l06"]
    long = voiceprints.voiceprint("long", sound, [span], listen).vector
    short = voiceprints.voiceprint("short", sound, [Span(start=span.start, end=span.start + 0.9)], listen).vector
    quiet = voiceprints.voiceprint("quiet", sound * np.float32(0.02), [span], listen).vector
    other = voiceprints.voiceprint("other", sound, [lines["l13"][1]], listen).vector
    assert np.dot(long, short) > np.dot(long, other) + 0.1, speaker
    assert np.dot(long, quiet) > 0.99


@pytest.mark.weights
def test_listening_twice_gives_the_same_bytes(listen, sound, lines):
    def once():
        return voiceprints.voiceprint("l01", sound, [lines["l01"][1]], listen).model_dump_json()

    assert once() == once()


@pytest.mark.parametrize("family", ["WavLM", "Wav2Vec2"])
def test_a_model_with_an_xvector_head_is_loaded_from_its_folder(family, sound, lines, tmp_path):
    import torch
    import transformers

    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    convolutions = {"conv_dim": (8, 8), "conv_stride": (5, 4), "conv_kernel": (10, 8), "num_feat_extract_layers": 2}
    heads = {"tdnn_dim": (8, 8), "tdnn_dilation": (1, 1), "tdnn_kernel": (5, 1), "xvector_output_dim": 6}
    positions = {"num_conv_pos_embeddings": 4, "num_conv_pos_embedding_groups": 2}
    config = getattr(transformers, f"{family}Config")(**sizes, **convolutions, **heads, **positions)
    getattr(transformers, f"{family}ForXVector")(config).save_pretrained(tmp_path)
    transformers.Wav2Vec2FeatureExtractor().save_pretrained(tmp_path)
    with voiceprints.listening(str(tmp_path), "sha256:whatever", tmp_path) as listen:
        found = voiceprints.voiceprint("l01", sound, [lines["l01"][1]], listen)
    assert len(found.vector) == 6
    assert np.linalg.norm(found.vector) == pytest.approx(1, abs=1e-3)
    assert found.steadiness is not None  # 4.9 s are two stretches


def test_a_folder_without_a_model_is_refused_with_the_remedy(tmp_path):
    with (
        pytest.raises(ValueError, match="name a model with an x-vector head"),
        voiceprints.listening(str(tmp_path), None, tmp_path),
    ):
        pass
