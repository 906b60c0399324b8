"""Where steps run: this machine's processes, ranks, Ray; what a step does is not here."""
