"""`python -m morphoindex` is the command line."""

from morphoindex.cli.main import run

run()
