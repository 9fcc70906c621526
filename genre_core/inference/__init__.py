"""Use of a model: files and arrays, live audio, ONNX."""
