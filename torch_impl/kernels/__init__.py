"""What the operators of :mod:`torch_impl` run, one file per way of running it."""
