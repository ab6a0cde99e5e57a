"""Many twins side by side in one process, without the wire: what learner research measures policies and logs on."""
