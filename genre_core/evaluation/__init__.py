"""Scores, their intervals, calibration, and the comparison of two models."""
