"""`python -m entroloop` is the command `entroloop`."""

from entroloop.cli import main

main()
