"""The numerical reference: what is true, in float64 NumPy."""
