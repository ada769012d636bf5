import weakref

import pytest
import torch

from pipeline.training import course, graphs, ltx2
from pipeline.training.processes import World

from . import tiny

GPU = torch.device("cuda")


@pytest.mark.parametrize("less", [{"compiled": False}, {"processes": 2}, {"shapes": 5}, {"is_mixed": True}])
def test_steps_are_graphs_only_where_they_are_the_same_every_time(less):
    good = {"compiled": True, "processes": 1, "shapes": 4, "is_mixed": False}
    assert graphs.possible(GPU, **good)
    assert not graphs.possible(GPU, **{**good, **less})
    assert not graphs.possible(torch.device("cpu"), **good)


@torch.no_grad()
def test_the_model_says_the_same_whether_it_is_given_positions_or_makes_them(tmp_path):
    asked = tiny.training(tmp_path)
    transformer = tiny.transformer().eval()
    objective = ltx2.Objective(asked, audio_channels=transformer.config.audio_in_channels)
    batch = objective.draw([0], [torch.Generator().manual_seed(1)])
    given = objective.losses(transformer, batch)
    objective._positions = lambda *where: {}
    assert given.equal(objective.losses(transformer, batch))


def test_where_no_graph_can_be_had_all_batches_still_run_once_and_one_line_says_why(monkeypatch):
    """What the attempt made is let go before the batch runs: it may have filled the device."""
    weight, told, held = torch.nn.Parameter(torch.zeros(2)), [], []

    class Large:
        pass

    def work(tensors):
        assert not any(each() for each in held)
        (weight * tensors["x"]).sum().backward()
        return tensors["x"]

    def captured(self, tensors, work):
        large = Large()
        held.append(weakref.ref(large))
        raise torch.OutOfMemoryError("CUDA out of memory.\nAnd more.")

    monkeypatch.setattr(graphs.Graphs, "_captured", captured)
    run = graphs.Graphs([weight], told.append).run
    for number in range(1, 6):
        assert run("shape", {"x": torch.full((2,), 1.0)}, work).equal(torch.ones(2))
        assert weight.grad.equal(torch.full((2,), float(number)))
    assert len(held) == 1
    assert told == ["steps run without CUDA graphs, slower: CUDA out of memory."]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="CUDA graphs need a CUDA device")
def test_losses_of_a_training_by_graphs_are_those_of_one_launched_kernel_by_kernel(tmp_path, monkeypatch):
    """Both shapes, with a checkpoint between whose judging lets the graphs go."""

    def losses(folder):
        found = []

        class Watched(course.Course):
            def backward(self, batch, losses):
                super().backward(batch, losses)
                found.extend(self._losses[-1][1].tolist())

        monkeypatch.setattr(ltx2, "Course", Watched)
        speed = {"compile": "on", "checkpointing": "none", "base": "fp32"}
        asked = tiny.training(folder, steps=14, checkpoint_every=7, speed=speed)
        ltx2.train(asked, World(), None)
        return found

    by_graphs = losses(tmp_path / "graphs")
    monkeypatch.setattr(graphs, "possible", lambda *args, **asked: False)
    assert by_graphs == pytest.approx(losses(tmp_path / "launched"), rel=1e-4)
