"""CPU threads for torch: all of them for a while."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from lianlu.cores import available_cores


@contextmanager
def every_core() -> Iterator[None]:
    """Torch on all cores inside the block, on as many as before after it."""
    before = torch.get_num_threads()
    torch.set_num_threads(available_cores())
    try:
        yield
    finally:
        torch.set_num_threads(before)
