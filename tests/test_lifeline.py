"""A child ends with its parent, however the parent ends."""

import os
import signal
import subprocess
import sys

import pytest

CHILD = """
import os, signal, sys, time
from lianlu.lifeline import die_with_parent
die_with_parent(int(sys.argv[1]), signal.Signals(int(sys.argv[2])))
print("alive", flush=True)
time.sleep(30)
"""
PARENT = """
import os, subprocess, sys
subprocess.run([sys.executable, "-c", sys.argv[1], str(os.getpid()), sys.argv[2]])
"""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="a service of the Linux kernel")


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGKILL])
def test_a_killed_parent_takes_its_child_along(sent: signal.Signals) -> None:
    command = [sys.executable, "-c", PARENT, CHILD, str(int(sent))]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"alive\n"
        parent.kill()
        # The child holds the other end of the pipe: its end is the pipe's.
        assert parent.stdout.read() == b""


def test_a_parent_that_has_gone_already() -> None:
    other, sent = str(os.getppid()), signal.SIGTERM
    child = subprocess.run(
        [sys.executable, "-c", CHILD, other, str(int(sent))], capture_output=True, timeout=10
    )
    assert (child.returncode, child.stdout) == (-sent, b"")
