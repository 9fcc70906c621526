"""The notebook runs as it stands, in a project in which the pipeline has run."""

import shutil

import nbclient
import nbformat
from helpers.project import ROOT


def test_the_notebook_runs(own):
    (own / "docs").mkdir(exist_ok=True)
    shutil.copy(ROOT / "docs/features.ipynb", own / "docs")
    notebook = nbformat.read(own / "docs/features.ipynb", as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells)  # committed without outputs, which no one would compare
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(own)}}).execute()
    said = "".join(out.get("text", "") for cell in notebook.cells for out in cell.get("outputs", []))
    assert "artists on both sides: set()" in said
    assert "accuracy" in said
    assert any("image/png" in out.get("data", {}) for cell in notebook.cells for out in cell.get("outputs", []))
