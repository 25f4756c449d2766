"""The vectors of an index, in files."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable, Sequence
from pathlib import Path

import duckdb
import numpy as np

from morphoindex.errors import UsageError
from morphoindex.indexer.files.replacing import replacing
from morphoindex.indexer.files.table_files import copy_to
from morphoindex.indexer.holdings.collection import Vectors
from morphoindex.indexer.host import Host
from morphoindex.indexer.paths import to_text
from morphoindex.indexer.reports.tables import present_paths

FORMATS = ("npz", "parquet", "json", "pkl")
_BATCH = 2048


def write_embeddings(index: Host, out: Path, format: str) -> int:
    """Write ids, first paths and vectors, in order of id; returns how many.

    In "npz" they are arrays of these names, in "pkl" a dict of two lists and an array float32 [n, d], in "json" and
    "parquet" a row for each specimen.

    Raises:
        UsageError: the file cannot be written.
    """
    loaded = index.collection.load()
    ids = [one.id for one in loaded.specimens]
    paths = [next(iter(present_paths(index, one)), "") for one in loaded.specimens]
    with replacing(out) as beside:
        if format == "parquet":
            _write_parquet(beside, out, ids, paths, loaded)
        elif format == "json":
            with open(beside, "w", encoding="utf-8") as text:
                _write_json(text.write, ids, paths, loaded)
        else:
            with open(beside, "wb") as file:
                if format == "npz":
                    np.savez(
                        file, ids=np.array(ids, dtype=str), paths=np.array(paths, dtype=str), embeddings=loaded.matrix
                    )
                else:
                    pickle.dump({"ids": ids, "paths": paths, "embeddings": loaded.matrix}, file, protocol=4)
    return len(ids)


def _write_json(write: Callable[[str], object], ids: Sequence[str], paths: Sequence[str], loaded: Vectors) -> None:
    """A list, an object a line; numbers as short as float32 allows."""
    write("[")
    for number, (one, path) in enumerate(zip(ids, paths, strict=True)):
        values = ",".join(map(str, loaded.matrix[number]))
        begin = ",\n" if number else "\n"
        write(f'{begin}{{"ids":{json.dumps(one)},"paths":{json.dumps(path)},"embeddings":[{values}]}}')
    write("\n]\n")


def _write_parquet(beside: Path, out: Path, ids: Sequence[str], paths: Sequence[str], loaded: Vectors) -> None:
    try:
        with duckdb.connect(config={"threads": 1}) as connection:
            connection.execute("CREATE TABLE report (ids VARCHAR, paths VARCHAR, embeddings FLOAT[])")
            for start in range(0, len(ids), _BATCH):
                part = slice(start, start + _BATCH)
                connection.execute(
                    "INSERT INTO report SELECT unnest(?::VARCHAR[]), unnest(?::VARCHAR[]), unnest(?::FLOAT[][])",
                    [ids[part], paths[part], loaded.matrix[part].tolist()],
                )
            copy_to(connection, "FROM report", beside, "FORMAT parquet")
    except duckdb.Error as error:
        raise UsageError(f"{to_text(os.fspath(out))} cannot be written: {str(error).splitlines()[0]}") from error
