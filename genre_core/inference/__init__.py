"""Use a model: files and arrays, live audio, ONNX."""
