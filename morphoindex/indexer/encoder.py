"""Pixels to unit vectors, by an ONNX file that describes itself (docs/encoders.md has the contract)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from morphoindex.errors import EncoderError, EncoderInvalid, RuntimeMissing, UsageError
from morphoindex.indexer.images import Fit, Resampling, fit

DEFAULT = "insect-128"
_PROVIDERS = ("CUDAExecutionProvider", "CPUExecutionProvider")  # the first that is there is used
_MEMORY = 256 << 20  # bytes of activations that the batches of all workers together may take
_ACTIVATIONS = 20  # times the input, as float32: what a convolutional network holds at its widest
_MOST = {"CPUExecutionProvider": 32, "CUDAExecutionProvider": 256}


@dataclass(frozen=True)
class EncoderInfo:
    """What an encoder file says of itself.

    Attributes:
        name: also the name of its vectors in the store.
        fingerprint: sha256 of the file, hexadecimal.
        dim: length of its vectors.
        height, width: of the pixels it takes.
        fit: how a photograph is brought to that size: "squash", "crop" or "letterbox".
        resampling: the filter, such as "bicubic".
        about: the rest of its metadata: source, licence, training data.
    """

    name: str
    fingerprint: str
    dim: int
    height: int
    width: int
    fit: Fit
    resampling: Resampling
    about: dict[str, str]


class Encoder:
    """An encoder, ready to run. Threads may share it.

    Args:
        path: the ONNX file.
        workers: how many threads will call `embed` at once; on CPUs each call then uses one core, so that
            decoding and inference never fight for them.
        provider: an ONNX Runtime provider; by default CUDA where it is there, else the CPU.

    Raises:
        RuntimeMissing: onnxruntime is not installed.
        EncoderInvalid: the file is not an encoder of the contract.
        UsageError: the provider is not there.
    """

    def __init__(self, path: Path, workers: int = 1, provider: str | None = None) -> None:
        runtime = _runtime()
        content = _read(path)
        self.provider = _choose_provider(runtime, provider)
        options = runtime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 4
        try:
            self._session = runtime.InferenceSession(content, options, providers=[self.provider])
        except Exception as error:  # onnxruntime raises a dozen classes that share no base
            raise EncoderInvalid(f"{path.name} is not an ONNX file that runs here: {_brief(error)}") from error
        self.info = _describe(path, content, self._session)
        floats = self.info.height * self.info.width * 3 * 4 * _ACTIVATIONS
        self.batch = int(np.clip(_MEMORY // (floats * max(workers, 1)), 1, _MOST.get(self.provider, 32)))

    @property
    def place(self) -> str:
        """Where it runs, in words."""
        return {"CPUExecutionProvider": "the CPU", "CUDAExecutionProvider": "CUDA"}.get(self.provider, self.provider)

    def fit(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Bring a photograph [H, W, 3] to the encoder's own size, with its own filter."""
        return fit(pixels, (self.info.height, self.info.width), self.info.fit, self.info.resampling)

    def embed(self, pixels: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Embed photographs of the encoder's size.

        Args:
            pixels: uint8 [n, height, width, 3], RGB.

        Returns:
            float32 [n, dim], unit length; and bool [n], False where the vector is not finite or is zero.

        Raises:
            EncoderError: the runtime failed.
            EncoderInvalid: the vectors are neither unit length nor zero.
        """
        parts = [self._run(pixels[start : start + self.batch]) for start in range(0, len(pixels), self.batch)]
        vectors = np.concatenate(parts) if parts else np.empty((0, self.info.dim), np.float32)
        with np.errstate(invalid="ignore", over="ignore"):
            lengths = np.linalg.norm(vectors, axis=1)
        good = np.isfinite(lengths) & (lengths > 0)
        if np.any(np.abs(lengths[good] - 1) > 1e-3):
            raise EncoderInvalid(f"{self.info.name} gives vectors that are not of unit length: export it again")
        return vectors, good

    def _run(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        try:
            return cast("NDArray[np.float32]", self._session.run(["embedding"], {"pixels": pixels})[0])
        except Exception as error:  # see above
            if len(pixels) == 1:
                raise EncoderError(f"{self.info.name} failed: {_brief(error)}") from error
        half = len(pixels) // 2  # most likely out of memory: try with less at once
        self.batch = max(1, min(self.batch, half))
        return np.concatenate([self._run(pixels[:half]), self._run(pixels[half:])])


def find_encoder(name_or_path: str) -> Path:
    """The file of an encoder: built-in names first, then paths.

    Raises:
        UsageError: there is neither such a name nor such a file.
    """
    built_in = built_in_encoders()
    if name_or_path in built_in:
        return built_in[name_or_path]
    path = Path(name_or_path)
    if not path.is_file():
        names = ", ".join(built_in)
        raise UsageError(f"no encoder {name_or_path!r}: give a built-in name ({names}) or the path of an ONNX file")
    return path


def built_in_encoders() -> dict[str, Path]:
    """The encoders that come with the package: name → file."""
    folder = Path(str(resources.files("morphoindex.indexer"))) / "encoders"
    return {path.stem: path for path in sorted(folder.glob("*.onnx"))}


def _runtime() -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise RuntimeMissing(
            "onnxruntime is not installed: `pip install 'morphoindex[cpu]'`, or `morphoindex[gpu]` where there is CUDA"
        ) from error
    return onnxruntime


def _choose_provider(runtime: Any, wanted: str | None) -> str:
    there = runtime.get_available_providers()
    if wanted is None:
        return next(provider for provider in _PROVIDERS if provider in there)
    if wanted not in there:
        raise UsageError(f"{wanted} is not there; this onnxruntime has {', '.join(there)}")
    return wanted


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise EncoderInvalid(f"{path} cannot be read: {error.strerror or error}") from error


def _describe(path: Path, content: bytes, session: Any) -> EncoderInfo:
    inputs, outputs = session.get_inputs(), session.get_outputs()
    metadata = {
        key.removeprefix("morphoindex."): value
        for key, value in session.get_modelmeta().custom_metadata_map.items()
        if key.startswith("morphoindex.")
    }
    pixels = inputs[0]
    shape, vector = pixels.shape, outputs[0].shape
    if (
        len(inputs) != 1 or pixels.name != "pixels" or pixels.type != "tensor(uint8)"
        or len(shape) != 4 or shape[3] != 3 or not all(isinstance(side, int) for side in shape[1:])
        or outputs[0].name != "embedding" or len(vector) != 2 or not isinstance(vector[1], int)
    ):  # fmt: skip
        raise EncoderInvalid(
            f"{path.name} is an ONNX file, but not an encoder: it must take `pixels` uint8 [N, H, W, 3] and give "
            "`embedding` float32 [N, d] (see docs/encoders.md)"
        )
    if isinstance(shape[0], int):
        raise EncoderInvalid(f"{path.name} has a fixed batch size of {shape[0]}: export it again with a dynamic one")
    mode, resampling = metadata.pop("fit", "squash"), metadata.pop("resampling", "bicubic")
    if mode not in Fit.__args__ or resampling not in Resampling.__args__:  # type: ignore[attr-defined]
        raise EncoderInvalid(f"{path.name} asks for fit {mode!r} and resampling {resampling!r}, which are not known")
    return EncoderInfo(
        name=metadata.pop("name", path.stem),
        fingerprint=hashlib.sha256(content).hexdigest(),
        dim=vector[1],
        height=shape[1],
        width=shape[2],
        fit=cast("Fit", mode),
        resampling=cast("Resampling", resampling),
        about=metadata,
    )


def _brief(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__)[:200]
