"""The Huffman tables of T.81, Annex K.3, which baseline encoders use unless told otherwise.

The symbols are written as hexadecimal bytes, shortest codes first.

References
----------
ITU-T T.81, Tables K.3 (DC luma), K.4 (DC chroma), K.5 (AC luma), K.6 (AC chroma).
"""

from __future__ import annotations

from typing import Final

from reference.entropy import HuffmanPair, HuffmanTable


def _table(counts: tuple[int, ...], symbols: str) -> HuffmanTable:
    return HuffmanTable(counts, tuple(bytes.fromhex(symbols)))


_SIZES = "000102030405060708090a0b"

LUMINANCE_PAIR: Final = HuffmanPair(
    dc=_table((0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0), _SIZES),
    ac=_table(
        (0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 125),
        "01020300041105122131410613516107227114328191a1082342b1c11552d1f02433627282090a161718191a"
        "25262728292a3435363738393a434445464748494a535455565758595a636465666768696a73747576777879"
        "7a838485868788898a92939495969798999aa2a3a4a5a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5c6c7c8c9"
        "cad2d3d4d5d6d7d8d9dae1e2e3e4e5e6e7e8e9eaf1f2f3f4f5f6f7f8f9fa",
    ),
)
"""Tables K.3 and K.5."""

CHROMINANCE_PAIR: Final = HuffmanPair(
    dc=_table((0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0), _SIZES),
    ac=_table(
        (0, 2, 1, 2, 4, 4, 3, 4, 7, 5, 4, 4, 0, 1, 2, 119),
        "000102031104052131061241510761711322328108144291a1b1c109233352f0156272d10a162434e125f117"
        "18191a262728292a35363738393a434445464748494a535455565758595a636465666768696a737475767778"
        "797a82838485868788898a92939495969798999aa2a3a4a5a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5c6c7"
        "c8c9cad2d3d4d5d6d7d8d9dae2e3e4e5e6e7e8e9eaf2f3f4f5f6f7f8f9fa",
    ),
)
"""Tables K.4 and K.6."""

STANDARD_PAIRS: Final = (LUMINANCE_PAIR, CHROMINANCE_PAIR)
"""[0] luma, [1] chroma."""
