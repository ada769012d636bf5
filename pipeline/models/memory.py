"""Memory of models that are done with."""


def free() -> None:
    """Give back what nothing holds any more: cycles on this side, and the GPU's cache, which its next user may need."""
    import gc

    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
