"""What is told of a GPU with each step, as far as its driver tells it."""

import pynvml
import torch

from pipeline.training import figures

GPU = torch.device("cuda", 0)


def test_memory_and_use_of_a_gpu_are_told_and_nothing_of_a_cpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "max_memory_reserved", lambda device: 7)
    monkeypatch.setattr(torch.cuda, "utilization", lambda device: 93)
    assert figures.of_gpu(GPU) == {"gpu_memory_bytes": 7, "gpu_use_percent": 93.0}
    assert figures.of_gpu(torch.device("cpu")) == {}


def test_a_driver_that_does_not_tell_the_use_ends_no_training(monkeypatch):
    def unknown(device):
        raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)

    monkeypatch.setattr(torch.cuda, "max_memory_reserved", lambda device: 7)
    monkeypatch.setattr(torch.cuda, "utilization", unknown)
    assert figures.of_gpu(GPU) == {"gpu_memory_bytes": 7}
