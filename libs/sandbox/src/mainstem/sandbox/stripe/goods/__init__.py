"""What is sold, and what pays for it: products, prices, payment methods."""
