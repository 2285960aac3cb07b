"""The figures of "JPEG Inspired Deep Learning" and its Tables 10 and 11, from the code.

What a figure shows is computed by pure functions (``quantizer_curves``, ``tables_of_runs``,
``feature_maps``, ``grad_cam``, ``inference_time``); ``draw_*`` turns it into pictures, and
``catalogue`` knows all of them by name.
"""
