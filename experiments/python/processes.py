"""The processes that a measurement started, from /proc. Costs a few milliseconds."""

import os
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def descendants(root: int) -> dict[int, float]:
    """CPU seconds by process: of `root`, its descendants, and what each has waited for. Fields 4 and 14 to 17 of
    proc_pid_stat(5)."""
    parents, seconds = {}, {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rsplit(") ", 1)[1].split()
        except OSError:  # it ended since the folder was listed; its parent has its time
            continue
        parents[int(entry.name)] = int(fields[1])
        seconds[int(entry.name)] = sum(int(field) for field in fields[11:15]) / TICKS

    def descends(process: int) -> bool:
        while process != root and process in parents:
            process = parents[process]
        return process == root

    return {process: spent for process, spent in seconds.items() if descends(process)}
