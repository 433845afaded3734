"""APIs of our own invention, as a user might bring them."""
