"""From a bundle to a walking robot: `onboard` runs on it, `host` beside it."""
