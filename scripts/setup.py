"""Makes this clone's two environments from the lock files; needs only Python 3.11 or 3.12 with venv and pip.

The heavy part, an environment with all packages, lies in a cache outside the clone and is named by its lock
file, so that a second clone, or a branch with the same lock, is ready within seconds. The clone's own `.venv` is
thin: it finds packages in the cached environment and code in the clone. Label Studio's server pins many
libraries tightly and runs none of our code, so it has an environment of its own.
"""

import argparse
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import NamedTuple

CLONE = Path(__file__).resolve().parents[1]
SUPPORTED = ((3, 11), (3, 12))
FILES_ONLY = {"resemblyzer"}  # weights in a wheel: pyproject.toml says why what it needs is left out
MARKER = "complete.json"  # written last: an environment without it was killed half-way and is made again

# A script that the shell and Python both read: unlike a `#!/path/to/python` line it may lie under a long path
# or one with spaces, and it may be moved.
COMMAND = """\
#!/bin/sh
'''exec' "$(dirname -- "$(realpath -- "$0")")/python" "$0" "$@"
' '''
import sys

from pipeline.__main__ import main

sys.exit(main())
"""


class Environment(NamedTuple):
    """One environment: its name in the cache, its lock file, and the link to it in the clone."""

    name: str
    lock: str
    link: str


PROJECT = Environment("dailies", "requirements.lock", ".venv")
LABEL_STUDIO = Environment("label-studio", "requirements-label-studio.lock", ".venv-label-studio")
BOTH = (PROJECT, LABEL_STUDIO)

# Where PyTorch keeps its builds without CUDA; PyPI has only those with it. The lock pins their versions, not their
# hashes, which are of other files.
CPU_WHEELS = "https://download.pytorch.org/whl/cpu"
CPU_BUILDS = {"torch", "torchvision"}
CUDA_ONLY = re.compile(r"cuda-|nvidia-(?!ml-py)")  # nvidia-ml-py asks the driver, and says where there is none.


def main(arguments: list[str] | None = None) -> None:
    """Make or reuse both environments. Raises SystemExit with one line that says what to do if it cannot."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--cache-only", action="store_true", help="fill the cache, put nothing into the clone")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--prune", action="store_true", help="delete cached environments of other lock files")
    which.add_argument("--only", choices=[each.name for each in BOTH], help="this environment and not the other")
    which.add_argument("--link", type=Path, help="only the packages, linked at this path: for a host without the code")
    parser.add_argument("--cpu", action="store_true", help="PyTorch's builds without CUDA: 4 GB less, and no GPU")
    options = parser.parse_args(arguments)
    check_python()
    began = time.monotonic()
    cache = cache_folder()
    if options.link:
        link = options.link.expanduser()
        link.parent.mkdir(parents=True, exist_ok=True)
        link_folder(link, ensure(cache, PROJECT.name, CLONE / PROJECT.lock, cpu=options.cpu))
        say(f"ready in {time.monotonic() - began:.0f} s: {link}")
        return
    wanted = [each for each in BOTH if options.only in (None, each.name)]
    cached = {each: ensure(cache, each.name, CLONE / each.lock, cpu=options.cpu) for each in wanted}
    if options.prune:
        prune(cache, keep=list(cached.values()))
    if options.cache_only:
        return
    if PROJECT in cached:
        link_project(CLONE, cached[PROJECT])
    if LABEL_STUDIO in cached:
        link_folder(CLONE / LABEL_STUDIO.link, cached[LABEL_STUDIO])
    say(f"ready in {time.monotonic() - began:.0f} s: {' and '.join(f'{each.link}/bin' for each in cached)}")


def check_python() -> None:
    version = sys.version_info[:2]
    if version not in SUPPORTED:
        wanted = " or ".join(f"{major}.{minor}" for major, minor in SUPPORTED)
        stop(f"this is Python {version[0]}.{version[1]}; Dailies needs {wanted}: make PYTHON=python3.11 setup")


def cache_folder() -> Path:
    """Where environments are kept. `DAILIES_CACHE` moves it, for example to a larger disk."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("DAILIES_CACHE") or Path(home) / "dailies").expanduser().resolve() / "venvs"


