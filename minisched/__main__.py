"""`python -m minisched` is the command `minisched`."""

from minisched.cli import main

main()
