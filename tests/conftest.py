"""What tests share: a workspace like a running step's, the bundled show, other people's media where it is present."""

from pathlib import Path

import pytest

from pipeline.engine.store import Store
from pipeline.engine.work import Workspace

ROOT = Path(__file__).parents[1]
REAL = ROOT.parent / "shared" / "data"


@pytest.fixture
def work(tmp_path):
    """A Workspace over a new store, as a step is given one."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    workspace = Workspace(Store(tmp_path / "store"), scratch, tmp_path / "cache")
    yield workspace
    workspace.models.close()


@pytest.fixture(scope="session")
def spies() -> Path:
    """The bundled show's folder, to read only."""
    return ROOT / "examples" / "spies"


@pytest.fixture(scope="session")
def real_media() -> Path:
    """Media by others that is not part of the repository; tests that need it skip, saying so, where it is absent."""
    if not REAL.is_dir():
        pytest.skip(f"no media at {REAL}")
    return REAL


@pytest.fixture(scope="session")
def tiny_ltx2(tmp_path_factory) -> Path:
    """The small random LTX-2 in diffusers' layout, as `profile = "tiny"` makes it; to read only."""
    from pipeline.models import tiny_ltx2

    folder = tmp_path_factory.mktemp("tiny-ltx2")
    tiny_ltx2.build(folder)
    return folder
