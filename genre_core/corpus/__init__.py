"""Catalogue, index and split of a data set, and the audit of its faults."""
