"""A stand-in for rsl_rl v1.0.2: what legged_gym calls of it, and what it asks of an environment. It learns nothing."""
