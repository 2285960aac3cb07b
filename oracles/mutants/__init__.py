"""Implementations whose verdict is known: faulty ones, which a judge has to reject, and sound ones.

They are the test of the oracles themselves, and of yours.
"""
