"""The demo: a subscription's life on a fresh stack, with every expectation checked."""
