"""Arithmetic follows the recipe; on auto, the machine."""

import torch

from lianlu.train.precision import autocast, choose_dtype, set_threads

CPU = torch.device("cpu")


def test_the_recipe_is_followed() -> None:
    assert choose_dtype("float32", CPU) == torch.float32
    assert choose_dtype("bfloat16", CPU) == torch.bfloat16
    assert choose_dtype("auto", CPU) in (torch.float32, torch.bfloat16)
    assert choose_dtype("auto", torch.device("cuda")) == torch.bfloat16
    assert choose_dtype("auto", CPU, exact=True) == torch.float32


def test_autocast_is_on_for_bf16_alone() -> None:
    x = torch.ones(2, 2)
    with autocast(torch.bfloat16, CPU):
        assert (x @ x).dtype == torch.bfloat16
    with autocast(torch.float32, CPU):
        assert (x @ x).dtype == torch.float32


def test_threads() -> None:
    before = torch.get_num_threads()
    set_threads(1)
    assert torch.get_num_threads() == 1
    set_threads(before)
