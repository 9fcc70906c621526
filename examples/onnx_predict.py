"""The genre of a file by an exported model, without genre_core: python onnx_predict.py model.onnx song.wav

pip install onnxruntime soundfile soxr
"""

import json
import sys

import onnxruntime
import soundfile
import soxr

model, song = sys.argv[1:]
session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
about = json.loads(session.get_modelmeta().custom_metadata_map["genre_core"])
samples, rate = soundfile.read(song, dtype="float32", always_2d=True)
mono = soxr.resample(samples.mean(axis=1), rate, about["sample_rate"])
(probabilities,) = session.run(None, {"samples": mono})
for p, genre in sorted(zip(probabilities, about["genres"], strict=True), reverse=True)[:3]:
    print(f"{genre} {p:.3f}")
