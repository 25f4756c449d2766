"""Getting pixels onto a card; and, where there is none, what is said of it."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnxruntime
import pytest

from morphoindex.indexer.encoding.accelerator import WAYS, Ways
from morphoindex.indexer.encoding.encoder import DEFAULT, Encoder, find_encoder

ELSEWHERE = next((name for name in onnxruntime.get_available_providers() if name != "CPUExecutionProvider"), "")


@pytest.mark.parametrize("cuda_version", ["", "13.0"])
def test_every_batch_stays_its_own(cuda_version: str) -> None:
    ways = Ways((8, 4, 4, 3), cuda_version)
    batches = [np.full((1 + number % 8, 4, 4, 3), number, np.uint8) for number in range(200)]

    def through(batch: np.ndarray) -> bool:
        with ways.taken(batch) as there:
            threading.Event().wait(0.0005)
            return there.shape == batch.shape and bool((there == batch).all())

    with ThreadPoolExecutor(6) as pool:
        assert all(pool.map(through, batches))


def test_only_so_many_are_under_way() -> None:
    ways, under_way, most = Ways((2, 4, 4, 3)), [0], [0]
    counting = threading.Lock()

    def through(_: int) -> None:
        with ways.taken(np.zeros((2, 4, 4, 3), np.uint8)):
            with counting:
                under_way[0] += 1
                most[0] = max(most[0], under_way[0])
            threading.Event().wait(0.002)
            with counting:
                under_way[0] -= 1

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(through, range(40)))
    assert most[0] == WAYS


def test_a_batch_that_does_not_fit_and_one_that_failed_leave_the_way_free() -> None:
    ways, larger = Ways((2, 4, 4, 3)), np.arange(3 * 48, dtype=np.uint8).reshape(3, 4, 4, 3)
    for _ in range(WAYS + 1):
        with ways.taken(larger[:, ::-1]) as there:
            assert (there == larger[:, ::-1]).all()
            assert there.flags.c_contiguous
        with pytest.raises(ZeroDivisionError), ways.taken(larger[:1]):
            raise ZeroDivisionError


@pytest.mark.skipif(not ELSEWHERE, reason="onnxruntime has the CPU and nothing else")
def test_another_provider_gives_the_same_vectors() -> None:
    path = find_encoder(DEFAULT)
    try:
        other = Encoder(path, provider=ELSEWHERE)
    except Exception as error:
        pytest.skip(str(error))
    pixels = np.random.default_rng(0).integers(0, 256, (other.batch + 3, 128, 128, 3), np.uint8)
    found, good = other.embed(pixels)
    expected, _ = Encoder(path, provider="cpu").embed(pixels)
    assert good.all()
    assert np.allclose(found, expected, atol=1e-3)
    assert "does not start" not in other.place
