"""How snapshots get to the disk: at once, or by a thread or a process while training goes on.

Whoever writes, a kill at any moment leaves the previous snapshot whole (training/files.py).
"""

from __future__ import annotations

import functools
import queue
import threading
from collections.abc import Callable, Mapping
from typing import Any

from jaxchain.iterators.launch import Calls, Worker
from jaxchain.serializers import save_npz
from jaxchain.training.files import write_aside


def write_snapshot(
    filename: str, folder: str, target: Mapping[str, Any], savefun: Callable[..., Any], **options: Any
) -> None:
    """Write a snapshot in one step that cannot be seen half done.

    Args:
        filename: Name of the file.
        folder: Where it goes.
        target: Arrays by key.
        savefun: ``savefun(path, target)`` writes them.
        **options: Further arguments of `savefun`.
    """
    write_aside(folder, filename, lambda path: savefun(path, target, **options))


class Writer:
    """Base class of writers. Subclasses override `__call__`."""

    def __init__(self) -> None:
        self._post_save_hooks: list[Callable[[], Any]] = []

    def __call__(self, filename: str, outdir: str, target: Mapping[str, Any]) -> None:
        """Write a snapshot, now or later.

        Args:
            filename: Name of the file.
            outdir: Its folder.
            target: Arrays by key.
        """
        raise NotImplementedError

    def __del__(self) -> None:
        try:
            self.finalize()
        except Exception:  # when Python exits, modules may be gone
            pass

    def finalize(self) -> None:
        """Wait until everything is written."""

    def save(
        self, filename: str, outdir: str, target: Mapping[str, Any], savefun: Callable[..., Any], **kwds: Any
    ) -> None:
        """Write a snapshot now, and call the hooks.

        Args:
            filename: Name of the file.
            outdir: Its folder.
            target: Arrays by key.
            savefun: ``savefun(path, target)`` writes them.
            **kwds: Further arguments of `savefun`.
        """
        write_snapshot(filename, outdir, target, savefun, **kwds)
        self._post_save()

    def _add_cleanup_hook(self, hook_fun: Callable[[], Any]) -> None:
        self._post_save_hooks.append(hook_fun)

    def _post_save(self) -> None:
        for hook in self._post_save_hooks:
            hook()


class SimpleWriter(Writer):
    """Writes at once; training waits.

    Args:
        savefun: ``savefun(path, target)`` writes a dictionary of arrays.
        **kwds: Further arguments of it.
    """

    def __init__(self, savefun: Callable[..., Any] = save_npz, **kwds: Any) -> None:
        super().__init__()
        self._savefun = savefun
        self._kwds = kwds

    def __call__(self, filename: str, outdir: str, target: Mapping[str, Any]) -> None:
        """Write a snapshot."""
        self.save(filename, outdir, target, self._savefun, **self._kwds)


class StandardWriter(Writer):
    """Base class of writers that start a worker for each snapshot. Subclasses override `create_worker`.

    Args:
        savefun: ``savefun(path, target)`` writes a dictionary of arrays.
        **kwds: Further arguments of it.
    """

    _worker: Any = None

    def __init__(self, savefun: Callable[..., Any] = save_npz, **kwds: Any) -> None:
        super().__init__()
        self._savefun = savefun
        self._kwds = kwds

    def __call__(self, filename: str, outdir: str, target: Mapping[str, Any]) -> None:
        """Wait for the last worker, and start one."""
        self.finalize()
        self._worker = self.create_worker(filename, outdir, target, **self._kwds)
        self._worker.start()

    def create_worker(self, filename: str, outdir: str, target: Mapping[str, Any], **kwds: Any) -> Any:
        """Return a worker: an object with ``start()`` and ``join()``.

        Args:
            filename: Name of the file.
            outdir: Its folder.
            target: Arrays by key.
            **kwds: Further arguments of the function that writes.
        """
        raise NotImplementedError

    def finalize(self) -> None:
        """Wait for the last worker.

        Raises:
            RuntimeError: It failed.
        """
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.join()
            _check(worker)


class ThreadWriter(StandardWriter):
    """Writes each snapshot in a thread."""

    def create_worker(self, filename: str, outdir: str, target: Mapping[str, Any], **kwds: Any) -> Any:
        """Return a thread."""
        return _Thread(lambda: self.save(filename, outdir, target, self._savefun, **kwds), daemon=False)


