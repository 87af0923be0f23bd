"""Imported once, as :mod:`recsys.worker_preload`, where the workers compute with librosa."""

import numpy as np

from recsys.classifier.log_mel import MEL, log_mel

log_mel(np.zeros((1, MEL.window_length), dtype=np.float32))
