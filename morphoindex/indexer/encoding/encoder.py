"""Pixels to unit vectors, by an ONNX file that describes itself (docs/encoders.md has the contract)."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from morphoindex.errors import EncoderError, EncoderInvalid, RuntimeMissing, UsageError
from morphoindex.indexer.encoding.accelerator import WAYS, Ways, engine_folder, load_libraries
from morphoindex.indexer.encoding.onnx_graph import with_outputs
from morphoindex.indexer.photographs.images import Fit, Resampling, fit
from morphoindex.indexer.words import installing

DEFAULT = "insect-128"
PROVIDER = "MORPHOINDEX_PROVIDER"
_CPU, _CUDA, _TENSORRT = "CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"
_PROVIDERS = {"cuda": _CUDA, "tensorrt": _TENSORRT, "cpu": _CPU}
_ACTIVATIONS = 20  # times the input, as float32: what a convolutional network holds at its widest
_MEMORY, _MOST = 256 << 20, 32  # bytes of activations that all batches under way may take, and images in one
_MEMORY_ON_CARD, _MOST_ON_CARD = 4 << 30, 256  # the same of a graphics card
_UNKNOWN = "there is no card, or its driver is too old"
_NO_TENSORRT = "TensorRT is not installed, or not the version that this onnxruntime wants"
_SILENT = 4  # severity below which the runtime does not log


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
        unstated: those of name, fit and resampling that the file does not say, so that the usual is assumed.
    """

    name: str
    fingerprint: str
    dim: int
    height: int
    width: int
    fit: Fit
    resampling: Resampling
    about: dict[str, str]
    unstated: tuple[str, ...] = ()


