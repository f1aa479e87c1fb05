"""How many cores this process may use: by affinity, and by what its container is given."""

import math
import os
from pathlib import Path

_QUOTA = Path("/sys/fs/cgroup/cpu.max")
_OLD_QUOTA = Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us")
_OLD_PERIOD = Path("/sys/fs/cgroup/cpu/cpu.cfs_period_us")


def available_cores() -> int:
    """At least one. `docker --cpus=2` on a machine of 64 gives 2."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, min(affinity or 1, _quota()))


def _quota() -> int:
    """Whole cores that the control group grants; a large number where it sets no limit."""
    try:
        quota, period = _QUOTA.read_text(encoding="ascii").split()
    except (OSError, ValueError):
        try:
            quota, period = (path.read_text(encoding="ascii") for path in (_OLD_QUOTA, _OLD_PERIOD))
        except OSError:
            return 1 << 16
    try:
        granted = int(quota) / int(period)
    except ValueError:  # "max"
        return 1 << 16
    return math.ceil(granted) if granted > 0 else 1 << 16
