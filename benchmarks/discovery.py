"""Clusters that are species, their number unknown: ours beside what people use today, on the vectors of an index.

    python benchmarks/discovery.py INDEX … [--labels species] [--rounds N] [--picture FILE.png]

Each method gets the same vectors, unit length; nothing is written. AMI and ARI are over all specimens, each that is
left out being a cluster of its own. Rounds permute the order of arrival: mean ± half the range. The picture has a map
of the first index for each of a few methods. evoc, umap-learn, leidenalg and igraph are not dependencies, and the last
two are under the GPL: what is not installed is left out, and said.
"""

from __future__ import annotations

import argparse
import importlib.util
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy import sparse
from sklearn.metrics import adjusted_mutual_info_score, adjusted_rand_score

import morphoindex
from morphoindex.indexer.clustering.communities import NEIGHBOURS, ties
from morphoindex.indexer.clustering.forest import ClusterForest
from morphoindex.indexer.clustering.map_equation import modules
from morphoindex.indexer.clusters.labelling import Parameters, label
from morphoindex.indexer.descriptions.naming import value_of

_SEED = 1
Method = Callable[[ClusterForest, int], np.ndarray]


def hdbscan(forest: ClusterForest, species: int) -> np.ndarray:
    return label(forest, Parameters())[0]


def hdbscan_and_suggestions(forest: ClusterForest, species: int) -> np.ndarray:
    from morphoindex.indexer.clustering.suggestions import suggestions

    labels = hdbscan(forest, species)
    found = suggestions(forest.neighbours, labels)
    labels[found.rows] = found.labels
    return labels


def evoc(forest: ClusterForest, species: int) -> np.ndarray:
    from evoc import EVoC

    return EVoC(random_state=_SEED).fit_predict(np.array(forest.vectors))


def umap_and_hdbscan(forest: ClusterForest, species: int) -> np.ndarray:
    import umap
    from hdbscan import HDBSCAN

    flat = umap.UMAP(n_components=5, n_neighbors=30, min_dist=0, metric="cosine", random_state=_SEED)
    return HDBSCAN(min_cluster_size=10, min_samples=5).fit_predict(flat.fit_transform(np.array(forest.vectors)))


def kmeans_told_the_number(forest: ClusterForest, species: int) -> np.ndarray:
    from sklearn.cluster import KMeans

    return KMeans(species, n_init=3, random_state=_SEED).fit_predict(forest.vectors)


def leiden(forest: ClusterForest, species: int) -> np.ndarray:
    import igraph
    import leidenalg

    near = forest.neighbours.near[:, :10]
    edges = np.column_stack([np.repeat(np.arange(len(near)), 10), near.ravel()])
    graph = igraph.Graph(len(near), edges.tolist()).simplify()
    return np.array(leidenalg.find_partition(graph, leidenalg.ModularityVertexPartition, seed=_SEED).membership)


def map_equation(forest: ClusterForest, species: int) -> np.ndarray:
    """NetworKit's LouvainMapEquation on the 30 nearest, union, cos⁴: what communities begin with, plainly."""
    near, cosines = forest.neighbours.cosines(30)
    rows = np.repeat(np.arange(len(near)), near.shape[1])
    weights = np.maximum(cosines.ravel(), 1e-3) ** 4
    graph = sparse.csr_array((weights, (rows, near.ravel())), shape=(len(near), len(near)))
    return modules(graph.maximum(graph.T).tocsr())


def first_communities(forest: ClusterForest, species: int) -> np.ndarray:
    """Ties as `communities` has them, and nothing learnt."""
    return modules(ties(*forest.neighbours.cosines(NEIGHBOURS)))


def community(forest: ClusterForest, species: int) -> np.ndarray:
    return label(forest, Parameters(chosen="community"))[0]


METHODS: dict[str, tuple[Method, tuple[str, ...]]] = {
    "HDBSCAN*, ours": (hdbscan, ()),
    "HDBSCAN* and suggestions, ours": (hdbscan_and_suggestions, ()),
    "EVoC": (evoc, ("evoc",)),
    "UMAP to 5-d, HDBSCAN": (umap_and_hdbscan, ("umap", "hdbscan")),
    "k-means told the number": (kmeans_told_the_number, ()),
    "Leiden, 10 nearest": (leiden, ("leidenalg", "igraph")),
    "map equation, 30 nearest, cos⁴": (map_equation, ()),
    "map equation, our ties": (first_communities, ()),
    "**community**, ours": (community, ()),
}


