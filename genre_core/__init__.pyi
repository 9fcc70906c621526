from genre_core.errors import GenreError as GenreError
from genre_core.features.torch_dataset import WindowDataset as WindowDataset
from genre_core.features.torch_dataset import load_features as load_features
from genre_core.inference.predictor import Predictor as Predictor

__version__: str
