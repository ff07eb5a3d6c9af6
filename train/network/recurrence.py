"""The recurrence of an LSTM layer, by the quickest way the Keras backend has.

Keras unrolls an LSTM step by step but for CUDA. PyTorch has one kernel for the whole layer on a CPU too (oneDNN),
in float32 and bfloat16: docs/training.md has the figures.
"""

from __future__ import annotations

import keras


def lstm(
    layer: keras.layers.LSTM, x: keras.KerasTensor, h: keras.KerasTensor, c: keras.KerasTensor
) -> tuple[keras.KerasTensor, keras.KerasTensor, keras.KerasTensor]:
    """[B,T,inputs], [B,units], [B,units] -> outputs [B,T,units] and the state after them, in float32."""
    if keras.backend.backend() == "torch" and not isinstance(x, keras.KerasTensor):
        y, h, c = _fused(layer, x, h, c)
    else:
        y, h, c = layer(x, initial_state=[h, c])
    return tuple(keras.ops.cast(tensor, "float32") for tensor in (y, h, c))


def _fused(
    layer: keras.layers.LSTM, x: keras.KerasTensor, h: keras.KerasTensor, c: keras.KerasTensor
) -> tuple[keras.KerasTensor, keras.KerasTensor, keras.KerasTensor]:
    """Keras and PyTorch keep the gates in one order; PyTorch's kernels are transposed and have a second bias."""
    import torch

    cell, kind = layer.cell, getattr(torch, layer.compute_dtype)
    kernel, recurrent, bias = (
        keras.ops.convert_to_tensor(v).to(kind) for v in (cell.kernel, cell.recurrent_kernel, cell.bias)
    )
    parameters = [kernel.T.contiguous(), recurrent.T.contiguous(), bias, torch.zeros_like(bias)]
    state = (h.to(kind)[None], c.to(kind)[None])
    y, h, c = torch.lstm(x.to(kind), state, parameters, True, 1, 0.0, torch.is_grad_enabled(), False, True)
    return y, h[0], c[0]
