"""The command `entroloop`, and `python -m entroloop`: Ctrl-C is heard while the rest is loaded."""

import sys

from entroloop.system.signals import exit_code, hear_ending
from entroloop.system.streams import make_streams_safe


def main() -> None:
    """Run the command line; see `entroloop.cli.main`."""
    try:
        make_streams_safe()
        hear_ending()
        from entroloop.cli import main as run
    except KeyboardInterrupt:
        print("entroloop: interrupted; the same command goes on from here", file=sys.stderr)
        sys.exit(exit_code())
    run()


if __name__ == "__main__":
    main()
