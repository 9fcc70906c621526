import re

import pytest
import yaml
from helpers.config import changed

from genre_core import config
from genre_core.errors import GenreError


def test_the_committed_params_are_valid(params):
    assert params.model.type in config.architectures()
    assert config.architectures() == (
        "attention",
        "cnn",
        "crnn",
        "ensemble",
        "fnn",
        "logistic",
        "mfcc_cnn",
        "musicnn",
        "resnet",
        "svm",
        "transfer",
        "vgg",
    )


def test_a_float_as_dvc_writes_it_is_a_number(tmp_path):
    path = changed(tmp_path)
    text = re.sub(r"\blr: .*", "lr: 1e-05", path.read_text())  # YAML 1.1 reads 1e-05 as a string
    path.write_text(text)
    assert isinstance(yaml.safe_load(text)["train"]["lr"], str)
    assert config.load(path).train.lr == 1e-5


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("train__lr", "fast", ["train.lr", "'fast'", "number"]),
        ("train__lr", -1.0, ["train.lr", "-1.0", "greater than 0"]),
        ("train__lr", float("nan"), ["train.lr", "finite"]),
        ("train__learning_rate", 0.1, ["train.learning_rate", "unknown", "0.1", "lr, schedule"]),
        ("train__epochs", None, ["train.epochs", "missing"]),
        ("train__epochs", 2.5, ["train.epochs", "2.5", "integer"]),
        ("train__schedule", "linear", ["train.schedule", "'linear'", "'onecycle' or 'cosine'"]),
        ("segment__protocol", "random", ["segment.protocol", "'random'", "'artist'"]),
        ("segment__fold", 5, ["fold 5", "0 to 4"]),
        ("segment__seconds", 20.0, ["segment.seconds 20", "dataset.demo.seconds 12"]),
        ("features__fmax_hz", 16000.0, ["fmax_hz 16000", "11025"]),
        ("dataset__features__fmax_hz", 16000.0, ["dataset.features", "fmax_hz 16000", "11025"]),
        ("features__range_db", -1.0, ["features.range_db", "-1"]),
        ("features__range_db", 201.0, ["features.range_db", "200"]),
        ("features__fmin_hz", 10.0, ["features.fmin_hz", "10.0", "20"]),
        ("features__n_mfcc", 128 + 1, ["features.n_mfcc", "129", "128"]),
        ("features__hop_length", 4096, ["hop_length 4096", "2048"]),
        ("augment__copies__pitch_semitones", {"min": 3, "max": -3}, ["pitch_semitones", "min 3", "max -3"]),
        ("model__type", "resnet50", ["'resnet50'", "attention, cnn, crnn"]),
        ("model__cn", {"width": 1}, ["'cn'", "attention, cnn, crnn"]),
        ("dataset__name", "gtzam", ["dataset.name", "'gtzam'", "'demo'"]),
        ("train__epochs", True, ["train.epochs", "true", "number"]),
        ("features__n_fft", 2049, ["features.n_fft", "2049", "multiple of 2"]),
        ("segment__seconds", 0.5, ["segment.seconds 0.5", "3 frames"]),
        ("train", [1, 2], ["train", "[1, 2]"]),
    ],
)
def test_what_is_not_allowed_is_named_with_its_key_value_and_remedy(tmp_path, key, value, words):
    more = {"features__hop_length": 8192, "features__n_fft": 8192} if "3 frames" in words else {}
    with pytest.raises(GenreError) as caught:
        config.load(changed(tmp_path, **{key: value}, **more))
    message = str(caught.value)
    assert "\n" not in message
    for word in [str(tmp_path / "params.yaml"), *words]:
        assert word in message


def test_a_network_checks_its_own_section():
    from genre_core import networks

    with pytest.raises(GenreError, match=r"params\.yaml: model\.cnn\.width: 'wide'"):
        networks.build("cnn", {"width": "wide", "blocks": 2, "dropout": 0.0}, n_bins=16, n_genres=2)
    with pytest.raises(GenreError, match=r"model\.cnn\.depth: unknown key .*width, blocks, dropout"):
        networks.build("cnn", {"width": 4, "blocks": 2, "dropout": 0.0, "depth": 3}, n_bins=16, n_genres=2)


def test_files_that_are_no_params(tmp_path):
    with pytest.raises(GenreError, match="no such file"):
        config.load(tmp_path / "none.yaml")
    broken = tmp_path / "broken.yaml"
    broken.write_text("a: [1")
    with pytest.raises(GenreError, match="not readable as YAML"):
        config.load(broken)
    broken.write_text("")
    with pytest.raises(GenreError, match=str(broken)):
        config.load(broken)
