"""The command `entroloop`, and `python -m entroloop`: Ctrl-C is heard while the rest is loaded."""

import sys


def main() -> None:
    """Run the command line; see `entroloop.cli.main`."""
    try:
        from entroloop.cli import main as run
    except KeyboardInterrupt:
        print("entroloop: interrupted; the same command goes on from here", file=sys.stderr)
        sys.exit(130)
    run()


if __name__ == "__main__":
    main()
