"""Faulty JPEG codecs of realistic kinds: every one has to be rejected."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from oracles.codec.judge import verify_jpeg_codec
from oracles.mutants import codec_calls as calls
from oracles.mutants import codec_levels as levels
from oracles.mutants import codec_sampling as sampling
from oracles.mutants import codec_steps as steps
from oracles.mutants.codec_sound import PlainCodec
from oracles.mutants.table import FULL, Mutant
from oracles.report import Report

__all__ = ["CODEC_MUTANTS", "judge_codec"]

# Faults that no claim excuses, with the kinds of evidence that have to reject them where the codec
# claims to be libjpeg, and where it claims real arithmetic.
_ANYWHERE: dict[str, tuple[Callable[[], Any], int, int]] = {
    "tables transposed": (steps.TransposedTables, 2, 2),
    "tables in zigzag order": (steps.ZigzagTables, 2, 2),
    "luma table for chroma": (steps.LumaTableForAll, 2, 2),
    "luma and chroma tables swapped": (steps.SwappedTables, 2, 2),
    "own tables transposed": (steps.TransposedOwnTables, 2, 2),
    "own tables ignored": (steps.OwnTablesIgnored, 2, 2),
    "own tables in a signed byte": (steps.OwnTablesInAByte, 2, 2),
    "a wrong entry for luma": (steps.WrongEntry, 2, 2),
    "a wrong entry for chroma": (steps.WrongChromaEntry, 2, 2),
    "scale of high qualities for all": (steps.OneBranch, 2, 2),
    "scale of low qualities for all": (steps.OtherBranch, 2, 2),
    "scaled tables rounded down": (steps.FloorOfTables, 2, 2),
    "scaled tables rounded up": (steps.CeilingOfTables, 2, 2),
    "steps beyond 255": (steps.NoUpperLimit, 2, 2),
    "steps up to 127": (steps.SignedLimit, 2, 2),
    "steps of 0 drop coefficients": (steps.StepsOfZero, 2, 2),
    "quality 37 as 38": (steps.Quality37As38, 2, 2),
    "BT.709 colours": (steps.Bt709, 2, 2),
    "Cb and Cr swapped on the way back": (steps.SwappedChroma, 2, 2),
    "channels in the order B, G, R": (steps.ReversedChannels, 2, 2),
    "wrong sign in green": (steps.WrongSignInGreen, 2, 2),
    "chroma wraps at 256": (steps.WrappedChroma, 2, 2),
    "level shift 127 before": (steps.Shift127, 2, 2),
    "no level shift": (steps.NoShift, 2, 2),
    "pixels wrap": (steps.WrappedPixels, 2, 2),
    "pixels not cut off": (steps.UnclippedPixels, 2, 2),
    "pixels in 16..235": (steps.NarrowRange, 2, 2),
    "samples wrap": (steps.WrappedSamples, 2, 2),
    "DCT transposed": (levels.TransposedTransform, 2, 2),
    "DCT without 1/sqrt(2) at DC": (levels.UnnormalizedDc, 2, 2),
    "levels truncated": (levels.TruncatedLevels, 2, 2),
    "levels rounded down": (levels.FlooredLevels, 2, 2),
    "dead zone": (levels.DeadZone, 2, 2),
    "not quantized": (levels.NotQuantized, 2, 2),
    "DC not quantized": (levels.DcNotQuantized, 2, 2),
    "two levels swapped in the zigzag": (levels.SwappedLevels, 2, 2),
    "last level lost": (levels.LastLevelLost, 2, 2),
    "DC of Cr against the block above": (levels.DcOfTheFirstBlock, 2, 2),
    "dequantized by the transposed table": (levels.DequantizedTransposed, 2, 2),
    "reconstructed nearer to zero": (levels.ReconstructedInside, 2, 2),
    "deblocking filter": (levels.Smoothed, 2, 2),
    "zero padding": (levels.ZeroPadding, 2, 2),
    "grey padding": (levels.GreyPadding, 2, 2),
    "mirrored padding": (levels.MirroredPadding, 2, 2),
    "crop from the other end": (levels.LateCrop, 1, 1),
    "chroma by decimation": (sampling.Decimation, 2, 2),
    "chroma repeated": (sampling.Repeated, 2, 2),
    "chroma filtered across alone": (sampling.RepeatedRows, 2, 2),
    "rows reduced for columns": (sampling.SwappedFactors, 2, 2),
    "chroma not reduced": (sampling.FullChroma, 2, 2),
    "chroma always reduced": (sampling.AlwaysReduced, 2, 2),
    "chroma one pixel late": (sampling.ChromaHalfAPixelLate, 2, 2),
    "tables of the call before": (calls.TablesOfTheCallBefore, 2, 2),
    "last row of the call before": (calls.StalePixels, 2, 2),
    "strides ignored": (calls.RawPointer, 1, 1),
    "last row unwritten": (calls.LastRowUnwritten, 2, 2),
    "first block leaks into the last": (calls.LeakingBlock, 2, 2),
    "another last bit at every eleventh call": (calls.Jitter, 2, 2),
}
# Faults of a codec that claims to be libjpeg.
_EXACT: dict[str, tuple[Callable[[], Any], int]] = {
    "scale not rounded down": (steps.RealScale, 2),
    "steps of 2 and more": (steps.LowerLimitTwo, 2),
    "quality 100 as 99": (steps.Quality100As99, 2),
    "colours in 8 bits": (steps.CoarseColours, 2),
    "colours back in 6 bits": (steps.CoarseColoursBack, 2),
    "luma truncated": (steps.TruncatedLuma, 2),
    "chroma truncated": (steps.TruncatedChroma, 2),
    "colours back truncated": (steps.TruncatedColours, 2),
    "samples not cut off": (steps.SignedSamples, 2),
    "DCT in floating point": (levels.FloatTransform, 2),
    "DCT with constants of 8 bits": (levels.FastTransform, 2),
    "halves up": (levels.HalfUp, 2),
    "halves to even": (levels.HalfToEven, 2),
    "halves towards zero": (levels.HalfTowardsZero, 2),
    "levels of 8 bits": (levels.CutLevels, 2),
    "inverse DCT truncated": (levels.TruncatedInverse, 2),
    "rows repeated to whole MCUs": (levels.WholeUnits, 2),
    "mean with a constant bias": (sampling.ConstantBias, 2),
    "mean truncated": (sampling.TruncatedMean, 2),
    "biases of the mean in another turn": (sampling.TurnedBias, 2),
    "triangle filter with a constant bias": (sampling.TriangleBias, 2),
    "triangle filter truncated": (sampling.TruncatedTriangle, 2),
    "triangle filter beyond the edge": (sampling.FilteredBeyondTheEdge, 2),
    "narrow chroma filtered": (sampling.NarrowFiltered, 1),
    "odd column of chroma lost": (sampling.OddColumnLost, 1),
    "one pixel off, rarely": (calls.RarePixel, 2),
    "coded twice": (calls.Recoded, 2),
    # And those that no claim has to do with, once.
    "input overwritten": (calls.WrittenInput, 1),
    "padding not cut off": (calls.WholeBlocksOut, 1),
    "bytes with a sign": (calls.SignedOutput, 1),
    "fails on one pixel": (calls.FailsOnOnePixel, 1),
    "NaN when black": (calls.NanWhenBlack, 1),
}
# Faults of a codec in floating point, which libjpeg's arithmetic hides or does not have.
_REAL: dict[str, tuple[Callable[..., Any], int]] = {
    "pixels truncated": (calls.truncated_pixels, 2),
    "cubic surrogate": (calls.surrogate, 2),
    "steps not rounded": (calls.real_tables, 2),
    "scale not rounded": (calls.real_scale, 2),
}
# Faults of what is written beside a sound codec: which argument, the function, evidence.
_FILES: dict[str, tuple[str, Callable[..., Any], int]] = {
    "file: last byte missing": ("encode", calls.late_end, 1),
    "file: tables in natural order": ("encode", calls.natural_order, 2),
    "file: quality one higher": ("encode", calls.better_quality, 2),
    "file: optimized Huffman tables": ("encode", calls.own_huffman, 1),
    "file: half of it": ("encode", calls.cut_off, 1),
    "size: without the header": ("file_size", calls.without_header, 1),
    "size: in kilobytes": ("file_size", calls.in_kilobytes, 1),
}


def _factory(made: Callable[[], Any]) -> Callable[[int | None], Any]:
    return lambda window: made()


def _constant(function: Any) -> Callable[[int | None], Any]:
    return lambda window: function


#: Faults by name; kind "exact" or "real", the claim that they break, or the argument of a file.
CODEC_MUTANTS: dict[str, Mutant] = {
    **{
        f"{name}, {kind}": Mutant(_factory(made), FULL, count, kind=kind)
        for name, (made, *counts) in _ANYWHERE.items()
        for kind, count in zip(("exact", "real"), counts, strict=True)
    },
    **{
        f"{name}, exact": Mutant(_factory(made), FULL, count, kind="exact")
        for name, (made, count) in _EXACT.items()
    },
    **{
        f"{name}, real": Mutant(_constant(function), FULL, count, kind="real")
        for name, (function, count) in _REAL.items()
    },
    **{
        name: Mutant(_constant(function), FULL, count, kind=argument)
        for name, (argument, function, count) in _FILES.items()
    },
}


def judge_codec(mutant: Mutant, window: int | None, seed: int) -> Report:
    """Judge a fault under the claim that it breaks.

    Parameters
    ----------
    mutant : Mutant
        Of :data:`CODEC_MUTANTS`.
    window : None
        Codecs have none.
    seed : int
        Of the images.

    Returns
    -------
    Report
    """
    faulty = mutant.factory(window)
    if mutant.kind in ("encode", "file_size"):
        # Few qualities: the files are judged, not the codec.
        files: dict[str, Any] = {mutant.kind: faulty}
        return verify_jpeg_codec(PlainCodec(), qualities=(10, 50, 75, 95), seed=seed, **files)
    return verify_jpeg_codec(faulty, exact=mutant.kind == "exact", seed=seed)
