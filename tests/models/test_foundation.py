"""Where a model in diffusers' layout comes from: made here, a folder, the hub."""

import json
from pathlib import Path

import pytest

from pipeline.models import foundation, hub
from pipeline.models.foundation import folder_of
from pipeline.schemas.weights import Foundation


def build(folder: Path) -> None:
    """Stands for a builder of tiny models; it counts how often it is asked."""
    asked.append(folder)
    laid_out(folder)


asked: list[Path] = []


def laid_out(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    index = {"_class_name": "P", "vae": ["diffusers", "V"], "scheduler": ["diffusers", "S"], "extra": [None, None]}
    (folder / "model_index.json").write_text(json.dumps(index))
    for component in ("vae", "transformer"):
        (folder / component).mkdir()
        (folder / component / "config.json").write_text("{}")
        (folder / component / "diffusion_pytorch_model.safetensors").write_bytes(b"weights")
    (folder / "scheduler").mkdir()
    (folder / "scheduler" / "scheduler_config.json").write_text("{}")
    return folder


def test_a_tiny_model_is_made_once_and_whole(work):
    asked.clear()
    base = Foundation(model="any/name", profile="tiny")
    folder = folder_of(base, work, build)
    assert folder_of(base, work, build) == folder
    assert len(asked) == 1
    assert folder.is_relative_to(work.cache)
    assert list(folder.parent.iterdir()) == [folder]


def test_a_tiny_model_has_nothing_to_pin():
    base = Foundation(model="./anything", profile="tiny")
    assert base.folder() is None
    assert base.repository() is None


def test_a_folder_of_the_user_s_is_taken_as_it_is(work, tmp_path):
    folder = laid_out(tmp_path / "mine")
    assert folder_of(Foundation(model=str(folder)), work, build) == folder


@pytest.mark.parametrize(
    ("gone", "wanted", "says"),
    [
        ("model_index.json", (), "there is no model_index.json in .*name a folder in diffusers' layout"),
        ("vae/config.json", (), "lacks vae, or their weights are not whole"),
        ("vae/diffusion_pytorch_model.safetensors", ("vae",), "lacks vae, or"),
        ("scheduler/scheduler_config.json", (), "lacks scheduler, or"),
    ],
)
def test_a_folder_that_lacks_something_says_what(work, tmp_path, gone, wanted, says):
    folder = laid_out(tmp_path / "mine")
    (folder / gone).unlink()
    with pytest.raises(ValueError, match=says):
        folder_of(Foundation(model=str(folder)), work, build, wanted)


def test_what_is_not_wanted_may_lack(work, tmp_path):
    folder = laid_out(tmp_path / "mine")
    (folder / "vae" / "config.json").unlink()
    assert folder_of(Foundation(model=str(folder)), work, build, ("transformer",)) == folder


def test_a_folder_that_is_not_there_is_named(work, tmp_path):
    with pytest.raises(ValueError, match=r"there is no folder .*/nowhere"):
        folder_of(Foundation(model=str(tmp_path / "nowhere")), work, build)


def test_a_model_of_the_hub_that_is_not_pinned_says_what_to_do(work):
    with pytest.raises(ValueError, match=r'is not pinned.*connect to it once.*profile = "tiny"'):
        folder_of(Foundation(model="Lightricks/LTX-2"), work, build)


def test_of_a_model_on_the_hub_only_the_wanted_components_are_downloaded(work, tmp_path, monkeypatch):
    """Against the hub's own client, whose download is recorded and answered from a folder."""
    import huggingface_hub
    from huggingface_hub.errors import LocalEntryNotFoundError

    there, calls = laid_out(tmp_path / "there"), []

    def download(repository, *, revision, local_files_only=False, allow_patterns=None, ignore_patterns=None):
        if local_files_only:
            raise LocalEntryNotFoundError("not in the cache")
        calls.append((repository, revision, allow_patterns))
        return str(there)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    base = Foundation(model="Lightricks/LTX-2", revision="a" * 40)
    assert folder_of(base, work, build, ("vae", "scheduler")) == there
    assert calls == [("Lightricks/LTX-2", "a" * 40, ["model_index.json", "scheduler/*", "vae/*"])]
    with pytest.raises(ValueError, match="no model in diffusers' layout that can be loaded: it lacks vocoder"):
        folder_of(base, work, build, ("vae", "vocoder"))


def test_a_download_that_was_broken_off_is_not_whole(tmp_path):
    folder = laid_out(tmp_path / "mine")
    index = {"weight_map": {"a": "diffusion_pytorch_model.safetensors", "b": "part-2.safetensors"}}
    (folder / "vae" / "diffusion_pytorch_model.safetensors.index.json").write_text(json.dumps(index))
    assert hub.lacking(folder, ("vae", "transformer")) == "vae"


def test_the_components_are_those_that_the_index_names(tmp_path):
    assert foundation.listed(laid_out(tmp_path / "mine")) == ["vae", "scheduler"]
