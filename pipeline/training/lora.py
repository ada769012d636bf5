"""The LoRA on a frozen transformer: attached by peft, in fp32 over whatever the base is in; its running average."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

ADAPTER = "default"


def attach(
    transformer: Any, *, rank: int, alpha: int, targets: Sequence[str], dropout: float = 0.0, seed: int = 0
) -> dict[str, nn.Parameter]:
    """Freeze `transformer`, add a LoRA to its linears that end in one of `targets`; the trainable ones, by name.

    A is drawn from `seed` alone, so that it is the same for every base, card and order of loading; B is 0, so that
    the model says at first what it said without. Raises ValueError where nothing bears such a name.
    """
    from peft import LoraConfig
    from peft.tuners.lora import LoraLayer

    from pipeline.training.randomness import generator

    transformer.requires_grad_(False)
    names = [name for name, module in transformer.named_modules() if isinstance(module, nn.Linear)]
    if not any(name == target or name.endswith(f".{target}") for name in names for target in targets):
        raise ValueError(f"targets = {list(targets)} name no linear of the transformer; it has {_endings(names)}")
    transformer.add_adapter(
        LoraConfig(r=rank, lora_alpha=alpha, lora_dropout=dropout, target_modules=list(targets)), adapter_name=ADAPTER
    )
    trained = {name: each for name, each in transformer.named_parameters() if each.requires_grad}
    for name, parameter in trained.items():
        parameter.data = parameter.data.float()
        if "lora_A" in name:  # As peft does it: uniform, Kaiming's bound with a = sqrt 5, which is 1 / sqrt(inputs).
            bound = parameter.shape[1] ** -0.5
            drawn = torch.rand(parameter.shape, generator=generator(seed, "lora", name)) * 2 - 1
            parameter.data.copy_(drawn * bound)
        else:
            parameter.data.zero_()
    for module in transformer.modules():
        if isinstance(module, LoraLayer):
            module.cast_input_dtype_enabled = False
            for half in (module.lora_A[ADAPTER], module.lora_B[ADAPTER]):
                half.__class__ = Half
    return trained


class Half(nn.Linear):
    """An fp32 matrix that works in the precision of its inputs: A or B of a LoRA. Casting the matrix costs little; peft
    casts the inputs, which are hundreds of times larger, and keeps the copy for the way back.

    While gradients are made, a `copy` that there is already (see `copies`) works in its place.
    """

    copy: Tensor | None = None

    def forward(self, inputs: Tensor) -> Tensor:
        return functional.linear(inputs, self.matrix(inputs.dtype))

    def matrix(self, dtype: torch.dtype) -> Tensor:
        """(outputs, inputs)."""
        if self.copy is not None and torch.is_grad_enabled():
            return self.copy
        return self.weight.to(dtype)


def _endings(names: Sequence[str]) -> str:
    found = {".".join(part for part in name.split(".")[-2:] if not part.isdigit()) for name in names}
    return ", ".join(sorted(found))


def state(transformer: nn.Module) -> dict[str, Tensor]:
    """The LoRA's tensors by peft's names, e.g. `transformer_blocks.0.attn1.to_q.lora_A.weight`, on the CPU in fp32."""
    from peft import get_peft_model_state_dict

    found: dict[str, Tensor] = get_peft_model_state_dict(transformer, adapter_name=ADAPTER)
    return {name: tensor.detach().float().cpu().contiguous() for name, tensor in found.items()}


class Average:
    """An exponential moving average of parameters, in fp32 beside them."""

    def __init__(self, parameters: Sequence[nn.Parameter], decay: float) -> None:
        self.parameters, self.decay = list(parameters), decay
        self.average = [parameter.detach().clone() for parameter in parameters]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """After `step` steps. Early on it follows faster, so that it does not stay where the LoRA was nothing."""
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self.average, [each.detach() for each in self.parameters], 1 - decay)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The model with the average for its parameters, inside of a `with`."""
        trained = [parameter.detach().clone() for parameter in self.parameters]
        self._put(self.average)
        try:
            yield
        finally:
            self._put(trained)

    @torch.no_grad()
    def _put(self, values: Sequence[Tensor]) -> None:
        for parameter, value in zip(self.parameters, values, strict=True):
            parameter.copy_(value)
