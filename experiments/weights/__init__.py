"""Neuroevolution measured: searches at equal episodes, speed beside evosax's own loop, the encodings."""
