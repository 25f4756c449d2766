"""Deep embedded clustering (Xie, Girshick, Farhadi 2016, ICML): codes and cluster centres learned together.

Codes are softly assigned to centres by a Student-t kernel (their equation 1); the assignment is sharpened to a target
(equation 3), and the encoder and the centres are moved so that the one comes closer to the other (equation 2).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import linear_sum_assignment
from sklearn.cluster import KMeans
from torch import Tensor, nn
from torch.nn import functional

from morphoindex.exporters.training.autoencoder import Autoencoder
from morphoindex.exporters.training.batches import mirrored, through, to_tensor
from morphoindex.exporters.training.loop import Measured, Rows
from morphoindex.exporters.training.pictures import Pixels

Floats = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.int64]
SETTLED = 0.001  # the share of assignments that change in the last epoch, at the most (their section 3.3)
_STARTS = 20  # of k-means, as in the paper


class DeepClusters(nn.Module):  # type: ignore[misc]  # torch's types are not read
    """An autoencoder's encoder with k centres in its space of codes.

    The target and the assignments of all photographs are buffers: they are renewed once an epoch, and a run that is
    resumed in the middle of one needs those of its beginning.

    Args:
        autoencoder: trained; its encoder is trained on.
        codes: float32 [n, d], of all photographs.
        k: clusters.
        seed: of k-means.
    """

    target: Tensor
    assigned: Tensor
    scale: Tensor

    def __init__(self, autoencoder: Autoencoder, codes: Floats, k: int, seed: int) -> None:
        super().__init__()
        self.autoencoder = autoencoder
        found = KMeans(k, n_init=_STARTS, random_state=seed).fit(codes)
        # a kernel of width 1 asks for codes of about that size: mean squared distance to the centre 1
        scale = 1 / max(float(np.sqrt(found.inertia_ / len(codes))), 1e-6)
        self.register_buffer("scale", torch.tensor(scale))
        self.centres = nn.Parameter(torch.from_numpy(found.cluster_centers_.astype(np.float32)) * scale)
        soft = self.soften(torch.from_numpy(codes)).detach()
        self.register_buffer("assigned", soft.argmax(dim=1))
        self.register_buffer("target", sharpened(soft))

    def train(self, mode: bool = True) -> DeepClusters:
        """The norms stay as the autoencoder's training left them: targets are made with those."""
        super().train(mode)
        self.autoencoder.eval()
        return self

    def soften(self, codes: Tensor) -> Tensor:
        """Soft assignment of codes, float [N, d] -> float [N, k], rows sum to 1."""
        squares = torch.cdist(codes * self.scale, self.centres, compute_mode="donot_use_mm_for_euclid_dist").square()
        kernel = 1 / (1 + squares)
        return kernel / kernel.sum(dim=1, keepdim=True)

    def forward(self, pixels: Tensor) -> Tensor:
        """Float [N, 3, H, W], 0..255 -> float [N, k], rows sum to 1."""
        return self.soften(self.autoencoder.encode(pixels))


def sharpened(soft: Tensor) -> Tensor:
    """The target: squared, divided by the size of the cluster, rows sum to 1: float [N, k] -> float [N, k]."""
    weights = soft.square() / soft.sum(dim=0)
    return weights / weights.sum(dim=1, keepdim=True)


class DeepClustering:
    """The task: Kullback-Leibler divergence of the soft assignment from its target, on all photographs."""

    def __init__(self, network: DeepClusters, pixels: Pixels, mirror: bool) -> None:
        self.network = network
        self.samples = len(pixels)
        self._pixels, self._mirror = pixels, mirror

    def loss(self, rows: Rows, rng: np.random.Generator, progress: float) -> Tensor:
        """As Task has it."""
        images = to_tensor(self._pixels[rows])
        soft = self.network(mirrored(images, rng) if self._mirror else images)
        return functional.kl_div(soft.log(), self.network.target[torch.from_numpy(rows)], reduction="batchmean")

    def end_epoch(self, network: DeepClusters) -> Measured:
        """As Task has it: renews the target, and ends the run once hardly any assignment changes."""
        soft = torch.from_numpy(through(network, self._pixels))
        assigned = soft.argmax(dim=1)
        changed = float((assigned != network.assigned).float().mean())
        network.assigned.copy_(assigned)
        network.target.copy_(sharpened(soft))
        return Measured(figures={"changed": changed}, finished=changed < SETTLED)


def best_matching(assigned: Numbers, wanted: Numbers, k: int, classes: int) -> tuple[float, Numbers, Numbers]:
    """Accuracy when each cluster stands for one class and each class for one cluster, in the best way there is.

    Args:
        assigned: int64 [N], clusters 0..k-1.
        wanted: int64 [N], classes; -1 where there is no label.
        k: clusters.
        classes: how many classes.

    Returns:
        The accuracy; int64 [classes, k], how many of each class are in each cluster; int64 [k], the class that each
        cluster stands for, -1 for none (Kuhn 1955, by scipy).
    """
    known = wanted >= 0
    counts = np.zeros((classes, k), np.int64)
    np.add.at(counts, (wanted[known], assigned[known]), 1)
    rows, columns = linear_sum_assignment(-counts)
    stands_for = np.full(k, -1, np.int64)
    stands_for[columns] = rows
    return float(counts[rows, columns].sum() / max(known.sum(), 1)), counts, stands_for


def mapping(assigned: Numbers, wanted: Numbers, names: tuple[str, ...], k: int) -> dict[str, dict[str, Any]]:
    """Name each cluster after most of the reference photographs in it.

    Args:
        assigned: int64 [N], clusters of the reference photographs.
        wanted: int64 [N], their classes.
        names: of the classes.
        k: clusters.

    Returns:
        Cluster number -> `name` (None where no reference photograph is in it), `votes` for it, `references` in all.
    """
    mapped: dict[str, dict[str, Any]] = {}
    for cluster in range(k):
        votes = np.bincount(wanted[assigned == cluster], minlength=len(names))
        first = int(votes.argmax())
        name = names[first] if votes[first] else None
        mapped[str(cluster)] = {"name": name, "votes": int(votes[first]), "references": int(votes.sum())}
    return mapped


def codes_of(network: Autoencoder, pixels: Pixels) -> Floats:
    """Codes of many images, float32 [N, d]."""
    return through(network.encode, pixels)
