"""tako against programs that others wrote: what they start, they install and start themselves."""
