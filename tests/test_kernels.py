"""Compiled kernels are kept on disk, until any source of them changes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import morphoindex

RUN = """
import sys
import numpy as np
from morphoindex.indexer.clustering.dendrogram import _join, dendrogram
dendrogram(np.array([0, 1]), np.array([1, 2]), np.array([0.1, 0.2]))
print(sum(_join.stats.cache_hits.values()), sum(_join.stats.cache_misses.values()))
"""


def test_kernels_are_kept_until_any_of_their_sources_changes(tmp_path: Path) -> None:
    package = tmp_path / "morphoindex"
    shutil.copytree(Path(morphoindex.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__", "*.onnx"))
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "NUMBA_CACHE_DIR": str(tmp_path / "kept")}

    def run() -> str:
        done = subprocess.run(
            [sys.executable, "-c", RUN], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    assert run() == "0 1"
    assert run() == "1 0"
    source = package / "indexer" / "clustering" / "distances.py"
    os.utime(source, (source.stat().st_atime, source.stat().st_mtime + 10))
    assert run() == "0 1"
    assert run() == "1 0"
