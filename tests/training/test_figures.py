"""What is told of a GPU with each step, as far as its driver tells it."""

from types import SimpleNamespace

import pynvml
import pytest
import torch

from pipeline.schemas.training import Metric
from pipeline.training import figures
from pipeline.training.processes import World
from pipeline.training.task import Drawn
from pipeline.training.watching import Watch

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


def test_each_step_is_told_its_own_time_those_before_a_checkpoint_too(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(figures.time, "monotonic", lambda: now[0])
    told = []
    found = figures.Figures(World(), SimpleNamespace(tell=told.append), [], Watch(0))
    for step, seconds in enumerate((1.0, 2.0, 3.0, 4.0), start=1):
        now[0] += seconds
        metric = Metric(step=step, of=4, loss=0, lr=1, grad_norm=0, step_seconds=0, tokens=1, epoch=1)
        found.add(metric, [(Drawn(("a",), (0.5,), {}, ()), torch.ones(1))], torch.ones(()))
        if step == 2:  # A checkpoint: the step is looked at, and what it takes to keep it is no step's time.
            found.look()
            now[0] += 50
            found.begin()
    found.look()
    assert [each.step_seconds for each in told] == pytest.approx([1, 2, 3, 4])
