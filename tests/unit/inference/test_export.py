"""An exported model says what torch says, and runs without this package."""

import numpy as np
import pytest

from genre_core.inference import onnx as onnx_export
from genre_core.inference import onnx_check
from genre_core.inference.predictor import Predictor
from genre_core.models.file import load


@pytest.mark.parametrize("seconds", [3.1, 12.3, 30.0, 47.0])
def test_the_packaged_model_with_its_backbone(packaged, rng, seconds):
    y = (0.2 * rng.normal(size=round(seconds * 16000)) * np.linspace(0, 1, round(seconds * 16000))).astype(np.float32)
    predictor = Predictor("pretrained")
    said = predictor.predict(y, 16000).probabilities
    given = onnx_check.session(packaged).run(None, {"samples": y})[0]
    np.testing.assert_allclose(given, [said[g] for g in predictor.model.genres], atol=1e-4)


@pytest.fixture(scope="module")
def packaged(tmp_path_factory):
    path = tmp_path_factory.mktemp("onnx") / "packaged.onnx"
    onnx_export.export(onnx_export.exportable(load("pretrained")), path)
    return path
