"""What a graph may be, read from its bytes before the runtime sees it: a short chain of a few known operators.

LiteRT takes much of what a file says of itself on trust: a damaged or hostile one makes it crash, take all memory or
never end. What passes here has no loops, no branches and no code of its own; every shape in it follows from those
before it, so that the memory and the time of a step are known, and small.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import NamedTuple

from improv.net.flatbuffer import Table, root

VERSION = 3
MOST_BYTES = 64 * 1024 * 1024  # of a file; the largest that ships has 5 MB
MOST_NUMBERS = 64 * 1024 * 1024  # in all tensors together

FLOAT, HALF, INT, BYTE = "fhib"
KINDS = {0: FLOAT, 1: HALF, 2: INT, 9: BYTE}  # by their number in the format
SIZES = {FLOAT: 4, HALF: 2, INT: 4, BYTE: 1}
NONE, RELU = 0, 1  # functions that may be part of an operator


class _Operator(NamedTuple):
    name: str
    kinds: str  # of its inputs and outputs, as a pattern
    options: int = 0  # the number of its options in the format; 0: it has none
    choices: tuple[tuple[int, str, tuple[int, ...]], ...] = ()  # field, form, and what it may be


# By their number in the format.
OPERATORS = {
    0: _Operator("ADD", "ff>f", 11, ((0, "<b", (NONE, RELU)),)),
    2: _Operator("CONCATENATION", "f+>f", 10, ((0, "<i", (-1, 1)), (1, "<b", (NONE,)))),
    6: _Operator("DEQUANTIZE", "[hb]>f"),
    9: _Operator("FULLY_CONNECTED", "f[fb]f?>f", 8, ((0, "<b", (NONE, RELU)), (1, "<b", (0,)), (2, "<b", (0,)))),
    14: _Operator("LOGISTIC", "f>f"),
    18: _Operator("MUL", "ff>f", 21, ((0, "<b", (NONE,)),)),
    28: _Operator("TANH", "f>f"),
    36: _Operator("GATHER", "fi>f|bi>b|hi>h", 23, ((0, "<i", (0,)), (1, "<i", (0,)))),
    49: _Operator("SPLIT", "if>f+|ii>i+", 35),
    50: _Operator("LOG_SOFTMAX", "f>f", 36),
    102: _Operator("SPLIT_V", "fii>f+", 79),
}
CUTS = {"SPLIT": (0,), "SPLIT_V": (1, 2)}  # where and into what these cut, among their inputs: constants

Shape = tuple[int, ...]


class _Tensor(NamedTuple):
    kind: str
    shape: Shape
    constant: bool


def check(data: bytes) -> None:
    """Raises ValueError for a graph that is no chain of known operators."""
    model = root(data)
    if model.number(0, "<I") != VERSION:
        raise ValueError("it is of another version")
    graphs, buffers = model.tables(2), model.tables(4)
    if len(graphs) != 1:
        raise ValueError("it has graphs within it")
    graph = graphs[0]
    tensors = [_tensor(table, buffers) for table in graph.tables(0)]
    if sum(math.prod(tensor.shape) for tensor in tensors) > MOST_NUMBERS:
        raise ValueError("it is too large")
    inputs, outputs = graph.numbers(1, "i"), graph.numbers(2, "i")
    made = _follow(graph.tables(3), [_operator(code) for code in model.tables(1)], tensors, inputs)
    _check_ends(model, set(inputs), set(outputs), made)
    for note in model.tables(6):
        number = note.number(1, "<I")
        if note.length(0) is None or number >= len(buffers):
            raise ValueError("it holds an odd note")


def _operator(code: Table) -> _Operator:
    number = max(code.number(0, "<b"), code.number(3, "<i"))  # of which the first is older
    if number not in OPERATORS or code.has(1):
        raise ValueError(f"it holds an operator that is not played (number {number})")
    return OPERATORS[number]


def _tensor(table: Table, buffers: Sequence[Table]) -> _Tensor:
    kind, shape = KINDS.get(table.number(1, "<b")), table.numbers(0, "i")
    number = table.number(2, "<I")
    if kind is None or len(shape) > 2 or not all(0 < size <= MOST_NUMBERS for size in shape):
        raise ValueError("it holds an odd tensor")
    if table.has(6, 7, 9) or table.number(5, "<b") or number >= len(buffers) or buffers[number].has(1, 2):
        raise ValueError("it holds a tensor that is not plain")
    length = buffers[number].length(0) or 0
    if length not in (0, math.prod(shape) * SIZES[kind]):
        raise ValueError("it holds a tensor of another size")
    _check_scales(table.table(4), kind, shape)
    return _Tensor(kind, shape, constant=length > 0)


def _check_scales(quantization: Table | None, kind: str, shape: Shape) -> None:
    """What a byte stands for: one scale for all, or one a row."""
    scales, zeros, along, odd = 0, 0, 0, False
    if quantization is not None:
        scales, zeros = len(quantization.numbers(2, "f")), len(quantization.numbers(3, "q"))
        along, odd = quantization.number(6, "<i"), quantization.has(4, 5)
    allowed = (1, *shape[:1]) if kind == BYTE else (0,)
    if odd or along or scales != zeros or scales not in allowed:
        raise ValueError("it holds an oddly scaled tensor")


def _follow(
    steps: Sequence[Table],
    operators: Sequence[_Operator],
    tensors: Sequence[_Tensor],
    inputs: Sequence[int],
) -> set[int]:
    """Go through it step by step, as it is run; gives which tensors are there at the end."""
    there = {number for number, tensor in enumerate(tensors) if tensor.constant}
    if there & set(inputs) or not all(0 <= number < len(tensors) for number in inputs):
        raise ValueError("its inputs are odd")
    there |= set(inputs)
    for step in steps:
        code, taken, given = step.number(0, "<I"), step.numbers(1, "i"), step.numbers(2, "i")
        if code >= len(operators) or not there.issuperset(taken) or step.has(5, 7, 8, 9, 10, 11, 12):
            raise ValueError("its steps are odd")
        if there & set(given) or len(set(given)) < len(given) or not all(0 <= n < len(tensors) for n in given):
            raise ValueError("its steps are out of order")
        _check_step(step, operators[code], [tensors[n] for n in taken], [tensors[n] for n in given])
        there |= set(given)
    return there


def _check_step(step: Table, operator: _Operator, ins: Sequence[_Tensor], outs: Sequence[_Tensor]) -> None:
    name = operator.name
    kinds = ">".join("".join(tensor.kind for tensor in side) for side in (ins, outs))
    options = step.table(4)
    if (
        not re.fullmatch(operator.kinds, kinds)
        or step.number(3, "<B") != operator.options
        or ((options is None) != (operator.options == 0))
    ):
        raise ValueError(f"its {name} is odd")
    if options is not None and not all(
        options.number(field, form) in allowed for field, form, allowed in operator.choices
    ):
        raise ValueError(f"its {name} has odd options")
    if name in CUTS and (
        options is None or options.number(0, "<i") != len(outs) or not all(ins[n].constant for n in CUTS[name])
    ):
        raise ValueError(f"its {name} cuts oddly")
    if not _fits(name, [tensor.shape for tensor in ins], [tensor.shape for tensor in outs]):
        raise ValueError(f"its {name} is of odd shapes")


def _fits(name: str, ins: Sequence[Shape], outs: Sequence[Shape]) -> bool:
    """Whether an operator makes these shapes of those. None makes more numbers than it is given, or than it holds."""
    match name, list(ins), list(outs):
        case "GATHER", [(_, width), (1,)], [(1, made)]:
            return width == made
        case "FULLY_CONNECTED", [(1, width), (made, taken), *bias], [(1, given)]:
            return width == taken and made == given and bias in ([], [(made,)])
        case "CONCATENATION", parts, [(1, made)]:
            return all(len(part) == 2 and part[0] == 1 for part in parts) and sum(n for _, n in parts) == made
        case "SPLIT", [(), whole], parts:
            return sum(map(math.prod, parts)) == math.prod(whole)
        case "SPLIT_V", [(1, whole), (count,), ()], parts:
            return count == len(parts) and sum(map(math.prod, parts)) == whole
        case _, shapes, [made]:
            return name not in ("GATHER", "FULLY_CONNECTED", "CONCATENATION") and all(shape == made for shape in shapes)
    return False


def _check_ends(model: Table, inputs: set[int], outputs: set[int], there: set[int]) -> None:
    """What goes in and comes out has names, once."""
    if not outputs <= there:
        raise ValueError("its outputs are odd")
    signatures = model.tables(7)
    if len(signatures) != 1 or signatures[0].length(2) is None or signatures[0].number(4, "<I"):
        raise ValueError("it has no one signature")
    for field, ends in ((0, inputs), (1, outputs)):
        named = signatures[0].tables(field)
        if {one.number(1, "<I") for one in named} != ends or not all(one.length(0) for one in named):
            raise ValueError("its signature is odd")
