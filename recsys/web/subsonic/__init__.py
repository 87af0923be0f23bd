"""OpenSubsonic at ``/rest``: the library in the players that people have."""
