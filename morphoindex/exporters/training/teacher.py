"""The teacher of a distillation: any encoder file, or a plain image network in ONNX."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime

from morphoindex.errors import EncoderInvalid

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
OUTPUT = "embedding"


@dataclass(frozen=True)
class Teacher:
    """An image network with an output `embedding`.

    Its input is uint8 [N, H, W, 3] as in an encoder file, or float32 [N, 3, H, W], for which pixels become
    (value - mean) / scale.
    """

    path: Path
    mean: float = 128.0
    scale: float = 128.0

    def fingerprint(self) -> str:
        """SHA-256 of the file, in hex."""
        return hashlib.sha256(self.path.read_bytes()).hexdigest()

    def session(self, threads: int) -> onnxruntime.InferenceSession:
        """Open the network on the CPU.

        Args:
            threads: of ONNX Runtime, within one operator.

        Raises:
            EncoderInvalid: it is no ONNX file that runs, or has another input or output.
        """
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 4
        try:
            session = onnxruntime.InferenceSession(str(self.path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime raises a dozen classes that share no base
            raise EncoderInvalid(f"{self.path} is not an ONNX file that runs here") from error
        taken, given = session.get_inputs(), [output.name for output in session.get_outputs()]
        kinds = ("tensor(uint8)", "tensor(float)")
        if len(taken) != 1 or taken[0].type not in kinds or len(taken[0].shape) != 4 or OUTPUT not in given:
            raise EncoderInvalid(
                f"{self.path} cannot teach: it must take uint8 [N, H, W, 3] or float32 [N, 3, H, W] and give `{OUTPUT}`"
            )
        return session

    def side(self) -> int:
        """Side of the square that it takes, in pixels.

        Raises:
            EncoderInvalid: it takes no square, or any size.
        """
        (taken,) = self.session(1).get_inputs()
        height, width = taken.shape[1:3] if taken.type == "tensor(uint8)" else taken.shape[2:4]
        if not isinstance(height, int) or height != width:
            raise EncoderInvalid(f"{self.path} cannot teach: it takes {height} × {width} pixels, not a square")
        return height

    def dimensions(self) -> int:
        """Length of its vectors, found by running it.

        Raises:
            EncoderInvalid: it does not run.
        """
        side = self.side()
        try:
            return int(self.embed(self.session(1), np.zeros((2, side, side, 3), np.uint8)).shape[1])
        except EncoderInvalid:
            raise
        except Exception as error:  # onnxruntime raises a dozen classes that share no base
            raise EncoderInvalid(f"{self.path} cannot teach: it does not run on two pictures at once") from error

    def embed(self, session: onnxruntime.InferenceSession, pixels: Pixels) -> Floats:
        """Run the network.

        Args:
            session: as `session` opens it.
            pixels: uint8 [N, H, W, 3], RGB, at the network's own size.

        Returns:
            float32 [N, D], as the network gives it.
        """
        (taken,) = session.get_inputs()
        fed: Pixels | Floats = pixels
        if taken.type == "tensor(float)":
            fed = (pixels.transpose(0, 3, 1, 2).astype(np.float32) - self.mean) / self.scale
        output: Floats = session.run([OUTPUT], {taken.name: fed})[0]
        return output.reshape(len(pixels), -1)
