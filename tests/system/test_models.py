"""Every architecture: what it must be, learns, keeps and refuses."""

from helpers.pipeline import metrics
from helpers.project import run


def test_the_network_of_the_readme_is_trained_as_it_says(own):
    text = (own / "README.md").read_text()
    section = text[text.index("### Add one of your own") :]
    (own / "genre_core/networks/tiny.py").write_text(section.split("```python\n")[1].split("```")[0])
    params = (own / "params.yaml").read_text()
    line = section.split("below `model:` (`")[1].split("`")[0]
    (own / "params.yaml").write_text(params.replace("model:\n", f"model:\n  {line}\n"))
    run("git", "add", "-A", cwd=own)
    run("git", "-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "tiny", cwd=own)
    run("dvc", "exp", "run", "-S", "model.type=tiny", "evaluate", cwd=own)
    assert metrics(own, "test")["model"]["type"] == "tiny"
    song = next((own / "data/raw/jazz").glob("*.wav"))
    run("genre", "predict", str(song), "--model", "data/model/model.safetensors", cwd=own)
