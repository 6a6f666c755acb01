"""What an account holds, what has happened to it, what is still to fall due, and how its objects look."""
