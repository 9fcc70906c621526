from genre_core.errors import GenreError as GenreError
from genre_core.inference import Predictor as Predictor
from genre_core.torch_data import WindowDataset as WindowDataset
from genre_core.torch_data import load_features as load_features

__version__: str
