"""``python -m jpegdl``: the same commands without an installed script."""

from jpegdl.cli import app

app()
