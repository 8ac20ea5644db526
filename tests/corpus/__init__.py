"""Every recorded exchange with every vendor, read by tako, beside what the vendor's own library makes of it.

`subject` says what a vendor has to bring, `vendors/` holds one file a vendor, `reading` compares; the
tests go over all of them. The recordings lie beside the repository (see tests/support/corpus.py).
"""
