# SPDX-License-Identifier: Apache-2.0
"""Clients from npm."""

import os
import shutil
import subprocess
import tempfile
import unittest


def folder_with(test_class, variable, package, patience=90):
    """Where |package|, name@version, is installed: the folder that the environment's |variable| names, or one that lasts as long as
    |test_class|. Its tests are skipped where that can't be had."""
    if not shutil.which("node"):
        raise unittest.SkipTest("no node here")
    if os.environ.get(variable):
        return os.environ[variable]
    if not shutil.which("npm"):
        raise unittest.SkipTest("no npm here")
    folder = tempfile.TemporaryDirectory()
    test_class.addClassCleanup(folder.cleanup)
    try:
        subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--fetch-retries=0", "--fetch-timeout=20000", package],
                       cwd=folder.name, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                       timeout=patience)
    except (subprocess.SubprocessError, OSError):
        raise unittest.SkipTest(package + " cannot be installed here") from None
    return folder.name
