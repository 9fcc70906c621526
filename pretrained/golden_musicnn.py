"""Generator of the golden activations of MSD_musicnn.

TensorFlow runs the graph of the checkpoint, in a separate environment. This is needed only once:

    python3.11 -m venv /tmp/tensorflow && /tmp/tensorflow/bin/pip install tensorflow-cpu==2.21.0
    pip download --no-deps musicnn==0.1.0 && unzip musicnn-0.1.0-py3-none-any.whl -d /tmp/wheel
    /tmp/tensorflow/bin/python pretrained/golden_musicnn.py /tmp/wheel/musicnn/MSD_musicnn tests/golden/musicnn.npz

The test draws the same inputs from the seed again; the file contains only the outputs of the graph.
"""

import sys
from pathlib import Path

import numpy as np
import tensorflow as tf

v1 = tf.compat.v1
v1.disable_eager_execution()
folder, out = sys.argv[1:]
# The log-mel values of music are between 0 and about 6.
patches = (np.random.default_rng(20).random((4, 187, 96)) ** 2 * np.array([0.5, 2, 4, 6])[:, None, None]).astype(np.float32)
meta = v1.MetaGraphDef()
meta.ParseFromString(Path(folder, ".meta").read_bytes())
names = [node.name for node in meta.graph_def.node if not node.name.startswith(("gradients", "save"))]
node_names = {
    "logits": [n for n in names if n.endswith("dense_1/BiasAdd")][-1],
    "pools": [n for n in names if "flatten" in n and n.endswith("Reshape")][-1],
    "penultimate": [n for n in names if n.endswith("batch_normalization_10/batchnorm/add_1")][-1],
}
graph_def = v1.graph_util.extract_sub_graph(meta.graph_def, list(node_names.values()))  # today's TensorFlow cannot import the training part
for node in graph_def.node:
    node.attr.pop("_output_shapes", None)
values = v1.train.NewCheckpointReader(folder + "/")
with tf.Graph().as_default() as graph, v1.Session() as session:
    tf.import_graph_def(graph_def, name="")
    feed = {}  # the variables are fed from the checkpoint
    for op in graph.get_operations():
        if op.type.startswith("Variable"):
            feed[op.outputs[0]] = values.get_tensor(op.name.removeprefix("model/"))
        elif op.type == "Placeholder":
            tensor = op.outputs[0]
            feed[tensor] = False if tensor.dtype == tf.bool else patches
    fetched = session.run({key: name + ":0" for key, name in node_names.items()}, feed)
np.savez_compressed(out, tags=1 / (1 + np.exp(-fetched["logits"])), penultimate=fetched["penultimate"], pools=fetched["pools"])
print({name: value.shape for name, value in fetched.items()})
