"""Real processes: few tests, named by area, each quick; the long ones are marked `nightly`."""
