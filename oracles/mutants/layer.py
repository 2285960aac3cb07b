"""Faulty JPEG layers of realistic kinds: every one has to be rejected."""

from __future__ import annotations

from oracles.mutants import layer_results as results
from oracles.mutants import layer_sampling as sampling
from oracles.mutants import layer_steps as steps
from oracles.mutants.table import FULL, MASKED, Mutant

__all__ = ["LAYER_MUTANTS"]

# Most faults have nothing to do with the support, which is then the masked one: it is faster.
LAYER_MUTANTS: dict[str, Mutant] = {
    "zero padding": Mutant(steps.ZeroPadding, MASKED, 2),
    "grey padding": Mutant(steps.GreyPadding, MASKED, 2),
    "mirrored padding": Mutant(steps.MirrorPadding, MASKED, 2),
    "centred padding": Mutant(steps.CentredPadding, MASKED, 2),
    "crop one row late": Mutant(steps.LateCrop, MASKED, 2),
    "padding's gradient lost": Mutant(steps.LostPadding, MASKED, 2),
    "no level shift": Mutant(steps.NoShift, MASKED, 2),
    "level shift 127.5": Mutant(steps.HalfShift, MASKED, 2),
    "no level shift before": Mutant(steps.NoShiftIn, MASKED, 2),
    "no level shift after": Mutant(steps.NoShiftOut, MASKED, 2),
    "studio range": Mutant(steps.StudioRange, MASKED, 2),
    "BT.709 colours": Mutant(steps.Bt709, MASKED, 2),
    "colours with four decimals": Mutant(steps.PrintedColours, MASKED, 2),
    "inverse colours transposed": Mutant(steps.TransposedColours, MASKED, 2),
    "Cb and Cr swapped on the way back": Mutant(steps.SwappedChroma, MASKED, 2),
    "channels in the order B, G, R": Mutant(steps.ReversedChannels, MASKED, 2),
    "inverse colours for the adjoint": Mutant(steps.InverseForAdjoint, MASKED, 2),
    "forward colours for the adjoint": Mutant(steps.ForwardForAdjoint, MASKED, 2),
    "luma tables for chroma": Mutant(steps.LumaTableForAll, MASKED, 2),
    "luma tables for Cr": Mutant(steps.LumaTableForCr, MASKED, 2),
    "luma and chroma tables swapped": Mutant(steps.SwappedTables, MASKED, 2),
    "alpha of luma for chroma": Mutant(steps.LumaAlpha, MASKED, 2),
    "tables transposed": Mutant(steps.TransposedTables, MASKED, 2),
    "tables in zigzag order": Mutant(steps.ZigzagTables, MASKED, 2),
    "DC not quantized": Mutant(steps.UnquantizedDc, MASKED, 2),
    "DCT without 1/sqrt(2) at DC": Mutant(steps.UnnormalizedDc, MASKED, 2),
    "DCT twice too large": Mutant(steps.DoubledDct, MASKED, 2),
    "DCT transposed": Mutant(steps.TransposedDct, MASKED, 2),
    "DCT transposed on the way back": Mutant(steps.HalfTransposedDct, MASKED, 2),
    "DCT in fixed point": Mutant(steps.FixedPointDct, MASKED, 2),
    "DCT in float16": Mutant(results.Float16Dct, MASKED, 2),
    "DCT in bfloat16": Mutant(results.Bfloat16Dct, MASKED, 2),
    "DCT in TF32": Mutant(results.Tf32Dct, MASKED, 2),
    "nearest upsampling": Mutant(sampling.NearestUpsampling, MASKED, 2, subsampling="4:2:0"),
    "chroma by decimation": Mutant(sampling.Decimation, MASKED, 2, subsampling="4:2:0"),
    "cosited upsampling": Mutant(sampling.CositedUpsampling, MASKED, 2, subsampling="4:2:0"),
    "upsampling with aligned corners": Mutant(
        sampling.AlignedCorners, MASKED, 2, subsampling="4:2:2"
    ),
    "vertical for horizontal": Mutant(sampling.SwappedFactors, MASKED, 2, subsampling="4:2:2"),
    "chroma not subsampled": Mutant(sampling.FullChroma, MASKED, 2, subsampling="4:2:0"),
    "mean for upsampling's adjoint": Mutant(
        sampling.DownForAdjoint, MASKED, 2, subsampling="4:2:0"
    ),
    "upsampling for the mean's adjoint": Mutant(
        sampling.UpForAdjoint, MASKED, 2, subsampling="4:2:2"
    ),
    "sum for the mean's adjoint": Mutant(sampling.SumForMean, MASKED, 2, subsampling="4:2:0"),
    "straight-through gradient": Mutant(results.StraightThrough, MASKED, 2),
    "gradients of the hard quantizer": Mutant(results.HardGradients, MASKED, 2),
    "hard quantizer": Mutant(results.HardQuantizer, MASKED, 2),
    "grad_alpha with wrong sign": Mutant(results.WrongSignOfAlpha, MASKED, 2),
    "grad_q without the reconstruction": Mutant(results.NoReconstructionInDq, MASKED, 2),
    "alpha q for alpha q^2": Mutant(results.AlphaTimesQ, MASKED, 2),
    "window ignored": Mutant(results.WindowIgnored, MASKED, 2),
    "window 3 for all levels": Mutant(results.WindowForAll, FULL, 2),
    "window of the level below": Mutant(results.LateWindow, MASKED, 2),
    "no saturation": Mutant(results.NoSaturation, MASKED, 2),
    "one level more": Mutant(results.OneLevelMore, MASKED, 2),
    "no grad_q when saturated": Mutant(results.ClampedLevels, MASKED, 2),
    "tables' gradients: mean over blocks": Mutant(results.MeanOverBlocks, MASKED, 2),
    "tables' gradients: mean over images": Mutant(results.MeanOverBatch, MASKED, 2),
    "tables' gradients: last image": Mutant(results.LastImageOnly, MASKED, 2),
    "tables' gradients: first row": Mutant(results.FirstRowOnly, MASKED, 2),
    "tables' gradients: a block missing": Mutant(results.LastBlockMissing, MASKED, 2),
    "tables' gradients: no Cr": Mutant(results.NoCr, MASKED, 2),
    "tables' gradients: float16 sums": Mutant(results.Float16Sums, MASKED, 2),
    "tables' gradients: swapped": Mutant(results.SwappedGradients, MASKED, 2),
    "tables' gradients: transposed": Mutant(results.TransposedGradients, MASKED, 2),
    "output clipped": Mutant(results.Clipped, MASKED, 2),
    "output rounded": Mutant(results.Rounded, MASKED, 2),
    "image rounded": Mutant(results.RoundedInput, MASKED, 2),
    "grad_image clipped": Mutant(results.NormedGradient, MASKED, 2),
    "grad_output ignored": Mutant(results.IgnoredWeights, MASKED, 2),
    "grad_output beyond the edge": Mutant(results.WeightsBeyondTheEdge, MASKED, 2),
    "input overwritten": Mutant(results.WrittenInput, MASKED, 1),
    "strides ignored": Mutant(results.RawPointer, MASKED, 2),
    "output of the previous call": Mutant(results.StaleOutput, MASKED, 2),
    "tables' gradients never cleared": Mutant(results.Accumulates, MASKED, 2),
    "tables of the first call": Mutant(results.CachedTables, MASKED, 2),
    "another last bit on each call": Mutant(results.Jitter, MASKED, 2),
    "last image unwritten": Mutant(results.LastImageUnwritten, MASKED, 2),
    "last column of grad_image unwritten": Mutant(results.LastColumnUnwritten, MASKED, 2),
    "last entry of grad_q unwritten": Mutant(results.LastEntryUnwritten, MASKED, 2),
    "output of the first image for all": Mutant(results.FirstImageForAll, MASKED, 2),
    "output leaks to the next image": Mutant(results.BatchLeak, MASKED, 2),
    "float32 inside float64": Mutant(results.SinglePrecision, MASKED, 2, "float64"),
    "NaN when saturated": Mutant(results.NanWhenSaturated, MASKED, 2),
}
