"""Description of the machine for a record: its hardware, never its owner or name."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path
from typing import Any

import torch

from ftddm_core.cores import usable_cores

CPUINFO = Path("/proc/cpuinfo")


def machine() -> dict[str, Any]:
    """Return processor, cores, threads, memory in bytes, GPU, torch and operating system.

    Values that the system does not provide are None.
    """
    return {
        "cpu": _cpu(),
        "cores": usable_cores(),
        "threads": torch.get_num_threads(),
        "memory": _memory(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "torch": str(torch.__version__),
        "system": _system(),
    }


def _cpu() -> str:
    """Return the processor's model; on systems other than Linux, what Python knows of it."""
    if CPUINFO.is_file():
        found = re.search(r"^model name\s*:\s*(.+)$", CPUINFO.read_text(), re.MULTILINE)
        if found:
            return found[1].strip()
    return platform.processor() or platform.machine()


def _memory() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None


def _system() -> str:
    """Return the operating system, without the kernel's release, which may contain names."""
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (AttributeError, OSError, KeyError):
        return f"{platform.system()} {platform.mac_ver()[0]}".strip()
