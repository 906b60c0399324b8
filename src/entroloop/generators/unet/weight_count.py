"""How many weights a U-Net has, counted from its sizes: no library that builds it is loaded."""

from __future__ import annotations


def weight_count(
    widths: tuple[int, ...], layers: int, attends: int, channels: int, classes: int | None
) -> int:
    """Return the number of weights of diffusers' UNet2DModel as `UNetGenerator.network` asks for.

    widths: of its levels; layers: residual blocks a level, one more on the way up; attends: the
    level with attention, on both ways; channels: of the images; classes: that it knows, one more
    for none.
    """
    embedding = 4 * widths[0]  # of the time step and the class

    def residual(given: int, made: int) -> int:
        shortcut = 0 if given == made else _linear(given, made)
        convolutions = _convolution(given, made) + _convolution(made, made)
        return 2 * given + 2 * made + convolutions + _linear(embedding, made) + shortcut

    def attention(level: int) -> int:
        return 2 * widths[level] + 4 * _linear(widths[level], widths[level])

    top, deepest = len(widths) - 1, widths[-1]
    count = _linear(widths[0], embedding) + _linear(embedding, embedding)
    count += 0 if classes is None else (classes + 1) * embedding
    count += _convolution(channels, widths[0])
    kept, given = [widths[0]], widths[0]  # what the way down hands to the way up
    for level, width in enumerate(widths):
        for _ in range(layers):
            count += residual(given, width) + (attention(level) if level == attends else 0)
            given = width
            kept.append(width)
        if level < top:
            count += _convolution(width, width)
            kept.append(width)
    count += 2 * residual(deepest, deepest) + attention(top)
    for level in range(top, -1, -1):
        for _ in range(layers + 1):
            count += residual(given + kept.pop(), widths[level])
            count += attention(level) if level == attends else 0
            given = widths[level]
        if level > 0:
            count += _convolution(given, given)
    return count + 2 * widths[0] + _convolution(widths[0], channels)


def _linear(given: int, made: int) -> int:
    return given * made + made


def _convolution(given: int, made: int) -> int:
    return 9 * given * made + made
