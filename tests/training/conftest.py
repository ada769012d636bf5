import pytest
import torch


@pytest.fixture(autouse=True)
def one_thread():
    """How sums are shared among threads changes their last bits; and of models this small, threads only wait."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
