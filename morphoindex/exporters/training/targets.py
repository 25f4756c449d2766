"""From the teacher's embeddings to what the student is to learn."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class TargetProjection:
    """Centring, PCA and a mild whitening: unit((x - mean) @ axes)."""

    mean: Floats
    axes: Floats

    def __call__(self, embeddings: Floats) -> Floats:
        """Project embeddings of the teacher.

        Args:
            embeddings: float32 [N, D].

        Returns:
            float32 [N, d], unit length.
        """
        projected = (embeddings - self.mean) @ self.axes
        unit: Floats = projected / np.maximum(np.linalg.norm(projected, axis=1, keepdims=True), 1e-12)
        return unit


def fit_projection(embeddings: Floats, dimensions: int, whitening: float = 0.125) -> TargetProjection:
    """Fit the projection to embeddings of the teacher.

    Cosines of whole teacher embeddings are governed by the few directions that vary most. Each direction is divided by
    eigenvalue ** whitening: 0 keeps the teacher's own geometry, 0.5 would make all directions count alike.

    Args:
        embeddings: float32 [N, D], N > dimensions.
        dimensions: d <= D, of the student.
        whitening: 0..0.5.
    """
    mean = embeddings.mean(axis=0)
    centred = (embeddings - mean).astype(np.float64)
    eigenvalues, vectors = np.linalg.eigh(centred.T @ centred / len(centred))
    largest = np.argsort(eigenvalues)[::-1][:dimensions]
    scale = np.maximum(eigenvalues[largest], 1e-12) ** -whitening
    return TargetProjection(mean=mean, axes=(vectors[:, largest] * scale).astype(np.float32))