def ensure(cache: Path, name: str, lock: Path, *, cpu: bool = False) -> Path:
    """The complete cached environment of a lock file; made if there is none. Safe to call twice at once."""
    cpu = cpu and bool(without_cuda(lock.read_text(encoding="utf-8"))[1])
    folder = cache / f"{name}{'-cpu' * cpu}-{sysconfig.get_python_version()}-{digest_of(lock)}"
    if is_complete(folder):
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    with exclusive(cache / f".{folder.name}.lock"):
        if not is_complete(folder):  # another setup may have made it while this one waited
            build(folder, lock, cpu=cpu)
    return folder


def digest_of(lock: Path) -> str:
    """What the lock installs, in twelve digits; its comments, which say who wants a package, do not count."""
    lines = lock.read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if not line.lstrip().startswith("#")]
    return hashlib.sha256("\n".join(pins).encode()).hexdigest()[:12]


def is_complete(folder: Path) -> bool:
    """Whether the environment was finished and its Python still runs (the system's own may have gone)."""
    return (folder / MARKER).is_file() and runs(folder)


def runs(folder: Path) -> bool:
    python = python_of(folder)
    return python.exists() and not subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode


def build(folder: Path, lock: Path, *, cpu: bool = False) -> None:
    """Install a lock file into a new environment.

    It is built where it will stay, since an environment's scripts hold its path and it cannot be renamed;
    nobody looks at it before the marker is there.
    """
    shutil.rmtree(folder, ignore_errors=True)
    text = lock.read_text(encoding="utf-8")
    text, elsewhere = without_cuda(text) if cpu else (text, [])
    count = sum("==" in line for line in text.splitlines()) + len(elsewhere)
    log = folder.with_name(f"{folder.name}.log")
    say(f"installing {count} packages of {lock.name} into {folder}: minutes, once; to watch: tail -f {log}")
    began = time.monotonic()
    call(sys.executable, "-m", "venv", folder, remedy="no venv module here (Debian: apt-get install python3-venv)")
    pip = (python_of(folder), "-m", "pip", "--disable-pip-version-check", "--no-input")
    pins = folder / lock.name
    pins.write_text(text, encoding="utf-8")
    install, remedy = (*pip, "install", "--no-deps", "--progress-bar", "off"), f"pip could not install {lock.name}"
    call(*install, "--require-hashes", "-r", pins, remedy=f"{remedy}: see above", log=log)
    if elsewhere:
        call(*install, "--index-url", CPU_WHEELS, *elsewhere, remedy=f"{remedy}: {CPU_WHEELS} has not all", log=log)
    check_needs(pip, lock)
    check_one_cv2(folder)
    seconds = round(time.monotonic() - began)
    marker = {"lock": lock.name, "python": sys.version.split()[0], "seconds": seconds}
    (folder / MARKER).write_text(json.dumps(marker) + "\n", encoding="utf-8")
    say(f"installed {lock.name} in {seconds} s")


def check_needs(pip: tuple[str | Path, ...], lock: Path) -> None:
    found = subprocess.run((*pip, "check"), check=False, capture_output=True, text=True, env=own_environment())
    if found.returncode and (lines := unmet(found.stdout)):
        say("\n".join(["...", *lines]))
        stop(f"{lock.name} contradicts itself: run make lock")


def without_cuda(text: str) -> tuple[str, list[str]]:
    """A lock's text without what only CUDA needs, and the pins of what has builds without CUDA elsewhere."""
    entries = re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE | re.IGNORECASE)
    kept = [each for each in entries if not CUDA_ONLY.match(each) and each.partition("==")[0] not in CPU_BUILDS]
    pins = [each.split(maxsplit=1)[0] for each in entries if each.partition("==")[0] in CPU_BUILDS]
    return "".join(kept), pins


