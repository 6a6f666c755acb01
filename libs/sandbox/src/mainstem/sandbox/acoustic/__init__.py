"""The stand-in for Acoustic Campaign: its OAuth, its XML API and the tables behind them."""
