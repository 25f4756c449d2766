"""The student: a plain residual network, small enough for a laptop's processor.

Dense 3x3 convolutions only. Depthwise ones have fewer parameters but run and train slower on ordinary processors.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class StudentSettings:
    """The shape of the network. Each stage is (channels, blocks) and halves the side in its first block."""

    stem: int = 32
    stages: tuple[tuple[int, int], ...] = ((48, 1), (96, 1), (128, 2), (192, 1))
    dimensions: int = 256
    # of pixel values 0..255, scaled inside the network
    mean: tuple[float, float, float] = (124.0, 124.0, 97.0)
    deviation: float = 64.0


class ResidualBlock(nn.Module):  # type: ignore[misc]  # torch's types are not read
    """Two 3x3 convolutions around a shortcut (He et al. 2015, the basic block)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.first_norm = nn.BatchNorm2d(outputs)
        self.second = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.second_norm = nn.BatchNorm2d(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, features: Tensor) -> Tensor:
        """Map float [N, inputs, H, W] to float [N, outputs, H / stride, W / stride]."""
        inner = functional.relu(self.first_norm(self.first(features)))
        inner = self.second_norm(self.second(inner))
        return functional.relu(inner + self.shortcut(features))


class Student(nn.Module):  # type: ignore[misc]  # torch's types are not read
    """Pixels in, features out (not yet of unit length)."""

    mean: Tensor

    def __init__(self, settings: StudentSettings) -> None:
        super().__init__()
        self.settings = settings
        self.register_buffer("mean", torch.tensor(settings.mean).view(1, 3, 1, 1))
        self.stem = nn.Sequential(
            nn.Conv2d(3, settings.stem, 3, 2, 1, bias=False), nn.BatchNorm2d(settings.stem), nn.ReLU()
        )
        blocks: list[nn.Module] = []
        channels = settings.stem
        for width, count in settings.stages:
            for number in range(count):
                blocks.append(ResidualBlock(channels, width, 2 if number == 0 else 1))
                channels = width
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(channels, settings.dimensions)

    def forward(self, pixels: Tensor) -> Tensor:
        """Embed images.

        Args:
            pixels: float [N, 3, H, W], values 0..255, RGB.

        Returns:
            float [N, dimensions].
        """
        scaled = (pixels - self.mean) / self.settings.deviation
        features: Tensor = self.blocks(self.stem(scaled))
        embedding: Tensor = self.head(features.mean(dim=(2, 3)))
        return embedding