def vectors_of(folder: Path, column: str) -> tuple[list[str], np.ndarray, np.ndarray, str]:
    """Ids in order, vectors, the number of each one's species, and the encoder, of all that have the label."""
    with morphoindex.open(folder) as index:
        session = index._session
        loaded = session.collection.load()
        rows = session.collection.catalog.query(f"SELECT id, {value_of(session.labels, column)} FROM specimen").rows
        species = {specimen: value for specimen, value in rows if value}
        keep = sorted((one.id, row) for row, one in enumerate(loaded.specimens) if one.id in species)
        ids = [one for one, _ in keep]
        truth = np.unique([species[one] for one in ids], return_inverse=True)[1]
        return ids, loaded.matrix[[row for _, row in keep]], truth, session.entry.name


def judged(labels: np.ndarray, truth: np.ndarray) -> tuple[float, float, int, float]:
    """AMI, ARI, clusters, and the share left out."""
    out = labels < 0
    alone = np.where(out, labels.max(initial=-1) + 1 + np.arange(len(labels)), labels)
    clusters = len(np.unique(labels[~out]))
    return adjusted_mutual_info_score(truth, alone), adjusted_rand_score(truth, alone), clusters, float(out.mean())


def spread(values: list[float], digits: int) -> str:
    middle, half = float(np.mean(values)), (max(values) - min(values)) / 2
    return f"{middle:.{digits}f}" + (f" ± {half:.{digits}f}" if round(half, digits) else "")


def draw(out: Path, vectors: np.ndarray, truth: np.ndarray) -> None:
    """Maps side by side: by species, and by clusters, each in the colour of its most frequent species."""
    from matplotlib.figure import Figure
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    forest = ClusterForest(5)
    forest.add([f"{i:08d}" for i in range(len(vectors))], vectors)
    places = TSNE(random_state=_SEED, init="pca").fit_transform(PCA(50, random_state=_SEED).fit_transform(vectors))
    colours = np.random.default_rng(_SEED).permutation(np.linspace(0, 0.93, truth.max() + 1))
    panels = {
        "species, as people named them": truth,
        "HDBSCAN*": hdbscan(forest, 0),
        "cosine 0.8": label(forest, Parameters(0.8))[0],
        "community": community(forest, 0),
    }
    figure = Figure((10, 10), layout="constrained")
    for axes, (title, labels) in zip(figure.subplots(2, 2).flat, panels.items(), strict=True):
        out_of_all = labels < 0
        colour = np.full(len(labels), np.nan)
        for one in range(labels.max() + 1):
            colour[labels == one] = colours[np.bincount(truth[labels == one]).argmax()]
        axes.scatter(*places[out_of_all].T, s=3, c="0.8", linewidths=0)
        axes.scatter(*places.T, s=3, c=colour, cmap="nipy_spectral", vmin=0, vmax=1, linewidths=0)
        axes.set_title(f"{title}: {labels.max() + 1:,}; in none {out_of_all.mean():.0%}", fontsize=12)
        axes.axis("off")
    figure.savefig(out, dpi=80)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("indexes", nargs="+", type=Path, metavar="INDEX")
    parser.add_argument("--labels", default="species")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--picture", type=Path, metavar="FILE.png")
    chosen = parser.parse_args()
    if chosen.picture:
        _, vectors, truth, _ = vectors_of(chosen.indexes[0], chosen.labels)
        draw(chosen.picture, vectors, truth)
        return
    for folder in chosen.indexes:
        ids, vectors, truth, encoder = vectors_of(folder, chosen.labels)
        species = len(np.unique(truth))
        print(f"\n### {len(ids):,} specimens of {species} {chosen.labels}, {encoder} ({folder})\n", flush=True)
        print("| method | AMI | ARI | clusters | left out | s |\n|---|---|---|---|---|---|", flush=True)
        forests = []
        for turn in range(chosen.rounds):
            order = np.random.default_rng(turn).permutation(len(ids)) if turn else np.arange(len(ids))
            forest = ClusterForest(5)
            forest.add([ids[i] for i in order], vectors[order])
            forests.append((forest, truth[order]))
        community(forests[0][0], species)  # compiled, and imported
        for name, (method, needs) in METHODS.items():
            missing = [need for need in needs if importlib.util.find_spec(need) is None]
            if missing:
                print(f"| {name} | {', '.join(missing)} not installed | | | | |", flush=True)
                continue
            found, seconds = [], []
            for forest, own in forests:
                start = time.perf_counter()
                labels = method(forest, species)
                seconds.append(time.perf_counter() - start)
                found.append(judged(labels, own))
            ami, ari, clusters, out = zip(*found, strict=True)
            cells = spread(list(ami), 3), spread(list(ari), 3), spread(list(clusters), 0), f"{np.mean(out):.0%}"
            print(f"| {name} | {' | '.join(cells)} | {min(seconds):.1f} |", flush=True)


if __name__ == "__main__":
    main()
