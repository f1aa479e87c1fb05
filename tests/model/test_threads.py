"""Threads come back as they were."""

import pytest
import torch

from lianlu.model.threads import available_cores, every_core


def test_every_core_for_a_while() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with every_core():
            assert torch.get_num_threads() == available_cores() >= 1
        assert torch.get_num_threads() == 1
        with pytest.raises(RuntimeError), every_core():
            raise RuntimeError
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)
