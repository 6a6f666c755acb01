"""The marketing platforms: what each of them is told, and how."""
