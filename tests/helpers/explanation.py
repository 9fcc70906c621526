"""What tests of explanation share."""

import numpy as np


def pulsing(rng, seconds=6):
    """Noise that is on and off ten times a second."""
    envelope = np.repeat(np.resize([1.0, 0.02], 10 * seconds), 2205)
    return (0.1 * envelope * rng.normal(size=len(envelope))).astype(np.float32)
