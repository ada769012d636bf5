"""What happens between a model's logits and the next token: probabilities are noted down, dice are thrown.

Both are logits processors of transformers, to be used behind the grammar, which has ruled out what cannot come next.
B: rows of a batch, V: logits, S: steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

TEMPERATURE = 0.7
"""For answers that are sampled: enough to differ where a model wavers, not enough to make it ramble."""


class Watch:
    """Notes the log-probability of every chosen token among those that the grammar allowed, step by step.

    `quote_V` marks the tokens that begin with a quote. They count together where one of them is chosen: `"`, `",` and
    `"}` all end a text, and which of them does is no doubt about the text. Only one step's distribution is kept at a
    time; all of them would take gigabytes.
    """

    def __init__(self, quote_V: torch.Tensor) -> None:
        self._quote_V = quote_V
        self._last_BV: torch.Tensor | None = None
        self._steps: list[torch.Tensor] = []

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        self._note(input_ids)
        self._last_BV = scores.log_softmax(dim=-1)
        return scores

    def noted(self, output_ids: torch.Tensor) -> list[list[float]]:
        """[row][step]; `output_ids` is what generate() gave back."""
        import torch

        self._note(output_ids)
        self._last_BV = None
        noted: list[list[float]] = torch.stack(self._steps, dim=1).tolist()
        return noted

    def _note(self, ids: torch.Tensor) -> None:
        import torch

        if self._last_BV is None:
            return
        own_B = self._last_BV.gather(1, ids[:, -1:]).squeeze(1)
        quotes_B = self._last_BV.masked_fill(~self._quote_V, -torch.inf).logsumexp(dim=-1)
        self._steps.append(torch.where(self._quote_V[ids[:, -1]], quotes_B, own_B))


class Dice:
    """Samples by adding noise of which the largest sum wins (Gumbel's), so that every row can have a seed of its own.

    A row's answer depends on its seed alone, not on what else is in its batch. Rows with seed None stay as they are.
    """

    def __init__(self, seeds: Sequence[int | None], device: torch.device) -> None:
        import torch

        self._dice = [None if seed is None else torch.Generator(device).manual_seed(seed) for seed in seeds]

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        import torch

        scores = scores.clone()
        for row_V, dice in zip(scores, self._dice, strict=True):
            if dice is not None:
                wait_V = torch.empty_like(row_V).exponential_(generator=dice)
                row_V.div_(TEMPERATURE).sub_(wait_V.clamp_min(torch.finfo(row_V.dtype).tiny).log())
        return scores
