"""A directory that behaves as control groups of the kernel do: which files there are, what writing to them does."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

from minisched.worker import cgroupfs

_OF_ALL = {"cgroup.procs": "", "cgroup.subtree_control": "", "cgroup.type": "domain\n", "cgroup.kill": ""}
_OF_MEMORY = {
    "memory.max": "max\n",
    "memory.swap.max": "max\n",
    "memory.oom.group": "0\n",
    "memory.peak": "0\n",
    "memory.events": "max 0\noom 0\noom_kill 0\n",
    "memory.events.local": "max 0\noom 0\noom_kill 0\n",
}


class CgroupDirectory:
    """`root` is the root of the hierarchy; put the methods in the place of those of `cgroupfs`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.refused: dict[str, int] = {}  # name of a file, or "make", and the errno with which the kernel refuses it
        self.killed: list[str] = []
        root.mkdir()
        self._fill(root, "cpu memory pids")
        (root / "cgroup.type").unlink()

    def group(self, path: str, *pids: int) -> Path:
        """An existing group with these processes, the memory controller handed down to it."""
        directory = self.root
        for part in path.split("/"):
            (directory / "cgroup.subtree_control").write_text("memory\n")
            directory /= part
            if not directory.exists():
                self.make(str(directory))
        (directory / "cgroup.procs").write_text("".join(f"{pid}\n" for pid in pids))
        return directory

    def pids(self, directory: Path) -> set[int]:
        return cgroupfs.processes(str(directory))

    def make(self, directory: str) -> None:
        self._may("make", directory)
        path = Path(directory)
        path.mkdir()
        self._fill(path, (path.parent / "cgroup.subtree_control").read_text())

    def remove(self, directory: str) -> None:
        path = Path(directory)
        if self.pids(path) or any(entry.is_dir() for entry in path.iterdir()):
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), directory)
        shutil.rmtree(path)

    def write(self, directory: str, name: str, text: str) -> None:
        path = Path(directory)
        self._may(name, str(path / name))
        if not (path / name).exists():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path / name))
        if name == "cgroup.procs":
            self._move(int(text), path)
        elif name == "cgroup.subtree_control":
            self._keep_apart(bool(self.pids(path)), path)
            (path / name).write_text(text.lstrip("+") + "\n")
        elif name == "cgroup.kill":
            self.killed.append(path.name)
            (path / "cgroup.procs").write_text("")
        else:
            (path / name).write_text(text + "\n")

    def _move(self, pid: int, to: Path) -> None:
        self._keep_apart(bool((to / "cgroup.subtree_control").read_text().split()), to)
        for file in self.root.rglob("cgroup.procs"):
            file.write_text("".join(line for line in file.read_text().splitlines(keepends=True) if int(line) != pid))
        with (to / "cgroup.procs").open("a") as procs:
            procs.write(f"{pid}\n")

    def _keep_apart(self, both: bool, path: Path) -> None:
        """A group has processes or hands controllers down."""
        if both:
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), str(path))

    def _may(self, name: str, path: str) -> None:
        if name in self.refused:
            raise OSError(self.refused[name], os.strerror(self.refused[name]), path)

    def _fill(self, path: Path, controllers: str) -> None:
        files = {**_OF_ALL, "cgroup.controllers": controllers}
        if "memory" in controllers:
            files |= _OF_MEMORY
        for name, text in files.items():
            (path / name).write_text(text)
