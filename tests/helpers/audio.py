"""What tests of audio share."""

import av
import numpy as np


def encode(path, y, sample_rate, codec, layout="mono", *, muxer=None, metadata=None, options=None, codec_options=None):
    """Write `y` of shape (n,) or (channels, n) with PyAV: the formats that libsndfile does not write. `path` may be an open file."""
    with av.open(path if hasattr(path, "write") else str(path), "w", format=muxer, options=options or {}) as container:
        container.metadata.update(metadata or {})
        stream = container.add_stream(codec, rate=sample_rate, layout=layout, options=codec_options or {})
        packed = np.atleast_2d(y).astype(np.float32).T.reshape(1, -1)  # PyAV cannot take eight planes
        frame = av.AudioFrame.from_ndarray(packed, format="flt", layout=layout)
        frame.sample_rate = sample_rate
        resampler = av.AudioResampler(format=stream.format, layout=layout, rate=sample_rate, frame_size=stream.frame_size)
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
