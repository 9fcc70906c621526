"""Samples in, samples out: decode, change, measure, compare."""
