"""What the columns and regimes mean, for the description beside the data."""

from __future__ import annotations

__all__ = ["COLUMNS", "LICENCE", "REGIME_MEANINGS", "TITLE"]

TITLE = "Golden vectors for the soft quantizer of JPEG-DL, its partial derivatives, and the layer"
LICENCE = "Apache-2.0"

_PARTIAL = "partial derivative of value with respect to {}, window held fixed; unit: {}"
_TOLERANCE = "largest acceptable error of {} for an implementation that computes in dtype"

#: Meaning and unit of each column.
COLUMNS: dict[str, str] = {
    "id": "name of the vector, unique",
    "regime": "kind of input, see regimes",
    "dtype": "float32 or float64: z, q and alpha are exact in it",
    "max_level": "L: the index set is {-L..L}",
    "window": "number of levels of the masked form, centred on the level nearest to z/q (ties "
    "half-up) and pushed back into {-L..L}; 0: all levels",
    "z": "DCT coefficient",
    "q": "quantization step, positive; unit of z",
    "alpha": "scaling factor, positive; 1 / unit of z squared",
    "value": "soft quantizer Q_d(z): the mean of i q over the levels i, with weights "
    "exp(-alpha (z - i q)^2); unit of z",
    "dz": _PARTIAL.format("z", "none"),
    "dq": _PARTIAL.format("q", "none"),
    "dalpha": _PARTIAL.format("alpha", "that of z, cubed"),
    "tol_value": _TOLERANCE.format("value"),
    "tol_dz": _TOLERANCE.format("dz"),
    "tol_dq": _TOLERANCE.format("dq"),
    "tol_dalpha": _TOLERANCE.format("dalpha"),
    "layer id": "name of the vector, see cases",
    "layer array": "image, q, alpha, grad_output (inputs), output, grad_image, grad_q, grad_alpha",
    "layer i": "channel R, G, B of a picture; 0 luma, 1 chroma of a table",
    "layer j": "row; vertical frequency of a table",
    "layer k": "column; horizontal frequency of a table",
    "layer value": "the entry; pictures in units of 8-bit samples, neither rounded nor clipped; "
    "gradients are those of the sum of grad_output * output",
    "layer tol_float32": "largest acceptable error in float32; empty for inputs",
    "layer tol_float64": "largest acceptable error in float64; empty for inputs",
}

#: With h = alpha q^2 and c = z / q.
REGIME_MEANINGS: dict[str, str] = {
    "soft": "0.05 < h < 1",
    "flat": "h so small that the ends of the index set are felt everywhere",
    "crossover": "h around pi, to 1e-6",
    "hard": "4 < h < 1000",
    "very hard": "1000 < h < 1e8",
    "ties": "c exactly half-way between two levels",
    "near ties": "c within 4 / h of half-way",
    "ends": "c within one level of L or -L",
    "saturated": "abs(c) up to 1e6 levels beyond L",
    "tiny q": "q down to 1e-11 in float32, 1e-90 in float64",
    "huge q": "q up to 1e8 in float32, 1e84 in float64",
    "subnormal q": "q near or below the smallest normal number of the dtype",
    "origin": "z = 0, -0 or next to it",
    "per element": "one z and q with many alphas",
    "trained": "published settings: alpha = 5, or h = 0.7",
}
