"""Ground that is not flat: its pieces, the field they make, and who walks on which piece."""
