"""A child process that does not outlive the process that started it."""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def die_with_parent(parent: int, signal_: signal.Signals) -> None:
    """Have the kernel send this process `signal_` when `parent`, which started it, ends (Linux).

    The kernel watches the thread that started us, not the whole process.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal_)
        if os.getppid() != parent:  # it ended before we asked
            os.kill(os.getpid(), signal_)
