"""The providers: what each one signs, how its objects are fetched, and what rows they make."""
