"""How long two learners take until the same task's policy walks: `benchmarks.seconds_to_walk`."""
