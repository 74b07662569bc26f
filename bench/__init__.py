"""Side-by-side benchmarks on the local cluster: each prints one line, and writes a JSON file."""
