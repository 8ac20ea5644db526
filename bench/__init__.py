"""What tako costs, each time as a ratio to something that was run beside it: `make bench`."""
