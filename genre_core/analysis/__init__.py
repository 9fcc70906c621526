"""Analysis of a model: explanation, robustness and external clips."""
