# SPDX-License-Identifier: Apache-2.0
"""A thread of another process that gets no CPU."""

import ctypes
import os
import unittest


def comm(pid, thread):
    with open("/proc/%d/task/%s/comm" % (pid, thread), encoding="ascii") as file:
        return file.read().strip()


class Stalled:
    """Keeps a thread of a process from running, as a machine does that has no CPU for it."""

    SEIZE, INTERRUPT, DETACH, EVERY_THREAD = 0x4206, 0x4207, 17, 0x40000000

    def __init__(self, pid, name):
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.thread = next(int(t) for t in os.listdir("/proc/%d/task" % pid)
                           if comm(pid, t) == name)

    def __enter__(self):
        if self._trace(self.SEIZE):
            raise unittest.SkipTest("can't trace here: %s" % os.strerror(ctypes.get_errno()))
        self._trace(self.INTERRUPT)
        os.waitpid(self.thread, self.EVERY_THREAD)
        return self

    def __exit__(self, *ignored):
        self._trace(self.DETACH)

    def _trace(self, request):
        return self.libc.ptrace(ctypes.c_long(request), ctypes.c_long(self.thread), None, None)
