"""Which samples are trained on when: a pure function of the seed and the step.

An epoch takes every sample once. A batch holds samples of one shape only; what is left of a shape makes a smaller batch
of its own, and since each sample of a step weighs the same, nothing is trained on more for standing in it.
"""

from collections import Counter
from collections.abc import Hashable, Sequence

from pipeline.training.randomness import shuffled

Batch = tuple[int, ...]
"""Indexes of samples."""


class Order:
    """`shapes` are the samples' own, `accumulation` batches make a step. Steps count from 1. Raises ValueError where
    there is nothing to train on.
    """

    def __init__(self, shapes: Sequence[Hashable], batch_size: int, accumulation: int, seed: int) -> None:
        if not shapes:
            raise ValueError("no sample is left to train on: the account of the dataset says why each was left out")
        self.samples, self.batch_size, self.accumulation, self.seed = len(shapes), batch_size, accumulation, seed
        buckets: dict[Hashable, list[int]] = {}
        for index, shape in enumerate(shapes):
            buckets.setdefault(shape, []).append(index)
        self._buckets = list(buckets.values())
        self.batches_per_epoch = sum(-(-len(bucket) // batch_size) for bucket in self._buckets)
        self._newest: tuple[int, list[Batch]] = (0, self._make_epoch(0))

    def step(self, step: int) -> list[Batch]:
        """The batches of one step, in order."""
        first = (step - 1) * self.accumulation
        places = (divmod(number, self.batches_per_epoch) for number in range(first, first + self.accumulation))
        return [self._epoch(epoch)[place] for epoch, place in places]

    def epochs(self, steps: int) -> float:
        """How often so many steps go through all samples."""
        return sum(self.usage(steps)) / self.samples

    def usage(self, steps: int) -> list[int]:
        """How often each sample is trained on in the first `steps` steps."""
        whole, rest = divmod(steps * self.accumulation, self.batches_per_epoch)
        begun = Counter(index for batch in self._epoch(whole)[:rest] for index in batch)
        return [whole + begun[index] for index in range(self.samples)]

    def _epoch(self, epoch: int) -> list[Batch]:
        known = self._newest  # Several threads ask, maybe for different epochs.
        if known[0] != epoch:
            self._newest = known = epoch, self._make_epoch(epoch)
        return known[1]

    def _make_epoch(self, epoch: int) -> list[Batch]:
        batches: list[Batch] = []
        for number, bucket in enumerate(self._buckets):
            order = [bucket[index] for index in shuffled(len(bucket), self.seed, "samples", epoch, number)]
            batches += [tuple(order[at : at + self.batch_size]) for at in range(0, len(order), self.batch_size)]
        return [batches[index] for index in shuffled(len(batches), self.seed, "batches", epoch)]
