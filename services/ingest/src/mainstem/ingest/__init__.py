"""What the providers say."""
