"""The players that people have: a wing of small folders on top of :class:`recsys.api.Library`."""
