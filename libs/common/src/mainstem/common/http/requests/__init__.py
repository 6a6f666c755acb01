"""Requests as they arrive: bodies within limits and a budget, and the departure of a client."""
