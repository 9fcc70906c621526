"""Which tracks there are, who may be trained on, and what is wrong with them."""
