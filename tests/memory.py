"""How much memory a program needed at most, of that program alone.

`ru_maxrss` does not say it: what the parent held counts for the program that it starts.  getrusage(2), notes
"""

from pathlib import Path


def peak(process: int | str = "self") -> int:
    """Bytes, since it was started or since `forget_peak`."""
    status = Path(f"/proc/{process}/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def forget_peak() -> int:
    """From now on the peak of this process counts from what it holds, which it gives.  proc_pid_clear_refs(5), 5"""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return peak()
