"""An embedding index for photographs of specimens, with clusters that keep their identity while it grows.

    with morphoindex.open(".", create=True) as index:
        index.add("photos/", labels="folder")
        for cluster in index.cluster(threshold=0.8).clusters:
            print(cluster.id, cluster.size)

`open` returns an `Index`; `errors` holds everything that it can raise. `IncrementalHDBSCAN` is the clustering alone, a
scikit-learn estimator for anyone's vectors; `preprocess` makes pictures of one size of a folder of photographs. Nothing
heavy is imported before it is needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from morphoindex import errors

if TYPE_CHECKING:
    from morphoindex.indexer.clustering.estimator import IncrementalHDBSCAN
    from morphoindex.indexer.index import Index
    from morphoindex.indexer.opening import open
    from morphoindex.indexer.preparation.preprocessing import preprocess

__version__ = "0.1.0.dev0"
__all__ = ["IncrementalHDBSCAN", "Index", "__version__", "errors", "open", "preprocess"]


def __getattr__(name: str) -> Any:
    if name == "open":
        from morphoindex.indexer.opening import open

        return open
    if name == "Index":
        from morphoindex.indexer.index import Index

        return Index
    if name == "IncrementalHDBSCAN":
        from morphoindex.indexer.clustering.estimator import IncrementalHDBSCAN

        return IncrementalHDBSCAN
    if name == "preprocess":
        from morphoindex.indexer.preparation.preprocessing import preprocess

        return preprocess
    raise AttributeError(f"module 'morphoindex' has no attribute {name!r}")
