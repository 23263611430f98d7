"""Bytes of a matrix under each weight format, its scales included, and what the formats demand of its shape.

Only the linear layers are packed; embeddings, output head, norms and routers stay in 16 bits, as in the published
checkpoints. Formats: DeepSeek-V3's block-scaled fp8 (its README_WEIGHTS.md), compressed-tensors W8A8 int8 with one
scale an output, AWQ and GPTQ with 4-bit weights in groups.
"""

from __future__ import annotations

from enum import StrEnum

from model_runtime.plan.parameters import Cut, Matrix
from model_runtime.plan.shape import ModelShape


class Quantization(StrEnum):
    """How the linear layers' weights are stored."""

    BF16 = "bf16"
    FP8 = "fp8"
    INT8 = "int8"
    AWQ = "awq"
    GPTQ = "gptq"


FOUR_BIT = frozenset({Quantization.AWQ, Quantization.GPTQ})
# The 4-bit kernels (Marlin) work on tiles of 64 outputs; the int8 ones (CUTLASS) on multiples of 16.
_FOUR_BIT_ROWS = 64
_INT8_MULTIPLE = 16


def describe(quantization: Quantization, shape: ModelShape) -> str:
    """One clause for people: the bits of a weight, scales included."""
    block, group = shape.fp8_block, shape.group_size
    if quantization is Quantization.BF16:
        return "16 bits a weight"
    if quantization is Quantization.FP8:
        return f"8 bits a weight + a 32-bit scale for each {f'{block[0]}x{block[1]} block' if block else 'matrix'}"
    if quantization is Quantization.INT8:
        return "8 bits a weight + a 32-bit scale for each output"
    extra = " + a 32-bit index for each input" if quantization is Quantization.GPTQ else ""
    return f"4 bits a weight + a 16-bit scale and a 4-bit zero for each group of {group} ({4 + 20 / group:.2f}){extra}"


def matrix_bytes(matrix: Matrix, rows: int, columns: int, quantization: Quantization, shape: ModelShape) -> int:
    """Bytes of a part of `matrix` with `rows` x `columns`, scales included."""
    if matrix.wide:
        return 4 * rows * columns
    if not matrix.linear or quantization is Quantization.BF16:
        return 2 * rows * columns
    if quantization is Quantization.FP8:
        high, wide = shape.fp8_block or (rows, columns)
        scales = _ceil(rows, high) * _ceil(columns, wide)
        return rows * columns + 4 * scales
    if quantization is Quantization.INT8:
        return rows * columns + 4 * rows
    groups = _ceil(columns, shape.group_size)
    packed = _ceil(rows * columns, 2) + 2 * rows * groups + _ceil(rows * groups, 2)
    return packed + (4 * columns if quantization is Quantization.GPTQ else 0)


def misfit(matrix: Matrix, rows: int, columns: int, ways: int, quantization: Quantization, shape: ModelShape) -> str:
    """Why vLLM would refuse a part of `matrix` with `rows` x `columns` at `ways` ranks; empty when it would not."""
    if not matrix.linear or quantization is Quantization.BF16:
        return ""
    where = f"{matrix.name} has {rows} x {columns} weights on each of {ways} ranks"
    if quantization is Quantization.FP8:
        high, wide = shape.fp8_block or (1, 1)
        cut_rows = matrix.cut in (Cut.ROWS, Cut.KEY_VALUE_HEADS) and ways > 1
        if (cut_rows or matrix.merged) and rows % high:
            return f"{where}: {rows} is not a multiple of the fp8 block's {high}"
        if matrix.cut is Cut.COLUMNS and ways > 1 and columns % wide:
            return f"{where}: {columns} is not a multiple of the fp8 block's {wide}"
        return ""
    if quantization is Quantization.INT8:
        uneven = rows % _INT8_MULTIPLE or columns % _INT8_MULTIPLE
        return f"{where}: the int8 kernels need multiples of {_INT8_MULTIPLE}" if uneven else ""
    if columns % shape.group_size:
        return f"{where}: {columns} is not a multiple of the group of {shape.group_size}"
    if rows % _FOUR_BIT_ROWS:
        return f"{where}: the 4-bit kernels need multiples of {_FOUR_BIT_ROWS} outputs"
    return ""


def _ceil(number: int, divisor: int) -> int:
    return -(-number // divisor)
