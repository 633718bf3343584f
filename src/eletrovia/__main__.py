"""``python -m eletrovia`` is the command line."""

from eletrovia.cli.main import main

main()
