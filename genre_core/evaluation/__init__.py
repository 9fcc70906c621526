"""Scores, intervals of scores, calibration, and the comparison of two models."""
