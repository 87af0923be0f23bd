"""Training of genre models: the wing that needs PyTorch and scikit-learn."""
