"""What the tests over the recordings have to know of each vendor: one file each, found by `all_subjects`."""
