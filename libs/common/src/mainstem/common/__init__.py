"""What every Mainstem service stands on."""
