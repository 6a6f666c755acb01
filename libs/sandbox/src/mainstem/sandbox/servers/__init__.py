"""Postgres and Valkey as child processes that never outlive whoever started them."""
