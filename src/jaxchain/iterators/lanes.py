"""Worker processes: each has a thread here that hands it tasks, takes its answers, and sees when it dies.

They are new interpreters (launch.py), so the dataset goes to them as a pickle.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import threading
from concurrent.futures import Future
from multiprocessing import shared_memory
from typing import Any

from jaxchain.iterators.launch import Worker, context


class WorkerDied(RuntimeError):
    """A worker process of `MultiprocessIterator` ended while it read examples: killed, out of memory, or crashed.

    Run the same examples with `SerialIterator` to see whether they crash the program itself; use fewer processes where
    memory is short. The iterator can be asked for the next batch: it starts new workers.
    """


class Lanes:
    """Worker processes with one dataset.

    Args:
        dataset: The dataset.
        n_processes: Number of processes.
        shared_mem: Bytes of shared memory for an example; None: what the examples need; 0: none.
        max_tasks: Tasks (parts of a batch) after which a process is replaced; None: never.

    Raises:
        TypeError: The dataset cannot be pickled.
        RuntimeError: This is a worker process itself.
    """

    def __init__(self, dataset: Any, n_processes: int, shared_mem: int | None, max_tasks: int | None) -> None:
        try:
            self.pickled = pickle.dumps(dataset, protocol=5)
        except Exception as error:
            raise TypeError(
                f"MultiprocessIterator: cannot send the dataset ({type(dataset).__name__}) to worker processes: "
                f"{error}. Open files in get_example, define functions in modules, or use MultithreadIterator."
            ) from error
        self.shared_mem, self.max_tasks = shared_mem, max_tasks
        self.tasks: queue.SimpleQueue[tuple[list[int], Future] | None] = queue.SimpleQueue()
        self.closing = False
        self.too_small = 0  # bytes for an example that were missing in shared memory of a size asked for
        self.lock = threading.Lock()
        self.open = n_processes  # lanes that still take tasks
        self.lanes = [_Lane(self) for _ in range(n_processes)]

    def submit(self, indices: list[int]) -> Future:
        """Begin to read examples.

        Args:
            indices: Theirs.

        Returns:
            The future list of examples.
        """
        future: Future = Future()
        with self.lock:
            if self.open:
                self.tasks.put((indices, future))
            else:
                future.set_exception(_nobody())
        return future

    def close(self) -> None:
        """End the processes."""
        if self.closing:
            return
        self.closing = True
        for _ in self.lanes:
            self.tasks.put(None)
        for lane in self.lanes:
            if lane.busy:
                lane.kill()
        for lane in self.lanes:
            lane.thread.join(10)


class _Lane:
    """One process and its thread."""

    def __init__(self, pool: Lanes) -> None:
        self.pool = pool
        self.memory: shared_memory.SharedMemory | None = None
        self.busy = False
        self.process, self.connection = _start()
        self.thread = threading.Thread(target=self._run, name="MultiprocessIterator", daemon=True)
        self.thread.start()

    def kill(self) -> None:
        with contextlib.suppress(ValueError, OSError):  # it is gone, or not yet there
            self.process.kill()

    def _run(self) -> None:
        done = -1  # tasks of this process; -1: it has no dataset yet
        try:
            while (task := self.pool.tasks.get()) is not None:
                indices, future = task
                self.busy = True
                if self.pool.closing:
                    future.set_exception(_nobody())
                    return
                try:
                    if done == self.pool.max_tasks:
                        self._end()
                        self.process, self.connection = _start()
                        done = -1
                    if done < 0:
                        self.connection.send_bytes(self.pool.pickled)
                        done = 0
                    ok, value = self._ask(indices)
                    done += 1
                except (EOFError, OSError):
                    future.set_exception(self._epitaph(indices))
                    return
                except Exception as error:  # an answer that cannot be unpickled here
                    ok, value = False, error
                if ok:
                    future.set_result(value)
                else:
                    future.set_exception(value)
                self.busy = False
        finally:
            self._leave()
            self._end()

    def _ask(self, indices: list[int]) -> tuple[bool, Any]:
        asked = self.pool.shared_mem
        if asked and self.memory is None:
            self.memory = _allocate(asked * len(indices))
        self.connection.send((indices, None if self.memory is None else self.memory.name))
        ok, layout = self.connection.recv()
        data = self.connection.recv_bytes()
        buffers, start = [], 0
        room: Any = None if self.memory is None else self.memory.buf
        for size, shared in layout:
            if not shared:
                buffers.append(bytearray(self.connection.recv_bytes()))
            elif size:
                buffers.append(bytearray(room[start : start + size]))
                start += size
            else:
                buffers.append(bytearray())
        del room
        needed = sum(size for size, _ in layout)
        if ok and not all(shared for _, shared in layout):
            if asked is None and needed >= 4096:
                self._free()
                self.memory = _allocate(needed)
            elif asked and self.memory is not None:
                self.pool.too_small = max(self.pool.too_small, -(-needed // len(indices)))
        return ok, pickle.loads(data, buffers=buffers)

    def _epitaph(self, indices: list[int]) -> Exception:
        self.process.join(5)
        code = self.process.exitcode
        how = "closed its connection" if code is None else f"exit code {code}" if code >= 0 else f"signal {-code}"
        return WorkerDied(
            f"MultiprocessIterator: worker process {self.process.pid} died ({how}) while it read the examples "
            f"{indices}. Signal 9 often means that memory ran out: use fewer processes. Read these examples with "
            "SerialIterator to see a crash of the dataset's own code."
        )

    def _end(self) -> None:
        with contextlib.suppress(OSError):
            self.connection.send(None)
        self.connection.close()
        self.process.join(0.5)
        if self.process.exitcode is None:
            self.process.kill()
            self.process.join()
        self._free()

    def _free(self) -> None:
        if self.memory is not None:
            self.memory.close()
            with contextlib.suppress(FileNotFoundError):
                self.memory.unlink()
            self.memory = None

    def _leave(self) -> None:
        """Take no more tasks. The last lane says so to those that are waiting: else the program would wait for ever."""
        with self.pool.lock:
            self.pool.open -= 1
            while not self.pool.open and not self.pool.tasks.empty():
                task = self.pool.tasks.get()
                if task is not None:
                    task[1].set_exception(_nobody())


def _nobody() -> Exception:
    return WorkerDied("MultiprocessIterator: there is no worker process left to read these examples")


def _start() -> tuple[Any, Any]:
    """Start a worker; return its process and the connection to it."""
    ours, theirs = context.Pipe()
    worker = Worker("MultiprocessIterator", theirs)
    worker.start()
    return worker.process, ours


def _allocate(size: int) -> shared_memory.SharedMemory | None:
    """Return shared memory; None where there is none left: then arrays go through the pipe."""
    if os.path.isdir("/dev/shm"):
        room = os.statvfs("/dev/shm")
        if size * 2 > room.f_bavail * room.f_frsize:  # a write to pages that are not there would kill the process
            return None
    try:
        return shared_memory.SharedMemory(create=True, size=size)
    except OSError:
        return None
