from __future__ import annotations

import pytest

from reefline.errors import OutOfMemoryError
from reefline.od_api import compat


@pytest.fixture(autouse=True, scope="module")
def _compat() -> None:
    compat.apply()


@pytest.mark.parametrize(
    ("batch_size", "input_size_px", "advice"),
    [
        pytest.param(32, 640, "try trainer.batch_size=16 or trainer.input_size=448", id="both"),
        pytest.param(1, 320, "try trainer.input_size=224", id="batch-of-one"),
        pytest.param(8, 96, "try trainer.batch_size=4;", id="smallest-input"),
        pytest.param(1, 96, "this model needs a device with more memory", id="nothing-left"),
    ],
)
def test_an_out_of_memory_names_what_to_try(batch_size: int, input_size_px: int, advice: str) -> None:
    from reefline.od_api.devices import describe_out_of_memory

    text = describe_out_of_memory(batch_size, input_size_px)
    assert text.startswith(
        f"out of memory with trainer.batch_size {batch_size} at {input_size_px} x {input_size_px} px: "
    )
    assert advice in text


def test_tensorflows_own_error_is_explained() -> None:
    import tensorflow as tf

    from reefline.od_api.devices import explained_out_of_memory

    with pytest.raises(OutOfMemoryError, match=r"trainer\.batch_size=2"), explained_out_of_memory(4, 96):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor with shape[4,96]")


def test_a_full_disk_is_no_lack_of_memory() -> None:
    import tensorflow as tf

    from reefline.od_api.devices import explained_out_of_memory

    with pytest.raises(tf.errors.ResourceExhaustedError, match="No space"), explained_out_of_memory(4, 96):
        raise tf.errors.ResourceExhaustedError(None, None, "ckpt-3.data; No space left on device")


def test_memory_grows_on_every_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no GPU where the tests run: TensorFlow's own two calls are stood in for."""
    import tensorflow as tf

    from reefline.od_api.devices import let_gpu_memory_grow

    grown = []

    def grow(device: str, enable: bool) -> None:
        if device == "in use":
            raise RuntimeError("Physical devices cannot be modified after being initialized")
        grown.append((device, enable))

    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["in use", "GPU:1"] if kind == "GPU" else [])
    monkeypatch.setattr(tf.config.experimental, "set_memory_growth", grow)
    let_gpu_memory_grow()
    assert grown == [("GPU:1", True)]
