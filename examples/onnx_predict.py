"""Prediction of a file's genre with an exported model, without genre_core.

pip install onnxruntime soundfile soxr
python onnx_predict.py model.onnx song.wav
"""

import json
import sys

import onnxruntime
import soundfile
import soxr

model, song = sys.argv[1:]
session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
metadata = json.loads(session.get_modelmeta().custom_metadata_map["genre_core"])
samples, sample_rate = soundfile.read(song, dtype="float32", always_2d=True)
mono = soxr.resample(samples.mean(axis=1), sample_rate, metadata["sample_rate"])
(probabilities,) = session.run(None, {"samples": mono})
for p, genre in sorted(zip(probabilities, metadata["genres"], strict=True), reverse=True)[:3]:
    print(f"{genre} {p:.3f}")
