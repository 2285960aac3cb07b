"""Compile every Triton kernel for an H100 (sm_90) and print its registers; needs no GPU.

`python tests/torch_impl/compile_triton_kernels.py [name ...]` prints one line per variant:
name, registers per thread, bytes of stack (spills), bytes of shared memory, instructions,
seconds. Without names, all variants. Run it without TRITON_INTERPRET.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from torch_impl.kernels import triton_full_chroma, triton_quantizer, triton_subsampled
from torch_impl.kernels.triton_pixels import backward_registers

TOOLS = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"
BLOCK_COUNTS = ("blocks", "rows", "columns", "height", "width")
PLAN = ("reduced", "k1", "r2", "k3", "r4", "k5")
IMAGES = ("grad", "image", "out", "grad_image")


class Variant(NamedTuple):
    name: str
    kernel: Any
    dtype: str
    constants: dict[str, int | bool]
    warps: int
    registers: int | None = None


def variants() -> Iterator[Variant]:
    full, sub, quantizer = triton_full_chroma, triton_subsampled, triton_quantizer
    for window in (0, 5):
        tables = {"ROWS": 128, "COLUMNS": 8, "EXACT": True, "FLAT": False, "WINDOW": window}
        dense = {"ROWS": 1, "COLUMNS": 1024, "EXACT": False, "FLAT": True, "WINDOW": window}
        scalar = {"ROWS": 1024, "COLUMNS": 1, "EXACT": True, "FLAT": True, "WINDOW": window}
        shapes = {"tables": tables, "dense": dense, "scalar": scalar}
        for shape, constants in shapes.items():
            constants = {"WIDE": False} | constants
            warps = quantizer.NUM_WARPS
            name = f"quantizer-{shape}-{window}"
            yield Variant(f"{name}-forward", quantizer._forward_kernel, "fp32", constants, warps)
            constants = constants | {"TABLES": True}
            yield Variant(f"{name}-backward", quantizer._backward_kernel, "fp32", constants, warps)
        for dtype, padded, rounds in (("fp32", False, 1), ("bf16", True, 2)):
            common: dict[str, int | bool] = {"ROUNDS": rounds, "WINDOW": window}
            name = f"{window}-{dtype}-rounds{rounds}" + ("-padded" if padded else "")
            forward = common | {"PADDED": padded, "BLOCKS": full.FORWARD_BLOCKS}
            backward = common | {"PADDED": padded, "TABLES": True, "BLOCKS": full.BACKWARD_BLOCKS}
            kernel, warps = full._forward_kernel, full.FORWARD_WARPS
            yield Variant(f"444-{name}-forward", kernel, dtype, forward, warps)
            kernel, warps = full._backward_kernel, full.BACKWARD_WARPS
            most = backward_registers(window)
            yield Variant(f"444-{name}-backward", kernel, dtype, backward, warps, most)
        for layout, v, h in (("422", 1, 2), ("420", 2, 2)):
            common = {"ROUNDS": 1, "WINDOW": window, "V": v, "H": h}
            forward = common | {"BLOCKS": sub.FORWARD_BLOCKS}
            backward = common | {"TABLES": True, "BLOCKS": sub.BACKWARD_BLOCKS}
            name = f"{layout}-{window}"
            warps, more = sub.FORWARD_WARPS, sub.BACKWARD_WARPS
            yield Variant(f"{name}-chroma-forward", sub._chroma_kernel, "fp32", forward, warps)
            yield Variant(f"{name}-luma-forward", sub._luma_kernel, "fp32", forward, warps)
            kernel, most = sub._chroma_backward_kernel, backward_registers(0)
            yield Variant(f"{name}-chroma-backward", kernel, "fp32", backward, more, most)
            kernel = sub._luma_backward_kernel
            yield Variant(f"{name}-luma-backward", kernel, "fp32", backward, more, most)


def _argument_type(name: str, variant: Variant) -> str:
    if name in variant.constants:
        return "constexpr"
    if name in (*BLOCK_COUNTS, *PLAN):
        return "i32"
    if name == "max_level":
        return "fp32"
    return "*" + (variant.dtype if name in IMAGES else "fp32")


def compile_variant(variant: Variant) -> str:
    """Registers, stack, shared memory, instructions and seconds, in one line."""
    names = variant.kernel.arg_names
    signature = {name: _argument_type(name, variant) for name in names}
    attributes = {
        (i,): [["tt.divisibility", 16]]
        for i, name in enumerate(names)
        if signature[name].startswith("*")
    }
    source = ASTSource(variant.kernel, signature, variant.constants, attributes)
    start = time.perf_counter()
    options = {"num_warps": variant.warps, "num_stages": 1, "maxnreg": variant.registers}
    compiled = triton.compile(source, target=GPUTarget("cuda", 90, 32), options=options)
    seconds = time.perf_counter() - start
    with tempfile.NamedTemporaryFile(suffix=".cubin") as cubin:
        cubin.write(compiled.asm["cubin"])
        cubin.flush()
        usage = _run("cuobjdump", "-res-usage", cubin.name)
        code = _run("nvdisasm", "-c", cubin.name)
    registers, stack = (int(x) for x in re.search(r"REG:(\d+) STACK:(\d+)", usage).groups())
    count = len(re.findall(r"^\s+/\*[0-9a-f]{4,}\*/ ", code, re.MULTILINE))
    return (
        f"{variant.name:36} registers {registers:3}  stack {stack:4}  "
        f"shared {compiled.metadata.shared:5}  instructions {count:5}  seconds {seconds:5.1f}"
    )


def _run(tool: str, *arguments: str) -> str:
    done = subprocess.run([TOOLS / tool, *arguments], capture_output=True, text=True, check=True)
    return done.stdout + done.stderr


if __name__ == "__main__":
    wanted = sys.argv[1:]
    for each in variants():
        if not wanted or each.name in wanted:
            print(compile_variant(each), flush=True)
