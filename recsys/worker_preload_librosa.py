"""Imported once, as :mod:`recsys.worker_preload`, where the workers compute with librosa."""

import numpy as np

from recsys.one_librosa import librosa

librosa.feature.melspectrogram(y=np.zeros(66_150, dtype=np.float32), sr=22_050)
