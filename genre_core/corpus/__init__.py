"""Catalogue, index, split and audit of a data set."""
