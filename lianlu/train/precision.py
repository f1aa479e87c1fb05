"""Arithmetic and threads of a training on this machine."""

from contextlib import AbstractContextManager

import torch

from lianlu.cores import available_cores
from lianlu.plan.hardware import has_bf16_units

# A compiled training must be this long to repay the compiler's half minute.
WORTH_COMPILING = 100


def choose_device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def choose_dtype(wanted: str, device: torch.device, exact: bool = False) -> torch.dtype:
    """The dtype of the matrix products: what the recipe says, or on `auto` the faster one; where
    bits must not depend on the machine, fp32.

    A CPU without bf16 units emulates it, slower than fp32. Weights and optimizer states stay in
    fp32 either way.
    """
    if wanted != "auto":
        return torch.bfloat16 if wanted == "bfloat16" else torch.float32
    fast = device.type == "cuda" or has_bf16_units()
    return torch.bfloat16 if fast and not exact else torch.float32


def autocast(dtype: torch.dtype, device: torch.device) -> AbstractContextManager[None]:
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=dtype == torch.bfloat16)


def set_threads(threads: int) -> None:
    torch.set_num_threads(threads or available_cores())
