"""Random numbers that are a function of what they are for, not of what was drawn before.

So nothing random has a state to be saved: a training that goes on after a kill, or that runs in several processes,
draws for each sample of each step what it would have drawn without.
"""

import hashlib
import random

import torch


def seed_of(*about: int | str) -> int:
    """63 bits. What it is about stands with lengths, so that no two lists run together."""
    text = "".join(f"{type(each).__name__}{len(str(each))}:{each}" for each in about)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) >> 1


def generator(*about: int | str) -> torch.Generator:
    """On the CPU, whose numbers are the same everywhere."""
    return torch.Generator().manual_seed(seed_of(*about))


def shuffled(count: int, *about: int | str) -> list[int]:
    """The numbers below `count` in some order."""
    numbers = list(range(count))
    random.Random(seed_of(*about)).shuffle(numbers)
    return numbers
