"""The demo: a subscription's life on a fresh stack. Owns the story, its actors, the headless browser, the
stops shown and the expectations checked. Writes nothing itself: it acts through the gateway and the
stand-ins, and reads the database. Imported by `sandbox.commands`.
"""
