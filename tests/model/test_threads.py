"""Threads come back as they were."""

import pytest
import torch

from lianlu import cores
from lianlu.cores import available_cores
from lianlu.model.threads import every_core


def test_every_core_is_what_the_container_grants(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cores, "_quota", lambda: 1)
    with every_core():
        assert torch.get_num_threads() == 1


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
