"""The frozen base in parts, one in each of the host's GPUs, for a model that one GPU does not hold.

PyTorch's `fully_shard` gathers a block's weights for the moment in which they are used, and lets them go again. What is
trained, the LoRA, stays whole in every process (a tenth of the base, and all that checkpoints and exports read); its
gradients are averaged once a step. Every call of the model gathers, so that all processes must make the same calls.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from pipeline.training import blocks
from pipeline.training.processes import World
from pipeline.training.speed import plainly


def shard(transformer: nn.Module, world: World) -> nn.Module:
    """`transformer`, changed in place: a part of its frozen weights is here, on this process's device, the LoRA whole.

    Blocks move to the device one by one, so that it never holds more than one of them whole.
    """
    trained = {each for each in transformer.parameters() if each.requires_grad}
    mesh = init_device_mesh(world.device.type, (world.size,))
    for block in blocks.of(transformer):
        fully_shard(block, mesh=mesh, ignored_params=trained)
    # What the model gives may be a view, on whose base an operation in place would undo what gathers for the way back.
    transformer.register_forward_hook(lambda module, args, output: _each(Tensor.clone, output))
    # What is outside of the blocks is small: it is kept from the forward to the backward pass.
    fully_shard(transformer, mesh=mesh, ignored_params=trained, reshard_after_forward=False)
    for parameter in trained:
        parameter.data = parameter.data.to(world.device)
    return transformer


def average(parameters: "list[nn.Parameter]", world: World) -> None:
    """Gradients, averaged over all processes. What no process has a gradient of stays without one."""
    mine = [number for number, parameter in enumerate(parameters) if parameter.grad is not None]
    numbers = sorted(set().union(*world.gathered(mine)))
    for number in numbers:
        if parameters[number].grad is None:
            parameters[number].grad = torch.zeros_like(parameters[number])
    gradients = [cast("Tensor", parameters[number].grad) for number in numbers]
    flat = torch.cat([each.reshape(-1) for each in gradients]) / world.size
    torch.distributed.all_reduce(flat)
    sizes = [each.numel() for each in gradients]
    parts = zip(torch.split(flat, sizes), gradients, strict=True)
    torch._foreach_copy_(gradients, [part.view_as(each) for part, each in parts])


@contextmanager
def led(transformer: nn.Module, world: World) -> Iterator[None]:
    """In the `with` the first process calls `transformer` as it likes; the others, in `followed`, call it with it."""

    def lead(module: nn.Module, args: Any, kwargs: Any) -> None:
        world.told(_on(torch.device("cpu"), (args, kwargs)))

    # Before the model's own hook, which gathers.
    hook = transformer.register_forward_pre_hook(lead, with_kwargs=True, prepend=True)
    try:
        yield
    finally:
        hook.remove()
        world.told(None)


@torch.no_grad()
def followed(transformer: nn.Module, world: World) -> None:
    """Call `transformer` whenever the first process does, with what it does, until it is done."""
    with plainly():
        while (call := world.told(cast("Any", None))) is not None:
            args, kwargs = _on(world.device, call)
            transformer(*args, **kwargs)


def _on(device: torch.device, values: Any) -> Any:
    return _each(lambda tensor: tensor.to(device), values)


def _each(change: Callable[[Tensor], Tensor], values: Any) -> Any:
    return torch.utils._pytree.tree_map_only(Tensor, change, values)