def unmet(told: str) -> list[str]:
    """What `pip check` complains of, but for packages of which only files are read and no code runs."""
    return [line for line in told.splitlines() if line.partition(" ")[0].lower() not in FILES_ONLY]


def check_one_cv2(folder: Path) -> None:
    """All builds of OpenCV write into one `cv2` folder and pip lets them: the last one wins, file by file."""
    found = sorted(each.name for each in packages_of(folder).glob("opencv_*.dist-info"))
    if len(found) > 1:
        stop(f"{len(found)} builds of cv2 in one folder of {folder} ({', '.join(found)}): lock the headless one")


def link_project(clone: Path, cached: Path) -> None:
    """Make `.venv`: the cached packages, this clone's code, and the `dailies` command."""
    link = clone / PROJECT.link
    recipe = f"{cached}\n{clone}\n"
    stamp = link / "made-from"
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == recipe and runs(link):
        return
    aside = clone / f"{PROJECT.link}.{os.getpid()}"
    remove(aside)
    call(python_of(cached), "-m", "venv", "--without-pip", aside, remedy="the cached environment is broken")
    # A plain path line would skip the .pth files of the packages themselves; addsitedir reads them.
    lines = (str(clone), f"import site; site.addsitedir({str(packages_of(cached))!r})")
    (packages_of(aside) / "dailies.pth").write_text("\n".join(lines) + "\n", encoding="utf-8")
    command = aside / "bin" / "dailies"
    command.write_text(COMMAND, encoding="utf-8")
    command.chmod(0o755)
    (aside / stamp.name).write_text(recipe, encoding="utf-8")
    for script in (aside / "bin").glob("[aA]ctivate*"):  # they alone name the path where they were made
        script.write_text(script.read_text(encoding="utf-8").replace(aside.name, link.name), encoding="utf-8")
    remove(link)
    aside.rename(link)


def link_folder(link: Path, target: Path) -> None:
    if link.is_symlink() and link.readlink() == target:
        return
    remove(link)
    link.symlink_to(target, target_is_directory=True)


def prune(cache: Path, keep: list[Path]) -> None:
    for folder in sorted(cache.glob("*-*-*")):
        if folder.is_dir() and folder not in keep:
            say(f"deleting {folder}")
            shutil.rmtree(folder)


def python_of(folder: Path) -> Path:
    return folder / "bin" / "python"


def packages_of(folder: Path) -> Path:
    return folder / "lib" / f"python{sysconfig.get_python_version()}" / "site-packages"


def remove(path: Path) -> None:
    if path.is_symlink():
        path.unlink()
    elif path.exists():
        shutil.rmtree(path)


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold a lock that the system takes back when this process dies, however it dies."""
    with path.open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another setup is making this environment; waiting for it")
            fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def call(*command: str | Path, remedy: str, log: Path | None = None) -> None:
    """Run a command in `own_environment`.

    With a `log`, what it says goes there, and only the end of a failure is shown.
    """
    with log.open("a+b") if log else nullcontext() as stream:
        done = subprocess.run(command, check=False, env=own_environment(), stdout=stream, stderr=stream)
        failed = done.returncode != 0
    if failed and log:
        say("\n".join(["...", *log.read_text(errors="replace").splitlines()[-20:]]))
    if failed:
        stop(remedy)


def own_environment() -> dict[str, str]:
    """This process's, without what would lead another Python's packages into a new environment."""
    foreign = {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "PIP_TARGET", "PIP_USER"}
    return {name: value for name, value in os.environ.items() if name not in foreign}


def say(line: str) -> None:
    print(f"setup: {line}", flush=True)


def stop(line: str) -> None:
    raise SystemExit(f"setup: {line}")


if __name__ == "__main__":
    main()
