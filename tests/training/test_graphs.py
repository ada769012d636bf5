import weakref
from dataclasses import replace

import pytest
import torch

from pipeline.training import course, graphs, ltx2, wan21
from pipeline.training.planning import Setting
from pipeline.training.processes import World

from . import tiny, tiny_wan21

GPU = torch.device("cuda")


SETTING = Setting(
    base="bf16", checkpointing="selective", checkpointed=2, compile=True, attention="auto", optimizer="adamw",
    estimated_bytes=0, words="",
)  # fmt: skip


@pytest.mark.parametrize(
    "less",
    [
        {"setting": SETTING.model_copy(update={"compile": False})},
        {"processes": 2},
        {"shapes": 5},
        {"is_mixed": True},
        {"dropout": 0.1},
        {"device": torch.device("cpu")},
    ],
    ids=lambda less: next(iter(less)),
)
def test_steps_are_graphs_only_where_they_are_the_same_every_time(less):
    good = {"device": GPU, "setting": SETTING, "processes": 1, "shapes": 4, "is_mixed": False, "dropout": 0.0}
    assert graphs.possible(**good)
    assert not graphs.possible(**{**good, **less})


def test_dropout_that_is_drawn_once_is_no_hindrance():
    setting = SETTING.model_copy(update={"checkpointing": "none"})
    assert graphs.possible(GPU, setting, processes=1, shapes=1, is_mixed=False, dropout=0.1)


def test_clips_without_sound_leave_a_part_of_the_lora_out_few_or_all_of_them(tmp_path):
    asked = tiny.training(tmp_path, clips=2, held_out=0)
    assert not ltx2.Objective(asked).is_mixed
    silent = [replace(each, audio=None, audio_steps=0) for each in asked.clips]
    assert ltx2.Objective(replace(asked, clips=[silent[0], asked.clips[1]])).is_mixed
    assert ltx2.Objective(replace(asked, clips=silent)).is_mixed
    video = tiny.shortened(replace(asked, clips=silent), modalities="video")
    assert not ltx2.Objective(video).is_mixed


@torch.no_grad()
def test_the_model_says_the_same_whether_it_is_given_positions_or_makes_them(tmp_path):
    asked = tiny.training(tmp_path)
    transformer = tiny.transformer().eval()
    objective = ltx2.Objective(asked, audio_channels=transformer.config.audio_in_channels)
    batch = objective.draw([0], [torch.Generator().manual_seed(1)])
    given = objective.losses(transformer, batch)
    objective._positions = lambda *where: {}
    assert given.equal(objective.losses(transformer, batch))


def test_where_no_graph_can_be_had_all_batches_still_run_once_and_one_line_says_why():
    """What the attempt made is let go before the batch runs: it may have filled the device."""
    weight, told, held = torch.nn.Parameter(torch.zeros(2)), [], []

    class Large:
        pass

    def work(tensors):
        assert not any(each() for each in held)
        (weight * tensors["x"]).sum().backward()
        return tensors["x"]

    def record(tensors, work, beside):
        large = Large()
        held.append(weakref.ref(large))
        raise torch.OutOfMemoryError("CUDA out of memory.\nAnd more.")

    run = graphs.Graphs([weight], told.append, record).run
    for number in range(1, 6):
        assert run("shape", {"x": torch.full((2,), 1.0)}, work).equal(torch.ones(2))
        assert weight.grad.equal(torch.full((2,), float(number)))
    assert len(held) == 1
    assert told == ["steps run without CUDA graphs, slower: CUDA out of memory."]


class Replayed:
    """What a CPU can have of a graph: the same work on the tensors that it was recorded with, where they were."""

    runs = 0

    def __init__(self, tensors, work, beside):
        self.tensors, self.work = tensors, work
        self.losses_B = torch.zeros_like(tensors["sigma"])

    def run(self):
        Replayed.runs += 1
        self.losses_B.copy_(self.work(self.tensors))


@pytest.mark.parametrize("module", [ltx2, wan21], ids=["ltx2", "wan21"])
def test_steps_by_graphs_learn_what_launched_ones_do_with_all_that_is_random_and_after_a_break(
    module, tmp_path, monkeypatch
):
    settings = {
        "accumulation": 2, "ema": 0.9, "clip": 0.01, "lora_dropout": 0.2, "caption_dropout": 0.5,
        **({"first_frame": 0.5} if module is ltx2 else {}),
    }  # fmt: skip
    make = tiny.training if module is ltx2 else tiny_wan21.training
    asked = make(tmp_path / "data", clips=2, held_out=1, steps=8, checkpoint_every=4, **settings)

    def learn(name, asked):
        (tmp_path / name).mkdir(exist_ok=True)
        work = tiny.workspace(tmp_path / name)
        found = module.train(asked, World(), tiny.hands(work, asked, kind=module.__name__.split(".")[-1]))
        return torch.load(work.open(found.checkpoints[-1].state), weights_only=True)

    launched = learn("launched", asked)
    monkeypatch.setattr(graphs, "possible", lambda *_, **__: True)
    monkeypatch.setattr(graphs.CudaGraph, "of", Replayed)
    monkeypatch.setattr(Replayed, "runs", 0)
    learn("graphs", tiny.shortened(asked, steps=4))
    found = learn("graphs", asked)
    assert Replayed.runs >= 4
    for name, each in launched["parameters"].items():
        assert found["parameters"][name].equal(each), name
    assert all(one.equal(other) for one, other in zip(found["average"], launched["average"], strict=True))


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
