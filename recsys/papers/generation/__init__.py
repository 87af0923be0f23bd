"""Music from a network: the deep convolutional GAN over mel spectrograms of one report.

clips --MelImage--> images --> Adversaries: generator against discriminator --> Generator file
genre, or words --> images --> Griffin and Lim, or a vocoder --> sound
"""
