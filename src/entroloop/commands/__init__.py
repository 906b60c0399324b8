"""The commands as functions of checked arguments; how they are typed is in `cli/`."""
