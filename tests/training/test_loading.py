import threading

import pytest
import torch
from safetensors.torch import save_file

from pipeline.training import loading


def test_results_come_in_order_made_by_other_threads():
    found = list(loading.ahead(lambda key: (key, threading.current_thread().name), range(20), threads=3, depth=2))
    assert [key for key, _ in found] == list(range(20))
    assert {name.rpartition("_")[0] for _, name in found} == {"loading"}


def test_no_more_is_made_ahead_than_is_wanted():
    made = []
    results = loading.ahead(lambda key: made.append(key) or key, range(100), threads=1, depth=3)
    assert next(results) == 0
    results.close()
    assert len(made) <= 4


def test_an_error_comes_where_its_result_would_have():
    def make(key):
        if key == 2:
            raise ValueError("broken")
        return key

    results = loading.ahead(make, range(5))
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ValueError, match="broken"):
        next(results)


def test_both_kinds_of_files_are_read_whatever_they_are_called(tmp_path):
    tensor = torch.arange(3)
    torch.save({"latents": tensor, "fps": 24.0}, tmp_path / "one")
    save_file({"video": tensor}, tmp_path / "other")
    assert loading.read(tmp_path / "one")["fps"] == 24.0
    assert loading.read(tmp_path / "other")["video"].equal(tensor)


def test_a_file_without_tensors_is_named(tmp_path):
    (tmp_path / "text").write_text("no tensors here, only words")
    with pytest.raises(ValueError, match="text holds no tensors"):
        loading.read(tmp_path / "text")
