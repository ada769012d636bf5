import shutil

import pytest


@pytest.fixture
def spies_copy(spies, tmp_path):
    """The bundled show as a newcomer has it: nothing made yet."""
    return shutil.copytree(spies, tmp_path / "spies", ignore=shutil.ignore_patterns("generator", "truth", ".dailies"))