class Encoder:
    """An encoder, ready to run. Threads may share it.

    Args:
        path: the ONNX file.
        workers: how many threads will call `embed` at once; on CPUs each call then uses one core, so that
            decoding and inference never fight for them.
        provider: "cpu", "cuda", "tensorrt" or the name of another provider of ONNX Runtime; by default the one that
            the environment variable MORPHOINDEX_PROVIDER names, else CUDA where it is there, else the CPU.
        inside: names of values inside its graph that `look_inside` is to give; they keep the runtime from fusing
            operations, so that vectors may differ in their last digits.

    Raises:
        RuntimeMissing: onnxruntime is not installed.
        EncoderInvalid: the file is not an encoder of the contract.
        UsageError: the provider that was asked for is not there, or does not start.
    """

    def __init__(self, path: Path, workers: int = 1, provider: str | None = None, inside: Sequence[str] = ()) -> None:
        runtime, provider = _runtime(), provider or os.environ.get(PROVIDER)
        content = _read(path)
        providers = _choose_providers(runtime, provider)
        self._session, why = _start(runtime, path, with_outputs(content, inside), providers)
        self.provider: str = self._session.get_providers()[0]
        self._passed_over = f", since {providers[0]} does not start: {why}" if self.provider != providers[0] else ""
        if provider is not None and self._passed_over:
            raise UsageError(f"{providers[0]} is installed but does not start here: {why}")
        self.info = _describe(path, content, self._session)
        self._inside = tuple(inside)
        on_card = self.provider != _CPU
        floats = self.info.height * self.info.width * 3 * 4 * _ACTIVATIONS
        memory, sharing = (_MEMORY_ON_CARD, WAYS) if on_card else (_MEMORY, max(workers, 1))
        self.batch = int(np.clip(memory // (floats * sharing), 1, _MOST_ON_CARD if on_card else _MOST))
        self._ways: Ways | None = None
        if on_card:
            shape = (self.batch, self.info.height, self.info.width, 3)
            self._ways = Ways(shape, getattr(runtime, "cuda_version", None) or "")

    @property
    def place(self) -> str:
        """Where it runs, in words."""
        names = {"cpu": "the CPU", "cuda": "CUDA", "tensorrt": "TensorRT"}
        place = next((names[short] for short, name in _PROVIDERS.items() if name == self.provider), self.provider)
        return place + self._passed_over

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
        parts = [self._halving(pixels[start : start + self.batch]) for start in range(0, len(pixels), self.batch)]
        vectors = np.concatenate(parts) if parts else np.empty((0, self.info.dim), np.float32)
        with np.errstate(invalid="ignore", over="ignore"):
            lengths = np.linalg.norm(vectors, axis=1)
        good = np.isfinite(lengths) & (lengths > 0)
        if np.any(np.abs(lengths[good] - 1) > 1e-3):
            raise EncoderInvalid(f"{self.info.name} gives vectors that are not of unit length: export it again")
        return vectors, good

    def run(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The vectors of one batch as they come, whatever they are: uint8 [n, height, width, 3] -> float32 [n, dim].

        Raises:
            EncoderError: the runtime failed.
        """
        try:
            if self._ways is None:
                return self._bound(np.ascontiguousarray(pixels))
            with self._ways.taken(pixels) as there:
                return self._bound(there)
        except Exception as error:  # see above
            raise EncoderError(f"{self.info.name} failed: {_brief(error)}") from error

    def _bound(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        binding = self._session.io_binding()
        binding.bind_cpu_input("pixels", pixels)
        binding.bind_output("embedding")
        self._session.run_with_iobinding(binding)
        return cast("NDArray[np.float32]", binding.copy_outputs_to_cpu()[0])

    def look_inside(self, pixels: NDArray[np.uint8]) -> dict[str, NDArray[np.generic]]:
        """The values inside the graph that were named when it was opened, of photographs [n, height, width, 3].

        Raises:
            EncoderError: the runtime failed.
        """
        try:
            values = self._session.run(self._inside, {"pixels": np.ascontiguousarray(pixels)})
        except Exception as error:  # see above
            raise EncoderError(f"{self.info.name} failed: {_brief(error)}") from error
        return dict(zip(self._inside, values, strict=True))

    def _halving(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        try:
            return self.run(pixels)
        except EncoderError:
            if len(pixels) == 1:
                raise
        half = len(pixels) // 2  # most likely out of memory: try with less at once
        self.batch = max(1, min(self.batch, half))
        return np.concatenate([self._halving(pixels[:half]), self._halving(pixels[half:])])


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
    return {path.stem: path for path in sorted(folder.glob("*.onnx"), key=lambda path: path.stem)}


def _runtime() -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise RuntimeMissing(
            f"onnxruntime is not installed: {installing('cpu')} brings it, or `.[gpu]` where there is CUDA"
        ) from error
    return onnxruntime


def _choose_providers(runtime: Any, wanted: str | None) -> list[str]:
    """The one that is wanted, and what runs the operators that it has not."""
    there = runtime.get_available_providers()
    first = (_CUDA if _CUDA in there else _CPU) if wanted is None else _PROVIDERS.get(wanted.lower(), wanted)
    if first not in there:
        hint = f": {installing('gpu')}, instead of `.[cpu]`, brings CUDA" if first == _CUDA else ""
        raise UsageError(f"{first} is not there; this onnxruntime has {', '.join(there)}{hint}")
    return [first, *(name for name in (_CUDA, _CPU) if name in there and name != first and first != _CPU)]


def _start(runtime: Any, path: Path, content: bytes, providers: list[str]) -> tuple[Any, str]:
    """A session on the first provider that starts; and, where that is not the first, why, as far as it can be told."""
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = _SILENT
    why = ""
    if {_CUDA, _TENSORRT} & set(providers):
        runtime.set_default_logger_severity(_SILENT)  # what does not start is said once, by us
        why = load_libraries(runtime)
    cached = {
        "trt_engine_cache_enable": True, "trt_timing_cache_enable": True, "trt_engine_cache_path": str(engine_folder())
    }  # fmt: skip
    while True:
        chosen = [(name, cached if name == _TENSORRT else {}) for name in providers]
        try:
            return runtime.InferenceSession(content, options, providers=chosen, enable_fallback=0), why or _UNKNOWN
        except Exception as error:  # onnxruntime raises a dozen classes that share no base
            if len(providers) == 1:
                raise EncoderInvalid(f"{path.name} is not an ONNX file that runs here: {_brief(error)}") from error
            why = why or (_NO_TENSORRT if providers[0] == _TENSORRT else _brief(error))
            providers = providers[1:]


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
            "`embedding` float32 [N, d]. `morphoindex encoder import` makes an encoder of it (see docs/encoders.md)"
        )
    if isinstance(shape[0], int):
        raise EncoderInvalid(f"{path.name} has a fixed batch size of {shape[0]}: export it again with a dynamic one")
    unstated = tuple(key for key in ("name", "fit", "resampling") if key not in metadata)
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
        unstated=unstated,
    )


def _brief(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__)[:200]
