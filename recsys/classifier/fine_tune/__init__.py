"""The default model: MusiCNN, its layers tuned to genres, and heads for all that it tells."""
