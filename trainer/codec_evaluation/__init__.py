"""How near differentiable JPEG is to libjpeg, and what its gradients are worth.

The experiments of the codec control thesis, section 5.5 (*Differentiable JPEG: The Devil is in the
Details*), as commands: ``jpegdl evaluate``.
"""