class ProcessWriter(StandardWriter):
    """Writes each snapshot in a new process. Hooks run here, before the next one.

    The process is a new interpreter. It imports the program's script only if `savefun` comes from there.
    """

    def create_worker(self, filename: str, outdir: str, target: Mapping[str, Any], **kwds: Any) -> Any:
        """Return a process."""
        calls = Calls()
        calls.put((functools.partial(write_snapshot, **kwds), filename, outdir, target, self._savefun))
        calls.put(None)
        return Worker("ProcessWriter", calls, daemon=False)

    def finalize(self) -> None:
        """Wait for the last process.

        Raises:
            RuntimeError: It failed.
        """
        worked = self._worker is not None
        super().finalize()
        if worked:
            self._post_save()


class QueueWriter(Writer):
    """Base class of writers with one consumer for all snapshots. Subclasses give the queue and the consumer.

    Args:
        savefun: ``savefun(path, target)`` writes a dictionary of arrays.
        task: What the consumer calls as ``task(filename, outdir, target)``. None: one that calls `savefun`.
    """

    _consumer: Any = None

    def __init__(self, savefun: Callable[..., Any] = save_npz, task: Callable[..., Any] | None = None) -> None:
        super().__init__()
        self._task = self.create_task(savefun) if task is None else task
        self._queue = self.create_queue()
        self._consumer = self.create_consumer(self._queue)
        self._consumer.start()

    def __call__(self, filename: str, outdir: str, target: Mapping[str, Any]) -> None:
        """Put a snapshot into the queue."""
        if self._consumer is None:
            raise RuntimeError(f"{type(self).__name__}: it was finalized; make a new one for another run")
        if not self._consumer.is_alive():
            self.finalize()  # says why
        self._queue.put((self._task, filename, outdir, target))

    def create_task(self, savefun: Callable[..., Any]) -> Callable[..., Any]:
        """Return what the consumer calls.

        Args:
            savefun: What writes.
        """
        return SimpleWriter(savefun=savefun)

    def create_queue(self) -> Any:
        """Return a queue."""
        raise NotImplementedError

    def create_consumer(self, q: Any) -> Any:
        """Return a worker that calls ``self.consume(q)``.

        Args:
            q: The queue.
        """
        raise NotImplementedError

    def consume(self, q: Any) -> None:
        """Write what comes through the queue, until None does.

        Args:
            q: The queue.
        """
        while (item := q.get()) is not None:
            task, *args = item
            task(*args)
            self._post_save()
            q.task_done()
        q.task_done()

    def finalize(self) -> None:
        """Wait until everything is written.

        Raises:
            RuntimeError: The consumer failed.
        """
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            self._queue.put(None)
            consumer.join()
            _check(consumer)


class ThreadQueueWriter(QueueWriter):
    """Writes all snapshots in one thread."""

    def create_queue(self) -> Any:
        """Return a queue between threads."""
        return queue.Queue()

    def create_consumer(self, q: Any) -> Any:
        """Return a thread."""
        return _Thread(lambda: self.consume(q), daemon=True)  # else a writer that never runs keeps Python from exiting


class ProcessQueueWriter(QueueWriter):
    """Writes all snapshots in one process. Hooks run here, when a snapshot is put into the queue, and at the end.

    The process is a new interpreter, as for `ProcessWriter`.
    """

    def create_queue(self) -> Any:
        """Return a queue between processes."""
        return Calls()

    def create_consumer(self, q: Any) -> Any:
        """Return a process."""
        return Worker("ProcessQueueWriter", q)

    def __call__(self, filename: str, outdir: str, target: Mapping[str, Any]) -> None:
        """Put a snapshot into the queue."""
        super().__call__(filename, outdir, target)
        self._post_save()

    def finalize(self) -> None:
        """Wait until everything is written.

        Raises:
            RuntimeError: The consumer failed.
        """
        worked = self._consumer is not None
        super().finalize()
        if worked:
            self._post_save()


class _Thread(threading.Thread):
    """A thread that remembers how its function failed."""

    def __init__(self, run: Callable[[], Any], daemon: bool) -> None:
        super().__init__(daemon=daemon)
        self._function = run
        self.error: BaseException | None = None

    def run(self) -> None:
        """Call the function."""
        try:
            self._function()
        except BaseException as error:
            self.error = error


def _check(worker: Any) -> None:
    """Raise if a worker failed."""
    error, code = getattr(worker, "error", None), getattr(worker, "exitcode", 0)
    if isinstance(error, BaseException):
        raise RuntimeError(f"a snapshot could not be written ({error})") from error
    if isinstance(code, int) and code:
        raise RuntimeError(f"a snapshot could not be written (exit code {code})")
