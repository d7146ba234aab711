"""The figures of the original work, measured anew."""
