"""A process that holds a folder: ``python lock_holder.py LOCK_MODULE FOLDER CHILD``, for ``test_lock.py``.

Starts a child, unless CHILD is ``none``, prints the child's process id (or 0), and waits to be killed. The module of
the lock is loaded from its file, without the rest of fnn.
"""

import importlib.util
import multiprocessing
import os
import subprocess
import sys
import time


def main(module: str, folder: str, child: str) -> None:
    spec = importlib.util.spec_from_file_location("lock", module)
    assert spec is not None
    assert spec.loader is not None
    lock = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(lock)
    held = lock.FolderLock(folder)
    held.acquire()
    process = 0
    if child == "forked":
        process = os.fork()
    elif child == "forked, and releases the lock":
        process = os.fork()
        if process == 0:
            os.open(held.file, os.O_RDONLY)  # under the number that the lock's own descriptor had
            held.release()
    elif child == "worker":
        worker = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
        worker.start()
        process = worker.pid
    elif child == "program":
        process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], close_fds=False).pid
    if process or child == "none":
        print(process, flush=True)
    time.sleep(60)


if __name__ == "__main__":
    main(*sys.argv[1:])
