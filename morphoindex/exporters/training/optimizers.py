"""What moves the weights: AdamW for all of them, or Muon for the convolutions and AdamW for the rest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

Optimizer = Literal["adamw", "muon"]


class Mover:
    """An optimizer of a network.

    AdamW decays weights of two and more dimensions; norms and biases are not weights of anything, and decaying them
    only slows them. Muon (Jordan et al. 2024) makes the step of a matrix orthogonal, so that all its directions learn
    alike; a convolution is the matrix [outputs, inputs x height x width]. Its steps are scaled to the size of AdamW's
    (Liu et al. 2025), so that one rate serves both. The first layer, which sees pixels, is left to AdamW.

    Args:
        network: moved in place. Its weights have to stay where they are in memory.
        kind: "adamw" or "muon".
        rate: of learning.
        weight_decay: of weights of two and more dimensions.
    """

    def __init__(self, network: nn.Module, kind: Optimizer, rate: float, weight_decay: float) -> None:
        weights = [weight for weight in network.parameters() if weight.requires_grad]
        self._kernels = [weight for weight in weights if kind == "muon" and weight.ndim == 4 and weight.shape[1] > 3]
        matrices = {id(kernel) for kernel in self._kernels}
        rest = [weight for weight in weights if id(weight) not in matrices]
        decayed, kept = [w for w in rest if w.ndim > 1], [w for w in rest if w.ndim <= 1]
        groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": kept, "weight_decay": 0.0}]
        self._parts: list[torch.optim.Optimizer] = [torch.optim.AdamW(groups, lr=rate)]
        self._views = [nn.Parameter(_as_matrix(kernel.data, kernel)) for kernel in self._kernels]
        if self._views:
            self._parts.append(
                torch.optim.Muon(
                    self._views, lr=rate, weight_decay=weight_decay, momentum=0.95, adjust_lr_fn="match_rms_adamw"
                )
            )

    def set_rate(self, rate: float) -> None:
        """Learn at this rate from now on."""
        for part in self._parts:
            for group in part.param_groups:
                group["lr"] = rate

    def clear(self) -> None:
        """Forget the gradients."""
        for part in self._parts:
            part.zero_grad(set_to_none=True)
        for kernel in self._kernels:
            kernel.grad = None

    def step(self) -> None:
        """Move all weights that have a gradient."""
        for view, kernel in zip(self._views, self._kernels, strict=True):
            view.grad = None if kernel.grad is None else _as_matrix(kernel.grad, kernel)
        for part in self._parts:
            part.step()

    def state_dict(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {"parts": [part.state_dict() for part in self._parts]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up what `state_dict` gave."""
        for part, kept in zip(self._parts, state["parts"], strict=True):
            part.load_state_dict(kept)


def _as_matrix(values: Tensor, kernel: Tensor) -> Tensor:
    """[O, I, H, W] -> [O, I x H x W] in the order in which the kernel lies in memory, so that its own is a view."""
    if not kernel.is_contiguous():
        values = values.permute(0, 2, 3, 1)
    return values.reshape(len(values), -1)
