"""Batched physics engines for training, behind one small protocol."""
