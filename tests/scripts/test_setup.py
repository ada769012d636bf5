"""`make setup` on small environments: made once, shared, never left half-made, and always running the clone's code."""

import base64
import hashlib
import importlib.util
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "setup.py"
ENSURE = """
import pathlib, runpy, sys
script, cache, name, lock = sys.argv[1:]
runpy.run_path(script)["ensure"](pathlib.Path(cache), name, pathlib.Path(lock))
"""


def script():
    spec = importlib.util.spec_from_file_location("dailies_setup", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


setup = script()


@pytest.fixture(autouse=True, scope="module")
def _no_index(tmp_path_factory):
    """pip finds the test's own wheels and asks nobody else."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIP_CONFIG_FILE", os.devnull)
        patch.setenv("PIP_NO_INDEX", "1")
        patch.setenv("PIP_FIND_LINKS", str(tmp_path_factory.mktemp("shelf")))
        yield


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """One cache for all tests here, as one user has: an environment takes seconds to make."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def lock(tmp_path_factory, _no_index):
    return lock_of(tmp_path_factory.mktemp("locks"))


@pytest.fixture
def made(cache, lock):
    return setup.ensure(cache, "tiny", lock)


def lock_of(folder, name="tiny", version="1.0", hash_=None):
    """A wheel on the shelf, with a .pth file of its own as setuptools has, and a lock file that pins it."""
    wheel = Path(os.environ["PIP_FIND_LINKS"]) / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": f"VERSION = {version!r}\n",
        f"{name}.pth": f"import sys; sys.{name}_pth_was_read = True\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    digests = {n: base64.urlsafe_b64encode(hashlib.sha256(t.encode()).digest()).rstrip(b"=") for n, t in files.items()}
    record = "".join(f"{n},sha256={d.decode()},{len(files[n])}\n" for n, d in digests.items())
    if not wheel.exists():
        with zipfile.ZipFile(wheel, "w") as archive:
            for each, text in {**files, f"{info}/RECORD": f"{record}{info}/RECORD,,\n"}.items():
                archive.writestr(each, text)
    digest = hash_ or hashlib.sha256(wheel.read_bytes()).hexdigest()
    lock = folder / f"{name}-{version}.lock"
    lock.write_text(f"{name}=={version} \\\n    --hash=sha256:{digest}\n")
    return lock


def clone_at(folder):
    """A checkout with a `dailies` that says where its code is and what it finds."""
    (folder / "pipeline").mkdir(parents=True)
    (folder / "pipeline" / "__init__.py").touch()
    (folder / "pipeline" / "__main__.py").write_text(
        "import sys, tiny\n"
        "def main():\n"
        "    print(__file__, tiny.VERSION, sys.tiny_pth_was_read, *sys.argv[1:], sep='|')\n"
    )
    return folder


def test_a_lock_is_installed_once_and_found_again(cache, lock, made, capsys):
    assert setup.is_complete(made)
    assert setup.ensure(cache, "tiny", lock) == made
    assert capsys.readouterr().out == ""


def test_a_changed_lock_is_another_environment_and_prune_keeps_the_right_one(cache, made, tmp_path):
    new = setup.ensure(cache, "tiny", lock_of(tmp_path, version="2.0"))
    assert new != made
    setup.prune(cache, keep=[made])
    assert (made.exists(), new.exists()) == (True, False)


def test_a_changed_comment_in_a_lock_is_the_same_environment(lock, tmp_path):
    commented = tmp_path / "commented.lock"
    commented.write_text("# made by hand\n" + lock.read_text() + "    # via somebody\n")
    assert setup.digest_of(commented) == setup.digest_of(lock)


def test_what_a_killed_setup_left_is_made_again(cache, lock, made):
    (made / setup.MARKER).unlink()
    (setup.packages_of(made) / "tiny.py").unlink()
    assert setup.ensure(cache, "tiny", lock) == made
    assert (setup.packages_of(made) / "tiny.py").exists()


def test_an_environment_whose_python_is_gone_is_not_taken_for_complete(made):
    python = setup.python_of(made)
    target = python.readlink()
    python.unlink()
    python.symlink_to("/nowhere/python")
    assert not setup.is_complete(made)
    python.unlink()
    python.symlink_to(target)
    assert setup.is_complete(made)


def test_two_setups_at_once_make_one_environment(lock, tmp_path):
    command = [sys.executable, "-c", ENSURE, SCRIPT, tmp_path / "cache", "tiny", lock]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sum("installed tiny" in each for each in said) == 1
    assert sum("waiting" in each for each in said) == 1


def test_a_package_with_another_hash_stops_the_setup(tmp_path, capsys):
    lock = lock_of(tmp_path, version="3.0", hash_="0" * 64)
    with pytest.raises(SystemExit, match="pip could not install"):
        setup.ensure(tmp_path / "cache", "tiny", lock)
    assert "DO NOT MATCH THE HASHES" in capsys.readouterr().out


def test_two_builds_of_cv2_in_one_environment_are_refused(tmp_path):
    for name in ("opencv_python-5.0.0", "opencv_python_headless-4.12.0"):
        (setup.packages_of(tmp_path) / f"{name}.dist-info").mkdir(parents=True)
    with pytest.raises(SystemExit, match="2 builds of cv2"):
        setup.check_one_cv2(tmp_path)


def test_each_clone_runs_its_own_code_on_the_shared_packages(made, tmp_path):
    for name in ("one", "a clone with spaces"):
        clone = clone_at(tmp_path / name)
        setup.link_project(clone, made)
        command = [clone / ".venv/bin/dailies", "run"]
        said = subprocess.run(command, cwd="/", capture_output=True, text=True, check=True).stdout
        assert said.strip() == f"{clone}/pipeline/__main__.py|1.0|True|run"
        activated = ["bash", "-c", ". .venv/bin/activate && command -v dailies"]
        said = subprocess.run(activated, cwd=clone, capture_output=True, text=True, check=True).stdout
        assert said.strip() == f"{clone}/.venv/bin/dailies"


def test_a_linked_clone_stays_as_it_is_until_its_environment_is_another(made, tmp_path):
    clone = clone_at(tmp_path / "clone")
    setup.link_project(clone, made)
    before = (clone / ".venv").stat().st_ino
    setup.link_project(clone, made)
    assert (clone / ".venv").stat().st_ino == before
    other = made.with_name("other")
    other.symlink_to(made)
    setup.link_project(clone, other)
    assert (clone / ".venv/made-from").read_text().startswith(str(other))
    assert [path.name for path in clone.glob(".venv*")] == [".venv"]


def test_an_unsupported_python_is_refused_with_the_remedy(monkeypatch):
    monkeypatch.setattr(setup.sys, "version_info", (3, 14, 0))
    with pytest.raises(SystemExit, match=r"Dailies needs 3\.11 or 3\.12: make PYTHON="):
        setup.check_python()


def test_the_cache_is_where_the_environment_says(monkeypatch, tmp_path):
    monkeypatch.setenv("DAILIES_CACHE", str(tmp_path))
    assert setup.cache_folder() == tmp_path.resolve() / "venvs"
    monkeypatch.delenv("DAILIES_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert setup.cache_folder() == tmp_path.resolve() / "dailies" / "venvs"


def test_a_package_that_only_brings_weights_needs_nothing():
    told = (
        "Resemblyzer 0.1.4 requires librosa, which is not installed.\nfoo 1.0 requires bar, which is not installed.\n"
    )
    assert setup.unmet(told) == ["foo 1.0 requires bar, which is not installed."]


def test_without_cuda_torch_comes_from_its_own_index_and_what_only_cuda_needs_stays_away(cache, tmp_path):
    shelf = [lock_of(tmp_path, name, "1.0").read_text() for name in ("torch", "plain")]
    lock = tmp_path / "requirements.lock"
    missing = "nvidia-cublas==13.1 ; sys_platform == 'linux' \\\n    --hash=sha256:00\n    # via torch\n"
    lock.write_text("# made by hand\n" + shelf[1] + missing + shelf[0])
    made = setup.ensure(cache, "some", lock, cpu=True)
    assert made.name.startswith("some-cpu-3.")
    assert all((setup.packages_of(made) / f"{name}.py").exists() for name in ("torch", "plain"))


def test_the_locks_packages_without_cuda():
    text = (SCRIPT.parents[1] / "requirements.lock").read_text()
    kept, elsewhere = setup.without_cuda(text)
    assert [pin.partition("==")[0] for pin in elsewhere] == ["torch", "torchvision"]
    assert "nvidia-ml-py==" in kept
    assert not any(name in kept for name in ("nvidia-cublas==", "cuda-toolkit==", "\ntorch=="))


def test_a_host_gets_a_link_to_the_packages_and_nothing_else(cache, made, lock, tmp_path, monkeypatch):
    monkeypatch.setattr(setup, "cache_folder", lambda: cache)
    monkeypatch.setattr(setup, "CLONE", lock.parent)
    monkeypatch.setattr(setup, "PROJECT", setup.Environment("tiny", lock.name, ".venv"))
    setup.main(["--link", str(tmp_path / "host" / "env")])
    assert (tmp_path / "host" / "env").readlink() == made
    assert not (lock.parent / ".venv").exists()
